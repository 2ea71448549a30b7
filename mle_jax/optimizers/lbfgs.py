"""L-BFGS, for many parameters: optax's, with its line search."""

import functools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._objective import Evaluation, Objective
from mle_jax._whole import is_whole
from mle_jax.optimizers.newton_cg import coordinate_scale
from mle_jax.optimizers.optax_adapter import Optax, OptaxState


class LBFGSState(NamedTuple):
    """The present point, the scale of its coordinates, and what optax remembers of the steps."""

    evaluation: Evaluation
    scale: Array  # (k,)
    memory: Any
    age: Array  # steps since the scale was taken
    stalls: Array  # successive steps that gained nothing beyond rounding


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LBFGS:
    """Climb by the limited-memory method of Broyden, Fletcher, Goldfarb and Shanno, with a zoom line search.

    The curvature is learned from the last `memory` steps and never stored as a matrix: a step costs a few gradients,
    whatever the number of parameters. Coordinates are scaled by the diagonal of the Hessian at the start, so that units
    do not matter; a fit takes the diagonal again after some hundred steps. The maximum is certified like any other.

    Args:
        memory: the number of steps that are remembered, 1 or more.

    Reference:
        Liu and Nocedal (1989), Mathematical Programming 45, 503-528; Nocedal and Wright (2006), Numerical
        Optimization, algorithms 7.4, 3.5 and 3.6.

    Example:
        >>> import numpy as np
        >>> import mle_jax as mle
        >>> bowl = lambda w: ((w - np.arange(1000.0)) ** 2 / 2).sum()
        >>> run = mle.minimize(bowl, np.zeros(1000), optimizer=mle.optimizers.LBFGS(), max_steps=20)
        >>> round(float(run.params[999]), 6)
        999.0
    """

    memory: int = field(default=10, metadata={"static": True})

    @property
    def begins_at(self) -> int:
        """Say that `init` evaluates the start."""
        return 0

    def init(self, objective: Objective, point: Array) -> LBFGSState:
        """Evaluate the start and the diagonal of its Hessian."""
        here = objective.with_gradient(point)
        scale = coordinate_scale(here, objective.diagonal(point))
        memory = _transformation(self.memory).transformation.init(point)
        return LBFGSState(here, scale, memory, jnp.int32(0), jnp.int32(0))

    def step(self, objective: Objective, state: LBFGSState) -> LBFGSState:
        """Search along the quasi-Newton direction, in scaled coordinates."""
        here, scale, memory = state.evaluation, state.scale, state.memory

        def scaled(point: Array) -> tuple[Array, Array, Array]:
            there = objective.with_gradient(point / scale)
            return there.value, there.magnitude, there.gradient / scale

        inside = here._replace(point=here.point * scale, gradient=here.gradient / scale)
        problem = Objective(lambda point: objective.function(point / scale), first=scaled)
        found = _transformation(self.memory).step(problem, OptaxState(inside, memory))
        there = found.evaluation
        back = there._replace(point=there.point / scale, gradient=there.gradient * scale)
        rounding = 10 * jnp.finfo(here.point.dtype).eps * jnp.maximum(here.magnitude, there.magnitude)
        nearer = jnp.sum(there.gradient**2) < 0.25 * jnp.sum(inside.gradient**2)
        idle = (jnp.abs(here.value - there.value) <= rounding) & ~nearer
        return LBFGSState(back, scale, found.memory, state.age + 1, jnp.where(idle, state.stalls + 1, 0))

    def complaint(self) -> str | None:
        """Say what is wrong with the configuration, or return None."""
        if is_whole(self.memory, least=1):
            return None
        return f"LBFGS's memory is {self.memory!r}, but it must be a whole number of at least 1; leave it out for 10"


@functools.cache
def _transformation(memory: int) -> Optax:
    """Return optax's method; made once, so that it compiles once."""
    import optax

    return Optax(optax.lbfgs(memory_size=memory))
