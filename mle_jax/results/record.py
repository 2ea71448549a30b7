"""What a `Fit` remembers of how it came about; everything here is by reference, never copied."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax.fitting.solution import Solution

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


@dataclass(frozen=True, eq=False)
class Record:
    """The inputs of a fit and the numbers that inference needs (k free coordinates, B lanes of a batch).

    Attributes:
        model: the model.
        data: the data as NumPy arrays.
        weights: (n,), (B, n), those of groups laid out when they are read, or None.
        weight_kind: "frequency" or "importance".
        clusters: one label per row, or None.
        place: what the free coordinates mean.
        solution: where the search arrived, NumPy; of a batch every array has a leading axis of B.
        withheld: flat parameters whose standard errors are not given, bool (k_flat,) or (B, k_flat).
        kind: the kind of covariance in use.
        optimizer: how the maximum was sought, in words.
        fixed: which flat parameters the user held fixed (`place` may hold more: those on a boundary).
        n_lanes: B, or None for a single fit.
        shared: names of the data leaves that all lanes share.
        second_looks: lanes that were settled by a second look: lane -> (what its free coordinates mean, its solution).
        dropped: rows left out because of missing values.
        given: whether the point was given and not sought.
        constraints: the linear equations that the parameters satisfy, as the user wrote them.
        keys: what tells the lanes of a batch apart besides their numbers, such as the columns that `fit_groups` was
            given as `by`: name -> (B,); they come first in every table of the batch. None where lanes have numbers
            alone.
        groups: the rows of ragged groups, from `results.group_fits`, where they are kept; `data` has shapes alone then.
        errors: standard errors (k_flat,) or (B, k_flat) of groups whose rows and information are not kept.
        settled_by: lanes whose answer is that of `refit`: lane -> the rung of its ladder.
        tables_errors: whether the tables of a batch show standard errors.
        precisions_agree: of a batch that was searched in single precision, bool (B,): in which lanes float64 says the
            same; else None.
        covariance: that of the kind "observed" of a single fit where it is known already, (k, k), nothing withheld.
        matrix: the covariance of a fit that was read from a file, (k, k) or (B, k, k), which then has neither model
            nor data nor solution; else None.
    """

    model: "Model"
    data: Any
    weights: Any
    weight_kind: str
    clusters: np.ndarray | None
    place: Any
    solution: Solution
    withheld: np.ndarray
    kind: str
    optimizer: str
    fixed: tuple[bool, ...]
    n_lanes: int | None = None
    shared: tuple[str, ...] = ()
    second_looks: dict[int, tuple[Any, Solution]] = field(default_factory=dict)
    dropped: int = 0
    given: bool = False
    constraints: tuple[str, ...] = ()
    keys: dict[str, np.ndarray] | None = None
    groups: Any = None
    errors: np.ndarray | None = None
    settled_by: dict[int, str] = field(default_factory=dict)
    tables_errors: bool = True
    precisions_agree: np.ndarray | None = None
    covariance: np.ndarray | None = None
    matrix: np.ndarray | None = None
