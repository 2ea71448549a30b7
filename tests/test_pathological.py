"""Problems that break others end with the right answer, or with the right name of what is wrong.

Expected numbers are closed forms, NumPy's or published ones: see `pathological_problems`.
"""

import functools
import re

import jax
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import models
from tests.models_digits import Case, content, dataset
from tests.pathological_models import MODELS
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
}
"""Those that share compiled programs, and one for every kind of second look."""

ELSEWHERE = {
    "NB2, underdispersed (queues)": "test_models_cases",
    "crabs, identity link": "test_models_cases",
    "crabs, glm2's cycling example": "test_models_cases",
    "heart, log binomial, glm2's diverging example": "test_models_cases",
    "NB2, all zero": "test_models_cases",
    "Poisson, collinear columns": "test_models_cases",
    "logit, complete separation": "test_models_cases",
    "ordered logit, separated": "test_models_degenerate",
    "ordered logit, a level that is empty": "test_models_degenerate",
    "multinomial logit, separated": "test_models_degenerate",
    "tobit, all censored": "test_models_degenerate",
    "Poisson, a negative count": "test_models_degenerate",
    "mixture, start at a spike": "test_models_degenerate",
    "Poisson, 2 rows and 3 parameters": "test_certificate",
    "Gaussian, constant response": "test_certificate",
    "Student t, light tails, by the book": "test_certificate",
    "variance at its end 0": "test_certificate",
}
"""Those that other tests hold to the same; the table shows them for the comparison."""


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
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PROBLEMS if name not in ELSEWHERE],
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sep_poisson_07", "sep_logit_endometrial_quasi"])
def test_separated_rows_are_those_that_a_linear_program_finds(name):
    rows = content(name)["separated_rows_0based"]  # by exact rational arithmetic, says the case
    model = models.poisson_regression if "poisson" in name else models.logistic_regression
    with pytest.warns(mle.ConvergenceWarning):
        fit = mle.fit(model(), dataset(name, Case(model)))
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    listed = ", ".join(str(row) for row in sorted(rows)[:5])
    assert f"ow{'s' if len(rows) > 1 else ''} {listed}{more} (counted from 0)" in fit.message


@pytest.mark.slow
def test_a_batch_begins_elsewhere_too():
    y = np.array([[1.0, 2.0, 3.0, 4.0], [0.5, 0.5, 0.5, 0.5]])
    fits = mle.fit_batch(MODELS["exponential_beyond_1"], {"y": y})
    assert fits.converged.all()
    np.testing.assert_allclose(fits.params["rate"], 1 + 1 / y.mean(axis=1), rtol=1e-9)
    with pytest.warns(mle.ConvergenceWarning):  # a start that somebody gave is taken at its word
        told = mle.fit_batch(MODELS["exponential_beyond_1"], {"y": y}, start={"rate": 0.0})
    assert (told.status == mle.Status.non_finite).all()
