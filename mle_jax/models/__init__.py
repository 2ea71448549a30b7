"""Ready-made models: log density, handwritten gradient and closed form side by side."""

from mle_jax.models.beta_linear import beta_regression as beta_regression
from mle_jax.models.binomial_linear import binomial_regression as binomial_regression
from mle_jax.models.cloglog_linear import cloglog_regression as cloglog_regression
from mle_jax.models.exponential_linear import exponential_regression as exponential_regression
from mle_jax.models.gamma_linear import gamma_regression as gamma_regression
from mle_jax.models.gaussian_known_variance import gaussian_mean as gaussian_mean
from mle_jax.models.gaussian_linear import linear_gaussian as linear_gaussian
from mle_jax.models.gaussian_mean_variance import gaussian as gaussian
from mle_jax.models.inverse_gaussian_linear import inverse_gaussian_regression as inverse_gaussian_regression
from mle_jax.models.laplace_linear import laplace_regression as laplace_regression
from mle_jax.models.logistic_linear import logistic_regression as logistic_regression
from mle_jax.models.negative_binomial_linear import negative_binomial_regression as negative_binomial_regression
from mle_jax.models.poisson_linear import poisson_regression as poisson_regression
from mle_jax.models.probit_linear import probit_regression as probit_regression
from mle_jax.models.student_t_linear import student_t_regression as student_t_regression
from mle_jax.models.zero_inflated_poisson_linear import (
    zero_inflated_poisson_regression as zero_inflated_poisson_regression,
)

__all__ = [
    "beta_regression",
    "binomial_regression",
    "cloglog_regression",
    "exponential_regression",
    "gamma_regression",
    "gaussian",
    "gaussian_mean",
    "inverse_gaussian_regression",
    "laplace_regression",
    "linear_gaussian",
    "logistic_regression",
    "negative_binomial_regression",
    "poisson_regression",
    "probit_regression",
    "student_t_regression",
    "zero_inflated_poisson_regression",
]
