"""Newton's method without a Hessian: conjugate gradients on Hessian-vector products, within a trust region.

One step:

1. scale the coordinates by the diagonal D of the Hessian at the start, so that units do not matter;
2. minimize the quadratic model by conjugate gradients, preconditioned by D: each iteration multiplies the Hessian with
   one vector, which costs about as much as two gradients, and stop when the residual is small enough for the next step
   to converge superlinearly, at the trust radius, or along a direction of negative curvature, as far as the radius
   goes (Steihaug 1983);
3. evaluate value and gradient at the trial point;
4. accept where the value falls (or ties within rounding, and the gradient shrinks), and set the next radius from the
   ratio of the real to the predicted fall.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._objective import Evaluation, Objective

MOST_PRODUCTS = 500
"""Hessian-vector products of one step at most."""
FORCING = 0.5
"""The largest residual that ends the conjugate gradients, relative to the gradient."""


class NewtonCGState(NamedTuple):
    """The accepted point, the scale of its coordinates, and the trust radius in that scale."""

    evaluation: Evaluation
    scale: Array  # (k,), roots of the diagonal of the Hessian at the start
    radius: Array
    predicted: Array  # the fall of the objective that the model of the latest step promised
    stalls: Array  # successive steps that gained nothing beyond rounding, and could not


class Step(NamedTuple):
    """What conjugate gradients have found: in scaled coordinates."""

    move: Array  # (k,)
    curved: Array  # (k,) the scaled Hessian times the move
    residual: Array  # (k,)
    direction: Array  # (k,)
    square: Array  # of the residual
    products: Array
    done: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NewtonCG:
    """Climb by Newton's method with conjugate gradients in place of the Hessian, for thousands of parameters.

    The quadratic model is minimized by products of the Hessian with vectors, each about two gradients; no matrix is
    stored. Superlinear convergence near the maximum. What `fit` takes for more parameters than `Newton` is meant for.
    The maximum is certified like any other.

    Args:
        initial_radius: length of the first trust region, in the scale in which the Hessian at the start has the
            diagonal one; 0 lets the first full step set it.

    Reference:
        Steihaug (1983), SIAM Journal on Numerical Analysis 20, 626-637; Nocedal and Wright (2006), Numerical
        Optimization, algorithms 7.2 and 4.1.

    Example:
        >>> import numpy as np
        >>> import mle_jax as mle
        >>> bowl = lambda w: (np.arange(1, 1001.0) * (w - 1.0) ** 2).sum() + (w**4).sum()
        >>> run = mle.minimize(bowl, np.zeros(1000), optimizer=mle.optimizers.NewtonCG(), max_steps=30)
        >>> round(float(run.params[999]), 6)  # 2000 (w - 1) + 4 w^3 = 0
        0.998012
    """

    initial_radius: float = 0.0

    @property
    def begins_at(self) -> int:
        """Say that `init` evaluates the start."""
        return 0

    def init(self, objective: Objective, point: Array) -> NewtonCGState:
        """Evaluate the start and the diagonal of its Hessian."""
        here = objective.with_gradient(point)
        scale = coordinate_scale(here, objective.diagonal(point))
        steepest = jnp.sqrt(jnp.sum((here.gradient / scale) ** 2))
        radius = jnp.where(self.initial_radius > 0, self.initial_radius, jnp.maximum(steepest, 1.0))
        unknown = jnp.zeros((), point.dtype) + jnp.inf
        return NewtonCGState(here, scale, radius.astype(point.dtype), unknown, jnp.int32(0))

    def step(self, objective: Objective, state: NewtonCGState) -> NewtonCGState:
        """Minimize the quadratic model, and keep the point or shrink the radius."""
        here, scale, radius, before, stalls = state
        _, push = jax.linearize(lambda at: objective.with_gradient(at).gradient, here.point)
        slope = here.gradient / scale
        found = _minimize_model(lambda vector: push(vector / scale) / scale, slope, radius)
        trial = objective.with_gradient(here.point + found.move / scale)
        predicted = -(slope @ found.move + 0.5 * found.move @ found.curved)
        fall = here.value - trial.value
        rounding = 10 * jnp.finfo(here.point.dtype).eps * jnp.maximum(here.magnitude, 1e-300)
        tie = jnp.abs(fall) <= rounding
        smaller = jnp.sum((trial.gradient / scale) ** 2) <= jnp.sum(slope**2)
        accepted = trial.is_finite & jnp.where(tie, smaller, fall > 1e-4 * predicted)
        length = jnp.sqrt(jnp.sum(found.move**2))
        length = jnp.where(jnp.isfinite(length), length, radius)  # a product with the Hessian was not a number
        poor = ~trial.is_finite | ((fall < 0.25 * predicted) & ~(tie & smaller))
        good = trial.is_finite & (fall > 0.75 * predicted) & (length > 0.9 * radius)
        radius = jnp.where(poor, 0.25 * length, jnp.where(good, 3.0 * radius, radius))
        kept = jax.tree_util.tree_map(lambda new, old: jnp.where(accepted, new, old), trial, here)
        # Half the decrement is a quarter of what the model promises.
        idle = (tie & (predicted >= 0.25 * before)) | (tie & ~accepted) | jnp.all(trial.point == here.point)
        return NewtonCGState(kept, scale, radius, predicted, jnp.where(idle, stalls + 1, 0))

    def complaint(self) -> str | None:
        """Say what is wrong with the configuration, or return None."""
        if float(self.initial_radius) >= 0.0:
            return None
        return f"NewtonCG's initial_radius is {self.initial_radius}, but it must be at least 0; leave it out"


def coordinate_scale(here: Evaluation, diagonal: Array) -> Array:
    """Return the roots of the diagonal of the Hessian at a point, (k,), from below bounded by the slope there.

    Where the curvature is nearly flat and the slope is not, a step of length one then changes the objective by about
    its own size.
    """
    size = jnp.maximum(jnp.abs(diagonal), here.gradient**2 / jnp.maximum(1.0, here.magnitude))
    return jnp.sqrt(jnp.where((size > 0) & jnp.isfinite(size), size, 1.0))


def _minimize_model(product: Callable[[Array], Array], slope: Array, radius: Array) -> Step:
    """Minimize ``slope' p + p' H p / 2`` over ``|p| <= radius`` by conjugate gradients (Steihaug's method)."""
    start = jnp.sum(slope**2)
    # A residual of the order of the slope to the power 3/2 makes the whole converge superlinearly.
    enough = jnp.minimum(FORCING, start**0.25) ** 2 * start

    def unfinished(now: Step) -> Array:
        return ~now.done & (now.products < MOST_PRODUCTS)

    def iterate(now: Step) -> Step:
        image = product(now.direction)
        curvature = now.direction @ image
        along = now.square / jnp.where(curvature > 0, curvature, 1.0)
        to_edge = _to_edge(now.move, now.direction, radius)
        length = jnp.where((curvature > 0) & (along < to_edge), along, to_edge)
        move, residual = now.move + length * now.direction, now.residual + length * image
        square = jnp.sum(residual**2)
        done = (curvature <= 0) | (along >= to_edge) | (square <= enough)
        direction = -residual + square / now.square * now.direction
        return Step(move, now.curved + length * image, residual, direction, square, now.products + 1, done)

    still = jnp.zeros_like(slope)
    first = Step(still, still, slope, -slope, start, jnp.int32(0), start <= 0)
    found: Step = jax.lax.while_loop(unfinished, iterate, first)
    return found


def _to_edge(move: Array, direction: Array, radius: Array) -> Array:
    """Return the t >= 0 with ``|move + t direction| = radius``."""
    a, b = direction @ direction, move @ direction
    c = jnp.minimum(move @ move - radius**2, 0.0)
    return (-b + jnp.sqrt(jnp.maximum(b * b - a * c, 0.0))) / jnp.where(a > 0, a, 1.0)
