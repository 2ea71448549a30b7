"""Ask a tool about every gradient of a case, right and wrong, and write down how it did."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax

from benchmarks.gradient_checks.broken import broken_functions
from benchmarks.gradient_checks.case import Case
from benchmarks.gradient_checks.checkers import Answer, ask_mle_jax
from benchmarks.gradient_checks.mutations import RIGHT
from benchmarks.gradient_checks.naming import Mutant, mutants


@dataclass(frozen=True, kw_only=True)
class Record:
    """One question and its answer."""

    case: str
    dtype: str
    mutation: str
    family: str
    right: bool
    nameable: bool
    """Whether a pattern describes what is wrong."""
    expected: tuple[str, ...]
    named: tuple[str, ...]
    accepted: bool
    cannot_tell: bool
    blames_autodiff: bool
    named_rightly: bool
    false_names: tuple[str, ...]
    measures: tuple[float, ...]
    seconds: float
    told: str


def ask_about(case: Case, checker: Callable[..., Answer], dtype: str, *, layouts: bool = True) -> Iterator[Record]:
    """Yield a record for the right gradient of a case, then for each of its mutants.

    Args:
        case: the case.
        checker: the tool, one of `CHECKERS`.
        dtype: "float64" or "float32".
        layouts: whether the tool sees the layout of a gradient, so that mutants with a wrong one make sense.
    """
    yield _record(case, dtype, None, *_asked(checker, case, RIGHT.gradient(case), dtype))
    for mutant in mutants(case, dtype)[0]:
        if layouts or not mutant.mutation.layout:
            yield _record(case, dtype, mutant, *_asked(checker, case, mutant.mutation.gradient(case), dtype))


def ask_about_broken(case: Case, dtype: str) -> Iterator[Record]:
    """Yield a record of mle_jax for each way of breaking the autodiff of a case; the gradient by hand is right."""
    for name, function in broken_functions(case):
        begin = time.perf_counter()
        answer = ask_mle_jax(case, RIGHT.gradient(case), dtype, function=function)
        false = tuple(found.pattern for found in answer.named if found.pattern != "autodiff")
        yield Record(
            case=case.name,
            dtype=dtype,
            mutation=name,
            family="autodiff broken",
            right=False,
            nameable=True,
            expected=("autodiff",),
            named=("autodiff",) if answer.blames_autodiff else (),
            accepted=answer.accepted,
            cannot_tell=answer.cannot_tell,
            blames_autodiff=answer.blames_autodiff,
            named_rightly=answer.blames_autodiff and not false,
            false_names=false,
            measures=answer.measures,
            seconds=time.perf_counter() - begin,
            told=answer.told,
        )


def _asked(checker: Callable[..., Answer], case: Case, gradient: Any, dtype: str) -> tuple[Answer, float]:
    begin = time.perf_counter()
    with jax.enable_x64(True):
        answer = checker(case, gradient, dtype)
    return answer, time.perf_counter() - begin


def _record(case: Case, dtype: str, mutant: Mutant | None, answer: Answer, seconds: float) -> Record:
    expected = frozenset() if mutant is None else mutant.right_names()
    # Blaming the right autodiff is as false as any wrong name.
    false = ["autodiff"] if answer.blames_autodiff else []
    rightly = False
    for found in answer.named:
        if mutant is None or found.pattern not in mutant.true_names(found.coordinates):
            false.append(found.pattern)
        elif found.pattern in expected or found.pattern in mutant.right_names(found.coordinates):
            rightly = True
    return Record(
        case=case.name,
        dtype=dtype,
        mutation="right" if mutant is None else mutant.mutation.name,
        family="right" if mutant is None else mutant.mutation.family,
        right=mutant is None,
        nameable=mutant is not None and mutant.nameable,
        expected=tuple(sorted(expected)),
        named=tuple(found.pattern for found in answer.named),
        accepted=answer.accepted,
        cannot_tell=answer.cannot_tell,
        blames_autodiff=answer.blames_autodiff,
        named_rightly=rightly and not false,
        false_names=tuple(false),
        measures=answer.measures,
        seconds=seconds,
        told=answer.told,
    )
