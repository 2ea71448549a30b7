"""The mutation suite: right gradients accepted, wrong ones rejected and named, none named falsely.

The cases, their mutations and the rules of naming are those of `benchmarks/gradient_checks`, which also gives them to
other tools. Here a few cases.
"""

from collections import Counter
from typing import Any

import jax
import numpy as np
import pytest

from benchmarks.gradient_checks.broken import broken_functions
from benchmarks.gradient_checks.case import Case
from benchmarks.gradient_checks.cases import all_cases, find_case
from benchmarks.gradient_checks.checkers import ask_mle_jax, ask_scipy
from benchmarks.gradient_checks.mutations import RIGHT
from benchmarks.gradient_checks.naming import mutants
from benchmarks.gradient_checks.running import ask_about, ask_about_broken
from benchmarks.gradient_checks.tallies import best_threshold, markdown, tally
from benchmarks.gradient_checks.view import View
from mle_jax import check_gradient

DTYPES = ("float64", "float32")
FIRST = {"float64": 4, "float32": 1}
"""Where every thirty-second case begins: in either precision one of scales or sizes of 1e8 is among them."""
FEW = (
    ("T7 linear Gaussian", "float64"),
    pytest.param("tobit", "float64", marks=pytest.mark.slow),
    pytest.param("factor of a precision", "float32", marks=pytest.mark.slow),
    pytest.param("Poisson, scales 1e-8 to 1e8", "float32", marks=pytest.mark.slow),
)


def complaints(records: Any) -> list[str]:
    """Say in a line each what must never happen."""
    lines = []
    for record in records:
        what = f"{record.case}, {record.dtype}, {record.mutation}"
        if record.accepted != record.right:
            lines.append(f"{what}: {'accepted' if record.accepted else 'rejected'} ({record.told})")
        if record.false_names:
            lines.append(f"{what}: falsely named {record.false_names}, right: {record.expected} ({record.told})")
    return lines


def unnamed(records: Any) -> list[str]:
    return [f"{r.case}, {r.dtype}, {r.mutation}" for r in records if r.nameable and not r.named_rightly]


@pytest.mark.parametrize(("name", "dtype"), FEW)
def test_a_few_cases(name, dtype):
    records = list(ask_about(find_case(name), ask_mle_jax, dtype))
    assert not complaints(records), "\n".join(complaints(records))
    nameable = sum(record.nameable for record in records)
    assert len(unnamed(records)) <= 0.05 * nameable, unnamed(records)


def test_broken_autodiff_is_blamed_and_the_gradient_by_hand_is_not():
    records = list(ask_about_broken(find_case("T5 Gaussian"), "float64"))
    assert len(records) == 3 and all(record.named_rightly for record in records), records


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_two_more_cases_with_all_mutations(dtype):
    """The whole suite takes half an hour: `python -m benchmarks.gradient_checks` asks about all of it."""
    records, cases = [], all_cases()[FIRST[dtype] :: 32]
    for case in cases:
        records += [*ask_about(case, ask_mle_jax, dtype), *ask_about_broken(case, dtype)]
        jax.clear_caches()
    counts = tally("mle_jax.check_gradient", dtype, records, names=True)
    assert not complaints(records), "\n".join([markdown([counts]), *complaints(records)])
    assert counts.rights == len(cases) and counts.wrongs > 20 * counts.rights
    assert counts.named_rightly >= 0.95 * counts.nameable, "\n".join([markdown([counts]), *unnamed(records)])
    assert counts.cannot_tell <= 0.02 * counts.wrongs, markdown([counts])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_autodiff_alone_is_accepted(dtype):
    for case in all_cases():
        report = check_gradient(case.value, None, case.params, *case.args, dtype=dtype)
        # Differences of a function with a constant of 1e9 carry too few digits to confirm anything: that is honest.
        unclear = {str(row.verdict) for row in (*report.rows, *report.directions)} <= {"ok", "cannot tell"}
        assert report.passed or (unclear and case.offset), f"{case.name}: {report}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sum_of_absolute_terms_can_be_supplied(dtype):
    case = find_case("T7 at its maximum")

    def scale(params, *args):
        view = View(case, params, args)
        return case.tree(np.abs(view.terms).sum(axis=0))

    for given in (scale, scale(case.params, *case.args)):
        report = check_gradient(case.value, RIGHT.gradient(case), case.params, *case.args, dtype=dtype, scale=given)
        assert report.passed, str(report)
        # Relative to the terms, n of them rounded a few times each: n eps is ample.
        assert all(found.discrepancy < len(case.args[-1]) * np.finfo(dtype).eps for found in report.rows)


def test_the_suite_is_as_large_as_it_claims():
    names = [case.name for case in all_cases()]
    assert len(set(names)) == len(names) >= 24
    families = Counter(mutant.mutation.family for case in all_cases() for mutant in mutants(case, "float64")[0])
    assert min(families.values()) >= 4, families


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_case_lies_only_at_zeros_of_its_gradient(dtype):
    for case in all_cases():
        kept = [mutant.mutation.name for mutant in mutants(case, dtype)[0]]
        assert "sign" in kept and len(kept) >= 15, f"{case.name}: {kept}"


@pytest.mark.slow
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_the_gradients_by_hand_are_right(case):
    """Against autodiff, apart from the checker; in float64, relative to the sum of the absolute terms."""
    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(case.value))
        kinked = "zero residual" in case.name
        for point in case.points()[1 if kinked else 0 :]:
            params = case.tree(point)
            view = View(case, params, case.args)
            apart = np.abs(view.gradient - case.flat(slope(params, *case.args)))
            # The special functions of JAX and SciPy are good to some 1e-14.
            assert np.all(apart <= 1e-12 * np.abs(view.terms).sum(axis=0)), case.name
            total = float(np.sum(case.contributions(params, *case.args))) + case.offset
            assert float(case.value(params, *case.args)) == pytest.approx(total, rel=1e-12)


def tiny(**changes: Any) -> Case:
    """A Gaussian scale of 1 and one observation: most mutations change nothing or are the same."""
    fields = {
        "name": "tiny",
        "pieces": lambda p, y: {"kernel": -(y**2) * p["s"] / 2, "constant": np.log(1.0) + 0 * y},
        "terms": lambda p, y: {"kernel": {"s": -(y**2) / 2}, "constant": {"s": 0 * y}},
        "params": {"s": 1.0},
        "args": (np.array([2.0]),),
        "positive": ("s",),
        "scale": "s",
        "spread": 0.0,
    }
    return Case(**{**fields, **changes})


def test_mutations_that_change_nothing_are_excluded():
    _, excluded = mutants(tiny(), "float64")
    names = {mutation.name for mutation in excluded}
    # s = 1: no power of it is a factor, and d/dlog(s) is d/ds; the constant has no derivative; the function is linear
    # and its points are one, so that no parameters are stale.
    assert {"factor sigma", "factor 1/sigma^2", "with respect to the log of s", "without constant"} <= names
    assert {"always at the first point", "always at another point"} <= names
    assert not {"sign", "factor 2", "with respect to the square of s"} & names


def test_the_same_mutation_by_two_names_runs_once_and_has_both():
    kept = {mutant.mutation.name: mutant for mutant in mutants(find_case("mean of 1e6"), "float64")[0]}
    assert {"sign of params", "factor 2 in params"} & set(kept) == set()
    assert kept["factor 1/n"].right_names() == {"factor", "mean_instead_of_sum"}
    kept = {mutant.mutation.name: mutant for mutant in mutants(find_case("T5 Gaussian"), "float64")[0]}
    log = kept["with respect to the log of variance"]
    assert log.right_names() == {"log_derivative", "factor"}
    assert log.true_names() == {"log_derivative", "factor", "single_coordinate"}
    everywhere = kept["factor sigma"]
    assert everywhere.right_names() == {"factor"}
    assert everywhere.right_names(["variance"]) == {"factor", "log_derivative"}
    assert kept["crooked"].right_names() == frozenset() and not kept["crooked"].nameable


def test_broken_functions_have_the_right_value_and_a_wrong_derivative():
    case = find_case("T5 Gaussian")
    with jax.enable_x64(True):
        value, slope = jax.value_and_grad(case.value)(case.params, *case.args)
        for name, function in broken_functions(case):
            same, other = jax.value_and_grad(function)(case.params, *case.args)
            assert float(same) == pytest.approx(float(value), rel=1e-15)
            gap = np.abs(case.flat(other) - case.flat(slope))
            assert not np.all(gap < 1e-3 * np.abs(case.flat(slope))), name


def test_other_tools_are_asked_properly():
    case = find_case("T5 Gaussian")
    with jax.enable_x64(True):
        assert ask_scipy(case, RIGHT.gradient(case), "float64").accepted
    records = list(ask_about(case, ask_scipy, "float64", layouts=False))
    assert records[0].right and records[0].accepted
    assert not any(record.accepted for record in records if record.mutation in ("sign", "factor 2", "crooked"))
    which, threshold = best_threshold(records)
    assert records[0].measures[which] <= threshold < 1e-3
