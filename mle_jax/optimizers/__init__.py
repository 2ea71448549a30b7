"""Optimizers: one loop, one algorithm per file; and exact solvers, plain functions that a model's closed form calls."""

from typing import TYPE_CHECKING

from mle_jax._lazy import imported_when_asked_for
from mle_jax.optimizers.gradient_descent import GradientDescent as GradientDescent
from mle_jax.optimizers.lbfgs import LBFGS as LBFGS
from mle_jax.optimizers.newton import Newton as Newton
from mle_jax.optimizers.newton_cg import NewtonCG as NewtonCG
from mle_jax.optimizers.optax_adapter import Optax as Optax

if TYPE_CHECKING:
    from mle_jax.optimizers.least_absolute_deviations import LeastAbsoluteDeviations as LeastAbsoluteDeviations
    from mle_jax.optimizers.least_absolute_deviations import (
        solve_least_absolute_deviations as solve_least_absolute_deviations,
    )
    from mle_jax.optimizers.least_squares import solve_least_squares as solve_least_squares
else:
    __getattr__ = imported_when_asked_for(
        __name__,
        {
            "LeastAbsoluteDeviations": "mle_jax.optimizers.least_absolute_deviations",
            "solve_least_absolute_deviations": "mle_jax.optimizers.least_absolute_deviations",
            "solve_least_squares": "mle_jax.optimizers.least_squares",
        },
    )

__all__ = [
    "LBFGS",
    "GradientDescent",
    "LeastAbsoluteDeviations",
    "Newton",
    "NewtonCG",
    "Optax",
    "solve_least_absolute_deviations",
    "solve_least_squares",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
