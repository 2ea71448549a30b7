"""The certificate at a given point, without a search."""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax import Array

from mle_jax._status import Status
from mle_jax.fitting.choosing import search_again
from mle_jax.fitting.corners import solve_with_corners
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.solving import solve
from mle_jax.fitting.starts import find_exact, has_exact
from mle_jax.optimizers import GradientDescent

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


def solve_at(
    model: "Model", place: Any, data: Any, weights: Array | None, params: Any, tolerance: Array | float
) -> Solution:
    """Return the solution of no steps at params: the numbers there, and the verdict on them."""
    theta = place.theta(params)
    options: dict[str, Any] = {"tolerance": tolerance, "max_steps": 0}
    if model.smooth:
        solution = solve(model, place, theta, data, weights, search_again(theta.size), polish=False, **options)
    else:
        exact = find_exact(model, place, data, weights) if has_exact(model, place) else None
        # Any optimizer will do, since none takes a step.
        solution = solve_with_corners(model, place, theta, data, weights, GradientDescent(1.0), exact, **options)
    # The values given come back to the last bit, not after a round trip through the free coordinates.
    return solution._replace(params=params)


def judged_to_rounding(solution: Solution, *, below: float) -> Solution:
    """Turn the verdict on a single-precision search into what it may claim: at most `converged_to_rounding`.

    Args:
        solution: the float64 numbers at the point that the search found.
        below: the largest decrement that still counts as rounding, in standard errors.
    """
    proved = solution.certificate.drops & solution.certificate.sound
    certified = proved & jnp.isfinite(solution.decrement) & (solution.decrement < below)
    open_ended = (solution.status == Status.converged) | (solution.status == Status.max_steps)
    status = jnp.where(open_ended & certified, Status.converged_to_rounding, solution.status)
    status = jnp.where(open_ended & ~certified, Status.precision_lost, status).astype(jnp.int32)
    return solution._replace(status=status, reliable=solution.reliable | (status == Status.converged_to_rounding))
