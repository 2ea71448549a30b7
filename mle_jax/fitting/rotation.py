"""Coordinates in which a nearly singular problem is well conditioned: theta = origin + basis phi.

Where the scaled information is nearly singular, its small eigenvalues are rounding errors of the Hessian's sums and
not curvature. The scores of the rows still carry the digits: with S = scores diag(D)^-1 = U diag(s) V', the basis
D^-1 V diag(s)^-1 makes the outer product of the scores the identity, and differentiating again in phi computes the
information without cancellation (NIST Filip: smallest eigenvalue from -8e-16 to 0.4).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._lapack import cholesky, solve_lower, svd
from mle_jax._linalg import rounding_floor
from mle_jax.fitting.certificate import SHARE
from mle_jax.likelihood.evaluation import sample, theta_scores
from mle_jax.parameters import Coordinates, ParameterSpace

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rotated:
    """Free coordinates phi with theta = origin + basis phi; speaks like `Coordinates`."""

    base: Coordinates
    origin: Array  # (k,)
    basis: Array  # (k, k)

    @property
    def size(self) -> int:
        """The number k of free coordinates."""
        return self.base.size

    @property
    def space(self) -> ParameterSpace:
        """The declared parameters."""
        return self.base.space

    @property
    def fixed(self) -> tuple[bool, ...]:
        """Which flat entries do not move."""
        return self.base.fixed

    def original(self, phi: Array) -> Array:
        """Return theta, the coordinates before the rotation."""
        return self.origin + self.basis @ phi

    def params(self, phi: Array) -> Any:
        """Return the named parameters."""
        return self.base.params(self.original(phi))

    def flat(self, phi: Array) -> Array:
        """Return the flat natural parameters."""
        return self.base.flat(self.original(phi))

    def jacobian(self, phi: Array) -> Array:
        """Return d flat / d phi."""
        return self.base.jacobian(self.original(phi)) @ self.basis


def declared(place: Any, theta: Array) -> tuple[Any, Array]:
    """Return the same point in the coordinates before any rotation."""
    return (place.base, place.original(theta)) if isinstance(place, Rotated) else (place, theta)


class ScoreBasis(NamedTuple):
    """What the scores, or factors of the information, say about the identification of the parameters."""

    basis: Array  # (k, k), D^-1 V diag(s)^-1
    values: Array  # (k,) the singular values s of the scaled scores, descending
    weakest: Array  # (k,) the combination of free coordinates that the smallest belongs to, largest entry 1
    undetermined: Array  # (k,) bool: takes part in a combination on which no score depends

    @property
    def smallest(self) -> Array:
        """The smallest singular value."""
        return self.values[-1]

    @property
    def determined(self) -> Array:
        """Which columns of the basis belong to more than rounding errors, bool (k,)."""
        return self.values >= rounding_floor(self.values.size, self.values.dtype)


def score_basis(model: "Model", coordinates: Coordinates, theta: Array, data: Any, weights: Array | None) -> ScoreBasis:
    """Decompose the scores of the rows in the free coordinates."""
    return basis_of(theta_scores(model, coordinates, theta, sample(model, data, weights)))


def basis_of(rows: Array) -> ScoreBasis:
    """Decompose rows S, (n, k), whose products S'S are an information; k is at least 1."""
    size = rows.shape[1]
    lengths = jnp.sqrt(jnp.sum(rows**2, axis=0))
    scale = jnp.where(lengths > 0, lengths, 1.0)
    # Fewer rows than parameters: rows of zeros complete the square, with singular values of zero.
    missing = jnp.zeros((max(size - rows.shape[0], 0), size), rows.dtype)
    _, values, right = svd(jnp.concatenate([rows / scale, missing]))
    basis = right.T / jnp.where(values > 0, values, 1.0) / scale[:, None]
    weakest = right[-1] / scale
    null = jnp.abs(right) * (values < rounding_floor(size, values.dtype))[:, None]
    undetermined = jnp.any(null > SHARE, axis=0)
    return ScoreBasis(basis, values, weakest / jnp.max(jnp.abs(weakest)), undetermined)


def whitening_basis(information: Array) -> Array:
    """Return a basis in which a positive definite information is the identity."""
    scale = jnp.sqrt(jnp.diagonal(information))
    factor = cholesky(information / scale[:, None] / scale[None, :])
    identity = jnp.eye(scale.size, dtype=scale.dtype)
    return solve_lower(factor, identity).T / scale[:, None]
