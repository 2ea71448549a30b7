"""From the fits of chunks to one `Fit` with a lane per group: with their rows, or with their numbers alone."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mle_jax._precision import to_numpy
from mle_jax._status import Status
from mle_jax._text import plural
from mle_jax._trees import in_order
from mle_jax.data.buckets import Bucket, evaluated
from mle_jax.data.groups import Groups, key_arrays
from mle_jax.fitting.lanes import filled_up
from mle_jax.results.building import default_kind, withheld_entries
from mle_jax.results.covariance_access import unflatten_numpy
from mle_jax.results.fit_object import Fit
from mle_jax.results.group_chunks import Job, count_rows_of, fit_chunk, key_name
from mle_jax.results.lanes import fit_of_lane
from mle_jax.results.record import Record
from mle_jax.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class KeptRows:
    """The rows of all groups, and how they are made into batches.

    Attributes:
        groups: the groups.
        shared: data leaves that all groups have in common.
        plan: the buckets of the chunks, and the groups in each.
    """

    groups: Groups
    shared: Mapping[str, np.ndarray]
    plan: Sequence[tuple[Bucket, np.ndarray]]

    def inputs(self, lane: int) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Return the data of one group and its weights."""
        rows, weights = self.groups.rows(lane)
        return {**rows, **self.shared}, weights


@dataclass(frozen=True)
class Setting:
    """What the `Fit` of groups says of the run besides the numbers.

    Attributes:
        job: what was done with every chunk.
        place: what the free coordinates mean.
        shapes: the leaves of the data as `jax.ShapeDtypeStruct`.
        optimizer: how the maxima were sought, in words.
        constraints: as the user wrote them.
        buckets: the buckets.
    """

    job: Job
    place: Any
    shapes: Any
    optimizer: str
    constraints: tuple[str, ...]
    buckets: tuple[Bucket, ...]

    @property
    def bucket_table(self) -> Table:
        """The buckets as a table, with the rows evaluated per row in its note."""
        columns = {
            "height": [bucket.height for bucket in self.buckets],
            "groups": [bucket.groups for bucket in self.buckets],
            "rows": [bucket.rows for bucket in self.buckets],
            "evaluated": [bucket.evaluated for bucket in self.buckets],
            "lanes": [bucket.lanes for bucket in self.buckets],
        }
        rows = sum(bucket.rows for bucket in self.buckets)
        waste = evaluated(self.buckets) / rows
        note = f"{plural(len(self.buckets), 'shape')} of batches; {waste:.2f} rows were evaluated per row of the table."
        return Table({name: np.array(values) for name, values in columns.items()}, title="Buckets", notes=[note])


def fit_kept(setting: Setting, kept: KeptRows, advance: Callable[[int], None], *, at_once: bool) -> Fit:
    """Fit all groups in this process and return a batch that refers to their rows.

    Args:
        setting: of the run.
        kept: the groups with their rows.
        advance: told how many groups have been fitted, after every chunk.
        at_once: fit all chunks of a bucket together, which is faster; only what is read of them is laid out.
    """
    job, groups = setting.job, kept.groups
    stacked: Any = None
    looks: dict[int, Any] = {}
    for bucket, members in _joined_chunks(kept.plan) if at_once else kept.plan:
        fits, fitted = fit_chunk(job, groups.some(members), bucket)
        if fits is not None:
            own = fits._record.solution
            stacked = _empty_lanes(own, len(groups)) if stacked is None else stacked
            lanes = members[fitted]
            jax.tree_util.tree_map(lambda to, of, lanes=lanes: to.__setitem__(lanes, of[: len(lanes)]), stacked, own)
            looks |= {int(lanes[i]): look for i, look in fits._record.second_looks.items() if i < len(lanes)}
        advance(len(members))
    if stacked is None:
        raise ValueError("no group has a row of positive weight without missing values, so nothing can be fitted")
    solution = to_numpy(stacked)
    record = replace(
        _record(setting, key_arrays(groups.keys), solution),
        withheld=withheld_entries(solution.status, solution.reliable),
        second_looks=looks,
        n_lanes=len(groups),
        groups=kept,
    )
    return _batch(
        setting,
        record,
        params=in_order(solution.params, setting.place.space.leaf_names),
        log_likelihood=solution.log_likelihood,
        status=solution.status.astype(int),
        reliable=solution.reliable,
        steps=solution.steps.astype(int),
        decrement=solution.decrement,
        n_observations=count_rows_of(groups, job.options["weight_kind"]),
    )


def _joined_chunks(plan: Sequence[tuple[Bucket, np.ndarray]]) -> Iterator[tuple[Bucket, np.ndarray]]:
    """Yield all groups of every bucket as one chunk."""
    for bucket, chunks in itertools.groupby(plan, key=itemgetter(0)):
        members = np.concatenate([some for _, some in chunks])
        yield bucket._replace(lanes=len(members)), members


def _empty_lanes(solution: Any, count: int) -> Any:
    """Return room for the solutions of all groups: of those without rows it says that nothing is identified."""

    def room(leaf: np.ndarray) -> np.ndarray:
        fill = np.nan if np.issubdtype(leaf.dtype, np.floating) else 0
        return np.full((count, *leaf.shape[1:]), fill, leaf.dtype)

    empty = jax.tree_util.tree_map(room, solution)
    empty.status[:] = int(Status.not_identified)
    return empty


def fit_of_numbers(setting: Setting, table: "pa.Table", by: Iterable[str]) -> Fit:
    """Return a batch that knows the numbers of its groups alone, a row of the table for each; sorted by key."""
    names = setting.job.names
    others = [*names, *(f"se[{name}]" for name in names), "log_likelihood", "status", "decrement", "steps"]
    keys = {name: key_name(name, [*others, "n_observations"]) for name in by}
    table = table.sort_by([(column, "ascending") for column in keys.values()])
    number = {name: table.column(name).to_numpy() for name in (*others, "n_observations") if name != "status"}
    space = setting.place.space
    errors = np.stack([number[f"se[{name}]"] for name in names], axis=1)
    codes = {status.name: int(status) for status in Status}
    status = np.array([codes[name] for name in table.column("status").to_pylist()])
    arrays = key_arrays(table.select(list(keys.values())))
    record = _record(setting, {name: arrays[column] for name, column in keys.items()})
    return _batch(
        setting,
        replace(record, errors=errors, withheld=np.isnan(errors), n_lanes=len(table)),
        params=unflatten_numpy(space, np.stack([number[name] for name in names], axis=1)),
        log_likelihood=number["log_likelihood"],
        status=status,
        reliable=np.isfinite(errors) & (status != Status.uncertified)[:, None],
        steps=number["steps"],
        decrement=number["decrement"],
        n_observations=number["n_observations"],
    )


def _record(setting: Setting, keys: dict[str, np.ndarray], solution: Any = None) -> Record:
    job = setting.job
    return Record(
        model=job.model,
        data=setting.shapes,
        weights=None,
        weight_kind=job.options["weight_kind"],
        clusters=None,
        place=setting.place,
        solution=solution,
        withheld=np.zeros(0, bool),
        kind=default_kind(job.model),
        optimizer=setting.optimizer,
        fixed=setting.place.fixed,
        shared=tuple(job.shared),
        constraints=setting.constraints,
        keys=keys,
    )


def _batch(setting: Setting, record: Record, *, reliable: np.ndarray, **numbers: Any) -> Fit:
    counts = _whole(numbers.pop("n_observations"))
    status = numbers["status"]
    fits = Fit(
        **numbers,
        names=setting.place.space.names,
        message=_messages(status, counts, setting.job.n_parameters),
        reliable=unflatten_numpy(setting.place.space, reliable),
        n_observations=counts,
        n_parameters=setting.place.size,
        history=None,
        buckets=setting.bucket_table,
        _record=record,
    )
    return fits


def _whole(counts: np.ndarray) -> np.ndarray:
    """Return numbers of observations as integers where all of them are whole."""
    return counts.astype(int) if np.all(counts == np.rint(counts)) else counts


def _messages(status: np.ndarray, counts: np.ndarray, k: int) -> tuple[str, ...]:
    """Return what the statuses mean, and of groups that are too small for the model that they are."""
    texts = {int(one): one.text for one in Status}
    certified = {int(one) for one in Status if one.certified}
    return tuple(
        texts[code] if code in certified or count >= k else f"{texts[code]} {_too_small(count, k)}"
        for code, count in zip(status.tolist(), counts.tolist(), strict=True)
    )


def _too_small(count: float, k: int) -> str:
    if count == 0:
        return "The group has no row of positive weight without missing values, and was not fitted."
    return f"The group has {count:g} observation{'' if count == 1 else 's'}, fewer than the {k} parameters."


def one_group(fits: Fit, lane: int) -> Fit:
    """Return the fit of one group; without its rows where these are not kept."""
    record = fits._record
    kept: KeptRows | None = record.groups
    if kept is None or kept.groups.valid[lane] == 0:
        return _numbers_of_one(fits, lane)
    fit = fit_of_lane(record, lane, *kept.inputs(lane))
    small = not fit.converged and fit.n_observations < fits.n_parameters
    return replace(fit, message=f"{fit.message} {_too_small(fit.n_observations, fits.n_parameters)}") if small else fit


def _numbers_of_one(fits: Fit, lane: int) -> Fit:
    record = fits._record
    nothing = np.full(len(fits.names), np.nan)
    take = lambda tree: jax.tree_util.tree_map(lambda leaf: np.asarray(leaf)[lane], tree)  # noqa: E731
    return Fit(
        params=in_order(take(fits.params), record.place.space.leaf_names),
        names=fits.names,
        log_likelihood=float(fits.log_likelihood[lane]),
        status=Status(int(fits.status[lane])),
        message=fits.message[lane],
        reliable=in_order(take(fits.reliable), record.place.space.leaf_names),
        steps=int(fits.steps[lane]),
        decrement=float(fits.decrement[lane]),
        n_observations=fits.n_observations[lane].item(),
        n_parameters=fits.n_parameters,
        history=None,
        _record=replace(
            record,
            errors=nothing if record.errors is None else record.errors[lane],
            withheld=record.withheld[lane],
            n_lanes=None,
            keys=None,
            groups=None,
        ),
    )


def grouped_covariance(record: Record, of_batch: Callable[[Record], np.ndarray]) -> np.ndarray:
    """Return the covariance matrices of all groups, (G, k, k), or their diagonals, chunk by chunk as they were fitted.

    Args:
        record: of a batch of groups whose rows are kept.
        of_batch: the same for the record of a batch of one shape.
    """
    kept: KeptRows = record.groups
    matrices: Any = None
    for bucket, members in kept.plan:
        lanes = members[kept.groups.valid[members] > 0]
        if not len(lanes):
            continue
        filled = filled_up(lanes, bucket.lanes)
        data, weights = kept.groups.padded(filled, bucket.height)
        solution = jax.tree_util.tree_map(lambda leaf, filled=filled: leaf[filled], record.solution)
        own = replace(
            record, data={**data, **kept.shared}, weights=weights, solution=solution, n_lanes=bucket.lanes, groups=None
        )
        found = of_batch(own)
        matrices = np.full((len(kept.groups), *found.shape[1:]), np.nan) if matrices is None else matrices
        matrices[lanes] = found[: len(lanes)]
    return np.asarray(matrices)
