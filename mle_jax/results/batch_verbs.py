"""The verb `fit_batch`: one model, many datasets of one shape."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._precision import in_float64
from mle_jax._status import ConvergenceWarning
from mle_jax.data.arrays import CleanData, read_data
from mle_jax.data.lane_arrays import Padded, in_place
from mle_jax.fitting.batch_precision import Rough, agreeing, solve_batch_in
from mle_jax.fitting.batching import split_start
from mle_jax.fitting.lanes import count_lanes, first_lane, lane_axes
from mle_jax.fitting.planning import make_plan
from mle_jax.fitting.precision import check_dtype
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.streams import Batch
from mle_jax.likelihood.layout import count_rows
from mle_jax.parameters import ParameterSpace, constraint_texts
from mle_jax.results.building import default_kind
from mle_jax.results.fit_object import Fit
from mle_jax.results.guards import check_verb, read_memory
from mle_jax.results.lanes import build_batch, look_again
from mle_jax.results.record import Record
from mle_jax.results.verbs import check_options, checked_place, checked_space

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


@in_float64
def fit_batch(
    model: "Model",
    data: Any,
    *,
    shared: Sequence[str] = (),
    optimizer: Any = "auto",
    start: Any = None,
    fixed: Any = None,
    constraints: Sequence[str] = (),
    weights: Any = None,
    weight_kind: str = "frequency",
    gradient: str = "autodiff",
    tolerance: float = 1e-6,
    max_steps: int | None = None,
    dtype: str = "float64",
    standard_errors: bool = True,
    memory: int | str | None = None,
    progress: bool = False,
) -> Fit:
    """Fit one model to many datasets of one shape, every one with its own certificate.

    A lane that fails (NaN in its data, a constant response) gets a status of its own and never stops the others.
    Standard errors of all lanes come from ``fits.standard_errors()``, the fit of one from ``fits[i]``.

    Args:
        model: a `Model`.
        data: like the data of `fit`, every leaf with one more leading axis: the B datasets. NumPy arrays of 64 MB or
            more are not copied: leave them as they are while the fits are in use. Where the data are needed once more
            (``fits[i]``, ``refit``, robust covariances) a change is noticed, and raises a ValueError.
        shared: names of the leaves that all datasets have in common (no leading axis).
        optimizer: as for `fit`.
        start: as for `fit`; a value may have a leading axis of B.
        fixed: as for `fit`, the same for all datasets.
        constraints: as for `fit`, the same for all datasets.
        weights: (n,) in common, or (B, n); a row of weight 0 is left out, whatever it contains.
        weight_kind: as for `fit`.
        gradient: as for `fit`.
        tolerance: as for `fit`.
        max_steps: as for `fit`, for every dataset; by default 200 for Newton's method.
        dtype: "float32" searches in single precision and judges in double: it may claim `converged_to_rounding`;
            "mixed" then searches on in double from there. The summary counts the lanes where the two precisions
            disagree, and the column ``float32_agrees`` of ``to_pandas()`` names them.
        standard_errors: show them in the tables (``to_pandas()``, ``to_arrow()``, ``to_parquet()``, ``summary()``);
            without them ``fits.standard_errors()`` still returns them, computed then.
        memory: bytes, or a text such as "4GB", that the engine may use beside the data and the results.
        progress: show a bar (needs tqdm).

    Returns:
        A `Fit` whose arrays have a leading axis of B.

    Raises:
        TypeError, ValueError, KeyError: model, data or options do not fit together; the message says what to do.

    Example:
        >>> import mle_jax as mle
        >>> fits = mle.fit_batch(mle.models.gaussian(), {"y": [[1.0, 2.0, 6.0], [0.0, 1.0, 5.0]]})
        >>> fits.params["mu"].round(6).tolist(), fits.converged.tolist(), len(fits)
        ([3.0, 2.0], [True, True], 2)
    """
    check_verb("fit_batch", model, data, start, weights)
    names = (shared,) if isinstance(shared, str) else tuple(shared)
    tolerance = check_options(tolerance=tolerance, weight_kind=weight_kind)
    batch, space = _checked_batch(model, data, names, start, weights)
    place = checked_place(space, fixed, constraints, _by_lane(batch.start))
    plan = make_plan(
        model,
        place,
        optimizer=optimizer,
        start=start,
        gradient=gradient,
        weighted=weights is not None,
        max_steps=max_steps,
        many=True,
    )
    options: Any = {"tolerance": tolerance, "memory": read_memory(memory), "progress": progress}
    solution, rough = solve_batch_in(check_dtype(dtype), model, plan, batch, **options)
    record = Record(
        model=model,
        data=batch.data,
        weights=batch.weights,
        weight_kind=weight_kind,
        clusters=None,
        place=place,
        solution=solution,
        withheld=np.zeros(0, bool),
        kind=default_kind(model),
        optimizer=plan.description(model),
        fixed=place.fixed,
        n_lanes=batch.size,
        shared=names,
        constraints=constraint_texts(constraints),
        tables_errors=bool(standard_errors),
    )
    if dtype != "float32" and not plan.handwritten:  # as for a single fit
        given = start is not None
        record = look_again(record, solution, tolerance=tolerance, max_steps=plan.max_steps, start_given=given)
    fits = build_batch(record, solution, first_lane(batch.data, batch.axes))
    return _with_warning(fits if rough is None else _compared(fits, rough, solution))


def _compared(fits: Fit, rough: Rough, solution: Solution) -> Fit:
    """Write down for which lanes the two precisions agree."""
    agrees = agreeing(rough, solution, np.asarray(fits.converged))
    return replace(fits, _record=replace(fits._record, precisions_agree=agrees))


def _checked_batch(
    model: "Model", data: Any, shared: tuple[str, ...], start: Any, weights: Any
) -> tuple[Batch, ParameterSpace]:
    """Return the datasets with all that differs between them, checked, and the parameters."""
    # What all lanes have in common is copied.
    arrays, _ = read_data(data, None, keep=partial(in_place, resident=shared))
    axes = lane_axes(arrays, shared)
    lanes, sample = count_lanes(arrays, axes), first_lane(arrays, axes)
    checked = _checked_weights(model, weights, lanes, sample)
    space = checked_space(model, CleanData(sample, {}, None, None), None)
    return Batch(arrays, axes, checked, _checked_start(space, start, lanes), lanes), space


def _with_warning(fits: Fit) -> Fit:
    failures = int((~fits.converged).sum())
    if failures:
        message = f"{failures} of {len(fits)} fits were not certified; fits.failed() lists them"
        warnings.warn(f"{fits._record.model.label}: {message}", ConvergenceWarning, stacklevel=4)
    return fits


def _checked_start(space: ParameterSpace, start: Any, lanes: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the start values in common and those by lane, their names and shapes checked.

    The domain of a value by lane is the business of that lane's status.
    """
    common, own = split_start(space, start, lanes)
    space.check(space.merge(space.default_start(), common or None))
    space.merge(space.default_start(), {name: value[0] for name, value in own.items()} or None)
    return common, own


def _by_lane(start: tuple[dict[str, Any], dict[str, Any]]) -> Iterator[dict[str, Any] | None]:
    """Yield the start of every lane; one for all where they have it in common."""
    common, own = start
    for lane in range(len(next(iter(own.values()))) if own else 1):
        yield {**common, **{name: value[lane] for name, value in own.items()}} or None


def _checked_weights(model: "Model", weights: Any, lanes: int, sample: Any) -> Any:
    """Return the weights as float64, (n,) or (B, n), or raise; those of groups are checked already."""
    if weights is None or isinstance(weights, Padded):
        return weights
    if model.is_joint:
        raise ValueError("weights need independent rows, but the model is a joint likelihood; leave them out")
    rows = count_rows(model, sample)
    array = np.array(weights, np.float64)  # a copy, as of the data
    if array.shape not in ((rows,), (lanes, rows)):
        raise ValueError(
            f"weights have shape {array.shape}, but must have shape ({rows},) in common or ({lanes}, {rows}) by lane"
        )
    if not np.all(np.isfinite(array) & (array >= 0)):
        raise ValueError("some weights are negative or not finite, but weights must be finite and at least 0")
    return array
