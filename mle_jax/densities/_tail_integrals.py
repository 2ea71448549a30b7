"""Tail probabilities by quadrature of the density: differentiable in the limit and in every parameter.

The incomplete gamma and beta functions have no usable series for their derivatives in the shape parameters. But the
integral of a log-concave density over a tail can be had by the double exponential rule, on a scale where the density is
analytic and falls exponentially; its derivatives are integrals of the same kind, sums in which nothing cancels.

Source: Takahasi and Mori (1974), Double exponential formulas for numerical integration, section 3, the half-line.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax.densities._elementary import logsumexp

STEP = 0.06
_U = np.arange(-3.6, 5.0, STEP)
# distance v = exp(u - exp(-u)) and weight dv/du, trapezoidal rule in u
DISTANCES = np.exp(_U - np.exp(-_U))
LOG_WEIGHTS = np.log(STEP * DISTANCES * (1 + np.exp(-_U)))


def log_tail(log_density: Callable[[Array], Array], start: Array, scale: Array) -> Array:
    """Return the logarithm of the integral of a density from start to infinity, or to minus infinity if scale < 0.

    Args:
        log_density: of an array with one more axis than start.
        start: the limit.
        scale: the distance in which the density falls by about e, with the sign of the direction. It only places the
            nodes and is a constant for derivatives.
    """
    scale = jax.lax.stop_gradient(scale)[..., None]
    nodes = start[..., None] + scale * jnp.asarray(DISTANCES, start.dtype)
    return logsumexp(log_density(nodes) + jnp.asarray(LOG_WEIGHTS, start.dtype)) + jnp.log(jnp.abs(scale[..., 0]))
