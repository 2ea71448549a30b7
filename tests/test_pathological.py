"""Problems that break others end with the right answer, or with the right name of what is wrong.

Expected numbers are closed forms, NumPy's or published ones: see `pathological_problems`.
"""

import functools
import re

import jax
import numpy as np
import pytest

from tests.pathological_problems import PROBLEMS, fitted

QUICK = {
    "the same, own density",
    "logit, quasi-separation",
    "logit, all ones",
    "logit, Hauck and Donner",
    "Poisson, separated zeros",
    "Poisson, columns x 1, 1e8, 1e-8",
    "Poisson, counts near 1e12",
    "Poisson, offset 800",
    "shifted exponential",
    "a^3 b, from 0",
}
"""Those that share compiled programs, and one for every kind of second look."""


def number(fit, label):
    """Return an estimate by flat name, a sum, difference or product of two, or an absolute value."""
    values = dict(zip(fit.names, fit.tidy()["estimate"], strict=True))
    one, sign, other = re.fullmatch(r"(\S+)(?: ([-+*]) (\S+))?", label.strip("|")).groups()
    operations = {"+": np.add, "-": np.subtract, "*": np.multiply}
    value = values[one] if sign is None else operations[sign](values[one], values[other])
    return abs(value) if label.startswith("|") else value


@functools.cache
def fit_of(name):
    return fitted(PROBLEMS[name])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PROBLEMS]
)
def test_the_answer_is_right_or_what_is_wrong_is_named(name):
    problem = PROBLEMS[name]
    fit = fit_of(name)
    assert fit.status in problem.right, f"{fit.status.name}: {fit.message}"
    for words in problem.says:
        assert words in fit.message, fit.message
    for label, value in problem.estimates.items():
        # Sums that are 0 are held against parameters of size 1.
        assert number(fit, label) == pytest.approx(value, rel=problem.rtol, abs=1e-6 if value == 0.0 else 0.0)
    # What does not hold has no standard error; what holds has one.
    leaves = [np.ravel(leaf) for leaf in jax.tree_util.tree_leaves(fit.reliable)]
    assert np.isfinite(fit.tidy()["std_error"]).sum() == np.concatenate(leaves).sum()
