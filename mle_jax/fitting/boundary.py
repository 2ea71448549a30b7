"""Maxima on the boundary of a closed domain.

The search works in the interior, where such a maximum shows itself as a climb without end. Here the entries that
climb toward a closed end are put on it, the others are fitted again, and the point counts as a maximum where those
are certified and the score of the entries on the boundary points outward (the Karush-Kuhn-Tucker condition).

A maximum in the interior may be so near to an end that the log-likelihood falls by little all the way there. In the
search's coordinates, where the end is infinitely far away, it looks like a climb without end, too (`beside_an_end`).
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._status import Status
from mle_jax.fitting.certificate import LEAST_DROP, taking_part
from mle_jax.fitting.choosing import search_again
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.solving import solve
from mle_jax.fitting.verdicts import touching
from mle_jax.likelihood.evaluation import sample, total_and_magnitude
from mle_jax.likelihood.programs import quick_program, verb_program
from mle_jax.parameters import Coordinates, Interval, ParameterSpace, Positive, hold_more

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

HIGHER = 1e-6  # log-likelihood units that the point on the boundary may lack: the search stopped as near to it
NEAR = 1e-2  # of the distance from the start to the end: closer than this, an entry may be on its way there
OPEN_ENDED = (Status.rising, Status.not_identified, Status.max_steps, Status.precision_lost, Status.saddle)

_touching = quick_program(touching)  # asked of many lanes, one by one


def on_boundary(
    model: "Model",
    place: Coordinates,
    solution: Solution,
    data: Any,
    weights: Any,
    *,
    tolerance: float,
    max_steps: int,
) -> tuple[Coordinates, Solution]:
    """Look for the maximum on the boundary where the search in the interior found none.

    Returns:
        The coordinates to read the solution in (those on the boundary held), and the solution; both unchanged where
        the maximum is not on a boundary.
    """
    if Status(int(solution.status)) not in OPEN_ENDED:
        return place, solution
    groups = _tied_groups(place)
    ends = _ends_ahead(place.space, np.asarray(place.flat(solution.theta)), np.asarray(place.fixed))
    # A small entry is not yet on its way to zero: those that take part in the climb go first.
    certificate = solution.certificate
    climbing = _touching(place, solution.theta, taking_part(certificate.uphill, certificate.diagonal))
    ends = _with_tied({i: end for i, end in ends.items() if climbing[i]} or ends, groups)
    steps = solution.steps
    while ends:
        at = {i: end for i, (end, _) in ends.items()}
        bound, found, slope = _with_held(model, place, solution, at, data, weights, tolerance, max_steps)
        steps = steps + found.steps
        higher = float(found.log_likelihood) >= float(solution.log_likelihood) - HIGHER
        inward = _pointing_inward(slope, ends, groups)
        if Status(int(found.status)).certified and higher and not inward:
            free = ~np.asarray(bound.fixed) | np.asarray(place.fixed)
            status = jnp.int32(Status.at_boundary.value)
            return bound, found._replace(status=status, reliable=free, steps=steps)
        if not inward:
            break
        ends = {i: end for i, end in ends.items() if i not in inward}
    return place, solution


def beside_an_end(
    model: "Model",
    place: Coordinates,
    solution: Solution,
    data: Any,
    weights: Any,
    *,
    tolerance: float,
    max_steps: int,
) -> Solution:
    """Certify a maximum less than a standard error away from the end of a closed domain.

    It is stationary with a definite information; on the end the log-likelihood is lower and its score points inward;
    a standard error away from the end it has fallen; and with these entries held, the others are certified.
    """
    certificate = solution.certificate
    top = bool(certificate.is_definite) and float(certificate.decrement) < tolerance and certificate.is_dense
    if Status(int(solution.status)) is not Status.rising or not top:
        return solution
    flat, groups = np.asarray(place.flat(solution.theta)), _tied_groups(place)
    ends = _ends_ahead(place.space, flat, np.asarray(place.fixed), np.inf)
    if not ends:  # as in most models
        return solution
    to_flat = np.asarray(place.jacobian(solution.theta))
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond all numbers is near no end
        errors = np.sqrt(np.diag(to_flat @ np.linalg.inv(np.asarray(certificate.information)) @ to_flat.T))
    ends = _with_tied({i: end for i, end in ends.items() if abs(flat[i] - end[0]) < errors[i]}, groups)
    if not ends:
        return solution

    def held(values: dict[int, float]) -> tuple[Coordinates, Solution, np.ndarray]:
        return _with_held(model, place, solution, values, data, weights, tolerance, max_steps)

    top_value = float(solution.log_likelihood)
    _, on_end, slope = held({i: end for i, (end, _) in ends.items()})
    if float(on_end.log_likelihood) > top_value or len(_pointing_inward(slope, ends, groups)) < len(ends):
        return solution
    _, here, _ = held({i: flat[i] for i in ends})
    _, away, _ = held({i: flat[i] - side * errors[i] for i, (_, side) in ends.items()})
    if not Status(int(here.status)).certified or not top_value - float(away.log_likelihood) > LEAST_DROP:
        return solution
    status = jnp.int32(Status.converged.value)
    return solution._replace(status=status, reliable=jnp.ones_like(solution.reliable))


def _with_held(
    model: "Model",
    place: Coordinates,
    solution: Solution,
    values: dict[int, float],
    data: Any,
    weights: Any,
    tolerance: float,
    max_steps: int,
) -> tuple[Coordinates, Solution, np.ndarray]:
    """Fit the others again with some flat entries held; return also the coordinates, and the score of all entries."""
    bound = hold_more(place, {place.space.names[i]: value for i, value in values.items()})
    theta = bound.theta(solution.params)
    found, slope = verb_program(model, _solve_bound)(bound, theta, data, weights, tolerance, max_steps)
    return bound, found, np.asarray(slope)


def _pointing_inward(
    slope: np.ndarray, ends: dict[int, tuple[float, int]], groups: list[dict[int, float]]
) -> list[int]:
    """Return the entries on their ends whose score points inward."""
    # A score of 0/0 at the end itself is replaced by what is known: the log-likelihood rose all the way to it.
    outward = _of_groups(np.nan_to_num(slope, nan=0.0), groups)
    return [i for i, (_, side) in ends.items() if side * outward[i] < 0]


def _solve_bound(
    model: "Model",
    bound: Coordinates,
    theta: Array,
    data: Any,
    weights: Array | None,
    tolerance: Array | float,
    max_steps: Array | int,
) -> tuple[Solution, Array]:
    """Solve with the entries on the boundary held, and return the score of all flat entries there."""
    found = solve(
        model, bound, theta, data, weights, search_again(theta.size), tolerance=tolerance, max_steps=max_steps
    )
    ready = sample(model, data, weights)

    def total(flat: Array) -> Array:
        return total_and_magnitude(model, bound.space.unflatten(flat), ready)[0]

    return found, jax.grad(total)(bound.flat(found.theta))


def _ends_ahead(
    space: ParameterSpace, flat: np.ndarray, fixed: np.ndarray, near: float = NEAR
) -> dict[int, tuple[float, int]]:
    """Return the closed ends that free entries are close to: position -> (end, side), side -1 below and +1 above.

    Close are those at less than `near` times their distance from the start; the closer one if both are.
    """
    ends: dict[int, tuple[float, int]] = {}
    for declaration, part in zip(space.declarations, space.flat_slices, strict=True):
        if not isinstance(declaration, Positive | Interval) or not declaration.closed:
            continue
        start = np.ravel(declaration.default_start())
        limits = [(0.0, -1)] if isinstance(declaration, Positive) else [(declaration.low, -1), (declaration.high, 1)]
        for offset, position in enumerate(range(part.start, part.stop)):
            for end, side in limits:
                distance = abs(flat[position] - end)
                closer = position not in ends or distance < abs(flat[position] - ends[position][0])
                within = distance < near * max(abs(start[offset] - end), np.finfo(float).tiny)
                if within and closer and not fixed[position]:
                    ends[position] = (end, side)
    return ends


def _tied_groups(place: Coordinates) -> list[dict[int, float]]:
    """Group the entries that are tied to each other and have ends: position -> how many times the first it is."""
    space = place.space
    groups: dict[int, dict[int, float]] = {}
    for position, shift, mixing in zip(place.dependent, *_rows_of(place), strict=True):
        if isinstance(space.declarations[space.free_leaf[position]], Positive | Interval):
            first = place.active[int(np.argmax(mixing))]
            group = groups.setdefault(first, {_flat_position(space, first): 1.0})
            group[_flat_position(space, position)] = float(np.exp(shift))
    return list(groups.values())


def _rows_of(place: Coordinates) -> tuple[Any, Any]:
    return (np.asarray(place.shift), np.asarray(place.mixing)) if place.dependent else ((), ())


def _flat_position(space: ParameterSpace, free: int) -> int:
    """Return the place of an entry that stands for itself in the flat vector."""
    leaf = space.free_leaf[free]
    return free - space.free_slices[leaf].start + space.flat_slices[leaf].start


def _with_tied(ends: dict[int, tuple[float, int]], groups: list[dict[int, float]]) -> dict[int, tuple[float, int]]:
    """Add what is tied to an entry on its way to an end: their domains are alike, so they arrive there together."""
    for group in groups:
        ahead = [ends[i] for i in group if i in ends]
        ends = {**ends, **(dict.fromkeys(group, ahead[0]) if ahead else {})}
    return ends


def _of_groups(slope: np.ndarray, groups: list[dict[int, float]]) -> np.ndarray:
    """Put the slope of the common move in place of those of tied entries, which cannot leave the end alone."""
    common = slope.copy()
    for group in groups:
        common[list(group)] = sum(times * slope[i] for i, times in group.items())
    return common
