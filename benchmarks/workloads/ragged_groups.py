"""Groups of 5 to 5000 rows, log-uniform, against as many groups of one size made of the same rows.

All rows follow one law, so that neither kind of group is harder to fit; what differs is that rows must be sorted into
groups, groups into shapes, and shapes be filled up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import mle_jax as mle
from benchmarks.frame.workload import Contender, Counts, Workload
from benchmarks.workloads import _poisson
from benchmarks.workloads._lanes import MEASURE, all_of, in_standard_errors, joined

SMALLEST, LARGEST = 5, 5000


@dataclass(frozen=True)
class Groups:
    """Rows, those of a group next to each other.

    Args:
        x: (rows, p), with an intercept.
        y: counts (rows,).
        sizes: rows of every group.
    """

    x: np.ndarray
    y: np.ndarray
    sizes: np.ndarray

    @property
    def equal(self) -> dict[str, np.ndarray]:
        """The same rows in as many groups of one size; the few that are left over are left out."""
        lanes, p = len(self.sizes), self.x.shape[1]
        n = len(self.y) // lanes
        return {"x": self.x[: lanes * n].reshape(lanes, n, p), "y": self.y[: lanes * n].reshape(lanes, n)}

    @property
    def one_by_one(self) -> list[dict[str, np.ndarray]]:
        """Every group as a batch of one."""
        ends = np.cumsum(self.sizes)
        return [
            {"x": self.x[None, e - s : e], "y": self.y[None, e - s : e]} for s, e in zip(self.sizes, ends, strict=True)
        ]


def generate(*, groups: int, largest: int, p: int) -> Groups:
    """Return counts with means around 7: also five rows have a maximum."""
    rng = np.random.default_rng(41)
    sizes = np.exp(rng.uniform(np.log(SMALLEST), np.log(largest + 1.0), groups)).astype(int)
    x = rng.standard_normal((sizes.sum(), p))
    x[:, 0] = 1.0
    w = np.append(2.0, np.full(p - 1, 0.3))
    return Groups(x, rng.poisson(np.exp(x @ w)).astype(float), sizes)


def reference(groups: Groups) -> dict[str, Any]:
    """Return what NumPy finds for the ragged groups, and for those of one size."""
    ragged = joined([_poisson.reference(one) for one in groups.one_by_one])
    return {"ragged": ragged, "equal": _poisson.reference(groups.equal)}


def apart(answer: dict[str, Any], known: dict[str, Any]) -> float:
    """Hold an answer against the reference for its kind of group."""
    return in_standard_errors(answer, known[answer["kind"]])


def prepare_equal(groups: Groups) -> Callable[[], Any]:
    data = groups.equal
    return lambda: {"kind": "equal", **all_of(mle.fit_batch(_poisson.MODEL, data))}


def prepare_ragged(groups: Groups) -> Callable[[], Any]:
    import pandas as pd

    names = [f"x{j}" for j in range(groups.x.shape[1])]
    table = pd.DataFrame(groups.x, columns=names)
    table["y"], table["group"] = groups.y, np.repeat(np.arange(len(groups.sizes)), groups.sizes)
    columns = {"y": "y", "x": names}
    return lambda: {
        "kind": "ragged",
        **all_of(mle.fit_groups(_poisson.MODEL, table, by="group", columns=columns)),
    }


def counts(size: Any, known: Any) -> Counts:
    """Return the least for all rows, as for regressions of one size."""
    rows = size["groups"] * (size["largest"] - SMALLEST) / np.log(size["largest"] / SMALLEST)  # the mean of the law
    return _poisson.counts({"datasets": 1, "n": rows, "p": size["p"]}, known["ragged"])


RAGGED = Workload(
    name="ragged_groups",
    suite="ragged",
    title="{groups} Poisson regressions of 5 to {largest} rows, log-uniform, p = {p}, and as many of one size",
    generate=generate,
    size={"groups": 20_000, "largest": LARGEST, "p": 3},
    quick={"groups": 16, "largest": 40, "p": 2},
    reference=reference,
    discrepancy=apart,
    tolerance=1e-5,
    measure=f"{MEASURE}; allowed 1e-5",
    work=lambda size: size["groups"],
    unit="fits",
    counts=counts,
    contenders=(
        Contender(
            name="mle.fit_batch, one size",
            role="ours",
            prepare=prepare_equal,
            note="NumPy in, NumPy out; with certificate and standard errors",
        ),
        Contender(
            name="mle.fit_groups, ragged",
            role="ours",
            needs=("pandas",),
            prepare=prepare_ragged,
            note="from a pandas table sorted by group; filling up, certificate and standard errors included",
        ),
    ),
)

WORKLOADS = (RAGGED,) if hasattr(mle, "fit_groups") else ()
