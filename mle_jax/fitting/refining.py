"""The second look at a nearly singular problem: rotate, differentiate again, and tell precision from identification."""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._linalg import rounding_floor
from mle_jax._status import Status
from mle_jax.fitting import by_products
from mle_jax.fitting.boundary import OPEN_ENDED, beside_an_end, on_boundary
from mle_jax.fitting.certificate import LEAST_DROP, Certificate, is_sound_nearby
from mle_jax.fitting.edges import on_edge
from mle_jax.fitting.elsewhere import begin_at_better_scale, begin_elsewhere, beside_higher_ground, climb_on, draw_back
from mle_jax.fitting.rotation import Rotated, ScoreBasis, score_basis
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.solving import solve
from mle_jax.fitting.unbounded import grows_without_bound
from mle_jax.fitting.verdicts import ROUNDING_DECREMENT, touching
from mle_jax.likelihood.loss import loss_objective, loss_scale
from mle_jax.likelihood.programs import verb_program
from mle_jax.optimizers import Newton
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

ROUNDS = 4
LOST = 10.0  # rounding units of the scaled scores, over their smallest singular value: what the score may be off by
SECOND_LOOK = (
    Status.converged,
    Status.converged_to_rounding,
    Status.precision_lost,
    Status.not_identified,
    Status.saddle,
    Status.max_steps,
)


def second_look(
    model: "Model",
    place: Coordinates,
    solution: Solution,
    data: Any,
    weights: Any,
    *,
    tolerance: float,
    max_steps: int,
    start_given: bool = True,
) -> tuple[Any, Solution]:
    """Look again where the search in the interior and in the declared coordinates did not settle the matter.

    Args:
        model: a smooth model.
        place: the free coordinates.
        solution: where the search arrived.
        data: the dataset.
        weights: (n,) or None.
        tolerance: of the decrement.
        max_steps: the most steps.
        start_given: somebody chose the start, which is then not replaced, neither at a NaN nor where it is far away.

    Returns:
        The coordinates to read the solution in, and the solution.
    """
    seen: Any
    first, problem = solution, (data, weights)
    limits: dict[str, Any] = {"tolerance": tolerance, "max_steps": max_steps}
    solution = begin_elsewhere(model, place, solution, *problem, start_given=start_given, **limits)
    tried = Status(int(solution.status)) is Status.max_steps
    solution = begin_at_better_scale(model, place, solution, *problem, start_given=start_given, **limits)
    solution = draw_back(model, place, solution, *problem)
    solution = climb_on(model, place, solution, *problem, **limits)
    nearer = look_nearer(model, place, solution, *problem, tolerance=tolerance)
    if nearer is not solution:
        return place, nearer
    seen, found = on_boundary(model, place, solution, *problem, **limits)
    if seen is place:
        beside = beside_an_end(model, place, solution, *problem, **limits)
        if beside is not solution:
            return place, beside
        seen, found = on_edge(model, place, solution, *problem, **limits)
    if seen is place:
        seen, found = refine(model, place, solution, *problem, **limits)
        found = look_nearer(model, seen, found, *problem, tolerance=tolerance)
    if not tried:
        # A saddle that was left, or a valley, may have been on the way from a start that is far away.
        better = begin_at_better_scale(model, place, found, *problem, start_given=start_given, **limits)
        if better is not found:
            seen, found = refine(model, place, better, *problem, **limits)
    endless = grows_without_bound(model, place, seen, found, *problem, tolerance=tolerance)
    if endless is not found:
        seen, found = place, endless
    if found is solution:
        return place, solution
    # The history stays that of the first search, whose coordinates were the declared ones.
    return seen, found._replace(trace=first.trace)


def look_nearer(
    model: "Model", place: Any, solution: Solution, data: Any, weights: Any, *, tolerance: float
) -> Solution:
    """Judge again by a smaller neighborhood where all that is missing is that the curvature holds at a distance."""
    certificate = solution.certificate
    lacks_it = Status(int(solution.status)) is Status.precision_lost and not bool(certificate.sound)
    if not (lacks_it and bool(certificate.is_definite) and bool(certificate.drops)):
        return solution
    near = float(certificate.decrement) < tolerance
    if not near and not float(certificate.informed_decrement) < ROUNDING_DECREMENT:
        return solution
    if not verb_program(model, _is_sound_nearby)(place, solution.theta, certificate, data, weights):
        return solution
    status = Status.converged if near else Status.converged_to_rounding
    return solution._replace(
        status=jnp.int32(status.value),
        certificate=certificate._replace(sound=jnp.asarray(True), fading=jnp.zeros_like(certificate.fading)),
        reliable=jnp.ones_like(solution.reliable),
    )


def _is_sound_nearby(
    model: "Model", place: Any, theta: Array, certificate: Certificate, data: Any, weights: Array | None
) -> Array:
    objective = loss_objective(model, place, data, weights=weights)
    sound_nearby = is_sound_nearby if certificate.is_dense else by_products.is_sound_nearby
    return sound_nearby(objective, objective.with_gradient(theta), certificate, loss_scale(model, data, weights))


def needs_second_look(found: Solution, place: Coordinates) -> np.ndarray:
    """Say for each of many solutions (NumPy, stacked) whether a second look could change its verdict, bool (B,)."""
    status, certificate = np.asarray(found.status), found.certificate
    closed = any(getattr(declaration, "closed", False) for declaration in place.space.declarations)
    on_boundary_perhaps = np.isin(status, [int(s) for s in OPEN_ENDED]) & closed
    bent_perhaps = (status == int(Status.precision_lost)) & ~np.asarray(certificate.sound)
    unclear = _is_unclear(status, np.asarray(certificate.smallest_eigenvalue), place.size)
    return on_boundary_perhaps | bent_perhaps | unclear | beside_higher_ground(found)


def _is_unclear(status: np.ndarray, smallest_eigenvalue: np.ndarray, size: int) -> np.ndarray:
    """Say where the smallest scaled eigenvalue is below k sqrt(eps), and so has lost half of its digits."""
    limit = size * float(np.sqrt(np.finfo(np.float64).eps))
    return np.isin(status, [int(s) for s in SECOND_LOOK]) & ~(np.asarray(smallest_eigenvalue) >= limit)  # or NaN


def refine(
    model: "Model",
    place: Any,
    solution: Solution,
    data: Any,
    weights: Any,
    *,
    tolerance: float,
    max_steps: int,
) -> tuple[Any, Solution]:
    """Solve again in rotated coordinates where the scaled information is singular to half the digits.

    Needs the scores of the rows; a joint model without contributions is judged by its Hessian alone.

    Returns:
        The coordinates to read the solution in, and the solution.
    """
    size = place.size
    # A search that crept along a valley which it could not see has used up its steps: a tenth of them is for this.
    left = max(max_steps - int(solution.steps), max_steps // 10)
    unclear = _is_unclear(np.asarray(solution.status), np.asarray(solution.certificate.smallest_eigenvalue), size)
    if size == 0 or left <= 0 or model.is_joint or not unclear or not solution.certificate.is_dense:
        return place, solution
    seen, best, origin = place, solution, solution.theta
    for _ in range(ROUNDS):
        found, basis = verb_program(model, _solve_rotated)(place, origin, data, weights, tolerance, left)
        if float(basis.smallest) < rounding_floor(size, np.dtype(np.float64)):
            return place, solution if _has_lost_digits(solution) else _not_identified(place, solution, basis)
        rotated = Rotated(place, origin, basis.basis)
        found = found._replace(steps=found.steps + best.steps)
        if float(found.log_likelihood) < float(best.log_likelihood) and not _certified(found):
            break
        seen, best, origin = rotated, found, rotated.original(found.theta)
        left = max(max_steps - int(found.steps), max_steps // 10)
        if _certified(found):
            best = _to_rounding(found, float(basis.smallest), tolerance)
            break
    return seen, best


def _to_rounding(found: Solution, smallest: float, tolerance: float) -> Solution:
    """Say that the maximum was found to rounding where the tolerance is less than what rounding may hide.

    The sums of the scaled scores are off by some rounding units. In a basis in which the outer product of the scores is
    the identity these are divided by the smallest singular value: so many standard errors may the decrement be off.
    """
    blur = LOST * float(np.finfo(np.float64).eps) / smallest
    if blur <= tolerance:
        return found
    status = jnp.int32(Status.converged_to_rounding.value)
    # Near the end of what can be told apart the bound is far too large: 18 fits were 10 to 300 times nearer.
    return found._replace(status=status, decrement=jnp.maximum(found.decrement, min(blur, ROUNDING_DECREMENT)))


def _certified(solution: Solution) -> bool:
    return Status(int(solution.status)).certified


def _solve_rotated(
    model: "Model",
    place: Any,
    theta: Array,
    data: Any,
    weights: Array | None,
    tolerance: Array | float,
    max_steps: Array | int,
) -> tuple[Solution, ScoreBasis]:
    basis = score_basis(model, place, theta, data, weights)
    rotated = Rotated(place, theta, basis.basis)
    start = jnp.zeros_like(theta)
    solution = solve(model, rotated, start, data, weights, Newton(), tolerance=tolerance, max_steps=max_steps)
    return solution, basis


def _has_lost_digits(solution: Solution) -> bool:
    """Say whether the derivatives are rounding errors, so that scores of 0 say nothing: curved up, and not so."""
    lost, certificate = Status(int(solution.status)) is Status.precision_lost, solution.certificate
    curved_up = float(certificate.smallest_eigenvalue) < -float(np.sqrt(np.finfo(np.float64).eps))
    return lost and curved_up and not bool(certificate.sound)


def _not_identified(place: Any, solution: Solution, basis: ScoreBasis) -> Solution:
    """State the verdict with the combination that the scores do not determine."""
    # Where the log-likelihood also rises toward infinity, the scores say too little about what still holds.
    top = bool(solution.certificate.flat) and float(solution.certificate.uphill_drop) > LEAST_DROP
    touched = touching(place, solution.theta, basis.undetermined) if top else jnp.ones(len(place.fixed), bool)
    return solution._replace(
        status=jnp.int32(Status.not_identified.value),
        certificate=solution.certificate._replace(weakest=basis.weakest),
        reliable=~touched,
        decrement=jnp.asarray(np.nan),
    )
