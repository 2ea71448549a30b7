"""Student's t distribution with location and scale; df -> infinity is the normal distribution.

log f(y; location, scale, df) = log(Gamma((df + 1)/2)/Gamma(df/2)) - log(pi df)/2 - log(scale)
                                - (df + 1)/2 log(1 + z^2/df),  z = (y - location)/scale

With k = 1/df and x = k z^2 the last term is -(z^2/2) log(1 + x)/x - log(1 + x)/2, and the gamma functions are, by
Stirling's formula, log(df/2)/2 plus terms that are smooth in k: no digits are lost as df grows.

Probabilities are integrals of the density over the tail without the mode.

Source: Johnson, Kotz and Balakrishnan (1995), Continuous Univariate Distributions, vol. 2, equation 28.2.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import log1mexp, log1p_curvature, log1p_ratio, logsumexp
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI, stirling_error_of_inverse
from mle_jax.densities._intervals import Ends, Line, between, log_difference
from mle_jax.densities._partials import floats
from mle_jax.densities._tail_integrals import DISTANCES, LOG_WEIGHTS


@jax.jit
def log_density(y: ArrayLike, location: ArrayLike, scale: ArrayLike, *, df: ArrayLike) -> Array:
    """Return the log density of Student's t distribution, elementwise.

    Accurate for every df, also in the derivative with respect to it; df = 1 is the Cauchy distribution and df = inf the
    normal.

    Args:
        y: observations.
        location: any real number.
        scale: above 0; this is not checked.
        df: degrees of freedom, above 0, not necessarily whole; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.student_t.log_density(1.0, 0.0, 1.0, df=1.0)), 4)  # Cauchy: -log(2 pi)
        -1.8379
    """
    y, location, scale, df = floats(y, location, scale, df)
    return _log_standard((y - location) / scale, df) - jnp.log(scale)


@jax.jit
def log_cdf(y: ArrayLike, location: ArrayLike, scale: ArrayLike, *, df: ArrayLike) -> Array:
    """Return ``log(P(Y <= y))``, with derivatives in df as well, accurate for df from 0.25 to infinity.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.
        df: degrees of freedom, above 0.25; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.student_t.log_cdf(-1.0, 0.0, 1.0, df=1.0)), 4)  # Cauchy: log(1/4)
        -1.3863
    """
    y, location, scale, df = floats(y, location, scale, df)
    return _log_upper((location - y) / scale, df)


@jax.jit
def log_survival(y: ArrayLike, location: ArrayLike, scale: ArrayLike, *, df: ArrayLike) -> Array:
    """Return ``log(P(Y > y))``, with derivatives in df as well, accurate for df from 0.25 to infinity.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.
        df: degrees of freedom, above 0.25; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.student_t.log_survival(1.0, 0.0, 1.0, df=1.0)), 4)  # Cauchy: log(1/4)
        -1.3863
    """
    y, location, scale, df = floats(y, location, scale, df)
    return _log_upper((y - location) / scale, df)


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, location: ArrayLike, scale: ArrayLike, df: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``, accurate in both tails and for narrow intervals.

    Args:
        low: the lower end, -inf if there is none.
        high: the upper end, inf if there is none; minus infinity is returned where it is not above low.
        location: any real number.
        scale: above 0; this is not checked.
        df: degrees of freedom, above 0.25; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> value = mle.densities.student_t.log_interval(-1.0, 1.0, location=0.0, scale=1.0, df=1.0)
        >>> round(float(value), 4)  # Cauchy: log(1/2)
        -0.6931
    """
    low, high, location, scale, df = floats(low, high, location, scale, df)

    def both(a: Array, b: Array) -> Array:
        line = Line(
            lambda z: _log_standard(z, df[..., None]),
            lambda z: _log_upper(-z, df),
            lambda z: _log_upper(z, df),
        )
        return log_difference((a - location) / scale, (b - location) / scale, width=(b - a) / scale, line=line)

    def below(b: Array) -> Array:
        return log_cdf(b, location, scale, df=df)

    def above(a: Array) -> Array:
        return log_survival(a, location, scale, df=df)

    safe = (location, location + scale)
    return between(low, high, ends=Ends(both, below, above), support=(-jnp.inf, jnp.inf), safe=safe)


def _log_standard(z: Array, df: Array) -> Array:
    """Return the log density at location 0 and scale 1."""
    square, k = z**2, 1 / df
    x = k * square
    small = x < 0.5
    power = jnp.where(small, square * log1p_ratio(jnp.where(small, x, 0.0)), df * jnp.log1p(jnp.where(small, 0.0, x)))
    kernel = -0.5 * (power + jnp.log1p(x))
    # log(Gamma(a + 1/2)/Gamma(a)) - log(a)/2 at a = df/2, in terms of v = 1/a
    v = 2 * k
    ratio = stirling_error_of_inverse(v / (1 + k)) - stirling_error_of_inverse(v) - 0.25 * v * log1p_curvature(k, 1 + k)
    return kernel + ratio - HALF_LOG_2_PI


FARTHEST = 0.24
"""Nodes end at this power of the largest number, exp(170) in float64: squares beyond overflow, and the density of
df >= 0.25 has faded by then."""


def _log_upper(z: Array, df: Array) -> Array:
    """Return the log survival of the standard form: the integral of the density over the tail without the mode.

    In w, z + offset = sqrt(df) sinh(asinh(z/sqrt(df)) + w), the density falls like exp(-df w). The offsets and weights
    of the nodes are constants for derivatives, which are integrals of the accurate derivatives of the density.
    """
    right = z >= 0
    start = jnp.abs(jax.lax.stop_gradient(z))[..., None]
    fixed = jax.lax.stop_gradient(df)[..., None]
    root = jnp.sqrt(fixed + start**2)
    rate = fixed * (start / root) + jnp.minimum(fixed, jnp.sqrt(fixed))
    w = jnp.minimum(jnp.asarray(DISTANCES, z.dtype) / rate, FARTHEST * jnp.log(jnp.finfo(z.dtype).max))
    offsets = start * 2 * jnp.sinh(0.5 * w) ** 2 + root * jnp.sinh(w)
    log_weights = jnp.asarray(LOG_WEIGHTS, z.dtype) - jnp.log(rate) + 0.5 * jnp.log(fixed + (start + offsets) ** 2)
    nodes = jnp.where(right, z, -z)[..., None] + offsets
    tail = logsumexp(_log_standard(nodes, df[..., None]) + log_weights)
    return jnp.where(right, tail, log1mexp(-tail))
