"""Link functions: how the mean of y depends on the predictor."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtri

from mle_jax.densities import _normal_tails as standard
from mle_jax.densities._elementary import expm1, sigmoid
from mle_jax.parameters.declared import log_range

Function = Callable[[Array], Array]


class Link(NamedTuple):
    """A mean as a function of the predictor, its derivative by hand, and the predictor as a function of the mean."""

    mean: Function
    slope: Function
    predictor: Function
    positive: bool = False
    """Whether the predictor must be above 0."""

    def inside(self, predictor: Array) -> tuple[Array, Array]:
        """Return where the predictor is allowed, and a predictor that is harmless elsewhere."""
        if not self.positive:
            return jnp.ones_like(predictor, bool), predictor
        allowed = predictor > 0
        return allowed, jnp.where(allowed, predictor, 1.0)


def bounded_exp(predictor: Array) -> Array:
    """Return the exponential, kept inside the range of the dtype: never 0 and never infinite."""
    return jnp.exp(jnp.clip(predictor, *log_range(predictor.dtype)))


def _within_unit(mean: Array) -> Array:
    """Keep a probability so far inside 0 .. 1 that neither it nor its complement is 0."""
    info = jnp.finfo(mean.dtype)
    return jnp.clip(mean, info.tiny, 1 - info.epsneg)


def _complement(predictor: Array) -> Array:
    return _within_unit(-expm1(-bounded_exp(predictor)))


MEANS: Mapping[str, Link] = {
    "log": Link(bounded_exp, bounded_exp, jnp.log),
    "identity": Link(lambda e: e, jnp.ones_like, lambda m: m, positive=True),
    "sqrt": Link(lambda e: e * e, lambda e: 2 * e, jnp.sqrt, positive=True),
    "inverse": Link(lambda e: 1 / e, lambda e: -1 / e**2, lambda m: 1 / m, positive=True),
    "inverse_squared": Link(lambda e: e**-0.5, lambda e: -0.5 * e**-1.5, lambda m: m**-2, positive=True),
}
"""Links of positive means."""

SHARES: Mapping[str, Link] = {
    "logit": Link(
        lambda e: _within_unit(sigmoid(e)),
        lambda e: sigmoid(e) * sigmoid(-e),
        lambda m: jnp.log(m) - jnp.log1p(-m),
    ),
    "probit": Link(
        lambda e: _within_unit(jnp.exp(standard.log_cdf(e))),
        lambda e: jnp.exp(standard.log_density(e)),
        ndtri,
    ),
    "cloglog": Link(
        _complement,
        lambda e: jnp.exp(e - bounded_exp(e)),
        lambda m: jnp.log(-jnp.log1p(-m)),
    ),
}
"""Links of means between 0 and 1."""
