"""`Covariance`: a positive definite matrix, searched through its Cholesky factor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mle_jax._lapack import cholesky
from mle_jax.parameters.declared import (
    Numbers,
    as_float,
    as_labels,
    as_size,
    frozen_numbers,
    in_words,
    log_range,
    refuse_bad_start,
    settle,
    start_array,
    text_of,
)
from mle_jax.parameters.protocol import Array, Fault


@dataclass(frozen=True, init=False, repr=False)
class Covariance:
    """Declare a symmetric positive definite matrix S = L L', searched through the lower triangular L.

    The free coordinates are the entries of L row by row, those on its diagonal as logarithms. S is exactly symmetric
    and finite however far out they lie. It is positive definite to rounding as long as no variable is a combination
    of those before it to within rounding: L[i, i]^2 well above eps S[i, i].

    Its named entries are the lower triangle row by row: ``S[0,0]``, ``S[1,0]``, ``S[1,1]``, ...

    Args:
        size: the number m of rows.
        start: where a search starts, an array (m, m); by default the identity.
        labels: names of the variables.

    Raises:
        ValueError: if the number of labels is not the size, or a start is not symmetric and positive definite.

    Reference:
        Pinheiro and Bates (1996), Statistics and Computing 6, 289-296, section 2.2 (the log-Cholesky
        parametrization); Muirhead (1982), Aspects of Multivariate Statistical Theory, theorem 2.1.9 (its Jacobian).

    Example:
        >>> from mle_jax import Covariance
        >>> Covariance(2, labels=("height", "weight")).entry_labels("S")
        ('S[height,height]', 'S[weight,height]', 'S[weight,weight]')
    """

    size: int
    start: Numbers | None = None
    labels: tuple[str, ...] | None = None
    elementwise: ClassVar[bool] = False

    def __init__(self, size: int, *, start: ArrayLike | None = None, labels: Sequence[str] | None = None) -> None:
        """Check and store the declaration."""
        size = as_size(size, "Covariance")
        numbers = None if start is None else frozen_numbers(start, "Covariance(start=...): start")
        settle(self, size=size, start=numbers, labels=as_labels(labels, "Covariance", size))
        refuse_bad_start(self)

    def __repr__(self) -> str:
        """Write the declaration as the user would."""
        return text_of(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (m, m) of the value."""
        return (self.size, self.size)

    @property
    def free_size(self) -> int:
        """The number of unconstrained coordinates, m (m + 1) / 2."""
        return self.size * (self.size + 1) // 2

    @property
    def flat_size(self) -> int:
        """The number of named entries, m (m + 1) / 2."""
        return self.size * (self.size + 1) // 2

    def constrain(self, free: jax.Array) -> jax.Array:
        """Map the entries of L (m (m + 1) / 2,), log diagonal, to S (m, m)."""
        free = as_float(free)
        low, high = self._log_limits(free.dtype)
        scales = jnp.exp(jnp.clip(free, low, high))
        others = jnp.clip(free, -math.exp(high), math.exp(high))
        factor = jnp.tril(self.unflatten(jnp.where(self._on_diagonal, scales, others)))
        product = jnp.matmul(factor, factor.T, precision=jax.lax.Precision.HIGHEST)
        return self.unflatten(self.flatten(product))  # the lower triangle mirrored: symmetric to the last bit

    def unconstrain(self, value: ArrayLike) -> jax.Array:
        """Map S (m, m) to the entries of its Cholesky factor, log diagonal; NaN if S is not positive definite."""
        entries = self.flatten(cholesky(as_float(value)))
        # The inner where keeps the logarithm of a negative entry, and its NaN derivative, out of sight.
        return jnp.where(self._on_diagonal, jnp.log(jnp.where(self._on_diagonal, entries, 1.0)), entries)

    def log_jacobian(self, free: jax.Array) -> jax.Array:
        """Return log |det d flat / d free| = m log 2 + sum over i = 1..m of (m - i + 2) log L[i, i]."""
        free = as_float(free)
        scales = jnp.clip(free, *self._log_limits(free.dtype))[self._on_diagonal]
        powers = jnp.asarray(self.size + 1 - np.arange(self.size), free.dtype)
        return self.size * math.log(2.0) + jnp.sum(powers * scales)

    @property
    def _on_diagonal(self) -> np.ndarray:
        rows, columns = np.tril_indices(self.size)
        return rows == columns

    def _log_limits(self, dtype: Any) -> tuple[float, float]:
        """The range of log L[i, i] in which S neither underflows on its diagonal nor overflows."""
        low, high = log_range(dtype)
        return 0.5 * low, 0.5 * (high - math.log(self.size))

    def flatten(self, value: Array) -> Array:
        """List the lower triangle (m (m + 1) / 2,) of a matrix row by row."""
        return value[np.tril_indices(self.size)]

    def unflatten(self, flat: Array) -> Array:
        """Put a lower triangle (m (m + 1) / 2,) back into a symmetric matrix."""
        i, j = np.indices(self.shape)
        row, column = np.maximum(i, j), np.minimum(i, j)
        return flat[row * (row + 1) // 2 + column]

    def entry_labels(self, name: str) -> tuple[str, ...]:
        """Name the entries: ``S[1,0]``, or ``S[weight,height]``."""
        labels = self.labels or tuple(map(str, range(self.size)))
        return tuple(f"{name}[{labels[i]},{labels[j]}]" for i, j in zip(*np.tril_indices(self.size), strict=True))

    def default_start(self) -> np.ndarray:
        """Return the declared start, by default the identity."""
        return np.eye(self.size) if self.start is None else start_array(self.start, self.shape)

    def fault(self, value: ArrayLike) -> Fault | None:
        """Return what keeps a matrix from being symmetric and positive definite, or None."""
        matrix = np.asarray(value, dtype=np.float64)
        if matrix.shape != self.shape:
            return Fault(None, f"has shape {matrix.shape}", f"must have shape {self.shape}")
        for wrong, rule in (
            (lambda: ~np.isfinite(matrix), "must be finite"),
            (lambda: np.diag(np.diagonal(matrix) <= 0.0), "must be above 0, being a variance"),
            (lambda: _asymmetric(matrix), "must equal its mirror entry"),
        ):
            if (mask := wrong()).any():
                i, j = (int(k) for k in np.argwhere(mask)[0])
                row, column = max(i, j), min(i, j)
                return Fault(row * (row + 1) // 2 + column, f"is {float(matrix[i, j])!r}", rule)
        scales = np.sqrt(np.diagonal(matrix))
        smallest = float(np.linalg.eigvalsh(matrix / np.outer(scales, scales))[0])
        if smallest <= 0.0:
            found = f"has correlations whose smallest eigenvalue is {smallest:.3g}"
            return Fault(None, found, "must be positive definite")
        return None

    def complaint(self, value: ArrayLike) -> str | None:
        """Say in words what is wrong with a value, or None."""
        return in_words(self.fault(value), self.shape)


def _asymmetric(matrix: np.ndarray) -> np.ndarray:
    """Entries that differ from their mirror by more than the rounding of float32, in units of the scales."""
    scales = np.sqrt(np.diagonal(matrix))
    return np.tril(np.abs(matrix - matrix.T) > 1e-6 * np.outer(scales, scales))
