"""Log densities with value, gradient and Hessian right to the last digits, in both tails and at the limits."""

from typing import TYPE_CHECKING

from mle_jax._lazy import imported_when_asked_for

if TYPE_CHECKING:
    from mle_jax.densities import beta as beta
    from mle_jax.densities import beta_binomial as beta_binomial
    from mle_jax.densities import binomial as binomial
    from mle_jax.densities import categorical as categorical
    from mle_jax.densities import cauchy as cauchy
    from mle_jax.densities import exponential as exponential
    from mle_jax.densities import gamma as gamma
    from mle_jax.densities import geometric as geometric
    from mle_jax.densities import gev as gev
    from mle_jax.densities import gpd as gpd
    from mle_jax.densities import gumbel as gumbel
    from mle_jax.densities import inverse_gaussian as inverse_gaussian
    from mle_jax.densities import laplace as laplace
    from mle_jax.densities import logistic as logistic
    from mle_jax.densities import lognormal as lognormal
    from mle_jax.densities import multivariate_normal as multivariate_normal
    from mle_jax.densities import negative_binomial as negative_binomial
    from mle_jax.densities import normal as normal
    from mle_jax.densities import ordered as ordered
    from mle_jax.densities import pareto as pareto
    from mle_jax.densities import poisson as poisson
    from mle_jax.densities import student_t as student_t
    from mle_jax.densities import truncated as truncated
    from mle_jax.densities import von_mises as von_mises
    from mle_jax.densities import weibull as weibull
    from mle_jax.densities import zero_inflated as zero_inflated

__all__ = [
    "beta",
    "beta_binomial",
    "binomial",
    "categorical",
    "cauchy",
    "exponential",
    "gamma",
    "geometric",
    "gev",
    "gpd",
    "gumbel",
    "inverse_gaussian",
    "laplace",
    "logistic",
    "lognormal",
    "multivariate_normal",
    "negative_binomial",
    "normal",
    "ordered",
    "pareto",
    "poisson",
    "student_t",
    "truncated",
    "von_mises",
    "weibull",
    "zero_inflated",
]

if not TYPE_CHECKING:
    __getattr__ = imported_when_asked_for(__name__, {name: f"{__name__}.{name}" for name in __all__})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
