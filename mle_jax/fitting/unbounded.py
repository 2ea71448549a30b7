"""A log-likelihood that grows without bound: what comes of a flipped sign, or of a normalizing term left out.

A search for its maximum runs away until its steps, or the digits, are used up, and the derivatives there say nothing.
But along the way it went the log-likelihood can be looked at over all the numbers there are: one that approaches a
limit rises by less at every doubling of the distance, one without bound does not.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._linalg import rounding_floor
from mle_jax._status import Status
from mle_jax.fitting.certificate import SHARE
from mle_jax.fitting.elsewhere import MANY, solve_from
from mle_jax.fitting.rotation import declared
from mle_jax.fitting.solution import Solution
from mle_jax.likelihood.loss import loss_objective, loss_scale, to_log_likelihood
from mle_jax.likelihood.programs import quick_program, verb_program
from mle_jax.parameters import Coordinates, Positive, Real

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

LOST = (Status.max_steps, Status.not_identified, Status.precision_lost, Status.saddle)
"""How a search ends that runs away."""
DISTANCES = 2.0 ** np.arange(499.0)  # up to 8e149, whose square is a number
NEAR = 30.0  # logarithms are ordinary up to here
FAR = 1e3  # and up to here anything from where to look on
END = 1e300  # a way ends where a parameter comes here, as a scale does at a logarithm of 691, or where all stand still
PARTS = 32  # of the last doubling, to find the end by
LEAST = 5  # rises that must be seen
SUSTAINED = 0.9  # of one rise, for the next: those of a logarithm are all the same
SLOWEST = -1.5  # power of the number of doublings that rises fall by: log log t has -1, and -1/log t, with a limit, -2


class Growth(NamedTuple):
    """How a function grows."""

    first: int  # the position from which on it does
    ratio: float  # of its last two rises, over doublings: 1 of a logarithm, 2 of a straight line, 4 of a square


class Way(NamedTuple):
    """A straight way in free coordinates."""

    begin: np.ndarray
    direction: np.ndarray

    def points(self, distances: np.ndarray) -> np.ndarray:
        """Return the points at some distances, (m, k)."""
        return self.begin + distances[:, None] * self.direction


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
        In `place`, from near enough for its derivatives to mean something: `rising`, with the `growth` along `uphill`.
        Or the solution as it is.
    """
    if Status(int(solution.status)) not in LOST or int(solution.steps) == 0 or place.size == 0:
        return solution
    there = np.asarray(declared(seen, solution.theta)[1])
    if not _has_run_away(there, float(solution.certificate.smallest_eigenvalue)):
        return solution
    score = np.asarray(verb_program(model, _score)(place, jnp.asarray(there), data, weights))
    value = _log_likelihood(model, place, data, weights)
    for way in _ways(place, there, score):
        distances = _distances(place, way)
        growth = _growth_along(value, way, distances)
        if growth is not None:
            nearer = jnp.asarray(way.points(distances[growth.first : growth.first + 1])[0])
            found = verb_program(model, solve_from)(place, nearer, data, weights, tolerance, 0)
            return _endless(found, way.direction, growth)._replace(steps=solution.steps, trace=solution.trace)
    return solution


def another_growth(model: "Model", place: Coordinates, theta: np.ndarray, data: Any, weights: Any) -> np.ndarray | None:
    """Return a direction (k,) in which a log-likelihood grows without bound while no scale shrinks; None if none.

    A log density can do so where a scale shrinks to nothing because the data are fitted perfectly, or a shape grows.
    In other directions than the search went it does not: there, a sign is wrong, or a term is missing.

    Args:
        model: the model.
        place: the free coordinates.
        theta: where the search arrived, (k,).
        data: the dataset.
        weights: (n,) or None.
    """
    value = _log_likelihood(model, place, data, weights)
    positive = _of_kind(place, Positive)
    gone = np.where((np.abs(theta) > NEAR) & ~_of_kind(place, Real), np.sign(theta), 0.0)
    for way in _plain_ways(place, _farthest(theta)):
        shrinks = np.any(way.direction[positive] < 0) or np.any(way.direction * gone > 0)
        if not shrinks and _growth_along(value, way, _distances(place, way)) is not None:
            return way.direction
    return None


def sustained(values: np.ndarray, distances: np.ndarray = DISTANCES) -> Growth | None:
    """Say from where on a function grows without bound, and how; None where it does not.

    It does where every rise is at least `SUSTAINED` of the one before, to the last distance or to infinity, and the
    rises become smaller so slowly that the sum of all would be infinite. Where a distance is less than double the one
    before, the rise counts as for a logarithm.

    Args:
        values: of the function, (m,).
        distances: at which it has them, (m,).
    """
    ends = np.flatnonzero(np.isposinf(values))
    finite = values[: ends[0]] if ends.size else values
    if finite.size <= LEAST or not np.isfinite(finite[-LEAST - 1 :]).all():
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        rises = np.diff(finite)
        # Less than the rounding errors of the sum is no rise.
        risen = rises > 1e-12 * np.abs(finite[1:])
        rises = rises / np.diff(np.log2(distances[: finite.size]))
        kept = risen & np.append(True, rises[1:] >= SUSTAINED * rises[:-1])
    lapses = np.flatnonzero(~kept)
    first = int(lapses[-1]) + 1 if lapses.size else 0
    if rises.size - first < LEAST:
        return None
    half = slice(first + (rises.size - first) // 2, None)
    number = np.log2(distances[1 : finite.size])
    if np.polyfit(np.log(number[half]), np.log(rises[half]), 1)[0] < SLOWEST:
        return None
    doublings = rises[first:] if distances[finite.size - 1] in DISTANCES else rises[first:-1]
    return Growth(first, float(doublings[-1] / doublings[-2]))


def _growth_along(value: Callable[[np.ndarray], float], way: Way, distances: np.ndarray) -> Growth | None:
    """Return how the log-likelihood grows along a way; None where it does not."""
    if distances.size <= LEAST:
        return None
    points = way.points(distances)
    if np.isnan(value(points[-1])):
        # The way ends before, as where the logarithm of a scale is a parameter by itself and the scale becomes 0.
        points = points[: _before(lambda i: bool(np.isfinite(value(points[i]))), len(points) - 1)]
    # Most ways lead down, as their last points tell.
    ends = np.array([value(point) for point in points[-3:]])
    rising = (ends[1:] > ends[:-1]) | np.isposinf(ends[1:])
    if not rising.all():
        return None
    return sustained(np.array([*(value(point) for point in points[:-3]), *ends]), distances[: len(points)])


def _before(holds: Callable[[int], bool], end: int) -> int:
    """Return up to where something holds that does not at the end: about, if it is not so from one number on."""
    low, high = -1, end
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def _log_likelihood(model: "Model", place: Coordinates, data: Any, weights: Any) -> Callable[[np.ndarray], float]:
    """Return the log-likelihood as a function of one point."""
    run = verb_program(model, _value_at)
    return lambda point: float(run(place, jnp.asarray(point), data, weights))


def _value_at(model: "Model", place: Coordinates, point: Array, data: Any, weights: Any) -> Array:
    objective, scale = loss_objective(model, place, data, weights=weights), loss_scale(model, data, weights)
    value: Array = to_log_likelihood(objective.value(point), scale)
    return value


def _score(model: "Model", place: Coordinates, theta: Array, data: Any, weights: Any) -> Array:
    return -loss_objective(model, place, data, weights=weights).with_gradient(theta).gradient


def _has_run_away(theta: np.ndarray, smallest_eigenvalue: float) -> bool:
    """Say whether a search is where one without end may have got to; collinear columns alone do not lead there."""
    return bool(np.any(np.abs(theta) > NEAR)) or not smallest_eigenvalue > -rounding_floor(theta.size, theta.dtype)


def _of_kind(place: Coordinates, kind: type) -> np.ndarray:
    """Say which of the coordinates that move belong to parameters declared so, bool (k,)."""
    declarations, leaf = place.space.declarations, place.space.free_leaf
    return np.array([isinstance(declarations[leaf[i]], kind) for i in place.active], bool)


def _ways(place: Coordinates, theta: np.ndarray, score: np.ndarray) -> list[Way]:
    """Return ways to look along: the one that the search went, the steepest, and the plain ones of what went far."""
    origin = np.zeros_like(theta)
    away = Way(origin, _unit(theta))
    steepest = Way(theta if np.all(np.abs(theta) < FAR) else origin, _unit(score))
    return [way for way in (away, steepest, *_plain_ways(place, _farthest(theta))) if np.any(way.direction)]


def _farthest(theta: np.ndarray) -> np.ndarray:
    """Return which coordinates to look at one by one."""
    return np.sort(np.argsort(-np.abs(theta), kind="stable")[:MANY])


def _plain_ways(place: Coordinates, which: np.ndarray) -> list[Way]:
    """Return ways from the origin, both ways: along some coordinates, and along all of a kind together.

    The negative of a mixture grows where all of its components go away.
    """
    real = _of_kind(place, Real)
    together = [kind / np.sqrt(kind.sum()) for kind in (real, ~real) if kind.sum() > 1]
    directions = [*(np.eye(1, place.size, i)[0] for i in which.tolist()), *together]
    return [Way(np.zeros(place.size), sign * direction) for direction in directions for sign in (1.0, -1.0)]


def _unit(vector: np.ndarray) -> np.ndarray:
    """Return it with a length of 1, without its small parts; 0 where it has no direction."""
    largest = np.max(np.abs(vector))
    if not 0 < largest < np.inf:
        return np.zeros_like(vector)
    part = vector / largest  # whose squares are numbers
    part = np.where(np.abs(part) > SHARE, part, 0.0)
    return np.asarray(part / np.linalg.norm(part))


_flats = quick_program(lambda place, points: jax.vmap(place.flat)(points))


def _distances(place: Coordinates, way: Way) -> np.ndarray:
    """Return the distances at which to look: doubling, up to the end of the way, and that end itself."""
    last = _inside(place, way, DISTANCES) - 1
    if last < 0 or last == DISTANCES.size - 1:
        return DISTANCES[: last + 1]
    parts = DISTANCES[last] * np.linspace(1.0, 2.0, PARTS + 1)
    end = parts[_inside(place, way, parts) - 1]
    return np.append(DISTANCES[: last + 1], [end] if end > DISTANCES[last] else [])


def _inside(place: Coordinates, way: Way, distances: np.ndarray) -> int:
    """Return how many of the distances come before the end of the way."""
    flats = np.asarray(_flats(place, jnp.asarray(way.points(distances))))
    before = np.asarray(_flats(place, jnp.asarray(way.points((1.0 - 1.0 / PARTS) * distances))))
    outside = np.flatnonzero(~(np.any(flats != before, axis=1) & np.all(np.abs(flats) <= END, axis=1)))
    return int(outside[0]) if outside.size else distances.size


def _endless(found: Solution, direction: np.ndarray, growth: Growth) -> Solution:
    """State the verdict."""
    certificate = found.certificate._replace(
        uphill=jnp.asarray(direction),
        uphill_drop=-jnp.asarray(np.inf),
        rise=jnp.asarray(np.inf),
        higher=jnp.asarray(direction),
        growth=jnp.asarray(growth.ratio),
    )
    return found._replace(
        status=jnp.int32(Status.rising.value),
        certificate=certificate,
        reliable=jnp.zeros_like(found.reliable),
        decrement=jnp.asarray(np.nan),
    )
