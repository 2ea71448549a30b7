"""Groups of one bucket as a batch of fixed shape: the only place where groups meet the engine of `fit_batch`."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from mle_jax._optional import optional
from mle_jax._status import ConvergenceWarning, Status
from mle_jax._trees import named_leaves
from mle_jax.data.buckets import Bucket, Together
from mle_jax.data.groups import PURPOSE, Groups
from mle_jax.fitting.batch_engine import decided_on_native_loops
from mle_jax.fitting.lanes import filled_up
from mle_jax.fitting.native_lanes import LANES, MOST_ROWS
from mle_jax.likelihood import Model
from mle_jax.parameters.resolution import declarations
from mle_jax.results.batch_verbs import fit_batch
from mle_jax.results.covariance_access import standard_errors_of
from mle_jax.results.reports import flat_numbers

if TYPE_CHECKING:
    import pyarrow as pa

    from mle_jax.results.fit_object import Fit

ColumnNames = dict[str, tuple[str, ...]]
_NAMED: "WeakKeyDictionary[Model, dict[Any, Model]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Job:
    """What is done with every chunk; it can be sent to another process.

    Attributes:
        model: the model, its parameters named like the columns of the table.
        options: of `fit_batch`.
        shared: data leaves that all groups have in common.
        names: the flat names.
        n_parameters: free coordinates.
        natively: by native loops, for which there are rows enough in all chunks together.
    """

    model: Model
    options: Mapping[str, Any]
    shared: Mapping[str, np.ndarray]
    names: tuple[str, ...]
    n_parameters: int
    natively: bool

    @property
    def together(self) -> Together | None:
        """How the engine skips rows of weight 0."""
        return Together(LANES, MOST_ROWS) if self.natively else None


def fit_chunk(job: Job, groups: Groups, bucket: Bucket) -> "tuple[Fit | None, np.ndarray]":
    """Fit some groups, at most as many as the bucket has lanes.

    Returns:
        The fits of the groups that have a row of positive weight (None if there is none), longest first, followed by
        repetitions up to the number of lanes, and which groups these are.
    """
    fitted = np.flatnonzero(groups.valid > 0)
    if not len(fitted):
        return None, fitted
    # Beside groups of its size none waits for a longer one.
    fitted = fitted[np.argsort(-groups.sizes[fitted], kind="stable")]
    data, weights = groups.padded(filled_up(fitted, bucket.lanes), bucket.height)
    with warnings.catch_warnings(), decided_on_native_loops(job.natively):
        warnings.simplefilter("ignore", ConvergenceWarning)  # all groups are counted together, at the end
        fits = fit_batch(job.model, {**data, **job.shared}, weights=weights, shared=tuple(job.shared), **job.options)
    return fits, fitted


def chunk_table(job: Job, groups: Groups, bucket: Bucket) -> "pa.Table":
    """Fit some groups and return a row of numbers for each: what is kept of groups whose rows are not.

    The columns are the keys, the estimates, their standard errors, log_likelihood, status, decrement, steps and
    n_observations.
    """
    fits, fitted = fit_chunk(job, groups, bucket)
    count, k = len(groups), len(job.names)
    numbers = np.full((count, 2 * k + 2), np.nan)
    status, steps = np.full(count, int(Status.not_identified)), np.zeros(count, np.int64)
    if fits is not None:
        own = slice(0, len(fitted))
        parts = [
            flat_numbers(fits, fits.params),
            standard_errors_of(fits),
            fits.log_likelihood[:, None],
            fits.decrement[:, None],
        ]
        numbers[fitted] = np.concatenate(parts, axis=1)[own]
        status[fitted], steps[fitted] = fits.status[own], fits.steps[own]
    columns: dict[str, Any] = {name: numbers[:, i] for i, name in enumerate(job.names)}
    columns |= {f"se[{name}]": numbers[:, k + i] for i, name in enumerate(job.names)}
    columns |= {
        "log_likelihood": numbers[:, 2 * k],
        "status": [Status(code).name for code in status.tolist()],
        "decrement": numbers[:, 2 * k + 1],
        "steps": steps,
        "n_observations": count_rows_of(groups, job.options["weight_kind"]),
    }
    keys = {key_name(name, columns): groups.keys.column(name) for name in groups.keys.column_names}
    return optional("pyarrow", "data", PURPOSE).table(keys | columns)


def key_name(key: str, columns: Any) -> str:
    """Return what a key is called beside other columns."""
    return f"key[{key}]" if key in columns else key


def count_rows_of(groups: Groups, weight_kind: str) -> np.ndarray:
    """Return the number of observations of every group: rows, or their total frequency weight."""
    if groups.weights is None or weight_kind == "importance":
        return groups.valid
    owner = np.repeat(np.arange(len(groups)), groups.sizes)
    totals = np.bincount(owner, weights=groups.weights[groups.row_numbers()], minlength=len(groups))
    return totals


def named_model(model: Model, column_names: ColumnNames) -> Model:
    """Return the model with parameters named like the columns of the table, such as ``w[income]``.

    It is made once: programs are kept by models.
    """
    if not column_names:
        return model
    known = _NAMED.setdefault(model, {})
    key = tuple(column_names.items())
    if key not in known:
        known[key] = replace(model, parameters=_NamedParameters(model.parameters, key), name=model.label)
    return known[key]


@dataclass(frozen=True)
class _NamedParameters:
    """Declare what the model declares, with the names of columns where it says ``columns=``."""

    parameters: Any
    names: tuple[tuple[str, tuple[str, ...]], ...]

    def __call__(self, shapes: Any) -> Any:
        """Return the declarations."""
        tree = named_leaves(declarations(self.parameters, shapes))
        return tree.rebuild([self._named(leaf) for leaf in tree.leaves])

    def _named(self, declared: Any) -> Any:
        labels = dict(self.names).get(getattr(declared, "columns", None) or "")
        return declared if labels is None else replace(declared, shape=(len(labels),), columns=None, labels=labels)
