"""Any optax optimizer as one of ours, those with a line search included."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
from jax import Array

from mle_jax._objective import Evaluation, Objective

if TYPE_CHECKING:
    import optax


class OptaxState(NamedTuple):
    """The present point and whatever the transformation remembers."""

    evaluation: Evaluation
    memory: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Optax:
    """Use an optax transformation as optimizer: ``w <- w + updates(gradient, memory)``.

    Line-searching transformations (``optax.lbfgs()``, ``optax.polyak_sgd()``) get the value, the gradient and the
    function that they ask for. Define the transformation once and reuse it: each new one is compiled anew.

    Args:
        transformation: an ``optax.GradientTransformation``, for instance ``optax.adam(1e-2)``.

    Reference:
        DeepMind et al., optax documentation, "Optimizers".

    Example:
        >>> import numpy as np
        >>> import optax
        >>> import mle_jax as mle
        >>> bowl = lambda w: ((w - 3.0) ** 2).sum()
        >>> run = mle.minimize(bowl, np.zeros(2), optimizer=mle.optimizers.Optax(optax.lbfgs()), max_steps=20)
        >>> [round(float(value), 6) for value in run.params]
        [3.0, 3.0]
    """

    transformation: "optax.GradientTransformation" = field(metadata={"static": True})

    @property
    def begins_at(self) -> int:
        """Say that `init` evaluates the start."""
        return 0

    def init(self, objective: Objective, point: Array) -> OptaxState:
        """Evaluate the start and set up the transformation's memory."""
        return OptaxState(objective.with_gradient(point), self.transformation.init(point))

    def step(self, objective: Objective, state: OptaxState) -> OptaxState:
        """Let the transformation propose an update and evaluate there."""
        import optax

        here = state.evaluation
        updates, memory = optax.with_extra_args_support(self.transformation).update(
            here.gradient,
            state.memory,
            here.point,
            value=here.value,
            grad=here.gradient,
            value_fn=objective.value,
        )
        return OptaxState(objective.with_gradient(optax.apply_updates(here.point, updates)), memory)

    def complaint(self) -> str | None:
        """Say what is wrong with the configuration, or return None."""
        if hasattr(self.transformation, "init") and hasattr(self.transformation, "update"):
            return None
        kind = type(self.transformation).__name__
        return f"Optax was given a {kind}, but it takes an optax transformation; pass e.g. Optax(optax.adam(1e-2))"
