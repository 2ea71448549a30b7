"""The standard normal: logarithms of its two tails with accurate first and second derivatives, however far out.

All rests on one function, the hazard (density over survival) minus its argument: c(t) = h(t) - t, 0.8 at 0 and like 1/t
far out. Then, for t >= 0, h = t + c, log survival = -t^2/2 - log(2 pi)/2 - log(h), (log survival)'' = -h c: sums and
products of positive numbers, where the textbook forms subtract nearly equal ones.
"""

import jax.numpy as jnp
from jax import Array

from mle_jax.densities._gamma_functions import HALF_LOG_2_PI
from mle_jax.densities._partials import with_partials

# (t + 4) c(t) in Chebyshev polynomials of 1 - 8/(t + 4), t >= 0; error below 2e-18; from tests/reference/fit_hazard.py.
CHEBYSHEV = (
    *(1.96266419504181161, -1.11885101577868811, 0.144740291852840005, 0.0225681445169501225),
    *(-0.0123192853095788977, 0.000643496774280693849, 0.000714915384560193617, -0.000142492537535419097),
    *(-0.0000318120238377203846, 0.0000137263733769506175, 7.83886738172439734e-7, -1.04647692055918492e-6),
    *(4.0218986842088787e-8, 6.94138447128697195e-8, -8.21274612040069965e-9, -4.09416845648432546e-9),
    *(8.28803651386762025e-10, 2.11879170603966351e-10, -6.61353810149397414e-11, -8.98293065480806691e-12),
    *(4.5497148895039184e-12, 2.25531717938883219e-13, -2.75187453986075063e-13, 9.48182714592592049e-15),
    *(1.44325506307811849e-14, -2.1079833011415101e-15, -6.1724015566066116e-16, 2.20599085428767569e-16),
    *(1.6879027138175396e-17, -1.83080847982047222e-17),
)


def hazard_minus_argument(t: Array) -> Array:
    """Return c(t) for t >= 0 by Clenshaw's recurrence."""
    s = 1 - 8 / (t + 4)
    twice = 2 * s
    one, two = jnp.zeros_like(t), jnp.zeros_like(t)
    for coefficient in reversed(CHEBYSHEV[1:]):
        one, two = coefficient + twice * one - two, one
    return (CHEBYSHEV[0] + s * one - two) / (t + 4)


def _log_upper(t: Array) -> Array:
    """Return the log survival for t >= 0."""
    return -0.5 * t * t - HALF_LOG_2_PI - jnp.log(t + hazard_minus_argument(t))


def _log_survival(t: Array) -> Array:
    upper = _log_upper(jnp.abs(t))
    return jnp.where(t >= 0, upper, jnp.log1p(-jnp.exp(jnp.where(t >= 0, -1.0, upper))))


def _hazard(t: Array) -> Array:
    far = jnp.abs(t)
    upper = _log_upper(far)
    # below 0: density/(1 - tail)
    density = jnp.exp(-0.5 * t * t - HALF_LOG_2_PI)
    below = density / -jnp.expm1(jnp.where(t >= 0, -1.0, upper))
    return jnp.where(t >= 0, far + hazard_minus_argument(far), below)


def _hazard_slope(t: Array) -> Array:
    """Return h' = h (h - t)."""
    h = _hazard(t)
    return h * jnp.where(t >= 0, hazard_minus_argument(jnp.abs(t)), h - t)


hazard = with_partials(_hazard, lambda t: _hazard_slope(t))
"""Density over survival of the standard normal; hazard(-t) is the inverse Mills ratio of the lower tail."""

log_survival = with_partials(_log_survival, lambda t: -hazard(t))
"""``log(P(Z > t))`` of the standard normal."""


def _mills_bend(t: Array) -> Array:
    """Return the second derivative of the Mills ratio for t >= 0, ``(1 - t c)/h``."""
    c = hazard_minus_argument(t)
    return (1 - t * c) / (t + c)


mills = with_partials(
    lambda t: 1 / (t + hazard_minus_argument(t)),
    with_partials(lambda t: -hazard_minus_argument(t) / (t + hazard_minus_argument(t)), _mills_bend),
)
"""Survival over density of the standard normal, for t >= 0."""


def log_cdf(t: Array) -> Array:
    """Return ``log(P(Z <= t))`` of the standard normal."""
    return log_survival(-t)


def log_density(t: Array) -> Array:
    """Return the log density of the standard normal."""
    return -0.5 * t * t - HALF_LOG_2_PI
