"""The beta-binomial distribution: binomial counts whose probability varies by a beta distribution.

log f(y; trials, mean, correlation) = log(choose(trials, y)) + log(B(y + a, trials - y + b)/B(a, b)),
a = mean/t, b = (1 - mean)/t, t = correlation/(1 - correlation)

which is, with R(n, x) the sum of log(1 + j x) over j = 0 .. n - 1, smooth in t >= 0:

log(choose(trials, y)) + y log(mean) + R(y, t/mean) + (trials - y) log(1 - mean) + R(trials - y, t/(1 - mean))
                       - R(trials, t)

Source: Griffiths (1973), Maximum likelihood estimation for the beta-binomial distribution, Biometrics 29, equation 2.1.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities import binomial
from mle_jax.densities._counts import is_share
from mle_jax.densities._partials import floats, supported
from mle_jax.densities._rising import log_rising


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
    valid = is_share(y, trials)
    successes, all_trials = jnp.where(valid, y, 0.0), jnp.where(valid, trials, 1.0)
    failures, t = all_trials - successes, correlation / (1 - correlation)
    risen = log_rising(successes, t / mean) + log_rising(failures, t / (1 - mean)) - log_rising(all_trials, t)
    return supported(valid, binomial.log_density(successes, all_trials, mean) + risen)
