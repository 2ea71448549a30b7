"""Symmetric matrices judged on their own diagonal scale, so that the units of the coordinates do not matter."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mle_jax._lapack import eigh


class ScaledEigen(NamedTuple):
    """The eigendecomposition of ``diag(scale)^-1 A diag(scale)^-1``, whose diagonal is +-1."""

    scale: Array  # (k,), above 0
    values: Array  # (k,), ascending
    vectors: Array  # (k, k), columns

    def solve(self, right: Array, values: Array) -> Array:
        """Solve with the eigenvalues replaced: ``scale^-1 V diag(1/values) V' scale^-1 right``."""
        return (self.vectors @ ((self.vectors.T @ (right / self.scale)) / values)) / self.scale

    @property
    def smallest(self) -> Array:
        """The smallest eigenvalue; 1 when there are no coordinates."""
        return self.values[0] if self.values.size else jnp.ones((), self.scale.dtype)

    @property
    def floor(self) -> Array:
        """Below this an eigenvalue of the scaled matrix is nothing but rounding: 100 k eps."""
        return jnp.asarray(rounding_floor(self.values.size, self.scale.dtype), self.scale.dtype)


def rounding_floor(size: int, dtype: jnp.dtype) -> float:
    """Return 100 k eps, the rounding level of the eigenvalues of a diagonally scaled k-by-k matrix."""
    return 100.0 * max(size, 1) * float(jnp.finfo(dtype).eps)


def scaled_eigen(matrix: Array, *, least_diagonal: Array | None = None) -> ScaledEigen:
    """Decompose a symmetric matrix after scaling it by its diagonal.

    Args:
        matrix: symmetric, (k, k); entries that are not finite give eigenvalues that are not finite.
        least_diagonal: (k,), lower limits for the diagonal used as scale, for matrices that may be indefinite.

    Returns:
        scale (k,), eigenvalues (k,) ascending, eigenvectors (k, k).
    """
    diagonal = jnp.abs(jnp.diagonal(matrix))
    if least_diagonal is not None:
        diagonal = jnp.maximum(diagonal, least_diagonal)
    scale = jnp.sqrt(jnp.where((diagonal > 0) & jnp.isfinite(diagonal), diagonal, 1.0))
    if matrix.shape[0] == 0:
        return ScaledEigen(scale, diagonal, matrix)
    values, vectors = eigh(matrix / scale[:, None] / scale[None, :])
    return ScaledEigen(scale, values, vectors)
