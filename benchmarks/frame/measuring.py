"""Time contenders in alternation: every round runs each of them once, in an order of its own.

Slow drifts of the machine (heat, neighbors, clock) so fall on all of them alike. None always runs after the same other
one, whose caches and threads it would inherit: mere rotation would leave every contender its predecessor.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Call = Callable[[], Any]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Effort:
    """How long to go on.

    Args:
        rounds: the most runs of each contender.
        budget: seconds after which a contender with enough runs drops out.
        fewest: how many runs are enough.
        pause: seconds before every run, in which the threads of the one before go to sleep (they spin for a while).
    """

    rounds: int
    budget: float
    fewest: int
    pause: float = 0.0


@dataclass(frozen=True)
class Measured:
    """An answer from one who measures the time by itself, because a part of what it does is no part of the work.

    Args:
        answer: the answer.
        seconds: what counts.
    """

    answer: Any
    seconds: float


REAL = Effort(rounds=25, budget=20.0, fewest=3, pause=0.05)
QUICK = Effort(rounds=2, budget=0.5, fewest=1)


def wait_for(answer: Any) -> Any:
    """Wait until an answer is there: JAX returns before it has computed."""
    import jax

    return jax.block_until_ready(answer)


def timed(call: Call, *, clock: Clock = time.perf_counter, wait: Callable[[Any], Any] = wait_for) -> tuple[float, Any]:
    """Return the seconds from the call until the answer is there, and the answer; no garbage is collected meanwhile.

    Of `Measured`, the seconds are what it says.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        begin = clock()
        answer = wait(call())
        spent = clock() - begin
        return (answer.seconds, answer.answer) if isinstance(answer, Measured) else (spent, answer)
    finally:
        if was_enabled:
            gc.enable()


def order_of_round(names: Sequence[str], number: int) -> list[str]:
    """Return the order in which the contenders run in a round: shuffled, the same in every run of the benchmark."""
    return random.Random(number).sample(list(names), len(names))


def alternate(
    calls: Mapping[str, Call],
    *,
    effort: Effort,
    clock: Clock = time.perf_counter,
    wait: Callable[[Any], Any] = wait_for,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Run every contender once per round.

    Args:
        calls: the contenders, all called before, so that nothing compiles any more.
        effort: when to stop. A contender that has used up its budget of seconds, those that do not count included,
            drops out after `fewest` runs.
        clock: in seconds.
        wait: waits for an answer.
        sleep: passes a pause.

    Returns:
        The seconds of every run, and the last answer, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    used = dict.fromkeys(calls, 0.0)
    answers: dict[str, Any] = {}
    for number in range(effort.rounds):
        going_on = [n for n in calls if len(seconds[n]) < effort.fewest or used[n] < effort.budget]
        gc.collect()
        for name in order_of_round(going_on, number):
            sleep(effort.pause)
            begin = clock()
            spent, answers[name] = timed(calls[name], clock=clock, wait=wait)
            seconds[name].append(spent)
            used[name] += clock() - begin
    return seconds, answers


def spread(seconds: Iterable[float], share: float = 1.0) -> dict[str, Any]:
    """Summarize runs: number, min, quartiles, max, for the whole work; the measured seconds as they were."""
    runs = list(seconds)
    whole = [run / share for run in runs]
    low, _, high = statistics.quantiles(whole, n=4, method="inclusive") if len(whole) > 1 else whole * 3
    return {
        "n": len(runs),
        "min": min(whole),
        "q1": low,
        "median": statistics.median(whole),
        "q3": high,
        "max": max(whole),
        "measured": runs,
    }
