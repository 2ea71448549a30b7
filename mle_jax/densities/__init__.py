"""Log densities, proved against 50 digits: value, gradient and Hessian, both tails and the limits. Arrays in, arrays out."""

from mle_jax.densities import beta as beta
from mle_jax.densities import beta_binomial as beta_binomial
from mle_jax.densities import binomial as binomial
from mle_jax.densities import exponential as exponential
from mle_jax.densities import gamma as gamma
from mle_jax.densities import inverse_gaussian as inverse_gaussian
from mle_jax.densities import logistic as logistic
from mle_jax.densities import lognormal as lognormal
from mle_jax.densities import negative_binomial as negative_binomial
from mle_jax.densities import normal as normal
from mle_jax.densities import poisson as poisson
from mle_jax.densities import student_t as student_t
from mle_jax.densities import truncated as truncated
from mle_jax.densities import weibull as weibull

__all__ = [
    "beta",
    "beta_binomial",
    "binomial",
    "exponential",
    "gamma",
    "inverse_gaussian",
    "logistic",
    "lognormal",
    "negative_binomial",
    "normal",
    "poisson",
    "student_t",
    "truncated",
    "weibull",
]
