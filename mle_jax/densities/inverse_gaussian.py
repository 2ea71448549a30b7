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
from mle_jax.densities._elementary import finite, inverse, log_ratio, ratio, rest_of
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI
from mle_jax.densities._intervals import Ends, Line, between, log_difference
from mle_jax.densities._partials import floats, supported, with_partials


@jax.jit
def log_density(y: ArrayLike, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return the log density of the inverse Gaussian distribution, elementwise; minus infinity for y <= 0.

    Also where (y - mean)^2/(mean^2 y) is too large a number.

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
    inside = (y > 0) & (_size(y, mean) < jnp.inf)
    y, mean = jnp.where(inside, y, 1.0), jnp.where(inside, mean, 1.0)
    kernel = 0.5 * jnp.log(shape) - HALF_LOG_2_PI - 1.5 * jnp.log(y)
    return supported(inside, kernel - 0.5 * shape * _deviance(y, mean))


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

    def at(t: Array, mean: Array) -> Array:
        half = jnp.exp(t / 2)  # exp(t) may be too large or too small a number where y is not
        return mean * half * half

    def density_of_log(t: Array) -> Array:
        y = at(t, mean[..., None])
        return log_density(y, mean[..., None], shape[..., None]) + jnp.log(y)

    def both(a: Array, b: Array) -> Array:
        line = Line(
            density_of_log,
            lambda t: _tails(at(t, mean), mean, shape)[0],
            lambda t: _tails(at(t, mean), mean, shape)[1],
        )
        return log_difference(log_ratio(a, mean), log_ratio(b, mean), width=jnp.log1p(ratio(b - a, a)), line=line)

    ends = Ends(both, lambda b: log_cdf(b, mean, shape), lambda a: log_survival(a, mean, shape))
    return between(low, high, ends=ends, support=(0.0, jnp.inf), safe=(0.5 * mean, mean))


def _tails(y: Array, mean: Array, shape: Array) -> tuple[Array, Array]:
    """Return the log probabilities below and above y > 0.

    Minus infinity and 0 where the exponent of the density is too large a number.
    """
    right, within = y >= mean, shape < jnp.finfo(y.dtype).max / 4 / jnp.maximum(_size(y, mean), 1.0)
    below, above = _tails_within(jnp.where(within, y, 1.0), jnp.where(within, mean, 1.0), shape)
    below = jnp.where(within, below, jnp.where(right, 0.0, -jnp.inf))
    return below, jnp.where(within, above, jnp.where(right, -jnp.inf, 0.0))


def _tails_within(y: Array, mean: Array, shape: Array) -> tuple[Array, Array]:
    root, strength = jnp.sqrt(y), jnp.sqrt(shape)
    middle, half = strength * ratio(root, mean), strength * inverse(root)
    a, b = strength * _low(y, mean), middle + half
    # R(a) - R(b) cancels where b - a is far below the scale on which R changes, and there is (b - a) times the slope in
    # the middle; the survival is then known below the mean, too, where it is nearly 1 - 0.
    narrow = half < NARROW[y.dtype.name] * jnp.maximum(middle, 1.0)
    right = narrow | (y >= mean)
    first = standard.mills(jnp.where(narrow, 1.0, jnp.where(right, a, -a)))
    second = standard.mills(jnp.where(narrow, 2.0, b))
    wide = jnp.log(jnp.where(right, first - second, first + second))
    at = jnp.where(narrow, middle, 1.0)
    c = standard.hazard_minus_argument(at)  # the slope of R is -c/(at + c)
    log_mills = jnp.where(narrow, jnp.log(2 * half) + jnp.log(c) - jnp.log(at + c), wide)
    tail = -HALF_LOG_2_PI - 0.5 * shape * _deviance(y, mean) + log_mills
    rest = rest_of(tail)
    return jnp.where(right, rest, tail), jnp.where(right, tail, rest)


NARROW = {"float64": 2.0**-26, "float32": 2.0**-12}
"""Below this, the square, which is the relative error of taking the slope in the middle, is lost in rounding."""

# sqrt(y)/mean - 1/sqrt(y): cancels near the mean in the value; in the derivatives its terms do not
_low = with_partials(
    lambda y, mean: (y - mean) / mean * inverse(jnp.sqrt(y)),
    lambda y, mean: finite(0.5 * inverse(jnp.sqrt(y)) * (inverse(mean) + inverse(y))),
    lambda y, mean: finite(-ratio(jnp.sqrt(y), mean) * inverse(mean)),
)


def _size(y: Array, mean: Array) -> Array:
    """Return (y - mean)^2/(mean^2 y); neither factor leaves the range of the dtype before their product does."""
    away = (y - mean) / mean
    return away * (away * inverse(y))


# y/mean^2 - 2/mean + 1/y: by `_size` in the value and by this form in the derivatives
_deviance = with_partials(
    _size,
    with_partials(
        lambda y, mean: finite((y - mean) / mean * inverse(y) * ((y + mean) / mean * inverse(y))),
        lambda y, mean: finite(2 * inverse(y) ** 3) + 0 * mean,
        lambda y, mean: finite(-2 * inverse(mean) ** 3) + 0 * y,
    ),
    with_partials(
        lambda y, mean: finite(-2 * ((y - mean) / mean) * inverse(mean) * inverse(mean)),
        lambda y, mean: finite(-2 * inverse(mean) ** 3) + 0 * y,
        lambda y, mean: finite((6 * y - 4 * mean) / mean * inverse(mean) * inverse(mean) * inverse(mean)),
    ),
)
