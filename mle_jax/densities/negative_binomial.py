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

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._counts import is_count, log_stirling_ratio
from mle_jax.densities._elementary import excess, log1p_curvature, log1p_ratio, xlogy
from mle_jax.densities._gamma_functions import SHIFT, log_gamma, stirling_error_of_inverse
from mle_jax.densities._partials import floats, supported, with_partials
from mle_jax.densities._rising import log_rising_few


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
    return supported(valid, _log_density(jnp.where(valid, y, 0.0), mean, dispersion))


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


def _value(y: Array, mean: Array, a: Array) -> Array:
    many = y > SHIFT
    few = _few(jnp.where(many, 0.0, y), mean, a)
    return jnp.where(many, _many(jnp.where(many, y, SHIFT + 1.0), mean, a), few)


def _few(y: Array, mean: Array, a: Array) -> Array:
    power = xlogy(y, mean) - y * jnp.log1p(a * mean) - mean * log1p_ratio(a * mean)
    return log_rising_few(y, a) - log_gamma(y + 1) + power


def _many(y: Array, mean: Array, a: Array) -> Array:
    grown = 1 + a * y
    errors = stirling_error_of_inverse(a / grown) - stirling_error_of_inverse(a)
    return _divergence(y, mean, a) - 0.5 * jnp.log1p(a * y) - log_stirling_ratio(y) + errors


def _divergence_value(y: Array, mean: Array, a: Array) -> Array:
    """Return y log(mean/y) - (y + 1/a) log((1 + a mean)/(1 + a y)), from two terms that are never positive."""
    grown_mean, grown = 1 + a * mean, 1 + a * y
    away = (mean - y) / grown_mean
    between = a * away * (away * log1p_curvature(-a * away, grown / grown_mean))
    return -between - y * excess(away / y, (mean / y) * (grown / grown_mean))


def _divergence_by_dispersion(y: Array, mean: Array, a: Array) -> Array:
    grown_mean, grown = 1 + a * mean, 1 + a * y
    away = (mean - y) / grown_mean
    return away * (away * log1p_curvature(-a * away, grown / grown_mean))


# By the mean it is not differentiated: see below.
_divergence = with_partials(_divergence_value, None, None, _divergence_by_dispersion)


def _by_mean(y: Array, mean: Array, a: Array) -> Array:
    return (y - mean) / (mean * (1 + a * mean))


def _by_mean_twice(y: Array, mean: Array, a: Array) -> Array:
    return (a - (y / mean) * ((1 + 2 * a * mean) / mean)) / (1 + a * mean) ** 2


def _by_both(y: Array, mean: Array, a: Array) -> Array:
    return -(y - mean) / (1 + a * mean) ** 2


def _by_dispersion(y: Array, mean: Array, a: Array) -> Array:
    return jax.jvp(lambda a: _value(y, mean, a), (a,), (jnp.ones_like(a),))[1]


def _by_dispersion_twice(y: Array, mean: Array, a: Array) -> Array:
    return jax.jvp(lambda a: _by_dispersion(y, mean, a), (a,), (jnp.ones_like(a),))[1]


# The derivatives in the mean are short; by the chain rule they would be differences of larger numbers.
_log_density = with_partials(
    _value,
    None,
    with_partials(_by_mean, None, _by_mean_twice, _by_both),
    with_partials(_by_dispersion, None, _by_both, _by_dispersion_twice),
)
