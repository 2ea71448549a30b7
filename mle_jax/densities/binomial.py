"""The binomial distribution.

log f(y; trials, p) = log(choose(trials, y)) + y log(p) + (trials - y) log(1 - p)

For 0 < y < trials these terms are combined by Stirling's formula into two deviances and small corrections, so that no
digits are lost for large numbers of trials.

Source: Loader (2000), Fast and accurate computation of binomial probabilities.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._counts import is_share, log_stirling_choose, split
from mle_jax.densities._elementary import excess, sigmoid, softplus, xlog1py, xlogy
from mle_jax.densities._partials import floats, supported, with_partials


@jax.jit
def log_density(y: ArrayLike, trials: ArrayLike, probability: ArrayLike) -> Array:
    """Return the log density of the binomial distribution, elementwise; one trial is the Bernoulli distribution.

    ``log f = log(choose(trials, y)) + y log(p) + (trials - y) log(1 - p)``; minus infinity unless trials is a
    whole number from 0 on and y is one of 0, 1, ..., trials.

    Args:
        y: numbers of successes; constants as far as derivatives are concerned.
        trials: numbers of trials, constants likewise.
        probability: of a success, between 0 and 1; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.binomial.log_density(1, 2, 0.5)), 4)  # log(1/2)
        -0.6931
    """
    y, trials, probability = floats(y, trials, probability)
    y, trials = jax.lax.stop_gradient((y, trials))
    valid = is_share(y, trials)
    y, trials = jnp.where(valid, y, 0.0), jnp.where(valid, trials, 0.0)
    mixed, successes, failures = split(y, trials)
    p = jnp.where(mixed, probability, 0.5)
    some, others = (successes + failures) * p, (successes + failures) * (1 - p)
    deviance = successes * excess((some - successes) / successes, some / successes)
    deviance = deviance + failures * excess((others - failures) / failures, others / failures)
    all_alike = xlogy(jnp.where(mixed, 0.0, y), probability) + xlog1py(jnp.where(mixed, 0.0, trials - y), -probability)
    value = jnp.where(mixed, log_stirling_choose(successes, failures) - deviance, all_alike)
    return supported(valid, value)


@jax.jit
def log_density_logit(y: ArrayLike, trials: ArrayLike, logit: ArrayLike) -> Array:
    """Return the log density of the binomial distribution given the logit of its probability, as for regression.

    ``log f = log(choose(trials, y)) + y eta - trials log(1 + exp(eta))``; minus infinity as in `log_density`. The
    derivatives ``y - trials p`` and ``-trials p (1 - p)`` are exact in both tails.

    Args:
        y: numbers of successes; constants as far as derivatives are concerned.
        trials: numbers of trials, constants likewise.
        logit: eta = log(p/(1 - p)), any real number.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.binomial.log_density_logit(1, 1, -800.0)), 4)  # p itself underflows
        -800.0
    """
    return _of_logit(*floats(y, trials, logit))


FAR = 30.0
"""Beyond this logit the terms of the textbook form no longer cancel."""


def _value(y: Array, trials: Array, logit: Array) -> Array:
    far = jnp.abs(logit) > FAR
    mixed, successes, failures = split(y, trials)
    near = log_density(y, trials, sigmoid(logit))
    shares = successes * jnp.log1p(failures / successes) + failures * jnp.log1p(successes / failures)
    choose = jnp.where(mixed, log_stirling_choose(successes, failures) + shares, 0.0)
    textbook = choose - y * softplus(-logit) - (trials - y) * softplus(logit)
    return supported(is_share(y, trials), jnp.where(far | ~mixed, textbook, near))


def _slope(y: Array, trials: Array, logit: Array) -> Array:
    valid = is_share(y, trials)
    # y - n p, by the smaller of p and 1 - p
    return jnp.where(valid, y * sigmoid(-logit) - (trials - y) * sigmoid(logit), 0.0)


def _bend(y: Array, trials: Array, logit: Array) -> Array:
    valid = is_share(y, trials)
    return jnp.where(valid, -trials * sigmoid(logit) * sigmoid(-logit), 0.0)


_of_logit = with_partials(_value, None, None, with_partials(_slope, None, None, _bend))
