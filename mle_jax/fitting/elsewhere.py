"""Another start, where the search could not leave the first one, or did not get far from it.

Two starts hold a search fast: one at which the log-likelihood or its gradient is not finite, and a stationary point
whose second derivatives say nothing of a way up, such as 0 for (a b)^2. Points around it, near and far, along the
coordinates and across them, are evaluated, and the search begins again at the highest. They are the same in every run.

A third kind of start is so far away that a search uses up its steps: the start of a scale is 1, and the data are in
millions. Along every coordinate by itself the log-likelihood is then looked at over many orders of magnitude.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._status import Status
from mle_jax.fitting.choosing import search_again
from mle_jax.fitting.lanes import map_lanes
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.solving import solve
from mle_jax.fitting.starts import start_theta
from mle_jax.fitting.verdicts import ROUNDING_DECREMENT
from mle_jax.likelihood.loss import loss_objective, loss_scale, to_log_likelihood
from mle_jax.likelihood.programs import verb_program
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

HIGHER = 1e-3  # log-likelihood units by which a point must be above a stationary one
LENGTHS = 10.0 ** np.arange(-4, 5)  # of the moves, in free coordinates or in sizes of the first start
STATIONARY = (Status.converged, Status.converged_to_rounding, Status.rising, Status.precision_lost)
SCALES = np.arange(2.0, 41.0, 2.0)  # moves in free coordinates: of logarithms, up to a factor of exp(40)
MANY_STEPS = 100  # who allows fewer wants to see where so few lead
REST = 4  # this part of the steps once more
ROUNDS = 5  # of going on to higher ground
ACROSS = 12  # moves of every length in which all coordinates take part
REACHES = (300.0, 100.0, 30.0)  # free coordinates that are logarithms mean ordinary numbers there
MANY = 50  # coordinates: with more, single ones are not tried


def begin_elsewhere(
    model: "Model",
    place: Coordinates,
    solution: Solution,
    data: Any,
    weights: Any,
    *,
    start_given: bool,
    tolerance: float,
    max_steps: int,
) -> Solution:
    """Search again from another start where the first one held the search fast; else return the solution as it is.

    A start that somebody gave is not replaced where the log-likelihood is not finite there.
    """
    status = Status(int(solution.status))
    lost = status is Status.non_finite and not start_given
    stuck = status in (Status.not_identified, Status.saddle)
    if int(solution.steps) > 0 or max_steps == 0 or place.size == 0 or not (lost or stuck):
        return solution
    points = np.asarray(_points_around(solution.theta))
    heights = np.asarray(verb_program(model, _heights)(place, jnp.asarray(points), data, weights))
    best = int(np.argmax(heights))
    if not heights[best] > (-np.inf if lost else float(solution.log_likelihood) + HIGHER):
        return solution
    begin = jnp.asarray(points[best])
    found = verb_program(model, solve_from)(place, begin, data, weights, tolerance, max_steps)
    return solution if Status(int(found.status)) is Status.non_finite else found._replace(trace=solution.trace)


def begin_at_better_scale(
    model: "Model",
    place: Coordinates,
    solution: Solution,
    data: Any,
    weights: Any,
    *,
    start_given: bool,
    tolerance: float,
    max_steps: int,
) -> Solution:
    """Search again from a better start where the way from the first, which nobody gave, was too long.

    Else, or where that leads no higher, return the solution as it is.
    """
    too_long = Status(int(solution.status)) is Status.max_steps and may_rescale(place, max_steps)
    if start_given or not too_long:
        return solution
    begin, height = verb_program(model, _best_along_coordinates)(place, data, weights)
    if not float(height) > float(solution.log_likelihood):
        return solution
    found = verb_program(model, solve_from)(place, begin, data, weights, tolerance, max_steps // REST)
    if not float(found.log_likelihood) > float(solution.log_likelihood):
        return solution
    return found._replace(steps=found.steps + solution.steps, trace=solution.trace)


def may_rescale(place: Coordinates, max_steps: int) -> bool:
    """Say whether to look at other scales when the steps ran out."""
    return max_steps >= MANY_STEPS and 0 < place.size <= MANY


def better_scaled(
    model: "Model",
    place: Coordinates,
    data: Any,
    lanes: tuple[Any, ...],
    weights: Array | None,
    *,
    axes: tuple[bool, ...],
) -> tuple[Any, Array]:
    """Return for many lanes a start at a better scale, (B, ...) by name, and its log-likelihood, (B,); traceable.

    Args:
        model: the model.
        place: the free coordinates, at most `MANY`.
        data: the datasets; `axes` says which leaves have the leading axis of B.
        lanes: what differs between lanes: (weights (B, n) if there are any).
        weights: (n,) in common, or None.
        axes: from `lane_axes`.
    """

    def one(lane: tuple[Any, ...], lane_data: Any) -> tuple[Any, Array]:
        theta, height = _best_along_coordinates(model, place, lane_data, lane[0] if lane else weights)
        return place.params(theta), height

    found: tuple[Any, Array] = map_lanes(one, lanes, data, axes)
    return found


def _best_along_coordinates(
    model: "Model", place: Coordinates, data: Any, weights: Array | None
) -> tuple[Array, Array]:
    """Move one coordinate of the usual start after the other to where the log-likelihood is highest, twice over."""
    begin = start_theta(model, place, data, weights, None)
    moves = jnp.asarray([0.0, *SCALES, *-SCALES], begin.dtype)

    def move(i: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        theta, _ = now
        points = theta + moves[:, None] * (jnp.arange(theta.size) == i % theta.size)
        heights = _heights(model, place, points, data, weights)
        best = jnp.argmax(heights)
        return points[best], heights[best]

    best: tuple[Array, Array] = jax.lax.fori_loop(0, 2 * place.size, move, (begin, jnp.asarray(-jnp.inf, begin.dtype)))
    return best


def draw_back(model: "Model", place: Coordinates, solution: Solution, data: Any, weights: Any) -> Solution:
    """Judge from nearer where a search toward infinity went so far that nothing is left of the log-likelihood.

    With counts that are all 0 the mean runs to 0, and the dispersion, which then counts for nothing, anywhere. Where
    the score has become exactly 0, or the information, no parameter seems to be identified; on the way there, the
    log-likelihood can still be seen to rise.
    """
    lost = Status(int(solution.status)) is Status.not_identified and int(solution.steps) > 0
    certificate = solution.certificate
    nothing_left = not np.any(np.asarray(certificate.diagonal)) or not np.any(np.asarray(certificate.uphill))
    if not lost or place.size == 0 or not nothing_left:
        return solution
    theta = np.asarray(solution.theta)
    for reach in (reach for reach in REACHES if np.any(np.abs(theta) > reach)):
        nearer = jnp.asarray(np.clip(theta, -reach, reach))
        # Nearer to the limit than that there may be no digits.
        found = verb_program(model, solve_from)(place, nearer, data, weights, ROUNDING_DECREMENT, 0)
        as_high = float(found.log_likelihood) > float(solution.log_likelihood) - HIGHER
        if as_high and Status(int(found.status)) is Status.rising:
            return found._replace(steps=solution.steps, trace=solution.trace)
    return solution


def climb_on(
    model: "Model",
    place: Coordinates,
    solution: Solution,
    data: Any,
    weights: Any,
    *,
    tolerance: float,
    max_steps: int,
) -> Solution:
    """Search on from a higher point that the certificate came upon beside a stationary one, if there is one.

    From a saddle any higher point will do. A log-likelihood with several maxima (a t regression of few rows) may be
    higher a fraction of a standard error away from one of them. If that way leads to no certified maximum, as toward a
    singularity, this one stands.
    """
    for _ in range(ROUNDS):
        if max_steps == 0 or not beside_higher_ground(solution):
            return solution
        begin = jnp.asarray(solution.theta) + jnp.asarray(solution.certificate.higher)
        found = verb_program(model, solve_from)(place, begin, data, weights, tolerance, max_steps)
        higher = float(found.log_likelihood) > float(solution.log_likelihood)
        left = Status(int(solution.status)) is Status.saddle and Status(int(found.status)) is not Status.non_finite
        if not (higher and (left or Status(int(found.status)).certified)):
            return solution
        solution = found._replace(steps=found.steps + solution.steps, trace=solution.trace)
    return solution


def beside_higher_ground(found: Solution) -> np.ndarray:
    """Say of one solution, or of many that are stacked, whether it is stationary and a point beside it is higher."""
    status, certificate = np.asarray(found.status), found.certificate
    # Where it rises along the very step, as toward infinity, the search has gone that way already.
    stationary = np.isin(status, [int(s) for s in STATIONARY]) & ~np.asarray(certificate.rises)
    stationary = stationary | (status == int(Status.saddle))
    return stationary & (np.asarray(certificate.rise) > HIGHER)


def finite_elsewhere(
    model: "Model",
    place: Coordinates,
    data: Any,
    lanes: tuple[Any, ...],
    weights: Array | None,
    *,
    axes: tuple[bool, ...],
) -> Array:
    """Say of many lanes whether the log-likelihood is finite at any of the other starts, bool (B,); traceable.

    Args:
        model: the model.
        place: the free coordinates.
        data: the datasets; `axes` says which leaves have the leading axis of B.
        lanes: what differs between lanes: (the first starts (B, k), weights (B, n) if there are any).
        weights: (n,) in common, or None.
        axes: from `lane_axes`.
    """

    def one(lane: tuple[Any, ...], lane_data: Any) -> Array:
        theta, *own = lane
        heights = _heights(model, place, _points_around(theta), lane_data, own[0] if own else weights)
        return jnp.any(heights > -jnp.inf)

    finite: Array = map_lanes(one, lanes, data, axes)
    return finite


def _points_around(theta: Array) -> Array:
    """Return other starts at all distances, (m, k): forth and back along every coordinate, and in random directions."""
    size = theta.size
    directions = np.random.default_rng(0).normal(size=(ACROSS, size))
    if size <= MANY:
        directions = np.concatenate([np.eye(size), -np.eye(size), directions])
    moves = (LENGTHS[:, None, None] * directions).reshape(-1, size)
    points: Array = theta + moves * jnp.maximum(1.0, jnp.abs(theta))
    return points


def _heights(model: "Model", place: Coordinates, points: Array, data: Any, weights: Array | None) -> Array:
    """Return the log-likelihood at many points, (m,); -inf where it or its gradient is not finite."""
    objective, scale = loss_objective(model, place, data, weights=weights), loss_scale(model, data, weights)

    def height(point: Array) -> Array:
        here = objective.with_gradient(point)
        return jnp.where(here.is_finite, to_log_likelihood(here.value, scale), -jnp.inf)

    heights: Array = jax.lax.map(height, points)
    return heights


def solve_from(
    model: "Model",
    place: Coordinates,
    theta: Array,
    data: Any,
    weights: Array | None,
    tolerance: Array | float,
    max_steps: Array | int,
) -> Solution:
    """Solve by the means of a search that begins again; with no steps, judge the point."""
    return solve(model, place, theta, data, weights, search_again(theta.size), tolerance=tolerance, max_steps=max_steps)
