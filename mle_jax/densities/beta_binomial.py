"""The beta-binomial distribution: binomial counts whose probability varies by a beta distribution.

log f(y; trials, mean, correlation) = log(choose(trials, y)) + log(B(y + a, trials - y + b)/B(a, b)),
a = mean/t, b = (1 - mean)/t, t = correlation/(1 - correlation)

All of it, smooth in the correlation from 0 on, is `_urns.log_urn`.

Source: Griffiths (1973), Maximum likelihood estimation for the beta-binomial distribution, Biometrics 29, equation 2.1.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._counts import is_share
from mle_jax.densities._partials import floats, supported
from mle_jax.densities._urns import log_urn


@jax.jit
def log_density(y: ArrayLike, trials: ArrayLike, *, mean: ArrayLike, correlation: ArrayLike) -> Array:
    """Return the log density of the beta-binomial distribution, elementwise; at correlation 0 the binomial.

    The variance is trials mean (1 - mean) (1 + (trials - 1) correlation). Minus infinity unless trials is a whole
    number from 0 on and y is one of 0, 1, ..., trials.

    Args:
        y: numbers of successes; constants as far as derivatives are concerned.
        trials: numbers of trials, constants likewise.
        mean: of the probability of success, between 0 and 1; this is not checked.
        correlation: of two trials, 1/(a + b + 1), at least 0 and below 1; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> value = mle.densities.beta_binomial.log_density(3, 9, mean=0.5, correlation=1 / 3)
        >>> round(float(value), 4)  # a = b = 1: uniform on 0 .. 9
        -2.3026
    """
    y, trials, mean, correlation = floats(y, trials, mean, correlation)
    y, trials = jax.lax.stop_gradient((y, trials))
    valid = is_share(y, trials)
    successes, all_trials = jnp.where(valid, y, 0.0), jnp.where(valid, trials, 1.0)
    failures, rest = all_trials - successes, 1 - mean
    swap = successes > failures
    few, many = jnp.minimum(successes, failures), jnp.maximum(successes, failures)
    mean, rest = jnp.where(swap, rest, mean), jnp.where(swap, mean, rest)
    return supported(valid, log_urn(few, many, mean, rest, correlation))
