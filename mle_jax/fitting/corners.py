"""Models with kinks: no derivative certifies their maximum, but a duality gap does.

1 search: the exact solver of the model's closed form, else a first-order method, of which the best point counts;
2 measure the gap, in total log-likelihood, to the exact maximum, where there is one to be had;
3 the decrement is sqrt(2 gap): for a smooth model that is the distance to the top in standard errors.
The expected information tells which parameters the data determine.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._branches import cond_any
from mle_jax._linalg import scaled_eigen
from mle_jax._status import Status
from mle_jax.fitting.certificate import SHARE, Certificate
from mle_jax.fitting.information import expected_free_information, information_factor, is_blurred
from mle_jax.fitting.place import Place
from mle_jax.fitting.rotation import Rotated, basis_of, whitening_basis
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.verdicts import ROUNDING_DECREMENT, Collapse, collapse, reliable_entries
from mle_jax.likelihood.evaluation import log_likelihood
from mle_jax.likelihood.exact import ExactMaximum
from mle_jax.likelihood.loss import loss_objective, loss_scale, to_log_likelihood
from mle_jax.optimizers._loop import NON_FINITE, Run, begin, proceed
from mle_jax.optimizers._protocol import Optimizer

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


def solve_with_corners(
    model: "Model",
    place: Any,
    theta: Array,
    data: Any,
    weights: Array | None,
    optimizer: Optimizer[Any],
    exact: ExactMaximum | None,
    *,
    tolerance: Array | float,
    max_steps: Array | int,
    at_exact: bool = False,
    handwritten: bool = False,
    whiten: bool = False,
    record: int | None = None,
) -> Solution:
    """Search, measure the gap, and judge (the numbers are those of the module's docstring).

    Args:
        model: the model, declared smooth=False.
        place: what the free coordinates mean.
        theta: the start, (k,).
        data: the dataset.
        weights: (n,) or None.
        optimizer: a first-order algorithm.
        exact: the exact maximum, if the model has a closed form for what is free.
        tolerance: of the decrement.
        max_steps: the most steps; 0 judges the start.
        at_exact: the start is that maximum, and no step is taken.
        handwritten: search with the model's handwritten gradient.
        whiten: search in coordinates in which the expected information is the identity.
        record: room for the history, or None.
    """
    # 1
    run = _search(model, place, theta, data, weights, optimizer, max_steps, handwritten, whiten, record)
    scale = loss_scale(model, data, weights)
    total = to_log_likelihood(run.best_value, scale)
    # 2
    rounding = 10 * jnp.finfo(total.dtype).eps * run.state.evaluation.magnitude * scale
    gap = _gap(model, data, weights, exact, total, rounding, at_exact=at_exact)
    # 3
    decrement = jnp.sqrt(2 * gap)
    found = _identification(model, place, run.best_point, data, weights)
    certificate = _certificate(run.best_point, found, decrement)
    lost = collapse(place, run.best_point, run.state.evaluation.magnitude, certificate, scale)
    identified = True if found is None else found.complete
    status = _status(run, lost, gap, rounding, identified=identified, tolerance=tolerance, at_exact=at_exact)
    return Solution(
        params=place.params(run.best_point),
        log_likelihood=total,
        status=status,
        decrement=decrement,
        steps=run.steps,
        theta=run.best_point,
        certificate=certificate,
        reliable=reliable_entries(place, run.best_point, certificate, status),
        edge=_edge(place, exact if at_exact else None),
        trace=run.trace,
    )


def _search(
    model: "Model",
    place: Any,
    theta: Array,
    data: Any,
    weights: Array | None,
    optimizer: Optimizer[Any],
    max_steps: Array | int,
    handwritten: bool,
    whiten: bool,
    record: int | None,
) -> Run:
    """Take all the steps; points are in the coordinates of `place` whatever the search was done in."""
    seen: Any = place
    if whiten:
        seen = Rotated(place, theta, whitening_basis(expected_free_information(model, place, theta, data, weights)))
        theta = jnp.zeros_like(theta)
    objective = loss_objective(model, seen, data, weights=weights, handwritten=handwritten)
    first = begin(objective, optimizer, theta, record=record)
    run = proceed(objective, optimizer, first, max_steps=max_steps)
    if not whiten:
        return run
    trace = run.trace
    if trace is not None:
        trace = trace._replace(point=jax.vmap(seen.original)(trace.point))
    return run._replace(best_point=seen.original(run.best_point), trace=trace)


def _gap(
    model: "Model",
    data: Any,
    weights: Array | None,
    exact: ExactMaximum | None,
    total: Array,
    rounding: Array,
    *,
    at_exact: bool,
) -> Array:
    """Return what the total log-likelihood lacks to its maximum, at most; NaN where nobody knows."""
    if exact is None:
        return jnp.full_like(total, jnp.nan)
    own = jnp.asarray(exact.gap, total.dtype)
    if at_exact:
        return own
    missing = log_likelihood(model, exact.params, data, weights) - total
    return own + jnp.where(missing > rounding, missing, 0.0)


class Identification(NamedTuple):
    """What the expected information says about which parameters the data determine."""

    information: Array  # (k, k)
    smallest: Array  # () eigenvalue of the matrix scaled by its diagonal
    weakest: Array  # (k,) the combination about which it says least
    undetermined: Array  # (k,) bool: takes part in a combination about which it says nothing
    complete: Array  # () bool: there is no such combination


def _identification(
    model: "Model", place: Place, point: Array, data: Any, weights: Array | None
) -> Identification | None:
    """Judge by the matrix, and where that is singular to half of its digits by its factor; None without either."""
    size = point.size
    if model.expected_information is None or not size:
        return None
    information = expected_free_information(model, place, point, data, weights)
    # A matrix that is not finite has no eigenvectors; the status then says why it is not.
    eigen = scaled_eigen(jnp.where(jnp.isfinite(information), information, 0.0))
    undetermined = jnp.any(jnp.abs(eigen.vectors) * (eigen.values <= eigen.floor) > SHARE, axis=1)
    complete = eigen.smallest > eigen.floor
    by_matrix = Identification(information, eigen.smallest, eigen.vectors[:, 0] / eigen.scale, undetermined, complete)
    if model.is_joint:
        return by_matrix

    def by_factor(place: Place, point: Array, information: Array, data: Any, weights: Array | None) -> Identification:
        basis = basis_of(information_factor(model, place, point, data, weights))
        return Identification(
            information, basis.smallest**2, basis.weakest, basis.undetermined, jnp.all(basis.determined)
        )

    return cond_any(is_blurred(information), by_factor, by_matrix, place, point, information, data, weights)


def _certificate(point: Array, found: Identification | None, decrement: Array) -> Certificate:
    """Put the expected information in the place of the observed one, which says nothing at a kink."""
    size, dtype = point.size, point.dtype
    unknown, line = jnp.asarray(jnp.inf, dtype), jnp.zeros(size, dtype)
    if found is None:
        nan = jnp.asarray(jnp.nan, dtype)
        blank = jnp.zeros(size, bool)
        found = Identification(jnp.full((size, size), nan), nan, jnp.full(size, nan), blank, jnp.asarray(True))
    return Certificate(
        decrement=decrement,
        smallest_eigenvalue=found.smallest,
        drop=unknown,
        error=jnp.zeros((), dtype),
        information=found.information,
        diagonal=jnp.diagonal(found.information),
        step=line,
        uphill=line,
        uphill_drop=unknown,
        weakest=found.weakest,
        sound=jnp.asarray(True),
        unsound=line,
        fading=jnp.zeros(size, bool),
        informed_decrement=decrement,
        directions=jnp.zeros((size, size), dtype),
        signs=line,
        flat=jnp.asarray(True),
        undetermined=found.undetermined,
        rise=-unknown,
        higher=line,
        growth=jnp.zeros((), dtype),
    )


def _status(
    run: Run,
    lost: Collapse,
    gap: Array,
    rounding: Array,
    *,
    identified: Array | bool,
    tolerance: Array | float,
    at_exact: bool,
) -> Array:
    """Return the status as an int32 scalar; the first line that applies counts."""
    decrement = jnp.sqrt(2 * gap)
    near = decrement < tolerance
    # Of a vertex that is proved only the last digits of the parameters are in doubt: do they matter?
    coarse = lost.last_digits > ROUNDING_DECREMENT
    cases = [
        (lost.surely | (lost.vanished & ~(near & lost.measured)), Status.scale_collapsed),
        ((run.outcome == NON_FINITE) | ~jnp.isfinite(run.best_value), Status.non_finite),
        (jnp.isnan(gap), Status.uncertified),
        (~jnp.asarray(identified), Status.not_identified),
        (near & ~coarse, Status.converged),
        (near | ((gap <= rounding) & (decrement < ROUNDING_DECREMENT)), Status.converged_to_rounding),
    ]
    codes = [jnp.int32(status.value) for _, status in cases]
    otherwise = Status.precision_lost if at_exact else Status.max_steps
    return jnp.select([condition for condition, _ in cases], codes, jnp.int32(otherwise.value))


def _edge(place: Place, exact: ExactMaximum | None) -> Array:
    """Return the move from the exact maximizer to another one; it says nothing at other points."""
    if exact is None or exact.edge is None:
        return jnp.zeros(len(place.fixed))
    return place.space.flatten(exact.edge)
