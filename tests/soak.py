"""The soak: random fits, every "converged" judged again by a log-likelihood and derivatives that are not the library's.

    python -m tests.soak --fits 100000 --seed 0
    python -m tests.soak --seed 0 --block 17 --lane 3      one dataset again (with the same --lanes), and all about it

A false "converged" is a lane whose status says that the maximum was found although finite differences of the
log-likelihood written by hand (`soak_likelihoods`) see a slope, a curvature upward, or a rise nearby
(`soak_certificate`). Exit status 1 if there is one. A maximum from which the log-likelihood falls at first to all
sides, but is higher one standard error away, as that of a Student-t with few rows can be, is counted by itself: it is
no false certificate, but its standard errors say little. A sample of the lanes without a certificate is searched by
SciPy for a maximum that was missed.
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

import mle_jax as mle
from tests.soak_certificate import Opinion, judge, place_of
from tests.soak_problems import FAMILIES, Family, block
from tests.soak_search import search

LANES = 1400  # datasets in a block: 72 blocks, every family in every shape, are 1e5 fits
BY_FIT = 40  # of every fifth block, once more by `fit`
MOST_MAPS = 20_000
TOLERANCE = {mle.Status.converged: 1e-6, mle.Status.converged_to_rounding: 1e-2}


@dataclass
class Tally:
    """What came out of all blocks."""

    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    verbs: Counter[str] = field(default_factory=Counter)
    false: list[str] = field(default_factory=list)
    higher: list[str] = field(default_factory=list)
    by_rounding: int = 0
    searched: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    missed_by: Counter[tuple[str, str]] = field(default_factory=Counter)


def fitted(family: Family, leaves: dict[str, np.ndarray], verb: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Fit by one verb; yield lane by lane status, parameters and log-likelihood."""
    lanes = len(leaves["y"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)  # statuses are what is counted here
        if verb == "fit_batch":
            fits = mle.fit_batch(family.model, leaves)
            for i in range(lanes):
                params = {name: leaf[i] for name, leaf in fits.params.items()}
                yield i, {"status": fits.status[i], "params": params, "value": fits.log_likelihood[i]}
            return
        for i in range(lanes):
            fit = mle.fit(family.model, {name: leaf[i] for name, leaf in leaves.items()})
            yield i, {"status": fit.status, "params": fit.params, "value": fit.log_likelihood}


def opinion_on(family: Family, data: dict[str, np.ndarray], found: dict[str, Any], seed: list[int]) -> Opinion:
    """Judge one certified lane again."""
    status = mle.Status(int(found["status"]))
    place = place_of(family.density, data, found["params"]["w"], family.freed(found["params"]))
    if place is None:
        return Opinion(reasons=["the columns of x are linearly dependent"])
    opinion = judge(place, np.random.default_rng(seed), tolerance=TOLERANCE[status])
    value, size = float(place.here.sum()), float(np.abs(place.here).sum())
    apart = abs(value - float(found["value"])) / max(size, 1.0)
    # A slope of one noise level per row turns the blur of a predictor into an error of the log-likelihood.
    if apart > 1e-10 + 10 * opinion.rounding:
        opinion.reasons.append(f"the log-likelihood is {value!r}, not {float(found['value'])!r}")
    return opinion


def run_block(tally: Tally, seed: int, number: int, *, lanes: int, verb: str = "fit_batch", searches: int = 0) -> None:
    """Fit a block, or the first lanes of it by `fit`; judge what is certified, search some of what is not."""
    name, _, leaves = block(seed, number, lanes)
    family = FAMILIES[name]
    fitting = {leaf: values[:BY_FIT] if verb == "fit" else values for leaf, values in leaves.items()}
    tally.verbs[verb] += len(fitting["y"])
    for i, found in fitted(family, fitting, verb):
        status = mle.Status(int(found["status"]))
        tally.statuses[name, status.name] += 1
        data = {leaf: values[i] for leaf, values in leaves.items()}
        where = f"{name} block {number} lane {i} ({verb}, {status.name})"
        if status.certified:
            opinion = opinion_on(family, data, found, [seed, number, i])
            tally.by_rounding += bool(opinion.decrement > TOLERANCE[status])
            if opinion.reasons:
                tally.false.append(f"{where}: {'; '.join(opinion.reasons)}")
                print(f"FALSE {tally.false[-1]}", flush=True)
            elif opinion.least_fall <= 0 or opinion.narrow:
                what = "curves down only nearby, and" if opinion.narrow else "is a maximum, but"
                tally.higher.append(f"{where}: {what} {-opinion.least_fall:.2g} higher one standard error away")
                print(f"HIGHER {tally.higher[-1]}", flush=True)
        elif searches > 0 and status is not mle.Status.at_boundary:
            searches -= 1
            tally.searched[name, status.name] += 1
            missed = search(family, data, found["params"], np.random.default_rng([seed, number, i]))
            if missed is not None:
                tally.missed_by[name, status.name] += 1
                tally.missed.append(f"{where}: {missed}")


def report(tally: Tally, seconds: float) -> str:
    """Lay out the counts."""
    total = sum(tally.statuses.values())
    names = sorted({status for _, status in tally.statuses}, key=lambda s: mle.Status[s])
    lines = [f"{total} fits in {seconds:.0f} s: " + ", ".join(f"{n} by {verb}" for verb, n in tally.verbs.items())]
    lines += ["".join([f"{'':18}", *(f"{status:>23}" for status in names)])]
    for family in FAMILIES:
        lines += [f"{family:18}" + "".join(f"{tally.statuses[family, status]:23}" for status in names)]
    sure = sum(n for (_, status), n in tally.statuses.items() if mle.Status[status].certified)
    lines += [
        f"certified: {sure}, judged again: {sure}, false: {len(tally.false)}; beyond the tolerance by rounding alone: "
        f"{tally.by_rounding}",
        f"maxima beside higher ground within one standard error, or that curve down only nearby: {len(tally.higher)}",
        f"searched for a missed maximum: {sum(tally.searched.values())} of {total - sure} not certified, found: "
        f"{len(tally.missed)}",
    ]
    lines += [
        f"  {family}, {status}: {found} of {tally.searched[family, status]}"
        for (family, status), found in sorted(tally.missed_by.items())
    ]
    return "\n".join(lines)


def soak(
    fits: int, seed: int, *, lanes: int = LANES, first: int = 0, searches: int = 2, minutes: float = np.inf
) -> Tally:
    """Run blocks until so many fits are done: by `fit_batch`, and some lanes of every fifth block by `fit`."""
    tally, begin, number = Tally(), time.monotonic(), first
    while sum(tally.statuses.values()) < fits and time.monotonic() - begin < 60 * minutes:
        run_block(tally, seed, number, lanes=lanes, searches=searches)
        if number % 5 == 4:
            run_block(tally, seed, number, lanes=lanes, verb="fit")
        number += 1
        done, seconds = sum(tally.statuses.values()), time.monotonic() - begin
        print(f"block {number - 1} done: {done} fits, {len(tally.false)} false, {seconds:.0f} s", flush=True)
        if number % 10 == 0:
            print(report(tally, seconds), flush=True)
        let_go_of_programs()
    print(report(tally, time.monotonic() - begin))
    print("\n".join(["missed:", *tally.missed]))
    return tally


def let_go_of_programs(maps: Path = Path("/proc/self/maps")) -> None:
    """Drop compiled programs before the process runs out of memory maps; tests/conftest.py says why."""
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()


def again(seed: int, number: int, lanes: int, lane: int) -> None:
    """Fit one dataset of a block again, by both verbs, and print all that was found."""
    name, shape, leaves = block(seed, number, lanes)
    data = {leaf: values[lane] for leaf, values in leaves.items()}
    family = FAMILIES[name]
    for verb in ("fit_batch", "fit"):
        _, found = next(fitted(family, {leaf: values[None] for leaf, values in data.items()}, verb))
        status = mle.Status(int(found["status"]))
        print(name, shape, verb, status.name, found["params"], found["value"])
        if status.certified:
            print(opinion_on(family, data, found, [seed, number, lane]))
        else:
            print(search(family, data, found["params"], np.random.default_rng([seed, number, lane])))


def main(argv: list[str] | None = None) -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Judge random fits a second time.")
    parser.add_argument("--fits", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=LANES, help="datasets in a block")
    parser.add_argument("--first", type=int, default=0, help="the block to begin with")
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no block after so many minutes")
    parser.add_argument("--searches", type=int, default=2, help="uncertified lanes of a block to search for a maximum")
    parser.add_argument("--block", type=int, help="with --lane: this dataset only")
    parser.add_argument("--lane", type=int, default=0)
    arguments = parser.parse_args(argv)
    if arguments.block is not None:
        again(arguments.seed, arguments.block, arguments.lanes, arguments.lane)
        return 0
    options = ("lanes", "first", "searches", "minutes")
    tally = soak(arguments.fits, arguments.seed, **{name: getattr(arguments, name) for name in options})
    return 1 if tally.false else 0


if __name__ == "__main__":
    sys.exit(main())
