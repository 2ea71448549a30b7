"""Reference cases that no ready-made model covers, written as a user writes them: the published digits are reached.

Tolerances are those of the cases: 7 digits of the estimates, 5 of every kind of standard error and 10 of the
log-likelihood where a case says nothing else, which is more than the 6, 4 and 8 that are promised.
"""

import warnings

import numpy as np
import pytest
from models_digits import content, digits, entries, estimate_digits, fitted, flat_names, standard_error_digits, worst

import mle_jax as mle
from mle_jax import Status
from tests.reference_models import CASES, EFRON, LEAST_SQUARES, POISSON, case_of
from tests.test_models_nist import CERTIFIED, PERFECT, regression
from tests.test_models_nist import digits as nist_digits

FAST = {"clogit_modechoice", "garch11_dem2gbp", "nist_anova_sirstv"}
ANOVA = [name for name in CASES if "anova" in name]
ROWS = {"observed", "opg", "hc0"}
KINDS = {
    "coxph_lung": {"observed"},
    "locallevel_nile": {"observed", "opg"},
    "sep_poisson_09": {"observed"},
    "garch11_dem2gbp": {"observed", "opg", "information_matrix"},
    "cluster_poisson_epil": ROWS | {"cluster_subject"},
}
"""Which kinds of standard errors are compared, where these are not the three of independent rows."""
SEPARATED = [f"sep_poisson_{number}" for number in ("01", "04", "10", "16", "17", "18")]
EASY = ("norris", "noint1", "noint2")
"""NIST's linear problems that are left out here: every number of rows compiles anew."""
SE_DIGITS = 5
"""Where a case sets no bar for its standard errors: the bar of the others."""


def quick(names):
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in names]


def silently(name, case, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        return fitted(name, case, **options)


@pytest.mark.parametrize("name", quick(name for name in CASES if name not in ANOVA))
def test_published_digits_are_reached(name):
    case, told = CASES[name], content(name)
    fit = fitted(name, case)
    assert fit.converged, fit.message
    assert estimate_digits(fit, name, case) >= told["tolerance"]["estimates_digits"]
    assert digits(fit.log_likelihood, told["loglik"]) >= told["tolerance"]["loglik_digits"]
    found = standard_error_digits(fit, name, case)
    assert set(found) == KINDS.get(name, ROWS)
    assert min(found.values(), default=np.inf) >= told["tolerance"].get("se_digits", SE_DIGITS), found


def test_five_covariances_of_one_time_series():
    """The benchmark of Fiorentini, Calzolari and Panattoni: the two robust ones are made of the three others."""
    name = "garch11_dem2gbp"
    fit, told = fitted(name, CASES[name]), content(name)["standard_errors"]
    observed, products, expected = (fit.covariance(kind) for kind in ("observed", "outer_product", "expected"))
    meat = np.linalg.inv(products)
    for bread, kind in ((observed, "hc0"), (expected, "bollerslev_wooldridge")):
        found = np.sqrt(np.diag(bread @ meat @ bread))
        np.testing.assert_allclose(found, list(told[kind].values()), rtol=1e-5)
    with pytest.raises(ValueError, match="needs independent rows"):
        fit.covariance("sandwich")


@pytest.mark.slow
def test_ties_by_efron():
    fit, told = fitted("coxph_lung", EFRON), content("coxph_lung")["efron"]
    assert fit.converged
    np.testing.assert_allclose(fit.params["w"], list(told["estimates"].values()), rtol=1e-7)
    np.testing.assert_allclose(fit.standard_errors()["w"], list(told["standard_errors_observed"].values()), rtol=1e-5)
    assert digits(fit.log_likelihood, told["loglik"]) >= 10


@pytest.mark.parametrize("name", quick(ANOVA))
def test_analysis_of_variance(name):
    case, told = CASES[name], content(name)
    names, bars = flat_names(name, case), told["tolerance"]
    fit = silently(name, case)
    means = {key: value for key, value in told["estimates"].items() if key != "sigma"}
    found = entries(fit, fit.params)
    assert worst(found, means, names) >= bars["mean_digits"]
    assert digits(found["sigma"], told["estimates"]["sigma"]) >= bars["sigma_digits"]
    # Neighboring float64 numbers near a mean of 1e12 are 1.2e-4 apart. Where that is more than a hundredth of a
    # standard error no mean can be certified, and the fit must say so; so it is for SmLs08 (1809 rows) alone.
    errors = told["standard_errors"]["expected"]
    blurred = any(np.spacing(value) > 1e-2 * errors[key] for key, value in means.items())
    assert blurred == (name == "nist_anova_smls08")
    if blurred:
        assert fit.status is Status.precision_lost and "rescale" in fit.message
        return
    assert fit.converged, fit.message
    assert worst(entries(fit, fit.standard_errors()), errors, names) >= bars["se_digits"]


@pytest.mark.slow
def test_a_huge_offset_taken_off_gives_all_the_digits_of_the_data():
    name = "nist_anova_smls08"
    case, told = CASES[name], content(name)
    centered = case._replace(arrange=lambda data: {**case.arrange(data), "y": data["y"] - 1e12})  # exact
    fit = fitted(name, centered)
    assert fit.converged
    assert digits(fit.params["sigma"], told["estimates"]["sigma"]) >= told["tolerance"]["sigma_digits"]
    errors = entries(fit, fit.standard_errors())
    assert worst(errors, told["standard_errors"]["expected"], flat_names(name, case)) >= told["tolerance"]["se_digits"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CERTIFIED["linear"] if name not in EASY])
def test_linear_regression_by_search(name):
    """NIST's linear problems from w = 0, sigma = 1: the digits of least squares, without least squares."""
    data, certified = regression(name), CERTIFIED["linear"][name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        fit = mle.fit(LEAST_SQUARES, data)
    n, p = data["x"].shape
    if name == "filip" and not fit.converged:  # digits, or an honest status
        assert fit.status is Status.max_steps and np.isnan(fit.standard_errors()["w"]).all()
        return
    if fit.status is Status.converged_to_rounding:  # it says how near: so many standard errors, no more than these
        far = np.abs(fit.params["w"] - certified["estimates"]) / fit.standard_errors()["w"]
        assert name == "filip" and fit.decrement < 1e-3 and far.max() <= 2 * fit.decrement
        return
    assert nist_digits(fit.params["w"], certified["estimates"]) >= certified["digits"]["estimates"]
    if name in PERFECT:
        assert fit.status is Status.scale_collapsed
        return
    assert fit.converged, fit.message
    errors = fit.standard_errors()["w"] * np.sqrt(n / (n - p))  # NIST divides by n - p
    assert nist_digits(errors, certified["standard_errors"]) >= certified["digits"]["standard_errors"]


@pytest.mark.parametrize("name", quick(SEPARATED))
def test_separated_counts_are_told_and_what_is_finite_is_right(name):
    case, told = case_of(POISSON), content(name)
    fit, names = silently(name, case), flat_names(name, case)
    assert fit.status in (Status.rising, Status.not_identified), fit.message
    # From below, up to the rounding of as many terms, and as near as the case asks.
    assert -1e-6 <= fit.log_likelihood - told["loglik_supremum"] <= 1e-10
    found, errors, reliable = (entries(fit, tree) for tree in (fit.params, fit.standard_errors(), fit.reliable))
    for key, value in told["finite_estimates"].items():
        # One of them is 1e-61: zero, up to rounding.
        assert found[names[key]] == pytest.approx(value, rel=10.0 ** -told["tolerance"]["estimates_digits"], abs=1e-12)
    for key in told["parameters"]:
        assert reliable[names[key]] == np.isfinite(errors[names[key]])
        if reliable[names[key]]:
            assert digits(errors[names[key]], told["finite_standard_errors_observed"][key]) >= SE_DIGITS


@pytest.mark.slow
def test_a_mixture_with_a_component_on_one_observation_says_that_it_collapsed():
    """The likelihood is infinite there (Day 1969, Biometrika 56, 463-474); from elsewhere its maximum is found."""
    name, spike = "mixture2_geyser", {"pi": 0.05, "mu1": 75.0, "sd1": 0.05, "mu2": 72.3, "sd2": 13.9}
    fit = silently(name, CASES[name], start=spike)
    assert fit.status is Status.scale_collapsed and "sd1" in fit.message
