"""The frame of the benchmarks, on contenders and a clock that are made up: no test here measures real time."""

import itertools
import json
import math
import os

import numpy as np
import pytest

from benchmarks.frame import report, running
from benchmarks.frame.ceilings import QUICK, measure_ceilings, roofline
from benchmarks.frame.checking import judged, of_lanes, relative_difference, verdict
from benchmarks.frame.environment import child_environment
from benchmarks.frame.measuring import Effort, Measured, alternate, order_of_round, spread, timed
from benchmarks.frame.running import measure_memory, run_workload
from benchmarks.frame.workload import Contender, Counts, Published, Target, Workload


class FakeClock:
    """A clock that only advances when a contender says that it worked."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def instantly(answer):
    return answer


def working(clock, seconds, answer=0.0, log=None, name=""):
    """Return a call that takes so long on the fake clock; seconds may be a list, one for each call."""
    durations = iter(seconds) if isinstance(seconds, list) else None

    def call():
        clock.now += seconds if durations is None else next(durations)
        if log is not None:
            log.append(name)
        return answer

    return call


def test_the_orders_of_the_rounds_are_shuffled_and_reproducible():
    orders = [order_of_round("abcd", number) for number in range(40)]
    assert all(sorted(order) == list("abcd") for order in orders)
    assert orders == [order_of_round("abcd", number) for number in range(40)]
    neighbors = {pair for order in orders for pair in itertools.pairwise(order)}
    assert len(neighbors) == 12  # everybody runs right after everybody else at some time
    assert {order[0] for order in orders} == set("abcd") and order_of_round([], 3) == []


def test_contenders_alternate():
    clock, log, pauses = FakeClock(), [], []
    calls = {name: working(clock, 1.0, name, log, name) for name in "abc"}
    effort = Effort(rounds=3, budget=100.0, fewest=1, pause=0.25)
    seconds, answers = alternate(calls, effort=effort, clock=clock, wait=instantly, sleep=pauses.append)
    assert [sorted(log[i : i + 3]) for i in (0, 3, 6)] == [list("abc")] * 3
    assert seconds == {name: [1.0, 1.0, 1.0] for name in "abc"} and answers == {name: name for name in "abc"}
    assert pauses == [0.25] * 9


def test_a_slow_contender_drops_out_when_its_budget_is_used_up():
    clock = FakeClock()
    calls = {"fast": working(clock, 1.0), "slow": working(clock, 30.0), "slowest": working(clock, 500.0)}
    effort = Effort(rounds=10, budget=60.0, fewest=2)
    seconds, _ = alternate(calls, effort=effort, clock=clock, wait=instantly)
    assert {name: len(runs) for name, runs in seconds.items()} == {"fast": 10, "slow": 2, "slowest": 2}


def test_the_time_ends_when_the_answer_is_there():
    clock = FakeClock()

    def wait(answer):
        clock.now += 2.0
        return answer

    assert timed(working(clock, 1.0, "it"), clock=clock, wait=wait) == (3.0, "it")


def test_who_measures_the_time_by_itself_is_believed():
    clock = FakeClock()
    call = working(clock, 9.0, Measured("it", 2.5))
    assert timed(call, clock=clock, wait=instantly) == (2.5, "it")
    effort = Effort(rounds=10, budget=20.0, fewest=1)
    seconds, answers = alternate({"it": call}, effort=effort, clock=clock, wait=instantly)
    assert seconds == {"it": [2.5] * 3} and answers == {"it": "it"}  # all 9 seconds of a run are used up


def test_spread_of_known_numbers():
    # Quartiles of 1..5 by linear interpolation (type 7 of Hyndman and Fan): 2, 3, 4.
    found = spread([5.0, 1.0, 4.0, 2.0, 3.0])
    assert found == {"n": 5, "min": 1.0, "q1": 2.0, "median": 3.0, "q3": 4.0, "max": 5.0, "measured": [5, 1, 4, 2, 3]}
    part = spread([0.5], share=0.25)
    assert (part["median"], part["q1"], part["measured"]) == (2.0, 2.0, [0.5])


def test_answers_are_held_against_the_reference():
    reference = {"w": np.array([[1.0, -4.0], [2.0, 3.0]]), "se": np.ones((2, 2))}
    assert relative_difference({"w": reference["w"][:1]}, reference) == 0.0  # the first lane only
    assert relative_difference(np.array([1.0, -4.4]), np.array([1.0, -4.0])) == pytest.approx(0.1, rel=1e-12)
    assert relative_difference(np.zeros(3), np.ones(2)) == relative_difference(np.zeros(0), np.ones(2)) == math.inf
    assert math.isnan(judged(relative_difference, [np.ones(2), np.array([1.0, np.nan])], np.ones(2)))
    assert [verdict(value, 0.1) for value in (0.1, 0.2, math.nan, math.inf)] == ["ok", "wrong", "wrong", "wrong"]


def test_lanes_are_reported_and_not_judged():
    answer = {"w": np.ones(4), "converged": np.array([True, True, True, False]), "steps": np.array([3, 4, 5, 50])}
    assert of_lanes(answer) == {"converged": 0.75, "steps": {"mean": 15.5, "max": 50}}
    assert relative_difference(answer, {"w": np.ones(4)}) == 0.0
    assert of_lanes(np.ones(3)) == of_lanes({"w": 1.0}) == {}


def test_the_longest_of_three_limits_is_the_roofline():
    counts = Counts(bytes=100.0, flops=1000.0, exps=6.0, text="")
    found = roofline(counts, {"bytes_per_s": 50.0, "flops_per_s": 250.0, "exps_per_s": 2.0})
    assert found == {"bytes_s": 2.0, "flops_s": 4.0, "exps_s": 3.0, "limit": "flops", "least_s": 4.0}


def test_ceilings_are_rates_of_this_device():
    ceilings = measure_ceilings(QUICK)
    # No processor does a single one a second, or 10^16.
    assert len(ceilings) == 3 and all(1e3 < rate < 1e16 for rate in ceilings.values())


def test_a_run_says_how_near_it_came_to_the_limits_and_to_published_figures(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(
        "benchmarks.frame.ceilings.measure_ceilings",
        lambda sizes: {"bytes_per_s": 1e9, "flops_per_s": 1e9, "exps_per_s": 1e9},
    )
    lanes = {"value": 42.0, "converged": np.array([True, False]), "steps": np.array([2, 4])}
    workload = workload_of(
        contender("ours", working(clock, 4.0, lanes), role="ours"),
        contender("elsewhere", working(clock, 4.0, {"value": 42.0}), device="cpu"),
        discrepancy=lambda answer, reference: abs(answer["value"] - reference),
        counts=lambda size, reference: Counts(bytes=1e9 * size["n"] / 10, flops=0.0, exps=0.0, text="one byte"),
        published=(Published(name="theirs", rate=5.0, source="a paper"),),
        unit="fits",
    )
    result = run_workload(workload, quick=True, clock=clock, wait=instantly)
    ours, elsewhere = result["contenders"]
    assert (ours["of_roofline"], ours["converged"], ours["steps"]) == (0.25, 0.5, {"mean": 3.0, "max": 4})
    assert not {"of_roofline", "converged", "steps"} & set(elsewhere)
    assert result["published"][0]["ours_is_faster"] == 0.5  # 10 in 4 seconds
    text = report.workload_text({**result, "device": "cpu", "threads": "1"})
    assert "25 %" in text and "50 %" in text and "3.0, at most 4" in text
    assert "roofline: 1.00 s, by bytes" in text and "counted: one byte" in text
    assert "published: theirs 5 fits/s (a paper); ours is 0.5 times that" in text
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_what_is_not_on_an_index_must_be_built(monkeypatch):
    monkeypatch.setattr(running, "FROM_SOURCE", {"no_such_package": "https://example.org"})
    clock = FakeClock()
    everybody = workload_of(
        contender("ours", working(clock, 1.0, 42.0), role="ours"),
        contender("absent", None, needs=("no_such_package",)),
    )
    record = run_workload(everybody, quick=True, clock=clock, wait=instantly)["contenders"][1]
    assert record["message"] == "not installed: build it from https://example.org"


def workload_of(*contenders, **options):
    settings = {
        "name": "made_up",
        "suite": "none",
        "title": "the answer, {n} times",
        "generate": lambda n: n,
        "size": {"n": 100},
        "quick": {"n": 10},
        "reference": lambda n: 42.0,
        "discrepancy": lambda answer, reference: abs(answer - reference),
        "tolerance": 0.5,
        "measure": "distance from 42",
        "work": lambda size: size["n"],
    }
    return Workload(contenders=contenders, **{**settings, **options})


def contender(name, call, *, role="peer", **options):
    return Contender(name=name, role=role, prepare=lambda data: call, **options)


def test_a_run_reports_everybody_as_they_are():
    clock = FakeClock()

    def broken():
        raise RuntimeError("out of luck\nwith a long story")

    everybody = workload_of(
        contender("ours", working(clock, [5.0, 2.0, 2.0], 42.0), role="ours"),
        contender("right", working(clock, 8.0, 42.4)),
        contender("fast and wrong", working(clock, 0.125, 41.0)),
        contender("lenient", working(clock, 1.0, 41.0), tolerance=2.0),
        contender("part", working(clock, 4.0, 42.0), units=5),
        contender("nan", working(clock, 1.0, math.nan)),
        contender("absent", broken, needs=("no_such_package",)),
        contender("broken", broken),
    )
    result = run_workload(everybody, quick=True, clock=clock, wait=instantly)
    found = {record["name"]: record for record in result["contenders"]}
    assert (result["title"], result["work"], result["base"]) == ("the answer, 10 times", 10, "ours")
    assert {name: record["status"] for name, record in found.items()} == {
        **dict.fromkeys(("ours", "right", "lenient", "part"), "ok"),
        **dict.fromkeys(("fast and wrong", "nan"), "wrong"),
        **{"absent": "absent", "broken": "failed"},
    }
    assert found["ours"]["first_call_s"] == 5.0 and found["ours"]["compile_s"] == 3.0  # 5 at first, then 2
    assert found["ours"]["rate"] == 5.0 and found["ours"]["ratio"] == 1.0
    assert found["right"]["ratio"] == 4.0
    assert found["part"]["share"] == 0.5 and found["part"]["run_s"]["median"] == 8.0 and found["part"]["ratio"] == 4.0
    assert "ratio" not in found["fast and wrong"] and found["nan"]["discrepancy"] is None
    assert found["absent"]["message"] == "not installed: pip install no_such_package"
    assert found["broken"]["message"] == "RuntimeError: out of luck"
    assert json.loads(json.dumps(result, allow_nan=False)) == result

    text = report.workload_text({**result, "device": "cpu", "threads": "1"})
    assert "WRONG 1.0e+00" in text and "WRONG nan" in text and "one thread" in text
    assert "absent: not installed: pip install no_such_package" in text
    assert "part: ran 0.5 of the work; its times are scaled up to all of it" in text


def test_targets_are_held_against_what_came_out(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(running, "REAL", Effort(rounds=3, budget=100.0, fewest=1))
    targets = (
        Target(text="4 times as fast", fast="ours", slow=("peer",), at_least=4.0),
        Target(text="6 times as fast", fast="ours", slow=("peer",), at_least=6.0),
        Target(text="within 3 s", fast="ours", within=3.0),
        Target(text="within 1 s", fast="ours", within=1.0),
        Target(text="beats the absent", fast="ours", slow=("absent",), at_least=1.0),
        Target(text="a fifth of the peer", fast="ours", slow=("peer",), at_most=0.2),
        Target(text="the fastest of two counts", fast="peer", slow=("ours", "other"), at_most=4.0),
        Target(text="one of two is absent", fast="ours", slow=("peer", "absent"), at_most=4.0),
    )
    workload = workload_of(
        contender("ours", working(clock, 2.0, 42.0), role="ours"),
        contender("peer", working(clock, 10.0, 42.0)),
        contender("other", working(clock, 4.0, 42.0)),
        contender("absent", working(clock, 1.0), needs=("no_such_package",)),
        targets=targets,
    )
    assert run_workload(workload, quick=True, clock=clock, wait=instantly)["targets"] == []  # tiny sizes prove nothing
    result = run_workload(workload, quick=False, clock=clock, wait=instantly)
    found = [(target["reached"], target["met"]) for target in result["targets"]]
    with_most = [(0.2, True), (5.0, False), (None, None)]
    assert found == [(5.0, True), (5.0, False), (2.0, True), (2.0, False), (None, None), *with_most]
    lines = report.workload_text({**result, "device": "cpu", "threads": "default"}).splitlines()[-8:]
    assert lines == [
        "target: 4 times as fast: met (5 times)",
        "target: 6 times as fast: NOT MET (5 times)",
        "target: within 3 s: met (2.00 s)",
        "target: within 1 s: NOT MET (2.00 s)",
        "target: beats the absent: nothing to compare with",
        "target: a fifth of the peer: met (0.2 times)",
        "target: the fastest of two counts: NOT MET (5 times)",
        "target: one of two is absent: nothing to compare with",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contenders": ["ours", "ours"]}, "two contenders have one name"),
        ({"contenders": ["peer"]}, "one must be 'ours'"),
        ({"targets": (Target(text="", fast="ours", slow=("nobody",), at_least=1.0),)}, "a target is about nobody"),
    ],
)
def test_a_workload_that_cannot_be_meant_is_refused(options, message):
    roles = {"ours": "ours", "peer": "peer"}
    contenders = [contender(name, None, role=roles[name]) for name in options.pop("contenders", ["ours"])]
    with pytest.raises(ValueError, match=message):
        workload_of(*contenders, **options)


def test_memory_above_what_was_held_before():
    size = 64 * 2**20
    filler = contender("filler", lambda: float(np.ones(size // 8).sum()) and 42.0, role="ours")
    found = measure_memory(workload_of(filler), "filler", quick=True)
    # Other allocations of this process may have been freed meanwhile, so some slack; the peak holds the array.
    assert found["peak_bytes"] > size
    if found["before_bytes"] is not None:
        assert found["peak_bytes"] >= found["before_bytes"]


def test_memory_of_a_contender_with_a_process_of_its_own_is_that_of_the_process():
    peaks = iter([3, 7])
    starter = contender("starter", lambda: {"peak_bytes": next(peaks)}, role="ours", own_process=True)
    found = measure_memory(workload_of(starter), "starter", quick=True)
    assert found == {"before_bytes": None, "peak_bytes": 7, "device_peak_bytes": None}


@pytest.mark.parametrize(
    ("value", "text"), [(2.5, "2.50 s"), (0.0123, "12.3 ms"), (0.5, "500 ms"), (3e-6, "3.00 us"), (0.0, "0.00 us")]
)
def test_durations_are_readable(value, text):
    assert report.seconds(value) == text


def test_a_child_gets_its_threads_and_the_checkout():
    inherited = {"XLA_FLAGS": "--xla_a", "JAX_COMPILATION_CACHE_DIR": "x", "JAX_PLATFORMS": "tpu", "PYTHONPATH": "mine"}
    single = child_environment("1", "cpu", inherited)
    # On one core XLA has one thread; only where a process cannot be kept there it must be told.
    told = "" if hasattr(os, "sched_setaffinity") else " --xla_cpu_multi_thread_eigen=false"
    assert single["XLA_FLAGS"] == f"--xla_a{told}"
    assert single["OMP_NUM_THREADS"] == single["OPENBLAS_NUM_THREADS"] == "1"
    assert single["JAX_PLATFORMS"] == "cpu" and single["JAX_ENABLE_X64"] == "1"
    assert "JAX_COMPILATION_CACHE_DIR" not in single and single["PYTHONPATH"].endswith("mine")
    quick = child_environment("1", "cpu", inherited, quick=True)
    assert quick == {**single, "JAX_COMPILATION_CACHE_DIR": "x"}  # its times mean nothing anyway
    default = child_environment("default", "gpu", {})
    assert not {"OMP_NUM_THREADS", "XLA_FLAGS", "JAX_PLATFORMS"} & set(default)
