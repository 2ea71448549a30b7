"""Zero-inflated and hurdle forms of any distribution of counts.

Zero-inflated: f(0) = q + (1 - q) g(0), f(y) = (1 - q) g(y): with probability q a count is zero for another reason.
Hurdle: f(0) = q, f(y) = (1 - q) g(y)/(1 - g(0)): zeros and positive counts have nothing to do with each other.

q is given by its logit, and g by its log densities at y and at 0.

Source: Lambert (1992), Zero-inflated Poisson regression, Technometrics 34; Mullahy (1986), Specification and testing of
some modified count data models, Journal of Econometrics 33.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import log1mexp, log_add_exp, sigmoid, softplus
from mle_jax.densities._partials import floats, supported, with_partials


@jax.jit
def log_density(y: ArrayLike, logit: ArrayLike, *, log_base: ArrayLike, log_base_zero: ArrayLike) -> Array:
    """Return the log density of a zero-inflated distribution of counts, elementwise.

    Args:
        y: counts; constants as far as derivatives are concerned.
        logit: of the probability q that the count is zero for another reason.
        log_base: log density of the count's own distribution at y; finite, or minus infinity where y is impossible.
        log_base_zero: the same at 0.

    Example:
        >>> import mle_jax as mle
        >>> poisson, zero_inflated = mle.densities.poisson, mle.densities.zero_inflated
        >>> at = {"log_base": poisson.log_density(0, 1.0), "log_base_zero": poisson.log_density(0, 1.0)}
        >>> round(float(zero_inflated.log_density(0, 0.0, **at)), 4)  # log(1/2 + exp(-1)/2)
        -0.3799
    """
    y, logit, log_base, log_base_zero = floats(y, logit, log_base, log_base_zero)
    positive = jnp.where(y == 0, 0.0, log_base) - softplus(logit)
    zero = _log_zero(logit, jnp.where(y == 0, log_base_zero, -1.0))
    return supported(log_base > -jnp.inf, jnp.where(y == 0, zero, positive))


@jax.jit
def log_density_hurdle(y: ArrayLike, logit: ArrayLike, *, log_base: ArrayLike, log_base_zero: ArrayLike) -> Array:
    """Return the log density of a hurdle distribution of counts, elementwise.

    Args:
        y: counts; constants as far as derivatives are concerned.
        logit: of the probability q that the count is zero.
        log_base: log density at y of the distribution that positive counts have before zero is taken out.
        log_base_zero: the same at 0, below 0. Where it is very near 0 (a Poisson mean below 1e-6) the density of the
            positive counts loses digits: it is then certain that y = 1.

    Example:
        >>> import mle_jax as mle
        >>> poisson, zero_inflated = mle.densities.poisson, mle.densities.zero_inflated
        >>> at = {"log_base": poisson.log_density(1, 1.0), "log_base_zero": poisson.log_density(0, 1.0)}
        >>> round(float(zero_inflated.log_density_hurdle(1, 0.0, **at)), 4)  # -log(2) - log(e - 1)
        -1.2345
    """
    y, logit, log_base, log_base_zero = floats(y, logit, log_base, log_base_zero)
    positive = log_base - log1mexp(-log_base_zero) - softplus(logit)
    return supported(log_base > -jnp.inf, jnp.where(y == 0, -softplus(-logit), positive))


def _value(logit: Array, base: Array) -> Array:
    """Return ``log(q + (1 - q) exp(base))``, by the probability of a positive count where that is small."""
    above = sigmoid(-logit) * -jnp.expm1(base)
    rare = above < 0.5
    return jnp.where(rare, jnp.log1p(-jnp.where(rare, above, 0.0)), log_add_exp(logit, base) - softplus(logit))


def _by_logit(logit: Array, base: Array) -> Array:
    """Return ``sigmoid(logit - base) - sigmoid(logit)`` as a product."""
    return sigmoid(logit - base) * sigmoid(-logit) * -jnp.expm1(base)


def _by_both(logit: Array, base: Array) -> Array:
    return -sigmoid(logit - base) * sigmoid(base - logit)


_log_zero = with_partials(
    _value,
    with_partials(
        _by_logit,
        lambda logit, base: _by_logit(logit, base) * (sigmoid(base - logit) - sigmoid(logit)),
        _by_both,
    ),
    with_partials(
        lambda logit, base: sigmoid(base - logit),
        _by_both,
        lambda logit, base: -_by_both(logit, base),
    ),
)
