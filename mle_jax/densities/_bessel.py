"""The modified Bessel function of order 0, for the von Mises distribution."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._polynomial import polynomial
from mle_jax.densities._elementary import logsumexp
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI

LARGE = 60.0
# 1 - cos at 40 midpoints of 0 .. pi, where the midpoint rule for a periodic function has an error of I_80/I_0
FALLS = tuple(float(2 * np.sin(0.5 * np.pi * (j + 0.5) / 40) ** 2) for j in range(40))
# Hankel's expansion: product of (2 i - 1)^2 / (8 i) over i = 1 .. k; Abramowitz and Stegun 9.7.1.
HANKEL = tuple(float(np.prod([(2 * i - 1) ** 2 / (8 * i) for i in range(1, k + 1)])) for k in range(16))


def log_scaled_i0(x: Array) -> Array:
    """Return ``log(exp(-x) I0(x))`` for x >= 0.

    Below 60 by the midpoint rule for I0(x) = (1/pi) integral of exp(x cos t) over 0 .. pi, whose derivatives are sums
    of positive terms; above it by Hankel's asymptotic expansion.
    """
    large = x > LARGE
    near = jnp.where(large, 1.0, x)
    sums = logsumexp(-near[..., None] * jnp.asarray(FALLS, x.dtype)) - np.log(len(FALLS))
    far = jnp.where(large, x, LARGE)
    series = jnp.log(polynomial(1 / far, HANKEL)) - 0.5 * jnp.log(far) - HALF_LOG_2_PI
    return jnp.where(large, series, sums)
