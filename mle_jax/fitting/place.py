"""What the fitting layer asks of free coordinates, declared or rotated."""

from typing import Any, Protocol

from jax import Array

from mle_jax.parameters import ParameterSpace


class Place(Protocol):
    """The meaning of a vector of free coordinates."""

    @property
    def size(self) -> int:
        """The number k of coordinates that move."""

    @property
    def space(self) -> ParameterSpace:
        """The declared parameters."""

    @property
    def fixed(self) -> tuple[bool, ...]:
        """Which flat natural parameters do not move."""

    def params(self, theta: Any) -> Any:
        """Return the named parameters."""

    def flat(self, theta: Any) -> Array:
        """Return the flat natural parameters, (k_flat,)."""

    def jacobian(self, theta: Any) -> Array:
        """Return d flat / d theta, (k_flat, k)."""
