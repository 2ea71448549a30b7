"""The negative binomial distribution, a Poisson count with a gamma-distributed mean: NB2 and NB1.

NB2: variance = mean + dispersion mean^2; NB1: variance = mean (1 + dispersion). With r = 1/dispersion (NB2),

log f(y; mean, r) = log(Gamma(y + r)/(Gamma(r) y!)) + r log(r/(r + mean)) + y log(mean/(r + mean))

Every term grows without bound as dispersion -> 0, where the sum becomes the Poisson density. With Stirling's formula
for all three gamma functions, a = dispersion, v = (mean - y)/(1 + a mean), D(x) = x - log(1 + x) and C(x) = D(x)/x^2,
for y > 0:

log f = -a v^2 C(-a v) - y D(v/y) - log(1 + a y)/2 - log(2 pi y)/2 + error(y + r) - error(y) - error(r)

in which every term is smooth in a >= 0. The first two are at most 0; the derivative in a of their sum is v^2 C(-a v).
For y <= 8 the gamma functions are a product, and for y = 0 nothing is left but -log(1 + a mean)/a.

Source: Hilbe (2011), Negative Binomial Regression, 2nd edition, equations 8.8 (NB2) and 10.5 (NB1); the expansion after
Loader (2000), Fast and accurate computation of binomial probabilities.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._counts import is_count, log_small_factorial, log_stirling_ratio
from mle_jax.densities._elementary import SERIES, excess_series, log1p_curvature, log1p_curvature_slope
from mle_jax.densities._gamma_functions import (
    SHIFT,
    stirling_error_bend,
    stirling_error_of_inverse,
    stirling_error_slope,
    stirling_series,
    stirling_series_bend,
    stirling_series_slope,
)
from mle_jax.densities._partials import floats, supported, with_partials
from mle_jax.densities._rising import first_bend, first_factors, first_slope


@jax.jit
def log_density(y: ArrayLike, mean: ArrayLike, dispersion: ArrayLike) -> Array:
    """Return the log density of the negative binomial distribution NB2, elementwise: variance mean + dispersion mean^2.

    Minus infinity unless y is a whole number from 0 on. At dispersion 0, and near it, the Poisson density with accurate
    derivatives: the score and the information at the boundary are right.

    Args:
        y: counts; constants as far as derivatives are concerned.
        mean: above 0; this is not checked.
        dispersion: 1/size, at least 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.negative_binomial.log_density(1, 1.0, 1.0)), 4)  # geometric: log(1/4)
        -1.3863
    """
    y, mean, dispersion = floats(y, mean, dispersion)
    valid = is_count(y)
    count = jnp.where(valid, y, 0.0)
    return supported(valid, _log_density(count, mean, dispersion) - _of_count(count))


@jax.jit
def log_density_linear(y: ArrayLike, mean: ArrayLike, dispersion: ArrayLike) -> Array:
    """Return the log density of the negative binomial distribution NB1, elementwise: variance mean (1 + dispersion).

    It is NB2 with dispersion/mean; minus infinity unless y is a whole number from 0 on.

    Args:
        y: counts; constants as far as derivatives are concerned.
        mean: above 0; this is not checked.
        dispersion: at least 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.negative_binomial.log_density_linear(0, 2.0, 1.0)), 4)  # -2 log(2)
        -1.3863
    """
    y, mean, dispersion = floats(y, mean, dispersion)
    return log_density(y, mean, dispersion / mean)


def _of_count_value(y: Array) -> Array:
    many = y > SHIFT
    return jnp.where(many, log_stirling_ratio(jnp.where(many, y, 1.0)), log_small_factorial(y))


_of_count = with_partials(_of_count_value, None)
"""log(y!), less y log(y) - y above 8: apart, so that it is worked out once for all parameters."""


class _Places(NamedTuple):
    """What the value and its derivatives in the dispersion are made of; Y is y above 8 and 0 elsewhere."""

    many: Array
    large: Array  # Y
    by_grown: Array  # 1/(1 + a Y)
    by_grown_mean: Array  # 1/(1 + a mean)
    away: Array  # v, for Y
    ratio: Array  # 1 - a v


def _places(y: Array, mean: Array, a: Array) -> _Places:
    many = y > SHIFT
    large = jnp.where(many, y, 0.0)
    grown, by_grown_mean = 1 + a * large, 1 / (1 + a * mean)
    return _Places(many, large, 1 / grown, by_grown_mean, (mean - large) * by_grown_mean, grown * by_grown_mean)


def _curve(at: _Places, a: Array) -> Array:
    """Return v C(-a v)."""
    return at.away * log1p_curvature(-a * at.away, at.ratio)


def _value(y: Array, mean: Array, a: Array) -> Array:
    at = _places(y, mean, a)
    # y D(v/y), or v - y log(mean/(1 + a mean)) up to 8: the same formula but for small v/y.
    per = 1 / jnp.where(at.many, y, 1.0)
    ratio = jnp.where(y == 0, 1.0, mean * per * at.ratio)
    w = at.away * per / (1 + ratio)
    near = at.many & (jnp.abs(w) < SERIES)
    deviance = jnp.where(near, y * excess_series(jnp.where(near, w, 0.0)), at.away - y * jnp.log(ratio))
    errors = stirling_series(jnp.where(at.many, a * at.by_grown, 0.0)) - stirling_error_of_inverse(a)
    factors = jnp.where(at.many, errors - 0.5 * jnp.log1p(a * at.large), first_factors(y, a))
    return factors - deviance - a * at.away * _curve(at, a)


def _by_mean(y: Array, mean: Array, a: Array) -> Array:
    return (y - mean) * ((1 / mean) * (1 / (1 + a * mean)))


def _by_mean_twice(y: Array, mean: Array, a: Array) -> Array:
    by_mean, by_grown_mean = 1 / mean, 1 / (1 + a * mean)
    return (a - (y * by_mean) * ((1 + 2 * a * mean) * by_mean)) * by_grown_mean * by_grown_mean


def _by_both(y: Array, mean: Array, a: Array) -> Array:
    by_grown_mean = 1 / (1 + a * mean)
    return (mean - y) * by_grown_mean * by_grown_mean  # its square alone may be too small a number


def _by_dispersion(y: Array, mean: Array, a: Array) -> Array:
    at = _places(y, mean, a)
    per = at.by_grown
    few = first_slope(y, a) - y * (mean * at.by_grown_mean)
    errors = stirling_series_slope(jnp.where(at.many, a * per, 0.0)) * per**2 - stirling_error_slope(a)
    return at.away * _curve(at, a) + jnp.where(at.many, errors - 0.5 * at.large * per, few)


def _by_dispersion_twice(y: Array, mean: Array, a: Array) -> Array:
    at = _places(y, mean, a)
    per, share, part = at.by_grown, mean * at.by_grown_mean, at.away * at.by_grown_mean
    x = -a * at.away
    # The derivative of v^2 C(-a v), by dv/da = -v mean/(1 + a mean) and d(a v)/da = v/(1 + a mean).
    turn = -part * at.away * (2 * mean * log1p_curvature(x, at.ratio) + at.away * log1p_curvature_slope(x, at.ratio))
    few = first_bend(y, a) + y * share**2
    scaled = jnp.where(at.many, a * per, 0.0)
    series = (stirling_series_bend(scaled) * per - 2 * at.large * stirling_series_slope(scaled)) * per**3
    return turn + jnp.where(at.many, series - stirling_error_bend(a) + 0.5 * (at.large * per) ** 2, few)


# The derivatives in the mean are short; by the chain rule they would be differences of larger numbers.
_log_density = with_partials(
    _value,
    None,
    with_partials(_by_mean, None, _by_mean_twice, _by_both),
    with_partials(_by_dispersion, None, _by_both, _by_dispersion_twice),
)
