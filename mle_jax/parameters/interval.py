"""`Interval`: a parameter between two ends, searched on the logit scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mle_jax.parameters.declared import (
    Numbers,
    as_float,
    elementwise_fields,
    entry_fault,
    float_info,
    frozen_numbers,
    in_words,
    labelled,
    log_range,
    refuse_bad_start,
    settle,
    start_array,
    text_of,
)
from mle_jax.parameters.protocol import Array, Fault


@dataclass(frozen=True, init=False, repr=False)
class Interval:
    """Declare a parameter whose entries lie between two ends: value = low + (high - low) / (1 + exp(-free)).

    The value never touches the ends, not even by rounding, however far out the free coordinate lies.

    Args:
        low: the lower end, finite.
        high: the upper end, finite and above `low`.
        shape: an int or a tuple of ints; the default is a scalar.
        start: where a search starts, a number or an array of the shape; by default the midpoint.
        closed: whether the ends themselves belong to the domain. A search only comes arbitrarily close to them, but
            they may be given as values.
        columns: name of a data leaf; the parameter gets one entry per column (last axis) of it, named like them.
        labels: names of the entries; they set the shape.

    Raises:
        ValueError: if the ends are not in order, the arguments contradict each other, or a start is not inside.

    Example:
        >>> from mle_jax import Interval
        >>> Interval(0, 1).complaint(1.0)
        'is 1.0, but must be above 0.0 and below 1.0'
        >>> Interval(0, 1, closed=True).complaint(1.0) is None
        True
    """

    low: float
    high: float
    shape: tuple[int, ...] = ()
    start: Numbers | None = None
    closed: bool = False
    columns: str | None = None
    labels: tuple[str, ...] | None = None
    elementwise: ClassVar[bool] = True

    def __init__(
        self,
        low: float,
        high: float,
        shape: int | Sequence[int] = (),
        *,
        start: ArrayLike | None = None,
        closed: bool = False,
        columns: str | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Check and store the declaration."""
        common = elementwise_fields("Interval", shape, start=start, columns=columns, labels=labels)
        ends = _ends(low, high)
        settle(self, low=ends[0], high=ends[1], closed=bool(closed), **common)
        refuse_bad_start(self)

    def __repr__(self) -> str:
        """Write the declaration as the user would."""
        return text_of(self)

    @property
    def free_size(self) -> int:
        """The number of unconstrained coordinates: one per entry."""
        return math.prod(self.shape)

    @property
    def flat_size(self) -> int:
        """The number of named entries."""
        return math.prod(self.shape)

    def constrain(self, free: jax.Array) -> jax.Array:
        """Map free coordinates (free_size,) into the interval by the scaled logistic function."""
        free = as_float(free)
        # Measured from the nearer end, so that a value close to an end keeps its relative distance from it.
        tail = jnp.exp(_below_zero(free))
        step = (self.high - self.low) * (tail / (1.0 + tail))
        value = jnp.where(free < 0.0, self.low + step, self.high - step)
        return jnp.reshape(jnp.clip(value, *self._inner_ends(free.dtype)), self.shape)

    def unconstrain(self, value: ArrayLike) -> jax.Array:
        """Map a value to its free coordinates (free_size,): its logit; the ends go as far out as the dtype can tell."""
        array = jnp.ravel(as_float(value))
        inside = jnp.clip(array, *self._inner_ends(array.dtype))
        tiny = float(float_info(array.dtype).tiny)
        return jnp.log(jnp.maximum(inside - self.low, tiny)) - jnp.log(jnp.maximum(self.high - inside, tiny))

    def log_jacobian(self, free: jax.Array) -> jax.Array:
        """Return log |det d flat / d free|, the sum of log(high - low) - |free| - 2 log(1 + exp(-|free|))."""
        tail = _below_zero(as_float(free))
        return jnp.sum(math.log(self.high - self.low) + tail - 2.0 * jnp.log1p(jnp.exp(tail)))

    def _inner_ends(self, dtype: Any) -> tuple[Any, Any]:
        """The numbers of the dtype next to the ends, on the inside."""
        return _next(self.low, self.high, dtype), _next(self.high, self.low, dtype)

    def flatten(self, value: Array) -> Array:
        """List the entries (flat_size,) of a value in C order."""
        return value.reshape(-1)

    def unflatten(self, flat: Array) -> Array:
        """Put entries (flat_size,) back into a value."""
        return flat.reshape(self.shape)

    def entry_labels(self, name: str) -> tuple[str, ...]:
        """Name the entries: ``w``, ``w[0]``, or ``w[income]``."""
        return labelled(name, self.shape, self.labels)

    def default_start(self) -> np.ndarray:
        """Return the declared start, by default the midpoint."""
        return start_array(0.5 * self.low + 0.5 * self.high if self.start is None else self.start, self.shape)

    def fault(self, value: ArrayLike) -> Fault | None:
        """Return the first entry that is not finite or not inside, or None."""
        low, high = self.low, self.high
        if self.closed:
            return entry_fault(
                value, self.shape, lambda entries: (entries >= low) & (entries <= high), f"must be from {low} to {high}"
            )
        return entry_fault(
            value,
            self.shape,
            lambda entries: (entries > low) & (entries < high),
            f"must be above {low} and below {high}",
        )

    def complaint(self, value: ArrayLike) -> str | None:
        """Say in words what is wrong with a value, or None."""
        return in_words(self.fault(value), self.shape)


def _ends(low: float, high: float) -> tuple[float, float]:
    """Check the ends of an interval and return them as floats."""
    a, b = frozen_numbers(low, "Interval(low, ...): low"), frozen_numbers(high, "Interval(..., high): high")
    given = f"Interval({low!r}, {high!r})"
    if isinstance(a, tuple) or isinstance(b, tuple):
        raise TypeError(f"{given}: the ends must be two numbers, the same for all entries")
    if not a < b:
        raise ValueError(f"{given}: low must be below high; write Interval(low, high)")
    if math.nextafter(a, b) >= b or not math.isfinite(b - a):
        raise ValueError(f"{given}: float64 cannot resolve an interval so narrow or so wide; rescale the parameter")
    return a, b


def _below_zero(free: jax.Array) -> jax.Array:
    """Return -|free|, clipped where exp would underflow; unlike abs it keeps a slope at 0."""
    return jnp.maximum(jnp.where(free < 0.0, free, -free), log_range(free.dtype)[0])


def _next(end: float, other: float, dtype: Any) -> Any:
    """Return the number of the dtype next to one end on the way to the other, never a subnormal one."""
    info = float_info(dtype)
    neighbor = np.nextafter(np.asarray(end, info.dtype), np.asarray(other, info.dtype))
    return neighbor if abs(neighbor) >= info.tiny else np.copysign(info.tiny, other - end).astype(info.dtype)
