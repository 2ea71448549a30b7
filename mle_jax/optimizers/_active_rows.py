"""A quantile regression without the rows whose sign is certain.

Far from the fit a row's part of the objective is linear: w (quantile - [r < 0]) (y - <x, b>). All such rows together
are one row, the sum of w (quantile - [r < 0]) (x, y), which counts with slope 1 as long as no sign changes.

Source: Portnoy and Koenker (1997), Statistical Science 12, 279-300, section 5 ("globs").
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.optimizers._row_blocks import combine

LEAST, AIM = 0.75, 0.9  # of the places: the fewest that should be taken, and the share to aim at
TRIES = 12


class Problem(NamedTuple):
    """Minimize ``sum_i w_i rho(y_i - <x_i, b>)`` over b; rows of zeros are without influence."""

    x: Array  # (n, p)
    y: Array  # (n,)
    weights: Array  # (n,), above 0
    quantile: Array | float

    def residuals(self, b: Array) -> Array:
        """Return y - X b, (n,)."""
        return self.y - self.x @ b

    def objective(self, residuals: Array) -> Array:
        """Return the objective at these residuals."""
        return jnp.sum(self.weights * residuals * (self.quantile - (residuals < 0)))


class Reduction(NamedTuple):
    """The rows that stay and one that stands for all others."""

    problem: Problem  # places + 1 rows: those that stay, zeros in the places left over, the sum of the others
    rows: Array  # (places + 1,) their numbers, n where there is none
    negative: Array  # (n,) bool: whether the residual was taken as negative
    stays: Array  # (n,) bool


def in_lengths(residuals: Array, lengths: Array) -> Array:
    """Return the distances of rows from the fit in units of their lengths, (n,); infinite for rows of zeros."""
    return jnp.where(lengths > 0, jnp.abs(residuals) / jnp.where(lengths > 0, lengths, 1.0), jnp.inf)


def nearest(problem: Problem, residuals: Array, distances: Array, *, places: int) -> Reduction:
    """Keep about the `places` rows nearest to the fit.

    Args:
        problem: n rows.
        residuals: at the current coefficients, (n,).
        distances: from the fit, (n,); infinite for rows that never stay.
        places: the most rows that stay.
    """
    threshold = _threshold(distances, places)
    counts = jnp.cumsum(distances <= threshold, dtype=jnp.int32)
    stays = (distances <= threshold) & (counts <= places)
    rows = jnp.searchsorted(counts, jnp.arange(1, places + 1, dtype=jnp.int32)).astype(jnp.int32)
    return _reduced(problem, residuals, stays, rows)


def _threshold(distances: Array, places: int) -> Array:
    """Return a threshold below which there are rows for most of the places, and not more.

    With ties at distance 0 there may be more whatever the threshold.
    """

    def unsuited(now: tuple[Array, Array, Array]) -> Array:
        _, count, tries = now
        return ((count > places) | (count < LEAST * places)) & (tries < TRIES)

    def adapt(now: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        threshold, count, tries = now
        threshold = threshold * jnp.clip(AIM * places / jnp.maximum(count, 1), 0.02, 50.0)
        return threshold, jnp.sum(distances <= threshold), tries + 1

    mean = jnp.mean(jnp.where(jnp.isfinite(distances), distances, 0.0))
    guess = mean * (AIM * min(places / distances.size, 1.0))
    return jax.lax.while_loop(unsuited, adapt, (guess, jnp.sum(distances <= guess), jnp.int32(0)))[0]


def _reduced(problem: Problem, residuals: Array, stays: Array, rows: Array) -> Reduction:
    x, y, weights, quantile = problem
    slopes = jnp.where(stays, 0.0, weights * (quantile - (residuals < 0)))

    def kept(leaf: Array, total: Array, fill: float) -> Array:
        return jnp.concatenate([leaf.at[rows].get(mode="fill", fill_value=fill), total[None]])

    # Its residual is positive, being a sum of positive parts, so weight 1 / quantile gives it slope 1.
    together = Problem(
        kept(x, combine(slopes, x), 0.0),
        kept(y, slopes @ y, 0.0),
        kept(weights, jnp.asarray(1 / quantile, weights.dtype), 1.0),
        quantile,
    )
    return Reduction(together, jnp.append(rows, y.size).astype(jnp.int32), residuals < 0, stays)


def within(outer: Reduction, inner: Reduction) -> Reduction:
    """Express a reduction of a reduced problem in the rows of the whole."""
    rows = outer.rows.at[inner.rows].get(mode="fill", fill_value=outer.stays.size)
    negative = outer.negative.at[outer.rows].set(inner.negative, mode="drop")
    stays = jnp.zeros_like(outer.stays).at[rows].set(True, mode="drop")
    return Reduction(inner.problem, rows, negative, stays)


def keeps_signs(reduction: Reduction, residuals: Array) -> Array:
    """Say whether no row that was summed up has changed the sign of its residual."""
    return jnp.all(reduction.stays | jnp.where(reduction.negative, residuals <= 0, residuals >= 0))
