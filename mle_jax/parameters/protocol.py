"""What every declaration of a parameter offers once its shape is known, and what is wrong with a value."""

from typing import NamedTuple, Protocol, TypeVar

import jax
import numpy as np
from numpy.typing import ArrayLike

Array = TypeVar("Array", jax.Array, np.ndarray)
"""Maps that only rearrange entries keep the kind of array they are given, so that NumPy stays NumPy."""


class Fault(NamedTuple):
    """What keeps a value out of a domain, in pieces from which a sentence with the user's names is built."""

    entry: int | None
    """Position of the offending entry in the flat value, or None when the value as a whole is at fault."""
    found: str
    """What was given: ``is -1.0``."""
    rule: str
    """What is allowed: ``must be above 0``."""


class Declaration(Protocol):
    """One parameter: its shape, its domain, and the map between the domain and unconstrained coordinates.

    Three layouts of the same number(s) occur. The *value* is what the log density sees (an array of `shape`); the
    *flat* value lists its entries as tables and matrices name them (`flat_size`; a covariance matrix once per pair);
    the *free* coordinates are unconstrained (`free_size`; a simplex has one fewer than entries). The maps between
    them are traceable and follow the dtype of what they are given.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the natural value."""

    @property
    def free_size(self) -> int:
        """The number of unconstrained coordinates."""

    @property
    def flat_size(self) -> int:
        """The number of named entries."""

    @property
    def elementwise(self) -> bool:
        """Whether every entry is transformed by itself, so that entries can be fixed one by one."""

    def constrain(self, free: jax.Array) -> jax.Array:
        """Map free coordinates (free_size,) into the domain."""

    def unconstrain(self, value: ArrayLike) -> jax.Array:
        """Map a value to its free coordinates (free_size,); closed ends lie far away, not at infinity."""

    def log_jacobian(self, free: jax.Array) -> jax.Array:
        """Return log |det d flat / d free|, a scalar (a simplex: of all entries but the last)."""

    def flatten(self, value: Array) -> Array:
        """List the entries (flat_size,) of a value, NumPy or JAX."""

    def unflatten(self, flat: Array) -> Array:
        """Put entries (flat_size,) back into a value; the inverse of `flatten`."""

    def entry_labels(self, name: str) -> tuple[str, ...]:
        """Name the entries in the order of `flatten`: ``sigma``, ``w[0]``, ``w[income]``, ``S[1,0]``."""

    def default_start(self) -> np.ndarray:
        """Return the declared start or a neutral one, as NumPy float64."""

    def fault(self, value: ArrayLike) -> Fault | None:
        """Return what keeps a concrete value out of the domain, or None."""

    def complaint(self, value: ArrayLike) -> str | None:
        """Say in words what keeps a concrete value out of the domain, or None."""
