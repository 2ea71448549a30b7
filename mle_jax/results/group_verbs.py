"""The verb `fit_groups`: one model, ragged groups of a table or of files. Checks and delegation, no numerics."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._precision import in_float64
from mle_jax._status import ConvergenceWarning
from mle_jax._text import listing
from mle_jax.data.arrays import CleanData, widened
from mle_jax.data.group_tables import check_numbers, first_row, is_dataset, known_columns, open_table
from mle_jax.data.groups import GroupColumns, choose_columns
from mle_jax.fitting.batch_engine import is_worth_compiling
from mle_jax.fitting.lanes import lane_axes
from mle_jax.fitting.native_lanes import suits_native
from mle_jax.fitting.planning import make_plan
from mle_jax.likelihood.layout import model_space, shapes_of
from mle_jax.parameters import constraint_texts
from mle_jax.results.fit_object import Fit
from mle_jax.results.group_chunks import Job, named_model
from mle_jax.results.group_fits import Setting
from mle_jax.results.group_runs import Run, fit_in_memory, fit_into
from mle_jax.results.group_workers import check_client
from mle_jax.results.guards import check_verb, read_memory
from mle_jax.results.verbs import check_options, checked_place, checked_space

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

MISSING = ("report", "drop")
USUAL_ROWS = 100  # of a group, where their number has to be guessed


@in_float64
def fit_groups(
    model: "Model",
    table: Any,
    *,
    by: str | Sequence[str],
    columns: Mapping[str, Any] | None = None,
    weights: str | None = None,
    shared: Mapping[str, Any] | None = None,
    optimizer: Any = "auto",
    start: Any = None,
    fixed: Any = None,
    constraints: Sequence[str] = (),
    weight_kind: str = "frequency",
    tolerance: float = 1e-6,
    max_steps: int | None = None,
    missing: str = "report",
    output: str | Path | None = None,
    resume: bool = True,
    client: Any = None,
    memory: float | str = "2GB",
    progress: bool = False,
) -> Fit:
    """Fit one model to every group of rows that have the same key, wherever in the table they stand.

    Groups of all sizes are evaluated in a few shapes: each is filled up by rows of weight 0 to the height of its
    bucket, and the heights are chosen so that at most 1.5 rows are evaluated per row of the table (``fits.buckets`` and
    ``print(fits)`` say how many). Every group gets the answer of `fit` on its rows alone, and a certificate of its own.
    A group with fewer rows than parameters is fitted like the others: its status says what its rows do not determine,
    and its message that they are too few. A group without a valid row has the status ``not_identified`` and NaN.

    Files that need more than `memory` are gone through twice, and their rows are brought together on disk, in `output`
    or else in the folder for temporary files, where they need as much room as in memory. With `output`, with `client`,
    or where the rows are in such files, the result has the numbers of the groups alone, without their rows: 16 bytes
    per parameter and group. What needs the rows then says to call `evaluate`.

    Args:
        model: a `Model` of independent rows.
        table: a pandas, polars or pyarrow data frame, a pyarrow dataset, or the path of a Parquet file, of several, or
            of a folder of them.
        by: the column, or the columns, that tell the groups apart: numbers, texts, dates; none may be missing.
        columns: as for `fit`; by default every other column is a data leaf of its own name.
        weights: a column with a weight of at least 0 per row.
        shared: data leaves that all groups have in common, such as a grid, by name.
        optimizer: as for `fit`.
        start: as for `fit`, the same for all groups.
        fixed: as for `fit`, the same for all groups.
        constraints: as for `fit`, the same for all groups.
        weight_kind: as for `fit`.
        tolerance: as for `fit`.
        max_steps: as for `fit_batch`.
        missing: "report": a group with NaN in a row gets the status ``non_finite``; or "drop": such rows are left out.
        output: a folder for the results, Parquet files with a row per group: keys, estimates, ``se[<name>]``,
            log_likelihood, status, decrement, steps, n_observations. A file is there when its groups are done, whole.
        resume: go on where an earlier run with the same output ended, however it ended; at most the chunk that it was
            busy with (of every thread of a client) is done again. A run on other rows or with other options is refused.
            False begins anew.
        client: a `dask.distributed` Client, whose workers fit the chunks; they must see the files.
        memory: about how many bytes, or a text such as "4GB", rows may take at a time, beside what JAX and its compiler
            need (some hundred million); a row group of a file and a group must fit.
        progress: show a bar.

    Returns:
        A `Fit` with a lane per group, sorted by key; the keys are the first columns of its tables.

    Raises:
        TypeError, ValueError, KeyError, FileNotFoundError: model, table or options do not fit together; the message
            says what to do.

    Example:
        >>> import mle_jax as mle
        >>> import pandas as pd
        >>> table = pd.DataFrame({"person": ["b", "a", "b", "b", "a"], "y": [2.0, 0.0, 1.0, 6.0, 4.0]})
        >>> fits = mle.fit_groups(mle.models.gaussian(), table, by="person")
        >>> fits.to_pandas()[["person", "mu", "status"]].values.tolist()
        [['a', 2.0, 'converged'], ['b', 3.0, 'converged']]
    """
    check_verb("fit_groups", model, table, start)
    _check(model, table, missing=missing, output=output)
    budget = _bytes(memory)
    check_client(client)
    options: dict[str, Any] = {
        "optimizer": optimizer,
        "start": start,
        "fixed": fixed,
        "constraints": constraints,
        "weight_kind": weight_kind,
        "tolerance": check_options(tolerance=tolerance, weight_kind=weight_kind),
        "max_steps": max_steps,
    }
    source = open_table(table)
    chosen = choose_columns(known_columns(source), by, columns, weights)
    check_numbers(source, chosen)
    rows = source.count_rows() if is_dataset(source) else len(source)
    setting = _setting(model, first_row(source, chosen), chosen, options, _shared(shared, chosen), rows)
    run = Run(
        setting=setting,
        source=source,
        chosen=chosen,
        missing=missing,
        memory=budget,
        client=client,
        progress=progress,
    )
    return _with_warning(fit_in_memory(run) if output is None else fit_into(run, Path(output), model, resume=resume))


def _bytes(memory: Any) -> float:
    """Return a number of bytes above 0, or raise."""
    if isinstance(memory, str):
        return float(read_memory(memory) or 0)
    if isinstance(memory, bool) or not isinstance(memory, int | float | np.number) or not memory > 0:
        raise ValueError(f"memory is {memory!r}, but it must be a number of bytes above 0, or a text such as '4GB'")
    return float(memory)


def _check(model: "Model", table: Any, *, missing: str, output: Any) -> None:
    """Raise at options that make no sense for any table."""
    if model.is_joint:
        raise ValueError(
            f"fit_groups fills groups up with rows of weight 0, which needs independent rows, but {model.label} is a "
            "joint likelihood; call fit for one group after the other"
        )
    if missing not in MISSING:
        raise ValueError(f"missing is {missing!r}, but for groups it must be 'report' or 'drop'")
    if output is None or not isinstance(table, str | Path):
        return
    if Path(output).resolve().is_relative_to(Path(table).resolve()):
        raise ValueError(f"output is '{output}', which lies inside the table '{table}'; choose a folder outside it")


def _shared(shared: Any, chosen: GroupColumns) -> dict[str, np.ndarray]:
    """Return the leaves that all groups have in common, as arrays."""
    if shared is None:
        return {}
    if not isinstance(shared, Mapping):
        raise TypeError(
            f"shared is a {type(shared).__name__}, but for groups it holds the leaves that are in no column; pass "
            "shared={'grid': grid}, say"
        )
    both = [name for name in shared if name in chosen.columns]
    if both:
        raise ValueError(f"shared and the columns both give the leaf {listing(both)}; rename one, or pass columns=")
    return {name: widened(np.asarray(value)) for name, value in shared.items()}


def _setting(
    model: "Model",
    row: dict[str, Any],
    chosen: GroupColumns,
    options: dict[str, Any],
    shared: dict[str, np.ndarray],
    rows: int,
) -> Setting:
    """Check model and options against one row, before all of them, so many, are read."""
    named = named_model(model, chosen.names)
    sample = {**row, **shared}
    space = checked_space(named, CleanData(sample, {}, None, None), options["start"])
    _refuse_growing(named, space.names, {**{name: np.repeat(leaf, 2, axis=0) for name, leaf in row.items()}, **shared})
    place = checked_place(space, options["fixed"], options["constraints"], [options["start"]])
    plan = make_plan(
        named,
        place,
        optimizer=options["optimizer"],
        start=options["start"],
        weighted=True,
        max_steps=options["max_steps"],
        many=True,
    )
    lane = {**{name: leaf[None] for name, leaf in row.items()}, **shared}
    numbers = rows * sum(leaf.size for leaf in row.values())
    # How many groups there are is not known yet.
    worth = is_worth_compiling(named, sample, rows // USUAL_ROWS, numbers)
    natively = worth and suits_native(named, plan, lane, lane_axes(lane, tuple(shared)))
    return Setting(
        job=Job(named, options, shared, space.names, place.size, natively),
        place=place,
        shapes=shapes_of(sample),
        optimizer=plan.description(named),
        constraints=constraint_texts(options["constraints"]),
        buckets=(),
    )


def _refuse_growing(model: "Model", names: tuple[str, ...], two_rows: dict[str, Any]) -> None:
    """Raise where two rows have other parameters than one has."""
    if model_space(model, two_rows).names != names:
        raise ValueError(
            f"{model.label} has other parameters for 2 rows than for 1, but all groups need the same, whatever their "
            "size; declare parameters whose number does not depend on that of the rows"
        )


def _with_warning(fits: Fit) -> Fit:
    failures = int((~fits.converged).sum())
    if failures:
        message = f"{failures} of {len(fits)} groups were not certified; fits.failed() lists them"
        warnings.warn(f"{fits._record.model.label}: {message}", ConvergenceWarning, stacklevel=4)
    return fits
