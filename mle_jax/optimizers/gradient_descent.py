"""Gradient descent with a fixed learning rate, as the text defines it (T11)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from mle_jax._objective import Evaluation, Objective


class GradientDescentState(NamedTuple):
    """The present point with its value and gradient; nothing else is carried."""

    evaluation: Evaluation


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GradientDescent:
    """Walk against the gradient with a fixed learning rate: ``w <- w - learning_rate * gradient(w)``.

    In `minimize` the function is the one given; in `fit` it is the mean negative log-likelihood in unconstrained
    coordinates (log of a positive parameter), so the rate does not depend on the number of observations. One
    gradient per step, linear convergence at a rate set by the condition of the curvature: the optimizer to
    understand first and to use last.

    Args:
        learning_rate: step length per unit of gradient, above 0. It is a leaf: another rate does not recompile.

    Reference:
        Cauchy (1847), Comptes rendus 25, 536-538; Nocedal and Wright (2006), Numerical Optimization, section 2.2.

    Example:
        >>> import mle_jax as mle
        >>> parabola = lambda w: (w - 3.0) ** 2
        >>> run = mle.minimize(parabola, 0.0, optimizer=mle.optimizers.GradientDescent(0.25), max_steps=50)
        >>> round(float(run.params), 6)
        3.0
    """

    learning_rate: float

    @property
    def begins_at(self) -> int:
        """Say that `init` evaluates the start."""
        return 0

    def init(self, objective: Objective, point: Array) -> GradientDescentState:
        """Evaluate the start."""
        return GradientDescentState(objective.with_gradient(point))

    def step(self, objective: Objective, state: GradientDescentState) -> GradientDescentState:
        """Take one step against the gradient."""
        here = state.evaluation
        return GradientDescentState(objective.with_gradient(here.point - self.learning_rate * here.gradient))

    def complaint(self) -> str | None:
        """Say what is wrong with the configuration, or return None."""
        rate: Any = self.learning_rate
        if isinstance(rate, int | float | np.number) and rate > 0.0:
            return None
        return f"GradientDescent's learning_rate is {rate!r}, but it must be a number above 0; pass e.g. 0.05"
