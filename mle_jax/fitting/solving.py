"""From a start to a certified `Solution`: the traceable middle of every fit.

1 build the loss; 2 search; 3 certify; 4 say how it ended; 5 polish a certified maximum by one more full Newton step,
kept if the log-likelihood does not fall (8 digits become 13); 6 return to named parameters.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._objective import Evaluation, Objective
from mle_jax._status import Status
from mle_jax.fitting.certificate import Certificate, certify, curve
from mle_jax.fitting.climbing import search, stalled
from mle_jax.fitting.place import Place
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.verdicts import Collapse, reliable_entries, verdict
from mle_jax.likelihood.loss import loss_objective, loss_scale, to_log_likelihood
from mle_jax.optimizers._loop import NON_FINITE, Run
from mle_jax.optimizers._protocol import Optimizer
from mle_jax.parameters import Positive

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

ORDINARY = 1e5  # mean absolute contribution; log(1e-308) is -709, a row may have many parts
COLLAPSED = 450  # times eps: a relative standard error below this (1e-13) is known better than it can be computed


def solve(
    model: "Model",
    coordinates: Place,
    theta: Array,
    data: Any,
    weights: Array | None,
    optimizer: Optimizer[Any],
    *,
    tolerance: Array | float,
    max_steps: Array | int,
    handwritten: bool = False,
    record: int | None = None,
    polish: bool = True,
) -> Solution:
    """Search, certify, judge and polish (the numbers are those of the module's docstring).

    Args:
        model: the model.
        coordinates: what the free coordinates mean.
        theta: the start, (k,).
        data: the dataset.
        weights: (n,) or None.
        optimizer: the algorithm.
        tolerance: of the decrement, in standard errors.
        max_steps: the most steps; 0 evaluates the start.
        handwritten: search with the model's handwritten gradient.
        record: room for the history, or None.
        polish: take the last step 5.
    """
    # 1
    objective = loss_objective(model, coordinates, data, weights=weights, handwritten=handwritten)
    scale = loss_scale(model, data, weights)
    # 2
    run = search(
        objective,
        optimizer,
        theta,
        scale=scale,
        tolerance=tolerance,
        max_steps=max_steps,
        smooth=model.smooth,
        record=record,
    )
    if not model.smooth:
        return _unsmooth(coordinates, run, scale)
    # 3: by automatic differentiation, whatever drove the search
    objective = objective._replace(gradient=None)
    here = _with_hessian(objective, run, fresh=handwritten)
    certificate = certify(objective, here, scale)
    # 4
    status = _status(coordinates, run, here, certificate, tolerance)
    # 5
    if polish and theta.size:
        certified = (status == Status.converged) | (status == Status.converged_to_rounding)
        here, certificate = _polished(objective, here, certificate, scale, allowed=certified)
    # 6
    return Solution(
        params=coordinates.params(here.point),
        log_likelihood=to_log_likelihood(here.value, scale),
        status=status,
        decrement=jnp.where(certificate.is_definite, certificate.decrement, jnp.nan),
        steps=run.steps,
        theta=here.point,
        certificate=certificate,
        reliable=reliable_entries(coordinates, here.point, certificate, status),
        trace=run.trace,
    )


def _status(
    coordinates: Place, run: Run, here: Evaluation, certificate: Certificate, tolerance: Array | float
) -> Array:
    finite = here.is_finite & jnp.all(jnp.isfinite(here.hessian)) & (run.outcome != NON_FINITE)
    return verdict(
        certificate,
        tolerance=tolerance,
        finite=finite,
        stalled=stalled(run),
        collapsed=_collapse(coordinates, here, certificate),
    )


def _with_hessian(objective: Objective, run: Run, *, fresh: bool) -> Evaluation:
    """Evaluate the derivatives at the final point, unless the optimizer carries all of them."""
    here: Evaluation = run.state.evaluation
    complete = here.hessian.size == here.point.size**2
    return here if complete and not fresh else objective.with_hessian(here.point)


def _polished(
    objective: Objective, here: Evaluation, certificate: Certificate, scale: Array | int, *, allowed: Array
) -> tuple[Evaluation, Certificate]:
    trial = objective.with_hessian(here.point + certificate.step)
    measured = {name: getattr(certificate, name) for name in ("drop", "uphill_drop", "flat", "sound", "unsound")}
    after = curve(trial, scale)._replace(**measured)
    rounding = 10 * jnp.finfo(here.point.dtype).eps * here.magnitude
    keeps_height = trial.is_finite & (trial.value <= here.value + rounding)
    kept = allowed & keeps_height & after.is_definite & (after.decrement <= certificate.decrement)
    choose = lambda new, old: jnp.where(kept, new, old)  # noqa: E731 - a select, not a function worth a name
    return jax.tree_util.tree_map(choose, (trial, after), (here, certificate))


def _collapse(coordinates: Place, here: Evaluation, certificate: Certificate) -> Collapse:
    """Look for a scale parameter that has shrunk to nothing."""
    declarations = coordinates.space.declarations
    scales = [isinstance(d, Positive) and not d.closed for d in declarations for _ in range(d.flat_size)]
    free = ~np.asarray(coordinates.fixed, bool)
    is_scale = np.asarray(scales, bool) & free
    if not is_scale.any() or not here.point.size:
        return Collapse(jnp.asarray(False), jnp.asarray(False))
    flat = coordinates.flat(here.point)
    eps = jnp.finfo(flat.dtype).eps
    # Standard errors with all other coordinates held, which need no positive definite information.
    held = 1.0 / jnp.sqrt(jnp.abs(jnp.diagonal(certificate.information)))
    errors = jnp.max(jnp.abs(coordinates.jacobian(here.point)) * jnp.where(jnp.isfinite(held), held, 0.0), axis=1)
    too_exact = free & (errors > 0) & (errors < COLLAPSED * eps * jnp.abs(flat))
    # Log densities are of the size of logarithms: far larger ones belong to a lost search, not to a perfect fit.
    ordinary = here.magnitude < ORDINARY
    return Collapse(ordinary & jnp.any(too_exact), ordinary & jnp.any(is_scale & (flat < eps**2)))


def _unsmooth(coordinates: Place, run: Run, scale: Array | int) -> Solution:
    """Report the best point seen: without an exact solver nothing about it can be certified."""
    size, dtype = run.best_point.size, run.best_point.dtype
    unknown = jnp.asarray(jnp.nan, dtype)
    line = jnp.full(size, jnp.nan, dtype)
    status = jnp.where(run.outcome == NON_FINITE, Status.non_finite, Status.uncertified).astype(jnp.int32)
    return Solution(
        params=coordinates.params(run.best_point),
        log_likelihood=to_log_likelihood(run.best_value, scale),
        status=status,
        decrement=unknown,
        steps=run.steps,
        theta=run.best_point,
        certificate=Certificate(
            decrement=unknown,
            smallest_eigenvalue=unknown,
            drop=unknown,
            information=jnp.full((size, size), jnp.nan, dtype),
            step=line,
            uphill=line,
            uphill_drop=unknown,
            weakest=line,
            sound=jnp.asarray(False),
            unsound=line,
            informed_decrement=unknown,
            directions=jnp.full((size, size), jnp.nan, dtype),
            signs=line,
            flat=jnp.asarray(False),
            undetermined=jnp.zeros(size, bool),
        ),
        reliable=jnp.zeros(len(coordinates.fixed), bool),
        trace=run.trace,
    )
