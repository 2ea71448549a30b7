"""A log-likelihood that grows without bound: what comes of a flipped sign, or of a normalizing term left out.

A search for its maximum runs away until its steps, or the digits, are used up, and the derivatives there say nothing.
But along the way it went the log-likelihood can be looked at over all the numbers there are: one that approaches a
limit rises by less at every doubling of the distance, one without bound does not.
"""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._linalg import rounding_floor
from mle_jax._status import Status
from mle_jax.fitting.elsewhere import MANY, solve_from
from mle_jax.fitting.rotation import declared
from mle_jax.fitting.solution import Solution
from mle_jax.likelihood.loss import loss_objective, loss_scale, to_log_likelihood
from mle_jax.likelihood.programs import verb_program
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

LOST = (Status.max_steps, Status.not_identified, Status.precision_lost, Status.saddle)
"""How a search ends that runs away."""
DISTANCES = 2.0 ** np.arange(499.0)  # up to 8e149, whose square is a number
FEW = 2.0 ** np.array([10.0, 20.0, 40.0])  # to see at once that most ways lead down
SUSTAINED = 0.9  # of a rise over one doubling, over the next: a logarithm has 1, the slowest of powers to a limit less
NEAR = 1e3  # free coordinates from which the distances above reach far
END = 1e300  # of the numbers: a scale whose logarithm goes on becomes no larger
LEAST = 5  # doublings over which a rise is seen


def grows_without_bound(
    model: "Model", place: Coordinates, seen: Any, solution: Solution, data: Any, weights: Any, *, tolerance: float
) -> Solution:
    """Say that the log-likelihood has no maximum where a search got lost on the way to infinity.

    Args:
        model: a smooth model.
        place: the free coordinates.
        seen: those in which the solution is.
        solution: where the search arrived.
        data: the dataset.
        weights: (n,) or None.
        tolerance: of the decrement.

    Returns:
        In `place`, from near enough for its derivatives to mean something: `rising`, with `rise` infinite and
        `uphill` the direction. Or the solution as it is.
    """
    if Status(int(solution.status)) not in LOST or int(solution.steps) == 0 or place.size == 0:
        return solution
    _, theta = declared(seen, solution.theta)
    if not _has_run_away(np.asarray(theta), float(solution.certificate.smallest_eigenvalue)):
        return solution
    score = verb_program(model, _score)(place, theta, data, weights)
    run = verb_program(model, _value_at)
    for begin, direction in _ways(np.asarray(theta), np.asarray(score)):
        points = lambda distances, a=begin, u=direction: a + distances[:, None] * u  # noqa: E731
        few = np.array([run(place, point, data, weights) for point in points(FEW)])
        if not np.all((few[1:] > few[:-1]) | np.isposinf(few[1:])):
            continue
        ahead = points(DISTANCES)
        first = sustained_from(np.array([run(place, point, data, weights) for point in ahead]))
        if first is not None:
            found = verb_program(model, solve_from)(place, jnp.asarray(ahead[first]), data, weights, tolerance, 0)
            return _rising(found, direction)._replace(steps=solution.steps, trace=solution.trace)
    return solution


def sustained_from(values: np.ndarray) -> int | None:
    """Return from where on a function, at distances that double, grows without bound; None where it does not.

    It does where every rise is at least `SUSTAINED` of the one before, to the last distance or to infinity.

    Args:
        values: of the function, one at every distance.
    """
    ends = np.flatnonzero(np.isposinf(values))
    finite = values[: ends[0]] if ends.size else values
    if finite.size <= LEAST or not np.isfinite(finite[-LEAST - 1 :]).all():
        return None
    rises = np.diff(finite)
    with np.errstate(invalid="ignore", over="ignore"):
        # Less than the rounding errors of the sum is no rise.
        risen = rises > 1e-12 * np.abs(finite[1:])
        kept = risen & np.append(True, rises[1:] >= SUSTAINED * rises[:-1])
    lapses = np.flatnonzero(~kept)
    first = int(lapses[-1]) + 1 if lapses.size else 0
    return first if rises.size - first >= LEAST else None


def _has_run_away(theta: np.ndarray, smallest_eigenvalue: float) -> bool:
    """Say whether a search is where one without end gets to; columns that are collinear do not lead there."""
    return bool(np.any(np.abs(theta) > NEAR)) or not smallest_eigenvalue > -rounding_floor(theta.size, theta.dtype)


def _ways(theta: np.ndarray, score: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return from where to look, and in which directions: the way the search went, the steepest, and the axes."""
    origin = np.zeros_like(theta)
    away = (origin, _unit(theta))
    steepest = (theta if np.all(np.abs(theta) < NEAR) else origin, _unit(score))
    axes = [(origin, sign * axis) for axis in np.eye(theta.size) for sign in (1.0, -1.0)] if theta.size <= MANY else []
    return [way for way in (away, steepest, *axes) if np.any(way[1])]


def _unit(vector: np.ndarray) -> np.ndarray:
    """Return it with a length of 1; 0 where it has no direction."""
    largest = np.max(np.abs(vector))
    if not 0 < largest < np.inf:
        return np.zeros_like(vector)
    part: np.ndarray = vector / largest  # whose squares are numbers
    return part / np.linalg.norm(part)


def _value_at(model: "Model", place: Coordinates, point: Array, data: Any, weights: Any) -> Array:
    """Return the log-likelihood; infinity where a parameter is at the end of the numbers."""
    objective, scale = loss_objective(model, place, data, weights=weights), loss_scale(model, data, weights)
    ended = jnp.any(jnp.abs(place.flat(point)) > END)
    return jnp.where(ended, jnp.inf, to_log_likelihood(objective.value(point), scale))


def _score(model: "Model", place: Coordinates, theta: Array, data: Any, weights: Any) -> Array:
    return -loss_objective(model, place, data, weights=weights).with_gradient(theta).gradient


def _rising(found: Solution, direction: np.ndarray) -> Solution:
    """State the verdict."""
    endless = jnp.asarray(np.inf)
    certificate = found.certificate._replace(
        uphill=jnp.asarray(direction),
        uphill_drop=-endless,
        informed_decrement=jnp.asarray(1.0),
        rise=endless,
        higher=jnp.asarray(direction),
    )
    return found._replace(
        status=jnp.int32(Status.rising.value),
        certificate=certificate,
        reliable=jnp.zeros_like(found.reliable),
        decrement=jnp.asarray(np.nan),
    )
