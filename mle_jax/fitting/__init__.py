"""From a model and data to a certified solution."""

from mle_jax.fitting.maximizing import maximize as maximize
from mle_jax.fitting.solution import Solution as Solution

__all__ = ["Solution", "maximize"]
