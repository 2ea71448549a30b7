"""The sentence that goes with a status, in the user's names of parameters and rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._precision import in_float64
from mle_jax._status import Status
from mle_jax._text import listing, significant
from mle_jax.fitting.certificate import SHARE
from mle_jax.fitting.climbers import Climbers, climbing_rows
from mle_jax.fitting.edges import Edged
from mle_jax.fitting.rotation import declared
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.terrain import stopping_rows, terrain_around
from mle_jax.fitting.unbounded import another_growth
from mle_jax.likelihood.evaluation import contributions, sample, theta_scores
from mle_jax.likelihood.layout import count_rows
from mle_jax.likelihood.programs import verb_program
from mle_jax.parameters import Coordinates, Covariance, Interval, Positive, Real

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

MOST_ROWS = 5
MOST_NAMES = 40  # of a combination that are all listed
NAMES_OF_MANY = 10  # of a longer one: the largest parts
EPS = float(np.finfo(np.float64).eps)
BENT_UP = 3.0  # growth: 2 of a straight line, 4 of a square
GIVEN_TEXT = "The point given is not a certified maximum; nothing was optimized."


@in_float64  # results of groups are put into words when somebody asks
def diagnose(model: "Model", place: Any, solution: Solution, data: Any, weights: Any, *, given: bool = False) -> str:
    """Say how a fit ended: the status in words, and which parameters and rows it is about.

    Args:
        model: the model.
        place: what the free coordinates mean.
        solution: where the search arrived.
        data: the dataset.
        weights: (n,) or None.
        given: the point was given and not sought.
    """
    status = Status(int(solution.status))
    details = {
        Status.converged: _stretch,
        Status.converged_to_rounding: _stretch,
        Status.max_steps: _distance,
        Status.precision_lost: _precision,
        Status.rising: _rising,
        Status.not_identified: _unidentified,
        Status.non_finite: _non_finite,
        Status.saddle: _saddle,
        Status.scale_collapsed: _collapsed,
        Status.at_boundary: _on_boundary,
    }
    if status not in details:
        return status.text
    if status is Status.rising and float(solution.certificate.growth):
        return _endless(place, solution)
    detail = details[status](model, place, solution, data, weights)
    if status is Status.max_steps:
        lead = GIVEN_TEXT if given else f"{status.text} {int(solution.steps)} steps were taken."
        return f"{lead} {detail}"
    return f"{status.text} {detail}".strip()


def combination(direction: np.ndarray, names: Sequence[str], sizes: np.ndarray, *, coefficients: bool = False) -> str:
    """Write a direction as signed names: ``+w[1] -w[2]``, the small parts left out.

    Args:
        direction: (k,).
        names: k names.
        sizes: (k,) the size of each part in comparable units.
        coefficients: tell them too, to two digits of the largest, where they differ: ``+0.5 w[1] -w[2]``.
    """
    order = np.argsort(-np.round(sizes / sizes.max(), 6), kind="stable")  # equal ones in their own order
    parts = [i for i in order if sizes[i] > SHARE * sizes.max()]
    shown = parts if len(parts) <= MOST_NAMES else parts[:NAMES_OF_MANY]
    largest = np.max(np.abs(direction[shown]), initial=np.finfo(float).tiny)
    shares = {i: significant(abs(direction[i]) / largest, 2) for i in shown}
    told = {i: f"{share} " if coefficients and float(share) != 1 else "" for i, share in shares.items()}
    named = " ".join(f"{'+' if direction[i] > 0 else '-'}{told[i]}{names[i]}" for i in sorted(shown))
    return named if shown is parts else f"{named} and {len(parts) - len(shown)} more"


def _names(place: Any) -> tuple[str, ...]:
    return tuple(getattr(place, "base", place).names)


def _in_original(place: Any, direction: np.ndarray) -> np.ndarray:
    """Express a direction of rotated coordinates in the original ones."""
    return np.asarray(place.basis) @ direction if hasattr(place, "basis") else direction


def _sizes(place: Any, solution: Solution, direction: np.ndarray) -> np.ndarray:
    if hasattr(place, "basis"):
        return np.abs(direction)
    sizes = np.abs(direction) * np.sqrt(np.abs(np.asarray(solution.certificate.diagonal)))
    return sizes if np.any(sizes > 0) else np.abs(direction)


def _stretch(model: Any, place: Any, solution: Solution, data: Any, weights: Any) -> str:
    """Say from where to where the maximum reaches, where it is not a single point."""
    edge = np.asarray(solution.edge)
    if not np.any(edge):
        return ""
    flat = np.asarray(place.flat(solution.theta))
    changes = [
        f"{place.space.names[i]} from {significant(flat[i], 6)} to {significant(flat[i] + edge[i], 6)}"
        for i in np.flatnonzero(np.abs(edge) > SHARE * np.abs(edge).max())
    ]
    return f"It is not unique: the log-likelihood is the same, for one, all the way {' and '.join(changes)}."


def _distance(model: Any, place: Any, solution: Solution, data: Any, weights: Any) -> str:
    decrement = float(solution.decrement)
    if bool(solution.certificate.is_undecided):
        return _undecided(solution)
    if not model.smooth and np.isfinite(decrement):
        lack = decrement**2 / 2
        return f"The log-likelihood there is {significant(lack, 2)} below its exact maximum."
    if np.isfinite(decrement):
        return f"By the curvature there, the maximum is about {significant(decrement, 2)} standard errors away."
    return "The information is not positive definite there."


def _undecided(solution: Solution) -> str:
    certificate = solution.certificate
    smallest = significant(float(certificate.smallest_eigenvalue), 2)
    error = significant(float(certificate.error), 2)
    return (
        "Lanczos' method has left open whether the information is positive definite: on the scale of its diagonal the "
        f"smallest eigenvalue is at most {smallest}, and there is one within {error} of that."
    )


def _precision(model: Any, place: Any, solution: Solution, data: Any, weights: Any) -> str:
    blocked = _blocked(model, place, solution, data, weights)
    if blocked or not model.smooth or bool(solution.certificate.sound):
        return blocked or _distance(model, place, solution, data, weights)
    direction = _in_original(place, np.asarray(solution.certificate.unsound))
    along = combination(direction, _names(place), _sizes(place, solution, direction))
    return (
        f"The second derivatives along {along} are not those of the log-likelihood: either they are rounding "
        "errors, as where a parameter runs to the end of its domain, or the log density has a kink there (declare "
        "smooth=False)."
    )


def _blocked(model: Any, place: Any, solution: Solution, data: Any, weights: Any) -> str:
    """Say which rows stop the search because their log density is not finite a little further uphill."""
    if not model.smooth or not isinstance(place, Coordinates):
        return ""
    terrain = terrain_around(model, place, solution, data, weights)
    if terrain is None:
        return ""
    point = np.asarray(solution.theta) / terrain.unit
    ahead = terrain.scores(point).sum(axis=0)
    rows = np.array(stopping_rows(terrain, point, ahead), int)
    if rows.size == 0:
        return ""
    along = combination(ahead * terrain.unit, _names(place), np.abs(ahead))
    where = _rows("it is not finite in", rows)
    return (
        f"The log-likelihood rises along {along}, but just ahead {where} Either their log densities end there, or "
        "they overflow: write them so that they stay finite (log_sigmoid or logaddexp in place of a logarithm of what "
        "can round to 0)."
    )


def _saddle(model: Any, place: Any, solution: Solution, data: Any, weights: Any) -> str:
    direction = _in_original(place, np.asarray(solution.certificate.weakest))
    along = combination(direction, _names(place), _sizes(place, solution, direction))
    return f"The log-likelihood rises along {along}, forth and back{_eigenvalue(solution)}."


def _rising(model: "Model", place: Any, solution: Solution, data: Any, weights: Any) -> str:
    certificate = solution.certificate
    uphill, weakest = np.asarray(certificate.uphill), np.asarray(certificate.weakest)
    known = bool(np.any(uphill))
    # In standard errors a direction to infinity is endless; a Newton step along it is about one unit.
    move = float(certificate.informed_decrement) * uphill if known else weakest
    direction = _in_original(place, move)
    sizes = _sizes(place, solution, direction)
    along = combination(direction, _names(place), sizes)
    main = np.where(sizes > SHARE * sizes.max(), direction, 0.0)
    sentence = f"It rises along {along}.{_open_ends(place, solution.theta, main)}"
    if model.is_joint:
        return sentence
    there, theta = declared(place, solution.theta)
    found = climbing_rows(model, there, theta, main, data, weights)
    if found.rows.size == 0:
        return sentence
    surprise = ""
    if found.unopposed and found.rows.size == count_rows(model, data) > 1 and _only(place, main, Positive | Covariance):
        surprise = " If that is a surprise: is a term missing from the log density?"
    return f"{sentence} {_climbers(found, count_rows(model, data))}{surprise}"


def _endless(place: Coordinates, solution: Solution) -> str:
    """Say along what the log-likelihood grows without bound, and what is likely to be wrong with the log density."""
    direction = np.asarray(solution.certificate.uphill)
    along = combination(direction, place.names, np.abs(direction))
    found = f"The log-likelihood grows without bound along {along}: there is no maximum."
    # A logarithm bends what is a straight line in the parameter itself.
    if _only(place, direction, Real) and float(solution.certificate.growth) > BENT_UP:
        return f"{found} It even bends upward, as the negative of a log density does: is its sign right?"
    return (
        f"{found} Is a sign wrong in the log density, or a term missing? If neither, the model fits some of the data "
        "perfectly."
    )


def _only(place: Any, direction: np.ndarray, kind: Any) -> bool:
    """Say whether all that takes part in a direction was declared so, as one of these kinds."""
    return all(isinstance(one, kind) for (_, one), part in zip(_declarations(place), direction, strict=True) if part)


def _declarations(place: Any) -> list[tuple[str, Any]]:
    """Return the parameter that every coordinate belongs to, its name and declaration."""
    moving = getattr(place, "base", place)  # before any rotation
    leaves = [moving.space.free_leaf[i] for i in moving.active]
    return [(moving.space.leaf_names[leaf], moving.space.declarations[leaf]) for leaf in leaves]


def _climbers(found: Climbers, rows: int) -> str:
    named = f"all {rows} rows" if 1 < found.rows.size == rows else _rows("", found.rows).strip().rstrip(".")
    if not found.unopposed:
        return f"It comes from {named}: their log densities rise along it by more than those of the others fall."
    one = found.rows.size == 1
    verb, whose = ("is", "its log density rises") if one else ("are", "their log densities rise")
    return f"{named[0].upper()}{named[1:]} {verb} separated: {whose} along it, and no row's falls."


def _open_ends(place: Any, theta: Any, direction: np.ndarray) -> str:
    """Say which of the parameters that climb could be declared closed."""
    there, at = declared(place, theta)
    start = np.asarray(there.theta(there.space.default_start()))
    # A maximum beside an end seems to be a climb away from it.
    toward_low = (direction < 0) | (np.asarray(at) < start)
    ends = [
        name
        for (name, declaration), low, part in zip(_declarations(place), toward_low, direction, strict=True)
        if part and (isinstance(declaration, Interval) or (isinstance(declaration, Positive) and low))
        if not declaration.closed
    ]
    if not ends:
        return ""
    names = listing(list(dict.fromkeys(ends)))
    return f" If the end of the domain of {names} is an allowed value, declare it with closed=True."


def _unidentified(model: Any, place: Any, solution: Solution, data: Any, weights: Any) -> str:
    direction = _in_original(place, np.asarray(solution.certificate.weakest))
    sizes = np.abs(direction) if model.smooth else _sizes(place, solution, direction)
    taking_part = np.flatnonzero(sizes > SHARE * np.max(sizes, initial=0.0))
    direction = direction * (-1.0 if taking_part.size and direction[taking_part[0]] < 0 else 1.0)  # it has no sign
    return (
        f"The combination is {combination(direction, _names(place), sizes, coefficients=True)}{_eigenvalue(solution)}."
    )


def _eigenvalue(solution: Solution) -> str:
    smallest = float(solution.certificate.smallest_eigenvalue)
    return f" (eigenvalue of the scaled information: {significant(smallest, 2)})" if np.isfinite(smallest) else ""


def _collapsed(model: Any, place: Any, solution: Solution, data: Any, weights: Any) -> str:
    """Name the scales that have left all ordinary values, with the rows that these fit alone; else all scales."""
    space, flat = place.space, np.asarray(place.flat(solution.theta))
    declared_positive = [
        (d, part) for d, part in zip(space.declarations, space.flat_slices, strict=True) if _is_scale(d)
    ]
    scales = [i for _, part in declared_positive for i in range(part.start, part.stop) if not place.fixed[i]]
    extreme = [i for i in scales if flat[i] < EPS] or [i for i in scales if flat[i] > 1 / EPS]
    shown = [f"'{space.names[i]}' = {significant(flat[i], 2)}" for i in extreme or scales]
    look = f"Look at {', '.join(shown)}."
    at = np.asarray(solution.theta)
    direction = another_growth(model, place, at, data, weights) if isinstance(place, Coordinates) else None
    if direction is None:
        return f"The model fits these data perfectly. {look}"
    along = combination(direction, place.names, np.abs(direction))
    return f"{look} It grows without bound along {along}, too: is the sign of the log density right?"


def _is_scale(declaration: Any) -> bool:
    return isinstance(declaration, Positive)


def _on_boundary(model: Any, place: Any, solution: Solution, data: Any, weights: Any) -> str:
    names = [name for name, holds in zip(place.space.names, np.asarray(solution.reliable), strict=True) if not holds]
    if not isinstance(place, Edged):
        return f"On it: {listing(names)}."
    edge = _rows("Beyond it the log-likelihood is not finite because of", np.asarray(place.rows))
    return f"{edge} On it: {listing(names)}."


def _non_finite(model: "Model", place: Any, solution: Solution, data: Any, weights: Any) -> str:
    """Name the rows whose contribution is not finite, and the parameters whose score is not."""
    if model.is_joint:
        return f"This happened at {_point(place, solution)}."
    if weights is not None and not np.any(np.asarray(weights) > 0):
        return "All weights are 0, so there is no observation."
    values = np.asarray(verb_program(model, contributions)(place.params(solution.theta), data, weights))
    rows = np.flatnonzero(~np.isfinite(values))
    scores = np.asarray(verb_program(model, _scores)(place, solution.theta, data, weights))
    columns = np.flatnonzero(~np.isfinite(scores).all(axis=0))
    found = [_rows(f"The contribution is {values[rows[0]]} in", rows)] if rows.size else []
    if np.isneginf(values[rows]).any():
        found.append("To the model -inf is impossible data: look there for values outside its support.")
    if columns.size:
        found.append(f"The derivative is not finite for {listing([_names(place)[i] for i in columns])}.")
    if not found:
        found.append("A step led to values that are not finite; a smaller learning rate may help.")
    return " ".join([*found, f"This happened at {_point(place, solution)}."])


def _scores(model: "Model", place: Any, theta: Any, data: Any, weights: Any) -> Any:
    return theta_scores(model, place, theta, sample(model, data, weights))


def _point(place: Any, solution: Solution) -> str:
    flat = np.asarray(place.flat(solution.theta))
    shown = [f"{name} = {significant(value, 4)}" for name, value in zip(place.space.names, flat, strict=True)]
    return ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")


def _rows(lead: str, rows: np.ndarray) -> str:
    if rows.size == 0:
        return ""
    numbers = ", ".join(str(row) for row in rows[:MOST_ROWS])
    more = f" and {rows.size - MOST_ROWS} more" if rows.size > MOST_ROWS else ""
    return f"{lead} row{'s' if rows.size > 1 else ''} {numbers}{more} (counted from 0)."
