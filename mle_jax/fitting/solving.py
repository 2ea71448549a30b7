"""From a start to a certified `Solution`: the traceable middle of every fit of a smooth model.

1 build the loss; 2 search; 3 certify; 4 say how it ended; 5 polish a maximum by one more full Newton step, kept if the
log-likelihood does not fall (8 digits become 13): within the search where that is Newton's method, and afterwards, if
the maximum is certified, where it is not; 6 return to named parameters.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._objective import Evaluation, Objective
from mle_jax._status import are_certified
from mle_jax.fitting import by_products
from mle_jax.fitting.certificate import Certificate, certify, curve
from mle_jax.fitting.choosing import forms_hessian
from mle_jax.fitting.climbing import search, stalled
from mle_jax.fitting.curvatures import search_curvatures
from mle_jax.fitting.place import Place
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.verdicts import collapse, predicts_all, reliable_entries, verdict
from mle_jax.likelihood.loss import loss_objective, loss_scale, to_log_likelihood
from mle_jax.optimizers._loop import NON_FINITE, Run
from mle_jax.optimizers._protocol import Optimizer
from mle_jax.optimizers.newton import Newton

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

MEASURED = ("drop", "uphill_drop", "flat", "sound", "unsound", "fading", "rise", "higher")
"""The part of a certificate that took evaluations beside the point."""


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
    objective = objective._replace(curvatures=search_curvatures(model, coordinates, data, weights))
    # 2
    run = search(
        objective,
        optimizer,
        theta,
        scale=scale,
        tolerance=tolerance,
        max_steps=max_steps,
        record=record,
        polish=polish and theta.size > 0,
    )
    # 3: by automatic differentiation, whatever drove the search
    objective = objective._replace(gradient=None)
    by_hessian = isinstance(optimizer, Newton) and optimizer.curvature == "observed"
    dense = forms_hessian(optimizer, theta.size)
    here: Evaluation = run.state.evaluation
    if handwritten or not by_hessian:
        here = objective.with_hessian(here.point) if dense else objective.with_gradient(here.point)
    certificate = certify(objective, here, scale) if dense else by_products.certify(objective, here, scale)
    # 4 to 6
    judged = solution_of(coordinates, run, here, certificate, scale=scale, tolerance=tolerance)
    if polish and theta.size and not by_hessian:
        allowed = are_certified(judged.status)
        polished = _polished(objective, here, certificate, scale, allowed=allowed)
        return judged._replace(**_numbers_at(coordinates, *polished, scale))
    return judged


def solution_of(
    coordinates: Place,
    run: Run,
    here: Evaluation,
    certificate: Certificate,
    *,
    scale: Array | float,
    tolerance: Array | float,
) -> Solution:
    """Say how a search ended, and return to named parameters (4 and 6 of the module's docstring)."""
    certain = predicts_all(certificate, here.magnitude * scale)
    status = _status(coordinates, run, here, certificate, scale, tolerance)
    return Solution(
        status=status,
        steps=run.steps,
        reliable=reliable_entries(coordinates, here.point, certificate, status, certain=certain),
        edge=jnp.zeros(len(coordinates.fixed), here.point.dtype),
        trace=run.trace,
        **_numbers_at(coordinates, here, certificate, scale),
    )


def _numbers_at(coordinates: Place, here: Evaluation, certificate: Certificate, scale: Array | float) -> dict[str, Any]:
    """Return what a solution says of its point, the verdict left out."""
    return {
        "params": coordinates.params(here.point),
        "log_likelihood": to_log_likelihood(here.value, scale),
        "decrement": jnp.where(certificate.is_definite, certificate.decrement, jnp.nan),
        "theta": here.point,
        "certificate": certificate,
    }


def _status(
    coordinates: Place,
    run: Run,
    here: Evaluation,
    certificate: Certificate,
    scale: Array | float,
    tolerance: Array | float,
) -> Array:
    finite = here.is_finite & jnp.all(jnp.isfinite(here.hessian)) & (run.outcome != NON_FINITE)
    if not certificate.is_dense:
        finite = finite & jnp.all(jnp.isfinite(certificate.diagonal)) & jnp.isfinite(certificate.smallest_eigenvalue)
    return verdict(
        certificate,
        tolerance=tolerance,
        finite=finite,
        stalled=stalled(run),
        collapsed=collapse(coordinates, here.point, here.magnitude, certificate, scale),
        certain=predicts_all(certificate, here.magnitude * scale),
    )


def _polished(
    objective: Objective, here: Evaluation, certificate: Certificate, scale: Array | float, *, allowed: Array
) -> tuple[Evaluation, Certificate]:
    there = here.point + certificate.step
    if certificate.is_dense:
        trial = objective.with_hessian(there)
        after = curve(trial, scale)
    else:
        trial = objective.with_gradient(there)
        # So near the information is the same to as many digits as it takes; only the decrement is another.
        decrement = by_products.distance(objective, trial, certificate.diagonal, scale)
        after = certificate._replace(decrement=decrement)
    after = after._replace(**{name: getattr(certificate, name) for name in MEASURED})
    rounding = 10 * jnp.finfo(here.point.dtype).eps * here.magnitude
    keeps_height = trial.is_finite & (trial.value <= here.value + rounding)
    kept = allowed & keeps_height & after.is_definite & (after.decrement <= certificate.decrement)
    choose = lambda new, old: jnp.where(kept, new, old)  # noqa: E731 - a select, not a function worth a name
    return jax.tree_util.tree_map(choose, (trial, after), (here, certificate))
