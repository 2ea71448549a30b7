"""The von Mises distribution of angles.

log f(y; location, concentration) = concentration (cos(y - location) - 1) - log(2 pi) - log(exp(-concentration) I0)

Source: Mardia and Jupp (2000), Directional Statistics, section 3.5.4.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._bessel import log_scaled_i0
from mle_jax.densities._partials import floats


@jax.jit
def log_density(y: ArrayLike, location: ArrayLike, concentration: ArrayLike) -> Array:
    """Return the log density of the von Mises distribution, elementwise; it has period 2 pi in y.

    Args:
        y: angles in radians.
        location: the mean direction in radians.
        concentration: at least 0, which is the uniform distribution; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.von_mises.log_density(1.0, 2.0, 0.0)), 4)  # -log(2 pi)
        -1.8379
    """
    y, location, concentration = floats(y, location, concentration)
    fall = 2 * jnp.sin(0.5 * (y - location)) ** 2
    return -concentration * fall - jnp.log(2 * jnp.pi) - log_scaled_i0(concentration)
