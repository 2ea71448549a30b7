"""Real data with answers that others computed: the ready-made models reach them from the default start."""

import functools
import re
import warnings
from typing import NamedTuple

import numpy as np
import pytest
from models_digits import (
    CASES,
    Case,
    content,
    dataset,
    digits,
    entries,
    estimate_digits,
    fitted,
    flat_names,
    standard_error_digits,
)

import mle_jax as mle
from mle_jax import Status, models

FAST = {"poisson_warpbreaks", "glm2_crabs_rep1_periodic", "quantile50_engel", "tobit_tobin", "weibull_gehan"}
SE_DIGITS = 5
"""Where a case sets no bar for its standard errors: the bar of the others."""


def quick(table, fast=FAST):
    return [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in table]


@pytest.mark.parametrize("name", quick(CASES))
def test_answers_are_reached_to_the_digits_of_the_case(name):
    case, tolerance = CASES[name], content(name)["tolerance"]
    fit = fitted(name, case)
    assert fit.converged, fit.message
    assert fit.n_observations == content(name)["n_obs"]
    assert estimate_digits(fit, name, case) >= tolerance["estimates_digits"]
    bar = tolerance.get("loglik_digits", tolerance.get("objective_digits"))
    assert digits(fit.log_likelihood, content(name)["loglik"]) >= bar
    found = standard_error_digits(fit, name, case)
    assert ("observed" in found) == case.make().smooth
    assert min(found.values(), default=np.inf) >= tolerance.get("se_digits", SE_DIGITS), found


class Endless(NamedTuple):
    """A case without a finite maximum, and how its fit ends."""

    case: Case
    status: Status


POISSON = Case(models.poisson_regression)
LOGIT = Case(models.logistic_regression)
ENDLESS = {
    "sep_logit_silvapulle": Endless(LOGIT, Status.rising),
    "sep_logit_endometrial_quasi": Endless(LOGIT, Status.rising),
    "sep_poisson_example1": Endless(POISSON, Status.not_identified),
    "sep_poisson_02": Endless(POISSON, Status.rising),
    "sep_poisson_03": Endless(POISSON, Status.not_identified),  # more parameters than rows as well
    "sep_poisson_05": Endless(POISSON, Status.not_identified),
    "sep_poisson_06": Endless(POISSON, Status.not_identified),
    "sep_poisson_07": Endless(POISSON, Status.rising),
    "sep_poisson_15": Endless(POISSON, Status.rising),
}


def silently(name, case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        return fitted(name, case)


@pytest.mark.parametrize("name", quick(ENDLESS))
def test_separated_data_are_told_and_what_holds_is_right(name):
    case, status = ENDLESS[name]
    told = content(name)
    fit = silently(name, case)
    assert not fit.converged
    assert fit.status == status, fit.message
    # From below, up to the rounding of as many terms, and as near as the case asks.
    assert -1e-6 <= fit.log_likelihood - told["loglik_supremum"] <= 1e-10
    names, finite = flat_names(name, case), told.get("finite_estimates", {})
    found, errors, reliable = (entries(fit, tree) for tree in (fit.params, fit.standard_errors(), fit.reliable))
    for key in told["parameters"]:
        assert reliable[names[key]] == np.isfinite(errors[names[key]])
        if reliable[names[key]]:
            assert digits(found[names[key]], finite[key]) >= told["tolerance"]["estimates_digits"]
            assert digits(errors[names[key]], told["finite_standard_errors_observed"][key]) >= SE_DIGITS


@pytest.mark.slow
def test_columns_that_repeat_each_other_are_told():
    fit = silently("rankdef_warpbreaks", POISSON)
    assert fit.status == Status.not_identified
    # Two combinations do not matter to any row (the matrix has rank 4 of 6); one of them, or of their sums, is named.
    terms = re.findall(r"([+-])(?:([\d.]+) )?w\[(\d)\]", fit.message)
    assert len(terms) > 1
    x = fit._record.data["x"]
    moved = sum(float(f"{sign}{size or 1}") * x[:, int(column)] for sign, size, column in terms)
    assert np.max(np.abs(moved)) < 0.05  # coefficients are told to two digits
    assert not fit.reliable["w"].any() and np.all(np.isnan(fit.standard_errors()["w"]))
    assert digits(fit.log_likelihood, content("rankdef_warpbreaks")["loglik"]) >= 10


@pytest.mark.slow
def test_dispersion_of_counts_with_too_little_variance_is_on_its_boundary():
    name = "boundary_nb2_womenqueue"
    case = Case(models.negative_binomial_regression, parameters={"eta": "w", "alpha": "dispersion"})
    fit, told = silently(name, case), content(name)
    assert fit.status == Status.at_boundary
    assert fit.params["dispersion"] == 0.0
    assert not fit.reliable["dispersion"]
    assert digits(fit.params["w"][0], told["estimates"]["eta:const"]) >= told["tolerance"]["estimates_digits"]
    known = told["standard_errors"]["observed_given_alpha_0"]["eta:const"]
    assert digits(fit.standard_errors()["w"][0], known) >= SE_DIGITS
    # The Poisson log-likelihood; 1e-10 is its rounding.
    assert abs(fit.log_likelihood - told["loglik"]) <= 1e-10
    with pytest.warns(mle.ConvergenceWarning):
        nothing = mle.fit(case.make(), {**dataset(name, case), "y": np.zeros(100)})  # counts of 0, which R refuses
    # The mean goes to 0; the dispersion then counts for nothing, but that is not what stands in the way.
    assert nothing.status is Status.rising and "-w[0]" in nothing.message


@pytest.mark.slow
def test_maximum_at_the_edge_of_the_valid_means_is_on_the_boundary():
    name = "glm2_crabs_identity_boundary"
    case = Case(functools.partial(models.poisson_regression, "identity"), parameters={"eta": "w"})
    fit, told = silently(name, case), content(name)
    assert fit.status == Status.at_boundary and "row 13 (counted from 0)" in fit.message
    assert np.all(dataset(name, case)["x"] @ fit.params["w"] >= 0.0)
    assert estimate_digits(fit, name, case) >= told["tolerance"]["estimates_digits"]
    assert digits(fit.log_likelihood, told["loglik"]) >= told["tolerance"]["loglik_digits"]
    # The mean of row 13 is w[0] + w[2] + w[3]; the width takes no part in it.
    assert fit.reliable["w"].tolist() == [False, True, False, False] and fit.n_parameters == 4
    # Its error is that of the regression in which the mean of row 13 is 0: w[0] = -w[2] - w[3].
    x, mean = dataset(name, case)["x"], dataset(name, case)["x"] @ fit.params["w"]
    within, y = (
        x @ np.array([[0.0, -1.0, -1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        dataset(name, case)["y"],
    )
    inside = mean > 1e-6
    information = within[inside].T @ ((y / mean**2)[inside, None] * within[inside])
    assert digits(fit.standard_errors()["w"][1], np.sqrt(np.linalg.inv(information)[0, 0])) >= SE_DIGITS


def test_digits_are_counted_as_log_relative_errors():
    assert digits(1.001, 1.0) == pytest.approx(3.0)
    assert digits(1e-4, 0.0) == pytest.approx(4.0)
    assert digits(2.0, 2.0) == 15.0
    assert digits(np.nan, 2.0) == 0.0
