"""Ready-made models: log density, handwritten gradient and closed form side by side."""

from mle_jax.models.censored_gaussian import censored_gaussian_regression as censored_gaussian_regression
from mle_jax.models.exponential_times import exponential_aft as exponential_aft
from mle_jax.models.gaussian_known_variance import gaussian_mean as gaussian_mean
from mle_jax.models.gaussian_linear import linear_gaussian as linear_gaussian
from mle_jax.models.gaussian_mean_variance import gaussian as gaussian
from mle_jax.models.laplace_linear import laplace_regression as laplace_regression
from mle_jax.models.loglogistic_times import loglogistic_aft as loglogistic_aft
from mle_jax.models.lognormal_times import lognormal_aft as lognormal_aft
from mle_jax.models.mixture_of_gaussians import gaussian_mixture as gaussian_mixture
from mle_jax.models.multinomial_logistic import multinomial_logit as multinomial_logit
from mle_jax.models.ordered_logistic import ordered_logit as ordered_logit
from mle_jax.models.ordered_normal import ordered_probit as ordered_probit
from mle_jax.models.peak_of_gaussian import gaussian_peak as gaussian_peak
from mle_jax.models.poisson_linear import poisson_regression as poisson_regression
from mle_jax.models.quantile_linear import quantile_regression as quantile_regression
from mle_jax.models.tobit_linear import tobit_regression as tobit_regression
from mle_jax.models.truncated_gaussian import truncated_gaussian_regression as truncated_gaussian_regression
from mle_jax.models.weibull_times import weibull_aft as weibull_aft

__all__ = [
    "censored_gaussian_regression",
    "exponential_aft",
    "gaussian",
    "gaussian_mean",
    "gaussian_mixture",
    "gaussian_peak",
    "laplace_regression",
    "linear_gaussian",
    "loglogistic_aft",
    "lognormal_aft",
    "multinomial_logit",
    "ordered_logit",
    "ordered_probit",
    "poisson_regression",
    "quantile_regression",
    "tobit_regression",
    "truncated_gaussian_regression",
    "weibull_aft",
]
