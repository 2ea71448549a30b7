"""`Real`: a parameter that may take any value."""

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
    refuse_bad_start,
    settle,
    start_array,
    text_of,
)
from mle_jax.parameters.protocol import Array, Fault


@dataclass(frozen=True, init=False, repr=False)
class Real:
    """Declare a parameter whose entries may take any value.

    Args:
        shape: an int or a tuple of ints; the default is a scalar.
        start: where a search starts, a number or an array of the shape; by default 0.
        columns: name of a data leaf; the parameter gets one entry per column (last axis) of it, named like them.
        labels: names of the entries; they set the shape.

    Raises:
        ValueError: if the arguments contradict each other.

    Example:
        >>> from mle_jax import Real
        >>> Real(labels=("intercept", "income")).entry_labels("w")
        ('w[intercept]', 'w[income]')
    """

    shape: tuple[int, ...] = ()
    start: Numbers | None = None
    columns: str | None = None
    labels: tuple[str, ...] | None = None
    elementwise: ClassVar[bool] = True

    def __init__(
        self,
        shape: int | Sequence[int] = (),
        *,
        start: ArrayLike | None = None,
        columns: str | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Check and store the declaration."""
        settle(self, **elementwise_fields("Real", shape, start=start, columns=columns, labels=labels))
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
        """Map free coordinates (free_size,) to the value: the identity, in shape."""
        return jnp.reshape(as_float(free), self.shape)

    def unconstrain(self, value: ArrayLike) -> jax.Array:
        """Map a value to its free coordinates (free_size,)."""
        return jnp.ravel(as_float(value))

    def log_jacobian(self, free: jax.Array) -> jax.Array:
        """Return log |det d flat / d free| = 0."""
        return jnp.zeros((), as_float(free).dtype)

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
        """Return the declared start, by default 0."""
        return start_array(0.0 if self.start is None else self.start, self.shape)

    def fault(self, value: ArrayLike) -> Fault | None:
        """Return the first entry that is not finite, or None."""
        return entry_fault(value, self.shape, np.isfinite, "must be finite")

    def complaint(self, value: ArrayLike) -> str | None:
        """Say in words what is wrong with a value, or None."""
        return in_words(self.fault(value), self.shape)
