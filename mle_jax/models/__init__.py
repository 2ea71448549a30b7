"""Ready-made models: log density, handwritten gradient and closed form side by side."""

from mle_jax.models.beta_linear import beta_regression as beta_regression
from mle_jax.models.binomial_linear import binomial_regression as binomial_regression
from mle_jax.models.censored_gaussian import censored_gaussian_regression as censored_gaussian_regression
from mle_jax.models.cloglog_linear import cloglog_regression as cloglog_regression
from mle_jax.models.exponential_linear import exponential_regression as exponential_regression
from mle_jax.models.exponential_times import exponential_aft as exponential_aft
from mle_jax.models.gamma_linear import gamma_regression as gamma_regression
from mle_jax.models.gaussian_known_variance import gaussian_mean as gaussian_mean
from mle_jax.models.gaussian_linear import linear_gaussian as linear_gaussian
from mle_jax.models.gaussian_mean_variance import gaussian as gaussian
from mle_jax.models.inverse_gaussian_linear import inverse_gaussian_regression as inverse_gaussian_regression
from mle_jax.models.laplace_linear import laplace_regression as laplace_regression
from mle_jax.models.logistic_linear import logistic_regression as logistic_regression
from mle_jax.models.loglogistic_times import loglogistic_aft as loglogistic_aft
from mle_jax.models.lognormal_times import lognormal_aft as lognormal_aft
from mle_jax.models.mixture_of_gaussians import gaussian_mixture as gaussian_mixture
from mle_jax.models.multinomial_logistic import multinomial_logit as multinomial_logit
from mle_jax.models.negative_binomial_linear import negative_binomial_regression as negative_binomial_regression
from mle_jax.models.ordered_logistic import ordered_logit as ordered_logit
from mle_jax.models.ordered_normal import ordered_probit as ordered_probit
from mle_jax.models.peak_of_gaussian import gaussian_peak as gaussian_peak
from mle_jax.models.poisson_linear import poisson_regression as poisson_regression
from mle_jax.models.probit_linear import probit_regression as probit_regression
from mle_jax.models.quantile_linear import quantile_regression as quantile_regression
from mle_jax.models.student_t_linear import student_t_regression as student_t_regression
from mle_jax.models.tobit_linear import tobit_regression as tobit_regression
from mle_jax.models.truncated_gaussian import truncated_gaussian_regression as truncated_gaussian_regression
from mle_jax.models.weibull_times import weibull_aft as weibull_aft
from mle_jax.models.zero_inflated_poisson_linear import (
    zero_inflated_poisson_regression as zero_inflated_poisson_regression,
)

__all__ = [
    "beta_regression",
    "binomial_regression",
    "censored_gaussian_regression",
    "cloglog_regression",
    "exponential_aft",
    "exponential_regression",
    "gamma_regression",
    "gaussian",
    "gaussian_mean",
    "gaussian_mixture",
    "gaussian_peak",
    "inverse_gaussian_regression",
    "laplace_regression",
    "linear_gaussian",
    "logistic_regression",
    "loglogistic_aft",
    "lognormal_aft",
    "multinomial_logit",
    "negative_binomial_regression",
    "ordered_logit",
    "ordered_probit",
    "poisson_regression",
    "probit_regression",
    "quantile_regression",
    "student_t_regression",
    "tobit_regression",
    "truncated_gaussian_regression",
    "weibull_aft",
    "zero_inflated_poisson_regression",
]
