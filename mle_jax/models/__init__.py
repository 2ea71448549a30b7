"""Ready-made models: log density, handwritten gradient and closed form side by side."""

from mle_jax.models.gaussian_known_variance import gaussian_mean as gaussian_mean
from mle_jax.models.gaussian_linear import linear_gaussian as linear_gaussian
from mle_jax.models.gaussian_mean_variance import gaussian as gaussian
from mle_jax.models.laplace_linear import laplace_regression as laplace_regression
from mle_jax.models.poisson_linear import poisson_regression as poisson_regression

__all__ = ["gaussian", "gaussian_mean", "laplace_regression", "linear_gaussian", "poisson_regression"]
