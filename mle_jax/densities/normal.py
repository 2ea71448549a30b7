"""The normal distribution, whole and censored.

log f(y; mean, sd) = -z^2/2 - log(2 pi)/2 - log(sd),  z = (y - mean)/sd

Source: Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, chapter 13.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities import _normal_tails as standard
from mle_jax.densities._intervals import Ends, Line, between, log_difference
from mle_jax.densities._partials import floats

LINE = Line(standard.log_density, standard.log_cdf, standard.log_survival)


@jax.jit
def log_density(y: ArrayLike, mean: ArrayLike, sd: ArrayLike) -> Array:
    """Return the log density of the normal distribution, elementwise.

    ``log f = -z^2/2 - log(2 pi)/2 - log(sd)``, ``z = (y - mean)/sd``.

    Args:
        y: observations.
        mean: any real number.
        sd: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.normal.log_density(1.0, 1.0, 2.0)), 4)  # -log(8 pi)/2
        -1.6121
    """
    y, mean, sd = floats(y, mean, sd)
    return standard.log_density((y - mean) / sd) - jnp.log(sd)


@jax.jit
def log_cdf(y: ArrayLike, mean: ArrayLike, sd: ArrayLike) -> Array:
    """Return ``log(P(Y <= y))``: what an observation censored from below contributes.

    Args:
        y: the limit.
        mean: any real number.
        sd: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.normal.log_cdf(-40.0, 0.0, 1.0)), 3)  # log(normal cdf) underflows here
        -804.608
    """
    y, mean, sd = floats(y, mean, sd)
    return standard.log_cdf((y - mean) / sd)


@jax.jit
def log_survival(y: ArrayLike, mean: ArrayLike, sd: ArrayLike) -> Array:
    """Return ``log(P(Y > y))``: what an observation censored from above contributes.

    Args:
        y: the limit.
        mean: any real number.
        sd: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.normal.log_survival(2.0, 2.0, 5.0)), 4)  # log(1/2)
        -0.6931
    """
    y, mean, sd = floats(y, mean, sd)
    return standard.log_survival((y - mean) / sd)


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, mean: ArrayLike, sd: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``: what an interval-censored observation contributes.

    Accurate in both tails and for narrow intervals; minus infinity if the interval is empty.

    Args:
        low: the lower end, -inf if there is none.
        high: the upper end, inf if there is none.
        mean: any real number.
        sd: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.normal.log_interval(20.0, 21.0, mean=0.0, sd=1.0)), 3)
        -203.917
    """
    low, high, mean, sd = floats(low, high, mean, sd)

    def both(a: Array, b: Array) -> Array:
        return log_difference((a - mean) / sd, (b - mean) / sd, width=(b - a) / sd, line=LINE)

    ends = Ends(both, lambda b: log_cdf(b, mean, sd), lambda a: log_survival(a, mean, sd))
    return between(low, high, ends=ends, support=(-jnp.inf, jnp.inf), safe=(mean, mean + sd))
