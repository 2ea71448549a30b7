"""`Positive`: a parameter above zero, searched on the log scale."""

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
    elementwise_fields,
    entry_fault,
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
class Positive:
    """Declare a parameter whose entries are above zero: value = exp(free).

    The value stays strictly positive and finite however far out the free coordinate lies.

    Args:
        shape: an int or a tuple of ints; the default is a scalar.
        start: where a search starts, a number or an array of the shape; by default 1.
        closed: whether zero itself belongs to the domain. A search only comes arbitrarily close to it, but it may
            be given as a value.
        columns: name of a data leaf; the parameter gets one entry per column (last axis) of it, named like them.
        labels: names of the entries; they set the shape.

    Raises:
        ValueError: if the arguments contradict each other or a start is not above zero.

    Example:
        >>> from mle_jax import Positive
        >>> Positive(start=2.0)
        Positive(start=2.0)
        >>> Positive().complaint(-1.0)
        'is -1.0, but must be above 0'
    """

    shape: tuple[int, ...] = ()
    start: Numbers | None = None
    closed: bool = False
    columns: str | None = None
    labels: tuple[str, ...] | None = None
    elementwise: ClassVar[bool] = True

    def __init__(
        self,
        shape: int | Sequence[int] = (),
        *,
        start: ArrayLike | None = None,
        closed: bool = False,
        columns: str | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Check and store the declaration."""
        common = elementwise_fields("Positive", shape, start=start, columns=columns, labels=labels)
        settle(self, closed=bool(closed), **common)
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
        """Map free coordinates (free_size,) to exp(free), clipped to what the dtype can hold."""
        return jnp.reshape(jnp.exp(_clipped(as_float(free))), self.shape)

    def unconstrain(self, value: ArrayLike) -> jax.Array:
        """Map a value to its free coordinates (free_size,): its logarithm; zero goes to the lower clip."""
        array = jnp.ravel(as_float(value))
        low, high = log_range(array.dtype)
        return jnp.log(jnp.clip(array, math.exp(low), math.exp(high)))

    def log_jacobian(self, free: jax.Array) -> jax.Array:
        """Return log |det d flat / d free|, the sum of the free coordinates (clipped like the value)."""
        return jnp.sum(_clipped(as_float(free)))

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
        """Return the declared start, by default 1."""
        return start_array(1.0 if self.start is None else self.start, self.shape)

    def fault(self, value: ArrayLike) -> Fault | None:
        """Return the first entry that is not finite or not above zero, or None."""
        if self.closed:
            return entry_fault(value, self.shape, lambda entries: entries >= 0.0, "must be 0 or above")
        return entry_fault(value, self.shape, lambda entries: entries > 0.0, "must be above 0")

    def complaint(self, value: ArrayLike) -> str | None:
        """Say in words what is wrong with a value, or None."""
        return in_words(self.fault(value), self.shape)


def _clipped(free: jax.Array) -> jax.Array:
    return jnp.clip(free, *log_range(free.dtype))
