"""Real data with answers that others computed: the ready-made models reach them from the default start."""

import numpy as np
import pytest
from models_digits import CASES, content, digits, estimate_digits, fitted, standard_error_digits

FAST = {"poisson_warpbreaks", "glm2_crabs_rep1_periodic"}
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
    assert digits(fit.log_likelihood, content(name)["loglik"]) >= tolerance["loglik_digits"]
    found = standard_error_digits(fit, name, case)
    assert "observed" in found
    assert min(found.values()) >= tolerance.get("se_digits", SE_DIGITS), found


def test_digits_are_counted_as_log_relative_errors():
    assert digits(1.001, 1.0) == pytest.approx(3.0)
    assert digits(1e-4, 0.0) == pytest.approx(4.0)
    assert digits(2.0, 2.0) == 15.0
    assert digits(np.nan, 2.0) == 0.0
