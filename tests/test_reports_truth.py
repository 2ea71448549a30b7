"""A report is true if and only if it passed, so that ``assert mle.check_gradient(...)`` can fail."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax.inference.information_report import InformationReport, InformationRow
from mle_jax.inference.likelihood_report import LikelihoodReport, LikelihoodRow
from mle_jax.text.report import TextReport, TextRow

ROW = {"std_error": 0.1, "statistic": 0.0, "p_value": 1.0}


def gradient(right):
    return mle.check_gradient(lambda x: x**2, lambda x: (2 if right else -2) * x, 3.0)


def hessian(right):
    return mle.check_hessian(lambda x: x**3, lambda x: (6 if right else 3) * x, 2.0)


def product(right):
    return mle.check_hessian_product(lambda x: x**3, lambda x, v: (6 if right else 3) * x * v, 2.0)


def likelihood(right):
    numbers = {"expected": 1.0, "found": 1.0, "error": 0.1, "statistic": 0.0, "p_value": 1.0}
    row = LikelihoodRow(check="normalization", name="row 0", **numbers, verdict="ok" if right else "wrong")
    return LikelihoodReport(rows=(row,), diagnosis="", notes=(), draws=10, level=0.01)


def information(right):
    row = InformationRow(name="a, a", declared=1.0, simulated=1.0, **ROW, verdict="ok" if right else "wrong")
    return InformationReport(rows=(row,), diagnosis="", draws=10, level=0.01)


def text(right):
    return TextReport((TextRow("T6", "a line", 5, 0.0, 1e-12, 0.0, passed=right, note=""),), "float64", 3)


REPORTS = [gradient, hessian, product, likelihood, information, text]


@pytest.mark.parametrize("make", REPORTS)
def test_a_report_is_true_where_it_passed(make):
    right, wrong = make(True), make(False)
    assert right.passed is True and bool(right) is True
    assert wrong.passed is False and bool(wrong) is False
    assert str(wrong)  # and prints all the same


def test_every_report_is_in_this_test():
    public = {getattr(mle, name) for name in mle.__all__ if name.endswith("Report")}
    assert public | {TextReport} == {type(make(True)) for make in REPORTS}
    assert all(dataclasses.is_dataclass(report) and "__bool__" in vars(report) for report in public)


def test_one_kink_is_one_and_two_are_two():
    def function(x):
        return jnp.sum(jnp.maximum(x, 0.0) ** 2)

    one = mle.check_hessian(function, lambda x: [[0.0, 0.0], [0.0, 2.0]], np.array([0.0, 1.0]), points=0)
    assert "agree, but for 1 kink (3 entries, 1 point, float64)." in str(one)
    two = mle.check_hessian(function, lambda x: [[0.0, 0.0], [0.0, 0.0]], np.zeros(2), points=0)
    assert "agree, but for 2 kinks (3 entries, 1 point, float64)." in str(two)
