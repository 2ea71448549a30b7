"""Newton's method in its damped form: a trust region in the scale of the curvature itself.

One step, the numbers 4 and 5 of which come first in the code, so that the program holds one evaluation and no second
one for the start:

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

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._linalg import ScaledEigen, scaled_eigen
from mle_jax._objective import Evaluation, Objective
from mle_jax._text import listing

GROWTH = 3.0
HIDDEN = 1e3  # the terms of a row may be larger than their sum, and so are their rounding errors
KICK = 1e-3  # of the radius: a saddle, where the slope vanishes, is left along its negative curvature
SECULAR_STEPS = 12  # Newton steps for the damping: monotone and quadratic, and only its order of magnitude matters


CURVATURES = ("observed", "expected", "outer_product")


class Trial(NamedTuple):
    """The point to evaluate next, and what is expected of it."""

    point: Array  # (k,)
    predicted: Array  # the fall of the objective by its quadratic model
    damping: Array
    length: Array  # of the step, in the units of the radius
    first: Array  # bool: it is the start, and there is nothing to compare it with


def first_trial(point: Array) -> Trial:
    """Plan to evaluate a point that is compared with no other."""
    nothing = jnp.zeros((), point.dtype)
    return Trial(point, nothing, nothing, nothing, jnp.asarray(True))


class NewtonState(NamedTuple):
    """The accepted point, the trust radius, what the stopping rules want to know, and what comes next."""

    evaluation: Evaluation
    eigen: ScaledEigen  # of the Hessian at the accepted point
    radius: Array
    decrement: Array  # sqrt(g' |H|^-1 g) at the accepted point
    stalls: Array  # successive steps that gained nothing beyond rounding, and could not
    accepted: Array  # whether the latest trial was kept
    shrinkage: Array  # of the decrement by the latest trial: small where convergence is quadratic
    trial: Trial


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Newton:
    """Climb by Newton's method with a trust region, never by a raw step.

    The step is ``d = -(|H| + m D)^-1 g`` with the exact Hessian H by automatic differentiation (or what stands in for
    it), D its diagonal and the damping m as small as the trust radius allows. Quadratic convergence near the maximum; k
    coordinates cost about k gradients and one k-by-k eigendecomposition per step, so it is meant for up to a few
    hundred of them.

    Args:
        initial_radius: length of the first trust region in the norm of D, in units in which a step of length one
            predicts a change of the objective of about one (of its own size, where that is larger).
        curvature: "observed", the Hessian; in a fit also "expected", the expected information of the model (Fisher
            scoring; slower near the maximum, where the two differ, and safer far from it), or "outer_product", the
            outer products of the scores of the rows. The certificate rests on the Hessian in any case.

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
    curvature: str = field(default="observed", metadata={"static": True})

    @property
    def begins_at(self) -> int:
        """Say that the first step evaluates the start."""
        return -1

    def init(self, objective: Objective, point: Array) -> NewtonState:
        """Plan to evaluate the start, which is the first step's business."""
        nothing = jnp.zeros((), point.dtype)
        identity = jnp.eye(point.size, dtype=point.dtype)
        nowhere = Evaluation(point, nothing + jnp.inf, nothing, jnp.zeros_like(point), identity)
        eigen = ScaledEigen(jnp.ones_like(point), jnp.ones_like(point), identity)
        radius = jnp.asarray(self.initial_radius, point.dtype)
        begin, stalls = first_trial(point), jnp.int32(0)
        return NewtonState(nowhere, eigen, radius, nothing + jnp.inf, stalls, jnp.asarray(True), nothing, begin)

    def step(self, objective: Objective, state: NewtonState) -> NewtonState:
        """Evaluate the trial, keep it or shrink the radius, and plan the next one."""
        here, eigen, planned = state.evaluation, state.eigen, state.trial
        # 4: the one evaluation
        found = objective.with_curvature(planned.point, self.curvature)
        found_eigen, found_decrement = _judge(found)
        # 5: accept or reject
        usable = found.is_finite & jnp.all(jnp.isfinite(found.hessian))
        fall = here.value - found.value
        pieces = jnp.where(usable, jnp.maximum(here.magnitude, found.magnitude), here.magnitude)
        rounding = 10 * jnp.finfo(here.point.dtype).eps * pieces
        # Nothing to be gained that could be seen from here, whatever was found there: the gradient decides.
        hidden = planned.predicted <= 10 * jnp.finfo(here.point.dtype).eps * here.magnitude
        tie = jnp.abs(fall) <= jnp.where(hidden, HIDDEN * rounding, rounding)
        smaller_gradient = _norm(found.gradient / eigen.scale) <= _norm(here.gradient / eigen.scale)
        better = usable & jnp.where(tie, smaller_gradient, fall > 1e-4 * planned.predicted)
        accepted = planned.first | better
        same = tie & (~accepted | (found_decrement >= 0.5 * state.decrement))
        # A damped step that should have gained and gained nothing, as where a coordinate is already at the last digit
        # that the machine holds, is too long: shortened, it ends where nothing can be gained.
        excused = tie & ~(same & ~hidden & (planned.damping > 0.0))
        radius = next_radius(state.radius, planned.length, ratio=fall / planned.predicted, usable=usable, tie=excused)
        radius = jnp.where(state.accepted, radius, jnp.minimum(radius, state.radius))  # grow on a second success
        radius = jnp.where(planned.first, state.radius, radius)
        idle = (same & ((planned.damping <= 0.0) | hidden)) | (hidden & ~accepted)
        idle = ~planned.first & (idle | jnp.all(found.point == here.point))
        stalls = jnp.where(idle, state.stalls + 1, 0)
        shrinkage = jnp.where(planned.first, 0.0, found_decrement / state.decrement)
        evaluation, eigen, decrement = jax.tree_util.tree_map(
            lambda new, old: jnp.where(accepted, new, old),
            (found, found_eigen, found_decrement),
            (here, eigen, state.decrement),
        )
        trial = _plan(evaluation, eigen, radius)
        return NewtonState(evaluation, eigen, radius, decrement, stalls, accepted, shrinkage, trial)

    def complaint(self) -> str | None:
        """Say what is wrong with the configuration, or return None."""
        if self.curvature not in CURVATURES:
            return f"Newton's curvature is {self.curvature!r}, but it must be one of {listing(CURVATURES)}"
        if float(self.initial_radius) > 0.0:
            return None
        return f"Newton's initial_radius is {self.initial_radius}, but it must be above 0; leave it out for the default"


def _size(evaluation: Evaluation) -> Array:
    """Return how large a change of the objective is ordinary: 1, or its own size where that is larger."""
    return jnp.maximum(1.0, evaluation.magnitude)


def _norm(vector: Array) -> Array:
    return jnp.sqrt(jnp.sum(vector**2))


def _judge(evaluation: Evaluation) -> tuple[ScaledEigen, Array]:
    """Return the scaled curvature at a point, and the decrement sqrt(g' |H|^-1 g).

    The squared gradient bounds the scale from below: where the curvature is nearly flat and the slope is not, a step
    of length one then still predicts a change of about one size of the objective, whatever the units.
    """
    eigen = scaled_eigen(evaluation.hessian, least_diagonal=evaluation.gradient**2 / _size(evaluation))
    curvature = jnp.maximum(jnp.abs(eigen.values), eigen.floor)
    slope = eigen.vectors.T @ (evaluation.gradient / eigen.scale)
    return eigen, jnp.sqrt(jnp.sum(slope**2 / curvature))


def _plan(here: Evaluation, eigen: ScaledEigen, radius: Array) -> Trial:
    """Compute the step from a point within a radius (1-3 of the module's docstring)."""
    slope = eigen.vectors.T @ (here.gradient / eigen.scale)
    push = jnp.where(eigen.values < -eigen.floor, KICK * radius * jnp.abs(eigen.values), 0.0)
    pull = jnp.where(slope < 0, -1.0, 1.0) * jnp.maximum(jnp.abs(slope), push)
    curvature = jnp.maximum(jnp.abs(eigen.values), eigen.floor)
    unit = jnp.sqrt(_size(here))
    damping = _damping(pull, curvature, radius * unit)
    move = -pull / (curvature + damping)
    return Trial(
        point=here.point + (eigen.vectors @ move) / eigen.scale,
        predicted=-jnp.sum(slope * move + 0.5 * eigen.values * move**2),
        damping=damping,
        length=_norm(move) / unit,
        first=jnp.asarray(False),
    )


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


def next_radius(radius: Array, length: Array, *, ratio: Array, usable: Array, tie: Array) -> Array:
    """Shrink after a poor prediction, grow after a good one that used the whole radius.

    A step that failed from far away (a first radius of a thousand, say) returns toward length one by square roots.
    """
    poor = ~usable | ((ratio < 0.25) & ~tie)
    good = usable & (ratio > 0.75) & (length > 0.9 * radius)
    shrunk = jnp.minimum(0.25 * length, jnp.sqrt(length))
    return jnp.where(poor, shrunk, jnp.where(good, GROWTH * radius, radius))
