"""The verbs `fit` and `evaluate`: check, delegate, report. No numerics."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._precision import in_float64
from mle_jax._status import ConvergenceWarning
from mle_jax._trees import lists_to_arrays
from mle_jax.data.arrays import CleanData, clean_data
from mle_jax.fitting.evaluating import solve_at
from mle_jax.fitting.planning import make_plan
from mle_jax.fitting.precision import check_dtype
from mle_jax.likelihood.layout import check_call, count_rows, model_space
from mle_jax.likelihood.programs import verb_program
from mle_jax.parameters import (
    Coordinates,
    ParameterSpace,
    check_kept,
    check_start,
    constraint_texts,
    coordinates,
)
from mle_jax.results.building import build_fit, default_kind
from mle_jax.results.covariance_access import check_clusters
from mle_jax.results.fit_object import Fit
from mle_jax.results.from_files import check_suits_pieces, read_rows
from mle_jax.results.guards import check_starts, check_verb, checked_tolerance
from mle_jax.results.reports import maxima_table
from mle_jax.results.seeking import How, seek

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

FOLLOWED_BY_HAND = "The search followed the handwritten gradient; hold it against model.check_gradient(data)."
WEIGHT_KINDS = ("frequency", "importance")


@in_float64
def fit(
    model: "Model",
    data: Any,
    *,
    optimizer: Any = "auto",
    start: Any = None,
    fixed: Any = None,
    constraints: Sequence[str] = (),
    weights: Any = None,
    weight_kind: str = "frequency",
    clusters: Any = None,
    columns: Mapping[str, Any] | None = None,
    gradient: str = "autodiff",
    tolerance: float = 1e-6,
    max_steps: int | None = None,
    record: bool = False,
    dtype: str = "float64",
    missing: str = "raise",
    starts: int | None = None,
    seed: int = 0,
    devices: Sequence[Any] | None = None,
) -> Fit:
    """Fit a model to one dataset by maximum likelihood: maximize ``sum_i w_i log_density(params, row_i)``.

    Computes in float64 whatever JAX's global setting, certifies the maximum (see `Status`), and warns once with a
    `ConvergenceWarning` where it cannot.

    Args:
        model: a `Model`.
        data: a dict (any pytree) of arrays with a common first axis, or a pandas, polars or pyarrow table; or rows that
            stay in files and are read piece by piece: arrays from ``numpy.load(..., mmap_mode="r")``, or the path of a
            Parquet file or of a folder of them.
        optimizer: "auto" (the closed form where there is one, else `Newton`, or `NewtonCG` for many parameters), or an
            object from ``mle_jax.optimizers``.
        start: start values by leaf name or flat name, partly if wished. Without them, where the log-likelihood is not
            finite at the start of the model, others are tried.
        fixed: values of parameters that do not move, by leaf name or flat name.
        constraints: linear equations that the estimates satisfy, in flat names and numbers:
            ``("w[0] = w[1]", "w[income] + 2*w[age] = 1")``; ``"v = w"`` ties whole parameters entry by entry. Any
            equation among Real entries; between others equality of entries declared alike, and between Positive ones a
            positive multiple (``"a = 2*b"``). A start must satisfy them; one that the model chose is moved.
        weights: one weight of at least 0 per row.
        weight_kind: "frequency" (a row of weight 2 stands for two equal rows) or "importance" (one row that counts
            twice); they differ in n_observations and in the outer products of the scores.
        clusters: one label per row; standard errors are then clustered by default.
        columns: for a table, which columns become which leaf: ``{"y": "food", "x": ["income", "age"]}``.
        gradient: "autodiff", or "handwritten" to search with the model's own gradient.
        tolerance: of the decrement, in standard errors.
        max_steps: the most steps; by default 2000 for Newton's method, 10 000 for others. If 100 or more run out and no
            `start` was given, up to a quarter of them are added, from a start at a better scale (not for files).
        record: keep the history.
        dtype: "float64"; "float32" searches in single precision and certifies once in float64; "mixed" adds a float64
            search from there.
        missing: "raise", or "drop" to leave out rows with NaN.
        starts: search from so many starts, the usual one and others drawn around it in the domain, and return the
            highest certified maximum; ``fit.maxima`` is the table of the distinct ones.
        seed: of these draws.
        devices: give each of these JAX devices a share of the rows, such as ``jax.devices()``; every step adds up one
            sum of each.

    Returns:
        A `Fit`.

    Raises:
        TypeError, ValueError, KeyError: model, data or options do not fit together; the message says what to do.

    Reference:
        Nocedal and Wright (2006), Numerical Optimization, chapter 4, for the search; Boyd and Vandenberghe (2004),
        Convex Optimization, section 9.5.1, for the decrement.

    Example:
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], "y": [1.0, 2.0, 6.0]}
        >>> fit = mle.fit(mle.models.linear_gaussian(), data)
        >>> fit.params["w"].round(6).tolist(), fit.status.name
        ([0.5, 2.5], 'converged')
    """
    check_verb("fit", model, data, start, weights)
    clean = read_rows(model, data, columns=columns, weights=weights, missing=missing)
    if clean.files is not None and devices is not None:
        raise ValueError("devices share rows in memory, but these rows stay in files; leave devices out, or load them")
    if clean.files is not None or devices is not None:
        where = "on several devices" if clean.files is None else "in files"
        asked = {"dtype": dtype, "missing": missing, "starts": starts, "clusters": clusters, "gradient": gradient}
        optimizer = check_suits_pieces(model, where, optimizer, asked)
    place = checked_place(checked_space(model, clean, start), fixed, constraints, [start])
    labels = kept_labels(clusters, clean, count_rows(model, clean.data))
    plan = make_plan(
        model,
        place,
        optimizer=optimizer,
        start=start,
        gradient=gradient,
        weighted=weights is not None,
        max_steps=max_steps,
        record=record,
    )
    tolerance = check_options(tolerance=tolerance, weight_kind=weight_kind)
    many = None if starts is None else check_starts(starts, model, dtype=dtype, gradient=gradient, record=record)
    how = How(dtype=check_dtype(dtype), starts=many, seed=seed, devices=tuple(devices or ()))
    sought = seek(model, plan, clean, start, tolerance, how)
    result = build_fit(
        model,
        sought.place,
        sought.solution,
        clean,
        weight_kind=weight_kind,
        clusters=labels,
        optimizer=plan.description(model),
        kind="clustered" if labels is not None else default_kind(model),
        searched=place,
        constraints=constraint_texts(constraints),
        covariance=sought.covariance,
    )
    if sought.maxima is not None:
        result = replace(result, maxima=maxima_table(result.names, sought.maxima))
    return _with_warning(result, handwritten=plan.handwritten)


def _with_warning(result: Fit, *, handwritten: bool) -> Fit:
    """Warn once of a fit that is not certified."""
    if result.converged:
        return result
    if handwritten:
        result = replace(result, message=f"{result.message} {FOLLOWED_BY_HAND}")
    label = result._record.model.label
    warnings.warn(f"{label}: {result.status.name}. {result.message}", ConvergenceWarning, stacklevel=4)
    return result


@in_float64
def evaluate(
    model: "Model",
    data: Any,
    params: Any,
    *,
    fixed: Any = None,
    constraints: Sequence[str] = (),
    weights: Any = None,
    weight_kind: str = "frequency",
    clusters: Any = None,
    columns: Mapping[str, Any] | None = None,
    tolerance: float = 1e-6,
    missing: str = "raise",
) -> Fit:
    """Return the full inference at given parameters, without optimizing.

    The status says whether the point is a certified maximum; standard errors follow from the information there even
    where it is not.

    Args:
        model: a `Model`.
        data: as for `fit`.
        params: pytree laid out like the declaration, natural scale.
        fixed: which of them are held fixed: their names with the values they have.
        constraints: as for `fit`; params must satisfy them. They count for the status and for standard errors.
        weights: as for `fit`.
        weight_kind: as for `fit`.
        clusters: as for `fit`.
        columns: as for `fit`.
        tolerance: of the decrement, in standard errors.
        missing: as for `fit`.

    Returns:
        A `Fit` of 0 steps whose params are those given.

    Raises:
        TypeError, ValueError, KeyError: params lie outside their domain, or do not fit the model and the data.

    Example:
        >>> import mle_jax as mle
        >>> point = mle.evaluate(mle.models.gaussian_mean(variance=3.0), {"y": [1.0, 2.0, 6.0]}, {"mu": 2.0})
        >>> point.status.name, round(float(point.decrement), 6)  # (3 - 2) / sqrt(variance / n)
        ('max_steps', 1.0)
    """
    check_verb("evaluate", model, data, params, weights)
    clean = clean_data(model, data, columns=columns, weights=weights, missing=missing)
    space = model_space(model, clean.data, clean.column_names)
    params = lists_to_arrays(params)
    given = space.merge(space.default_start(), params, what="params")
    space.check(params, what="value", remedy="evaluate at a value inside the domain")
    check_call(model, given, clean.data)
    tolerance = check_options(tolerance=tolerance, weight_kind=weight_kind)
    labels = kept_labels(clusters, clean, count_rows(model, clean.data))
    place = coordinates(space, fixed, constraints)
    _check_held(place, given)
    check_kept(place, constraints, given, what="params")
    solution = verb_program(model, solve_at)(place, clean.data, clean.weights, given, tolerance)
    return build_fit(
        model,
        place,
        solution,
        clean,
        weight_kind=weight_kind,
        clusters=labels,
        optimizer="none: evaluated at given parameters",
        kind="clustered" if labels is not None else default_kind(model),
        given=True,
        constraints=constraint_texts(constraints),
    )


def _check_held(place: Coordinates, params: Any) -> None:
    """Raise where a value held fixed is not the one given in params."""
    given = np.asarray(place.space.flatten(params))
    for name, held, value, here in zip(
        place.space.names, place.fixed, np.asarray(place.fixed_values), given, strict=True
    ):
        if held and value != here:
            raise ValueError(f"fixed holds '{name}' at {value}, but params gives it as {here}; make them equal")


def checked_space(model: "Model", clean: CleanData, start: Any) -> ParameterSpace:
    """Resolve the parameters, and check start values and log density against them and the data."""
    space = model_space(model, clean.data, clean.column_names)
    begin = space.merge(space.default_start(), start)
    space.check(begin)
    check_call(model, begin, clean.data)
    return space


def checked_place(space: ParameterSpace, fixed: Any, constraints: Any, starts: Iterable[Any]) -> Coordinates:
    """Return the coordinates that move, or raise where they cannot be, or where a start misses a constraint."""
    place = coordinates(space, fixed, constraints)
    for start in starts if place.dependent else ():
        check_start(place, constraints, start)
    return place


def check_options(*, tolerance: Any, weight_kind: str) -> float:
    """Return the tolerance as a number, or raise where it is not one above 0 or the kind of weights is unknown."""
    if weight_kind not in WEIGHT_KINDS:
        raise ValueError(f"weight_kind is {weight_kind!r}, but it must be 'frequency' or 'importance'")
    return checked_tolerance(tolerance)


def kept_labels(clusters: Any, clean: CleanData, size: int) -> np.ndarray | None:
    """Return the cluster labels of the rows that are in use, checked; None where there are none."""
    if clusters is None:
        return None
    given = size + clean.dropped
    labels = check_clusters(clusters, given)
    return labels if clean.kept is None else labels[clean.kept]
