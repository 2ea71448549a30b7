"""`Fixed`: a parameter that is known and not searched for."""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mle_jax.parameters.declared import (
    Numbers,
    as_float,
    entry_fault,
    frozen_numbers,
    in_words,
    labelled,
    settle,
    text_of,
)
from mle_jax.parameters.protocol import Array, Fault


@dataclass(frozen=True, init=False, repr=False)
class Fixed:
    """Declare a parameter that has a known value: it is passed to the log density but never estimated.

    To fix a parameter for one fit only, pass ``fixed={"name": value}`` to the fit instead.

    Args:
        value: a number or an array of numbers.

    Raises:
        TypeError: if the value is not made of real numbers.
        ValueError: if it is not finite.

    Example:
        >>> from mle_jax import Fixed
        >>> Fixed(2.5).free_size, float(Fixed(2.5).default_start())
        (0, 2.5)
    """

    value: Numbers
    elementwise: ClassVar[bool] = False

    def __init__(self, value: ArrayLike) -> None:
        """Check and store the declaration."""
        settle(self, value=frozen_numbers(value, "Fixed(value): value"))

    def __repr__(self) -> str:
        """Write the declaration as the user would."""
        return text_of(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return np.shape(self.value)

    @property
    def free_size(self) -> int:
        """The number of unconstrained coordinates, 0."""
        return 0

    @property
    def flat_size(self) -> int:
        """The number of named entries."""
        return math.prod(self.shape)

    def constrain(self, free: jax.Array) -> jax.Array:
        """Return the value in the dtype of the (empty) free coordinates."""
        return jnp.asarray(self.default_start(), as_float(free).dtype)

    def unconstrain(self, value: ArrayLike) -> jax.Array:
        """Return the empty free coordinates (0,)."""
        return jnp.zeros(0, as_float(value).dtype)

    def log_jacobian(self, free: jax.Array) -> jax.Array:
        """Return 0, there being nothing to transform."""
        return jnp.zeros((), as_float(free).dtype)

    def flatten(self, value: Array) -> Array:
        """List the entries (flat_size,) of a value in C order."""
        return value.reshape(-1)

    def unflatten(self, flat: Array) -> Array:
        """Put entries (flat_size,) back into a value."""
        return flat.reshape(self.shape)

    def entry_labels(self, name: str) -> tuple[str, ...]:
        """Name the entries: ``c`` or ``c[0]``."""
        return labelled(name, self.shape, None)

    def default_start(self) -> np.ndarray:
        """Return the value as NumPy float64."""
        return np.asarray(self.value, dtype=np.float64)[()]

    def fault(self, value: ArrayLike) -> Fault | None:
        """Return the first entry that differs from the declared value, or None."""
        declared = np.asarray(self.value, dtype=np.float64)
        # A value that went through float32 is still the declared one.
        same = entry_fault(value, self.shape, lambda entries: np.isclose(entries, declared, rtol=1e-6, atol=0.0), "")
        if same is None or same.entry is None:
            return same
        return same._replace(rule=f"must stay {float(declared.ravel()[same.entry])!r}")

    def complaint(self, value: ArrayLike) -> str | None:
        """Say in words what is wrong with a value, or None."""
        return in_words(self.fault(value), self.shape)
