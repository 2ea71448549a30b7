"""Newton's method in its damped form: a trust region in the scale of the curvature itself.

One step:

1. scale the Hessian by its diagonal D and take its eigenvalues e and eigenvectors V;
2. replace e by its absolute value, so that directions of negative curvature are left and not sought
   (Dauphin et al. 2014), and keep it above the rounding level; where the slope along negative curvature vanishes,
   give it a small one;
3. choose the damping m >= 0 so that the scaled step p = -V (|e| + m)^-1 V' D^-1/2 g is not longer than the radius;
4. evaluate value, gradient and Hessian at the trial point: the one evaluation of the step;
5. accept where the value falls (or ties within rounding, and the gradient shrinks), and set the next radius from the
   ratio of the real to the predicted fall.

No inner loop evaluates anything, so many problems can run side by side under `vmap`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._linalg import ScaledEigen, scaled_eigen
from mle_jax._objective import Evaluation, Objective

GROWTH = 3.0
KICK = 1e-3  # of the radius: a saddle, where the slope vanishes, is left along its negative curvature
SECULAR_STEPS = 12  # Newton steps for the damping: monotone and quadratic, and only its order of magnitude matters


class NewtonState(NamedTuple):
    """The accepted point, the trust radius, and what the stopping rules want to know."""

    evaluation: Evaluation
    eigen: ScaledEigen  # of the Hessian at the accepted point
    radius: Array
    decrement: Array  # sqrt(g' |H|^-1 g) at the accepted point
    stalls: Array  # successive steps that gained nothing beyond rounding, and could not
    accepted: Array  # whether the latest trial was kept


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Newton:
    """Climb by Newton's method with a trust region, never by a raw step.

    The step is ``d = -(|H| + m D)^-1 g`` with the exact Hessian H by automatic differentiation, D its diagonal and
    the damping m as small as the trust radius allows. Quadratic convergence near the maximum; k coordinates cost
    about k gradients and one k-by-k eigendecomposition per step, so it is meant for up to a few hundred of them.

    Args:
        initial_radius: length of the first trust region in the norm of D, in units in which a step of length one
            predicts a change of the objective of about one (of its own size, where that is larger).

    Reference:
        Nocedal and Wright (2006), Numerical Optimization, sections 4.1-4.3; Dauphin et al. (2014), NeurIPS 27,
        "Identifying and attacking the saddle point problem" (for the absolute eigenvalues).

    Example:
        >>> import mle_jax as mle
        >>> def rosenbrock(w):
        ...     return (1.0 - w["a"]) ** 2 + 100.0 * (w["b"] - w["a"] ** 2) ** 2
        >>> run = mle.minimize(rosenbrock, {"a": -1.2, "b": 1.0}, optimizer=mle.optimizers.Newton(), max_steps=40)
        >>> round(float(run.params["a"]), 6), round(float(run.params["b"]), 6)
        (1.0, 1.0)
    """

    initial_radius: float = 3.0

    def init(self, objective: Objective, point: Array) -> NewtonState:
        """Evaluate the start."""
        evaluation = objective.with_hessian(point)
        radius = jnp.asarray(self.initial_radius, point.dtype)
        return _state(evaluation, radius, jnp.zeros((), jnp.int32))

    def step(self, objective: Objective, state: NewtonState) -> NewtonState:
        """Try one step and keep it or shrink the radius (the numbers are those of the module's docstring)."""
        here, eigen = state.evaluation, state.eigen
        # 1-3: the step, in scaled coordinates and in the eigenvector basis
        slope = eigen.vectors.T @ (here.gradient / eigen.scale)
        push = jnp.where(eigen.values < -eigen.floor, KICK * state.radius * jnp.abs(eigen.values), 0.0)
        pull = jnp.where(slope < 0, -1.0, 1.0) * jnp.maximum(jnp.abs(slope), push)
        curvature = jnp.maximum(jnp.abs(eigen.values), eigen.floor)
        unit = jnp.sqrt(_size(here))
        damping = _damping(pull, curvature, state.radius * unit)
        move = -pull / (curvature + damping)
        length = jnp.sqrt(jnp.sum(move**2))
        predicted = -jnp.sum(slope * move + 0.5 * eigen.values * move**2)
        # 4: the one evaluation
        trial = objective.with_hessian(here.point + (eigen.vectors @ move) / eigen.scale)
        # 5: accept or reject
        usable = trial.is_finite & jnp.all(jnp.isfinite(trial.hessian))
        fall = here.value - trial.value
        pieces = jnp.where(usable, jnp.maximum(here.magnitude, trial.magnitude), here.magnitude)
        rounding = 10 * jnp.finfo(here.point.dtype).eps * pieces
        trial_state = _state(trial, state.radius, state.stalls)
        tie = jnp.abs(fall) <= rounding
        smaller_gradient = _norm(trial.gradient / eigen.scale) <= _norm(slope)
        accepted = usable & jnp.where(tie, smaller_gradient, fall > 1e-4 * predicted)
        hidden = predicted <= rounding  # nothing to be gained that could be seen
        same = tie & (~accepted | (trial_state.decrement >= 0.5 * state.decrement))
        # A damped step that should have gained and gained nothing, as where a coordinate is already at the last digit
        # that the machine holds, is too long: shortened, it ends where nothing can be gained.
        excused = tie & ~(same & ~hidden & (damping > 0.0))
        radius = _next_radius(state.radius, length / unit, ratio=fall / predicted, usable=usable, tie=excused)
        radius = jnp.where(state.accepted, radius, jnp.minimum(radius, state.radius))  # grow on a second success
        idle = (same & ((damping <= 0.0) | hidden)) | (hidden & ~accepted) | jnp.all(trial.point == here.point)
        stalls = jnp.where(idle, state.stalls + 1, 0)
        kept = jax.tree_util.tree_map(lambda new, old: jnp.where(accepted, new, old), trial_state, state)
        return kept._replace(radius=radius, stalls=stalls, accepted=accepted)

    def complaint(self) -> str | None:
        """Say what is wrong with the configuration, or return None."""
        if float(self.initial_radius) > 0.0:
            return None
        return f"Newton's initial_radius is {self.initial_radius}, but it must be above 0; leave it out for the default"


def _size(evaluation: Evaluation) -> Array:
    """Return how large a change of the objective is ordinary: 1, or its own size where that is larger."""
    return jnp.maximum(1.0, evaluation.magnitude)


def _norm(vector: Array) -> Array:
    return jnp.sqrt(jnp.sum(vector**2))


def _state(evaluation: Evaluation, radius: Array, stalls: Array) -> NewtonState:
    """Judge the curvature at a point.

    The squared gradient bounds the scale from below: where the curvature is nearly flat and the slope is not, a step
    of length one then still predicts a change of about one size of the objective, whatever the units.
    """
    eigen = scaled_eigen(evaluation.hessian, least_diagonal=evaluation.gradient**2 / _size(evaluation))
    curvature = jnp.maximum(jnp.abs(eigen.values), eigen.floor)
    slope = eigen.vectors.T @ (evaluation.gradient / eigen.scale)
    decrement = jnp.sqrt(jnp.sum(slope**2 / curvature))
    return NewtonState(evaluation, eigen, radius, decrement, stalls, jnp.asarray(True))


def _damping(slope: Array, curvature: Array, radius: Array) -> Array:
    """Solve |slope / (curvature + m)| = radius for m >= 0; 0 where the full step is short enough.

    Newton's method on 1/length - 1/radius, which is concave in m: from 0 it climbs monotonically to the solution
    (Nocedal and Wright 2006, algorithm 4.3).
    """

    def climb(_: int, damping: Array) -> Array:
        move = slope / (curvature + damping)
        square = jnp.sum(move**2)
        length = jnp.sqrt(square)
        # d length / d damping = -sum(move^2 / (curvature + damping)) / length
        bend = jnp.sum(move**2 / (curvature + damping))
        gain = (length / radius - 1.0) * square / jnp.where(bend > 0, bend, 1.0)
        return jnp.maximum(damping + jnp.where(bend > 0, gain, 0.0), 0.0)

    full = _norm(slope / curvature)
    damping = jax.lax.fori_loop(0, SECULAR_STEPS, climb, jnp.zeros((), slope.dtype))
    return jnp.where(full <= radius, 0.0, damping)


def _next_radius(radius: Array, length: Array, *, ratio: Array, usable: Array, tie: Array) -> Array:
    """Shrink after a poor prediction, grow after a good one that used the whole radius.

    A step that failed from far away (a first radius of a thousand, say) returns toward length one by square roots.
    """
    poor = ~usable | ((ratio < 0.25) & ~tie)
    good = usable & (ratio > 0.75) & (length > 0.9 * radius)
    shrunk = jnp.minimum(0.25 * length, jnp.sqrt(length))
    return jnp.where(poor, shrunk, jnp.where(good, GROWTH * radius, radius))
