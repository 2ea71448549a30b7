"""Ready-made models: log density, handwritten gradient and closed form side by side."""

from mle_jax.models.binomial_linear import binomial_regression as binomial_regression
from mle_jax.models.cloglog_linear import cloglog_regression as cloglog_regression
from mle_jax.models.exponential_linear import exponential_regression as exponential_regression
from mle_jax.models.gaussian_known_variance import gaussian_mean as gaussian_mean
from mle_jax.models.gaussian_linear import linear_gaussian as linear_gaussian
from mle_jax.models.gaussian_mean_variance import gaussian as gaussian
from mle_jax.models.laplace_linear import laplace_regression as laplace_regression
from mle_jax.models.logistic_linear import logistic_regression as logistic_regression
from mle_jax.models.poisson_linear import poisson_regression as poisson_regression
from mle_jax.models.probit_linear import probit_regression as probit_regression

__all__ = [
    "binomial_regression",
    "cloglog_regression",
    "exponential_regression",
    "gaussian",
    "gaussian_mean",
    "laplace_regression",
    "linear_gaussian",
    "logistic_regression",
    "poisson_regression",
    "probit_regression",
]
