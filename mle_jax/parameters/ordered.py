"""`Ordered`: increasing numbers, searched as the first of them and the logs of the increments."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mle_jax.parameters.declared import (
    Numbers,
    as_float,
    as_labels,
    as_size,
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
class Ordered:
    """Declare strictly increasing entries: value_1 = free_1, value_k = value_(k-1) + exp(free_k).

    The entries stay distinct, even where an increment is below the rounding of the entries themselves.

    Args:
        size: the number m of entries.
        start: where a search starts, an increasing array (m,); by default steps of 1 centered at 0.
        labels: names of the entries.

    Raises:
        ValueError: if the number of labels is not the size, or a start does not increase.

    Example:
        >>> from mle_jax import Ordered
        >>> [float(x) for x in Ordered(3).default_start()]
        [-1.0, 0.0, 1.0]
    """

    size: int
    start: Numbers | None = None
    labels: tuple[str, ...] | None = None
    elementwise: ClassVar[bool] = False

    def __init__(self, size: int, *, start: ArrayLike | None = None, labels: Sequence[str] | None = None) -> None:
        """Check and store the declaration."""
        size = as_size(size, "Ordered")
        numbers = None if start is None else frozen_numbers(start, "Ordered(start=...): start")
        settle(self, size=size, start=numbers, labels=as_labels(labels, "Ordered", size))
        refuse_bad_start(self)

    def __repr__(self) -> str:
        """Write the declaration as the user would."""
        return text_of(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (m,) of the value."""
        return (self.size,)

    @property
    def free_size(self) -> int:
        """The number of unconstrained coordinates, m."""
        return self.size

    @property
    def flat_size(self) -> int:
        """The number of named entries, m."""
        return self.size

    def constrain(self, free: jax.Array) -> jax.Array:
        """Map the first entry and log increments (m,) to increasing entries (m,)."""
        free = as_float(free)
        eps, largest = float(float_info(free.dtype).eps), math.exp(self._log_limits(free.dtype)[1])
        first = jnp.clip(free[0], -largest, largest)
        increments = jnp.exp(self._log_increments(free))

        # One after the other: a parallel prefix sum rounds each entry differently and can break the order.
        def add(last: jax.Array, increment: jax.Array) -> tuple[jax.Array, jax.Array]:
            entry = last + jnp.maximum(increment, 2.0 * eps * jnp.abs(last))
            return entry, entry

        _, rest = jax.lax.scan(add, first, increments, unroll=min(self.size, 16))
        return jnp.append(first, rest)

    def unconstrain(self, value: ArrayLike) -> jax.Array:
        """Map increasing entries (m,) to the first of them and the log increments (m,)."""
        array = as_float(value)
        low, high = self._log_limits(array.dtype)
        increments = jnp.clip(array[1:] - array[:-1], math.exp(low), math.exp(high))
        return jnp.append(array[0], jnp.log(increments))

    def log_jacobian(self, free: jax.Array) -> jax.Array:
        """Return log |det d flat / d free|, the sum of the log increments (clipped like the value)."""
        return jnp.sum(self._log_increments(as_float(free)))

    def _log_limits(self, dtype: jnp.dtype) -> tuple[float, float]:
        """The range of the log increments in which no sum of them overflows."""
        low, high = log_range(dtype)
        return low, high - math.log(2.0 * self.size)

    def _log_increments(self, free: jax.Array) -> jax.Array:
        return jnp.clip(free[1:], *self._log_limits(free.dtype))

    def flatten(self, value: Array) -> Array:
        """List the entries (m,) of a value."""
        return value.reshape(-1)

    def unflatten(self, flat: Array) -> Array:
        """Put entries (m,) back into a value."""
        return flat.reshape(self.shape)

    def entry_labels(self, name: str) -> tuple[str, ...]:
        """Name the entries: ``c[0]``, or ``c[low]``."""
        return labelled(name, self.shape, self.labels)

    def default_start(self) -> np.ndarray:
        """Return the declared start, by default steps of 1 centered at 0."""
        return start_array(_centered(self.size) if self.start is None else self.start, self.shape)

    def fault(self, value: ArrayLike) -> Fault | None:
        """Return the first entry that is not finite or not above the one before, or None."""
        fault = entry_fault(value, self.shape, np.isfinite, "must be finite")
        if fault is not None:
            return fault
        array = np.asarray(value, dtype=np.float64)
        stuck = np.flatnonzero(array[1:] <= array[:-1])
        if stuck.size == 0:
            return None
        entry = int(stuck[0]) + 1
        before = float(array[entry - 1])
        return Fault(entry, f"is {float(array[entry])!r}", f"must be above the entry before it, {before!r}")

    def complaint(self, value: ArrayLike) -> str | None:
        """Say in words what is wrong with a value, or None."""
        return in_words(self.fault(value), self.shape)


def _centered(size: int) -> Numbers:
    return tuple(i - 0.5 * (size - 1) for i in range(size))
