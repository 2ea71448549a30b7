"""Optimizers: one loop, one algorithm per file."""

from mle_jax.optimizers.gradient_descent import GradientDescent as GradientDescent
from mle_jax.optimizers.newton import Newton as Newton
from mle_jax.optimizers.optax_adapter import Optax as Optax

__all__ = ["GradientDescent", "Newton", "Optax"]
