"""The inverse Gaussian distribution, by its mean and shape: the variance is mean^3/shape.

log f(y; mean, shape) = log(shape/(2 pi y^3))/2 - shape (y - mean)^2/(2 mean^2 y)

With a, b = sqrt(shape) (sqrt(y)/mean -+ 1/sqrt(y)), phi the normal density and R = survival/phi its Mills ratio,
P(Y > y) = phi(a) (R(a) - R(b)) for y >= mean, and P(Y <= y) = phi(a) (R(-a) + R(b)) below.

Source: Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, equations 15.4a and 15.27.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities import _normal_tails as standard
from mle_jax.densities._elementary import log1mexp, log_ratio
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI
from mle_jax.densities._intervals import Ends, Line, between, log_difference
from mle_jax.densities._partials import floats, supported, with_partials


@jax.jit
def log_density(y: ArrayLike, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return the log density of the inverse Gaussian distribution, elementwise; minus infinity for y <= 0.

    Args:
        y: observations.
        mean: above 0; this is not checked.
        shape: above 0; this is not checked. The dispersion of a generalized linear model is 1/shape.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.inverse_gaussian.log_density(1.0, 1.0, 1.0)), 4)  # -log(2 pi)/2
        -0.9189
    """
    y, mean, shape = floats(y, mean, shape)
    inside = y > 0
    safe = jnp.where(inside, y, 1.0)
    kernel = 0.5 * jnp.log(shape) - HALF_LOG_2_PI - 1.5 * jnp.log(safe)
    return supported(inside, kernel - 0.5 * shape * _deviance(safe, mean))


@jax.jit
def log_cdf(y: ArrayLike, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(Y <= y))``; minus infinity for y <= 0.

    Args:
        y: the limit. Far above the shape digits are lost, about log10(y/shape)/2 of them.
        mean: above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.inverse_gaussian.log_cdf(1.0, 1.0, 1.0)), 4)
        -0.4033
    """
    y, mean, shape = floats(y, mean, shape)
    inside = y > 0
    return supported(inside, _tails(jnp.where(inside, y, mean), mean, shape)[0])


@jax.jit
def log_survival(y: ArrayLike, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(Y > y))``; 0 for y <= 0.

    Args:
        y: the limit. Far above the shape digits are lost, about log10(y/shape)/2 of them.
        mean: above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.inverse_gaussian.log_survival(1.0, 1.0, 1.0)), 4)
        -1.1029
    """
    y, mean, shape = floats(y, mean, shape)
    inside = y > 0
    return jnp.where(inside, _tails(jnp.where(inside, y, mean), mean, shape)[1], 0.0)


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``, accurate in both tails and for narrow intervals.

    Args:
        low: the lower end, 0 or below if there is none.
        high: the upper end, inf if there is none; minus infinity is returned where it is not above low.
        mean: above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.inverse_gaussian.log_interval(0.0, 1.0, mean=1.0, shape=1.0)), 4)
        -0.4033
    """
    low, high, mean, shape = floats(low, high, mean, shape)

    def density_of_log(t: Array) -> Array:
        y = mean[..., None] * jnp.exp(t)
        return log_density(y, mean[..., None], shape[..., None]) + jnp.log(y)

    def both(a: Array, b: Array) -> Array:
        line = Line(
            density_of_log,
            lambda t: _tails(mean * jnp.exp(t), mean, shape)[0],
            lambda t: _tails(mean * jnp.exp(t), mean, shape)[1],
        )
        return log_difference(log_ratio(a, mean), log_ratio(b, mean), width=jnp.log1p((b - a) / a), line=line)

    ends = Ends(both, lambda b: log_cdf(b, mean, shape), lambda a: log_survival(a, mean, shape))
    return between(low, high, ends=ends, support=(0.0, jnp.inf), safe=(0.5 * mean, mean))


def _tails(y: Array, mean: Array, shape: Array) -> tuple[Array, Array]:
    """Return the log probabilities below and above y > 0."""
    root = jnp.sqrt(y)
    a = jnp.sqrt(shape) * (root / mean - 1 / root)
    b = jnp.sqrt(shape) * (root / mean + 1 / root)
    right = y >= mean
    first = standard.mills(jnp.where(right, a, -a))
    second = standard.mills(b)
    log_phi = -HALF_LOG_2_PI - 0.5 * shape * _deviance(y, mean)
    tail = log_phi + jnp.log(jnp.where(right, first - second, first + second))
    rest = log1mexp(-tail)
    return jnp.where(right, rest, tail), jnp.where(right, tail, rest)


# (y - mean)^2/(mean^2 y) = y/mean^2 - 2/mean + 1/y, by the first form in the value and the second in the derivatives
_deviance = with_partials(
    lambda y, mean: ((y - mean) / mean) ** 2 / y,
    with_partials(
        lambda y, mean: (y - mean) / mean**2 * ((y + mean) / y**2),
        lambda y, mean: 2 / y**3 + 0 * mean,
        lambda y, mean: -2 / mean**3 + 0 * y,
    ),
    with_partials(
        lambda y, mean: -2 * (y - mean) / mean**3,
        lambda y, mean: -2 / mean**3 + 0 * y,
        lambda y, mean: (6 * y - 4 * mean) / mean**4,
    ),
)
