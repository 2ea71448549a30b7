"""The geometric distribution: the number of failures before the first success.

log f(y; p) = log(p) + y log(1 - p)

Source: Johnson, Kemp and Kotz (2005), Univariate Discrete Distributions, section 5.2.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._counts import is_count
from mle_jax.densities._elementary import xlog1py
from mle_jax.densities._partials import floats, supported


@jax.jit
def log_density(y: ArrayLike, probability: ArrayLike) -> Array:
    """Return the log density of the geometric distribution, elementwise.

    Minus infinity unless y is a whole number from 0 on. With a mean, or an odds ratio, use `negative_binomial` with
    dispersion 1.

    Args:
        y: numbers of failures; constants as far as derivatives are concerned.
        probability: of a success, above 0 and at most 1; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.geometric.log_density(1, 0.5)), 4)  # log(1/4)
        -1.3863
    """
    y, probability = floats(y, probability)
    y = jax.lax.stop_gradient(y)
    valid = is_count(y)
    return supported(valid, jnp.log(probability) + xlog1py(jnp.where(valid, y, 0.0), -probability))
