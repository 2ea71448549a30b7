"""One workload in this process: prepare everybody, let them run in alternation, judge the answers."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.frame.checking import judged, of_lanes, verdict
from benchmarks.frame.measuring import QUICK, REAL, Clock, alternate, spread, timed, wait_for
from benchmarks.frame.memory import device_peak_bytes, resident_bytes
from benchmarks.frame.workload import Contender, Workload

PIP_NAMES = {"sklearn": "scikit-learn"}  # where the package is called otherwise than what is imported

FROM_SOURCE = dict.fromkeys(("pycpufit", "pygpufit"), "https://github.com/gpufit/Gpufit")  # not on PyPI


@dataclass
class Entrant:
    """A contender on its way through the run, and what has been found out about it."""

    contender: Contender
    record: dict[str, Any]
    call: Callable[[], Any] | None = None
    first_answer: Any = None


def run_workload(
    workload: Workload, *, quick: bool, clock: Clock = time.perf_counter, wait: Callable[[Any], Any] = wait_for
) -> dict[str, Any]:
    """Measure all contenders of a workload; return the record that goes into the JSON."""
    size = workload.sizes(quick=quick)
    data = workload.generate(**size)
    reference = workload.reference(data)
    work = workload.amount(size)
    entrants = [_enter(contender, data, work, clock=clock, wait=wait) for contender in workload.contenders]
    calls = {e.contender.name: e.call for e in entrants if e.call is not None}
    seconds, last = alternate(calls, effort=QUICK if quick else REAL, clock=clock, wait=wait)
    limits = _limits(workload, size, reference, quick=quick)
    for entrant in entrants:
        name = entrant.contender.name
        if name in seconds:
            _judge(entrant, workload, reference, [entrant.first_answer, last[name]])
            _summarize(entrant, seconds[name], work)
    records = [entrant.record for entrant in entrants]
    _compare(records, workload.base)
    _hold_against_limits(records, limits)
    return {
        "workload": workload.name,
        "suite": workload.suite,
        "title": workload.title.format(**size),
        "size": size,
        "unit": workload.unit,
        "work": work,
        "measure": workload.measure,
        "base": workload.base,
        "contenders": records,
        "targets": [] if quick else targets_reached(workload, records),
        "limits": limits,
        "published": _published(workload, records),
    }


def measure_memory(workload: Workload, name: str, *, quick: bool) -> dict[str, int | None]:
    """Run one contender twice in this (fresh) process; return what it held before the first call, and at most.

    The data and the set-up are held before; the peak includes compiling. Of a contender with a process of its own, the
    peak of that process.
    """
    contender = next(c for c in workload.contenders if c.name == name)
    call = contender.prepare(workload.generate(**workload.sizes(quick=quick)))
    if contender.own_process:
        peaks = [call()["peak_bytes"] for _ in range(2)]
        return {"before_bytes": None, "peak_bytes": max(peaks), "device_peak_bytes": None}
    before, _ = resident_bytes()
    for _ in range(2):
        wait_for(call())
    return {"before_bytes": before, "peak_bytes": resident_bytes()[1], "device_peak_bytes": device_peak_bytes()}


def _enter(contender: Contender, data: Any, work: int, *, clock: Clock, wait: Callable[[Any], Any]) -> Entrant:
    """Prepare a contender and call it once; one that is absent or fails stops nobody else."""
    record: dict[str, Any] = {
        "name": contender.name,
        "role": contender.role,
        "device": contender.device,
        "share": contender.share(work),
        "note": contender.note,
    }
    entrant = Entrant(contender, record)
    missing = contender.absent()
    if missing:
        names = " ".join(PIP_NAMES.get(name, name) for name in missing)
        built = [FROM_SOURCE[name] for name in missing if name in FROM_SOURCE]
        how = f"build it from {', '.join(built)}" if built else f"pip install {names}"
        record |= {"status": "absent", "message": f"not installed: {how}"}
        return entrant
    try:
        call = contender.prepare(data)
        record["first_call_s"], entrant.first_answer = timed(call, clock=clock, wait=wait)
    except Exception as error:  # whatever a peer raises, the others go on and the report says it
        first_line = (str(error).splitlines() or [""])[0]
        record |= {"status": "failed", "message": f"{type(error).__name__}: {first_line}"}
        return entrant
    entrant.call = call
    return entrant


def _judge(entrant: Entrant, workload: Workload, reference: Any, answers: list[Any]) -> None:
    own = entrant.contender.tolerance
    tolerance = workload.tolerance if own is None else own
    entrant.record |= of_lanes(answers[-1])
    found = judged(workload.discrepancy, answers, reference)
    shown = found if math.isfinite(found) else None  # JSON knows no NaN
    entrant.record |= {"discrepancy": shown, "tolerance": tolerance, "status": verdict(found, tolerance)}


def _summarize(entrant: Entrant, seconds: list[float], work: int) -> None:
    runs = spread(seconds, entrant.record["share"])
    measured = runs["median"] * entrant.record["share"]
    # The first call compiles and runs; what it took beyond a usual run is the compilation (and first-use costs).
    compile_s = max(entrant.record["first_call_s"] - measured, 0.0)
    entrant.record |= {"run_s": runs, "compile_s": compile_s, "rate": work / runs["median"]}


def _compare(records: list[dict[str, Any]], base: str) -> None:
    """Write into every right record how many times the time of the base it took."""
    right = {record["name"]: record for record in records if record["status"] == "ok"}
    for record in right.values():
        if base in right:
            record["ratio"] = record["run_s"]["median"] / right[base]["run_s"]["median"]


def _limits(workload: Workload, size: dict[str, int], reference: Any, *, quick: bool) -> dict[str, Any] | None:
    """Return what the work needs at least, and the device's ceilings, measured in this process."""
    if workload.counts is None:
        return None
    from benchmarks.frame.ceilings import measure_ceilings, roofline, sizes_here

    counts = workload.counts(size, reference)
    ceilings = measure_ceilings(sizes_here(quick=quick))
    return {"counts": asdict(counts), "ceilings": ceilings, "roofline": roofline(counts, ceilings)}


def _hold_against_limits(records: list[dict[str, Any]], limits: dict[str, Any] | None) -> None:
    """Write into the record of everybody on JAX's device which part of the roofline was reached."""
    for record in records:
        if limits is not None and record["status"] == "ok" and record["device"] == "jax":
            record["of_roofline"] = limits["roofline"]["least_s"] / record["run_s"]["median"]


def _published(workload: Workload, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the published figures, with how many times as fast ours is."""
    rates = {record["name"]: record["rate"] for record in records if record["status"] == "ok"}
    ours = rates.get(workload.base)
    return [
        {**asdict(figure), "ours_is_faster": None if ours is None else ours / figure.rate}
        for figure in workload.published
    ]


def targets_reached(workload: Workload, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hold what came out against the targets; None where one of those compared is absent or wrong."""
    medians = {record["name"]: record["run_s"]["median"] for record in records if record["status"] == "ok"}
    held: list[dict[str, Any]] = []
    for target in workload.targets:
        reached: float | None = medians.get(target.fast)
        if target.slow and reached is not None:
            others = [medians[name] for name in target.slow if name in medians]
            ratio = min(others) / reached if len(others) == len(target.slow) else None
            reached = 1.0 / ratio if ratio is not None and target.at_most is not None else ratio
        met = None
        if reached is not None:
            most = target.within if target.at_most is None else target.at_most
            met = reached >= target.at_least if target.at_least is not None else reached <= (most or 0.0)
        held.append(
            {
                "text": target.text,
                "at_least": target.at_least,
                "at_most": target.at_most,
                "within_s": target.within,
                "reached": reached,
                "met": met,
            }
        )
    return held
