"""The beta distribution, by its mean and precision: a = mean precision, b = (1 - mean) precision.

log f(y; mean, precision) = log(Gamma(a + b)/(Gamma(a) Gamma(b))) + (a - 1) log(y) + (b - 1) log(1 - y)
   = -precision (mean D(y/mean - 1) + (1 - mean) D((1 - y)/(1 - mean) - 1)) - log(y (1 - y))
     + log(precision mean (1 - mean)/(2 pi))/2 + error(precision) - error(a) - error(b)

with D(x) = x - log(1 + x) and the error of Stirling's formula; the second form loses no digits for large precision.
Probabilities are integrals over the tail without the mean, in log(y/(1 - y)).

Source: Ferrari and Cribari-Neto (2004), Beta regression for modelling rates and proportions, equation 4.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import exp_excess, log1mexp, ratio_excess, softplus
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI, stirling_error
from mle_jax.densities._intervals import Ends, Line, between, log_difference
from mle_jax.densities._partials import floats, supported
from mle_jax.densities._tail_integrals import log_tail


@jax.jit
def log_density(y: ArrayLike, mean: ArrayLike, precision: ArrayLike) -> Array:
    """Return the log density of the beta distribution, elementwise; minus infinity outside 0 < y < 1.

    The variance is mean (1 - mean)/(1 + precision).

    Args:
        y: observations.
        mean: a/(a + b), between 0 and 1; this is not checked.
        precision: a + b, above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.beta.log_density(0.5, 0.5, 4.0)), 4)  # 6 y (1 - y): log(3/2)
        0.4055
    """
    y, mean, precision = floats(y, mean, precision)
    inside = (y > 0) & (y < 1)
    safe = jnp.where(inside, y, 0.5)
    rest, rest_mean = 1 - safe, 1 - mean
    off = safe - mean  # for (1 - y) - (1 - mean) as well: it has more digits where y and mean are small
    deviance = mean * ratio_excess(off, safe, mean) + rest_mean * ratio_excess(-off, rest, rest_mean)
    kernel = -precision * deviance - jnp.log(safe) - jnp.log1p(-safe)
    a, b = mean * precision, rest_mean * precision
    return supported(inside, kernel + _log_constant(a, b, precision))


@jax.jit
def log_cdf(y: ArrayLike, mean: ArrayLike, precision: ArrayLike) -> Array:
    """Return ``log(P(Y <= y))``, with derivatives in every argument; minus infinity for y <= 0, 0 for y >= 1.

    Args:
        y: the limit.
        mean: a/(a + b), between 0 and 1; this is not checked.
        precision: a + b, above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.beta.log_cdf(0.25, 0.5, 2.0)), 4)  # uniform: log(1/4)
        -1.3863
    """
    y, mean, precision = floats(y, mean, precision)
    inside = (y > 0) & (y < 1)
    below = _tails(_logit(jnp.where(inside, y, 0.5)), mean, precision)[0]
    return jnp.where(inside, below, jnp.where(y >= 1, 0.0, -jnp.inf))


@jax.jit
def log_survival(y: ArrayLike, mean: ArrayLike, precision: ArrayLike) -> Array:
    """Return ``log(P(Y > y))``, with derivatives in every argument; 0 for y <= 0, minus infinity for y >= 1.

    Args:
        y: the limit.
        mean: a/(a + b), between 0 and 1; this is not checked.
        precision: a + b, above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.beta.log_survival(0.75, 0.5, 2.0)), 4)  # uniform: log(1/4)
        -1.3863
    """
    y, mean, precision = floats(y, mean, precision)
    inside = (y > 0) & (y < 1)
    above = _tails(_logit(jnp.where(inside, y, 0.5)), mean, precision)[1]
    return jnp.where(inside, above, jnp.where(y <= 0, 0.0, -jnp.inf))


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, mean: ArrayLike, precision: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``, accurate in both tails and for narrow intervals.

    Args:
        low: the lower end, 0 or below if there is none.
        high: the upper end, 1 or above if there is none; minus infinity is returned where it is not above low.
        mean: a/(a + b), between 0 and 1; this is not checked.
        precision: a + b, above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.beta.log_interval(0.25, 0.75, mean=0.5, precision=2.0)), 4)  # log(1/2)
        -0.6931
    """
    low, high, mean, precision = floats(low, high, mean, precision)

    def both(a: Array, b: Array) -> Array:
        line = Line(
            lambda t: _log_density_of_logit(t, mean[..., None], precision[..., None]),
            lambda t: _tails(t, mean, precision)[0],
            lambda t: _tails(t, mean, precision)[1],
        )
        width = jnp.log1p((b - a) / a) - jnp.log1p((a - b) / (1 - a))
        return log_difference(_logit(a), _logit(b), width=width, line=line)

    ends = Ends(both, lambda b: log_cdf(b, mean, precision), lambda a: log_survival(a, mean, precision))
    return between(low, high, ends=ends, support=(0.0, 1.0), safe=(0.5 * mean, mean))


def _log_constant(a: Array, b: Array, precision: Array) -> Array:
    errors = stirling_error(precision) - stirling_error(a) - stirling_error(b)
    return 0.5 * jnp.log(a * (b / precision)) - HALF_LOG_2_PI + errors


def _logit(y: Array) -> Array:
    return jnp.log(y) - jnp.log1p(-y)


def _log_density_of_logit(t: Array, mean: Array, precision: Array) -> Array:
    """Return the log density of log(y/(1 - y)): minus precision times the divergence of y from the mean."""
    a, b = mean * precision, (1 - mean) * precision
    from_mean, from_rest = -softplus(-t) - jnp.log(mean), -softplus(t) - jnp.log1p(-mean)
    return _log_constant(a, b, precision) - a * exp_excess(from_mean) - b * exp_excess(from_rest)


def _tails(t: Array, mean: Array, precision: Array) -> tuple[Array, Array]:
    """Return the log probabilities below and above t, by the integral over the tail without the mean."""
    right = t >= _logit(mean)
    a, b = mean * precision, (1 - mean) * precision
    y = jnp.exp(-softplus(-t))
    curvature = jnp.sqrt(a * (1 - mean))
    rate = jnp.minimum(jnp.where(right, b, a), curvature) + precision * jnp.abs(y - mean)
    tail = log_tail(
        lambda nodes: _log_density_of_logit(nodes, mean[..., None], precision[..., None]),
        t,
        jnp.where(right, 1.0, -1.0) / rate,
    )
    rest = log1mexp(-tail)
    return jnp.where(right, rest, tail), jnp.where(right, tail, rest)
