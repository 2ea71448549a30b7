"""Primal-dual interior point for quantile regression: quick and accurate to many digits, but not yet on a vertex.

minimize over b   sum_i w_i rho(y_i - <z_i, b>),   rho(r) = r (quantile - [r < 0])

Its dual is: maximize sum_i y_i d_i over Z'd = 0 and w_i (quantile - 1) <= d_i <= w_i quantile. The iteration keeps
a_i = d_i + (1 - quantile) w_i strictly inside [0, w_i] with s_i = w_i - a_i, and splits every residual into
`over_i - under_i`, both above 0. At the solution a_i under_i = 0 and s_i over_i = 0: the duality gap
sum_i (s_i over_i + a_i under_i) is 0.

Source: Portnoy and Koenker (1997), The Gaussian hare and the Laplacian tortoise, Statistical Science 12, 279-300,
section 3, with the predictor and corrector of Mehrotra (1992), SIAM Journal on Optimization 2, 575-601.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._lapack import cholesky, solve_factored
from mle_jax.optimizers._row_blocks import combine, normal_matrix

SHRINK = 0.9995  # of the way to the nearest wall, as in Portnoy and Koenker
START = 0.5  # of the mean absolute residual: how far inside both halves of a residual begin
BOUND = 3.0  # of the mean product: the largest correction of second order; halves the steps at extreme quantiles
MOST_STEPS = 80  # 6 to 20 are usual


class InteriorPoint(NamedTuple):
    """Where the iteration is (m rows, k columns).

    Attributes:
        beta: the coefficients, (k,).
        residuals: y - Z beta, (m,); `over - under` tends to it.
        lower: a, the distance of the duals from their lower ends, (m,).
        upper: s, that from their upper ends, (m,).
        over: positive parts of the residuals, (m,).
        under: negative parts, (m,).
        gap: the duality gap.
        steps: steps taken.
        alive: whether the last step was finite.
    """

    beta: Array
    residuals: Array
    lower: Array
    upper: Array
    over: Array
    under: Array
    gap: Array
    steps: Array
    alive: Array


class Move(NamedTuple):
    """A direction, and how far one may go along it."""

    beta: Array
    residuals: Array
    lower: Array  # that of `upper` is its negative
    over: Array
    under: Array
    primal: Array  # step length for the duals d, at most 1
    dual: Array  # step length for beta and the residuals, at most 1


def interior_point(
    z: Array,
    y: Array,
    weights: Array,
    quantile: Array | float,
    *,
    scale: Array,
    size: Array | None = None,
    tolerance: Array | float,
    rounding: Array | float = 0.0,
    max_steps: int = MOST_STEPS,
) -> InteriorPoint:
    """Solve the quantile regression of y on z up to a small duality gap.

    Args:
        z: the design, (m, k), of columns on a common scale; columns of zeros keep a coefficient of 0.
        y: the response, (m,), around beta = 0, where the iteration begins.
        weights: (m,), above 0.
        quantile: between 0 and 1.
        scale: a typical absolute residual.
        size: the objective to which the gap is held; by default that of the residuals as they go, outliers apart.
        tolerance: of the duality gap, relative to this size.
        rounding: a gap below this is nothing but rounding.
        max_steps: the most steps.
    """

    def unfinished(now: InteriorPoint) -> Array:
        reference = typical_objective(now.over + now.under, weights) if size is None else size
        return now.alive & (now.steps < max_steps) & (now.gap > tolerance * reference + rounding)

    return jax.lax.while_loop(unfinished, lambda now: _step(z, now), _begin(z, y, weights, quantile, scale))


def typical_residual(residuals: Array, weights: Array) -> Array:
    """Return a mean absolute residual that a few far outliers hardly move: (mean |r|^(1/4))^4."""
    return (jnp.sum(weights * jnp.sqrt(jnp.sqrt(jnp.abs(residuals)))) / jnp.sum(weights)) ** 4


def typical_objective(residuals: Array, weights: Array) -> Array:
    """Return the size of the objective without its outliers."""
    return jnp.sum(weights) * typical_residual(residuals, weights)


def _begin(z: Array, y: Array, weights: Array, quantile: Array | float, scale: Array) -> InteriorPoint:
    inside = START * scale
    lower = (1 - quantile) * weights  # d = 0, so Z'd = 0 from here on
    upper = weights - lower
    # Balanced products: lower * under = upper * over wherever the residual is small.
    over = jnp.maximum(y, 0) + 2 * (1 - quantile) * inside
    under = jnp.maximum(-y, 0) + 2 * quantile * inside
    gap = _gap(lower, upper, over, under)
    return InteriorPoint(jnp.zeros_like(z[0]), y, lower, upper, over, under, gap, jnp.int32(0), jnp.isfinite(gap))


def _step(z: Array, now: InteriorPoint) -> InteriorPoint:
    """Take one predictor-corrector step: two directions from one factorization of the normal equations Z'QZ."""
    per_lower, per_upper = 1 / now.lower, 1 / now.upper
    q = 1 / (now.over * per_upper + now.under * per_lower)
    factor = _factor(normal_matrix(z, q))
    right = combine(q * now.residuals, z)

    def direction(right: Array, pull: Array, over_target: Array, under_target: Array) -> Move:
        beta = solve_factored(factor, right)
        residuals = -(z @ beta)
        lower = q * (now.residuals + pull + residuals)
        over = over_target - now.over + now.over * per_upper * lower
        under = under_target - now.under - now.under * per_lower * lower
        primal = _length(jnp.maximum(jnp.max(-lower * per_lower), jnp.max(lower * per_upper)))
        dual = _length(jnp.maximum(jnp.max(-over / now.over), jnp.max(-under / now.under)))
        return Move(beta, residuals, lower, over, under, primal, dual)

    # The predictor aims at a gap of zero; how near it comes sets the target of the corrector.
    predictor = direction(right, jnp.zeros_like(q), jnp.zeros_like(q), jnp.zeros_like(q))
    reached = _moved(now, predictor).gap
    target = now.gap * (reached / now.gap) ** 3 / (2 * q.size)
    # Where the predictor was cut short, its products are far too large for what remains of them: they are bounded.
    most = BOUND * now.gap / (2 * q.size)
    over_target = (target + jnp.clip(predictor.lower * predictor.over, -most, most)) * per_upper
    under_target = (target - jnp.clip(predictor.lower * predictor.under, -most, most)) * per_lower
    pull = under_target - over_target
    corrector = direction(right + combine(q * pull, z), pull, over_target, under_target)
    there = _moved(now, corrector)
    alive = jnp.isfinite(there.gap) & (there.gap >= 0) & jnp.all(jnp.isfinite(there.beta))
    kept = jax.tree_util.tree_map(lambda new, old: jnp.where(alive, new, old), there, now)
    return kept._replace(steps=now.steps + 1, alive=alive)


def _factor(matrix: Array) -> Array:
    """Return the Cholesky factor; empty columns get a unit, so that their coefficients stay at 0."""
    diagonal = jnp.diagonal(matrix)
    lifted = jnp.where(diagonal > 0, diagonal * (1 + 4 * jnp.finfo(matrix.dtype).eps), 1.0)
    return cholesky(matrix - jnp.diag(diagonal) + jnp.diag(lifted))


def _length(speed: Array) -> Array:
    """Return the step toward a wall that would be reached after 1 / speed, at most 1."""
    return jnp.where(speed > SHRINK, SHRINK / jnp.where(speed > 0, speed, 1.0), 1.0)


def _moved(now: InteriorPoint, move: Move) -> InteriorPoint:
    lower, upper = now.lower + move.primal * move.lower, now.upper - move.primal * move.lower
    over, under = now.over + move.dual * move.over, now.under + move.dual * move.under
    residuals = now.residuals + move.dual * move.residuals
    return now._replace(
        beta=now.beta + move.dual * move.beta,
        residuals=residuals,
        lower=lower,
        upper=upper,
        over=over,
        under=under,
        gap=_gap(lower, upper, over, under),
    )


def _gap(lower: Array, upper: Array, over: Array, under: Array) -> Array:
    return jnp.sum(upper * over + lower * under)
