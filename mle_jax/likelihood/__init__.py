"""Models and their likelihoods: the log-likelihood, its derivatives, and the loss that optimizers see."""

from mle_jax.likelihood.exact import ExactMaximum as ExactMaximum
from mle_jax.likelihood.model import Model as Model

__all__ = ["ExactMaximum", "Model"]
