"""Fits of more parameters than a matrix should hold: the same verdicts, from products with vectors alone.

A one-way layout has closed forms: the mean of a Poisson group is its average, with standard error 1 / sqrt(its sum) on
the scale of logarithms. Small problems go through both certificates by moving the limit.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import Status
from mle_jax._objective import Objective
from mle_jax.fitting import choosing, verdicts
from mle_jax.fitting.planning import make_plan, solve_from_start
from mle_jax.likelihood.layout import model_space
from mle_jax.optimizers import Newton, NewtonCG
from mle_jax.parameters import coordinates
from tests.pathological_problems import PROBLEMS, model_of
from tests.test_krylov import jaxprs

GROUPS, N = 2_010, 4_020
G = np.arange(N) % GROUPS
RNG = np.random.default_rng(0)
Z = RNG.poisson(4.0, size=N) * 1.0
EMPTY = (3, 8)


def log_density(params, row):
    """A count with a mean for its group, and another count with a mean in common."""
    predictor = params["a"] + params["b"][row["g"]]
    count = row["y"] * predictor - jnp.exp(predictor)
    return count + row["z"] * params["c"] - jnp.exp(params["c"])


MODEL = mle.Model(log_density, {"a": mle.Real(), "b": mle.Real(GROUPS), "c": mle.Real()})


def counts(empty=()):
    y = RNG.poisson(3.0, size=N) + 1.0
    y[np.isin(G, empty)] = 0.0
    return {"y": y, "g": G, "z": Z}


@pytest.fixture
def without_hessians(monkeypatch):
    """Let a fit fail that forms a Hessian."""

    def refuse(*_):
        raise AssertionError("a k-by-k matrix was formed")

    monkeypatch.setattr(Objective, "with_hessian", refuse)


@pytest.fixture
def by_products(monkeypatch):
    """Let every fit be certified by products."""
    monkeypatch.setattr(choosing, "DENSE_UP_TO", 0)
    monkeypatch.setattr(verdicts, "DENSE_UP_TO", 0)


@pytest.mark.slow
def test_a_one_way_layout_of_thousands_of_groups(without_hessians):
    data = counts()
    fit = mle.fit(MODEL, data, fixed={"a": 0.0})
    assert fit.status is Status.converged
    assert 0.4 < fit._record.solution.certificate.drop < 0.6  # half a unit for a quadratic
    sums = np.bincount(G, data["y"])
    np.testing.assert_allclose(fit.params["b"], np.log(sums / np.bincount(G)), rtol=1e-12, atol=1e-13)
    errors = fit.standard_errors()
    np.testing.assert_allclose(errors["b"], 1 / np.sqrt(sums), rtol=1e-10)
    np.testing.assert_allclose(errors["c"], 1 / np.sqrt(Z.sum()), rtol=1e-10)
    assert errors["a"] == 0.0
    assert "NewtonCG, certified by conjugate gradients and Lanczos' method" in fit.summary()


@pytest.mark.slow
def test_groups_without_any_count_rise_and_touch_nothing_else(without_hessians):
    with pytest.warns(mle.ConvergenceWarning, match=r"rises along -b\[3\] -b\[8\]"):
        rising = mle.fit(MODEL, counts(EMPTY), fixed={"a": 0.0})
    assert rising.status is Status.rising
    assert np.flatnonzero(~rising.reliable["b"]).tolist() == list(EMPTY) and rising.reliable["c"]
    errors = rising.standard_errors()
    assert np.flatnonzero(np.isnan(errors["b"])).tolist() == list(EMPTY)
    np.testing.assert_allclose(errors["c"], 1 / np.sqrt(Z.sum()), rtol=1e-10)


def test_no_array_of_the_program_is_a_square():
    data = counts()
    place = coordinates(model_space(MODEL, data), {"a": 0.0})
    plan = make_plan(MODEL, place)
    with jax.enable_x64(True):

        def run(data):
            return solve_from_start(MODEL, place, data, None, None, plan.optimizer, 1e-6, 100, **plan.static)

        program = jax.make_jaxpr(run)(data)
    sizes = [variable.aval.size for equation in jaxprs(program.jaxpr) for variable in equation.outvars]
    assert place.size == GROUPS + 1
    assert max(sizes) <= 64 * max(N, GROUPS + 1)


@pytest.mark.slow
def test_a_level_that_is_counted_twice_is_not_identified(without_hessians):
    with pytest.warns(mle.ConvergenceWarning) as told:
        fit = mle.fit(MODEL, counts())
    assert fit.status is Status.not_identified
    shown = " ".join(f"-b[{j}]" for j in range(9))
    assert f"The combination is +a {shown} and {GROUPS - 9} more" in str(told[0].message)
    assert not fit.reliable["a"] and not fit.reliable["b"].any() and fit.reliable["c"]
    errors = fit.standard_errors()
    assert np.isnan(errors["a"]) and np.isnan(errors["b"]).all()
    np.testing.assert_allclose(errors["c"], 1 / np.sqrt(Z.sum()), rtol=1e-10)


@pytest.mark.slow
def test_covariances_of_thousands_are_computed_where_somebody_asks_for_them():
    data = counts()
    fit = mle.fit(MODEL, data, fixed={"a": 0.0})
    variances = np.r_[0.0, 1 / np.bincount(G, data["y"]), 1 / Z.sum()]
    np.testing.assert_allclose(fit.covariance(), np.diag(variances), rtol=1e-10, atol=1e-14)
    scores = data["y"] - np.exp(fit.params["b"])[G]
    meat = np.bincount(G, scores**2)  # A^-1 B A^-1 with A = diag(sums)
    errors = fit.standard_errors("sandwich")
    np.testing.assert_allclose(errors["b"], np.sqrt(meat) / np.bincount(G, data["y"]), rtol=1e-8, atol=1e-12)
    with pytest.raises(ValueError, match="influence needs the information of every single row"):
        mle.influence(fit)


SADDLE = mle.Model(
    lambda p, r: -((p["a"] ** 2 - r["y"]) ** 2) - (p["b"] - 1) ** 2, {"a": mle.Real(), "b": mle.Real(start=5.0)}
)


@pytest.mark.slow
def test_a_saddle_that_a_search_ran_into_is_left(by_products):
    """By symmetry the search from a = 0 ends at (0, 1), a saddle; the maxima are at a^2 = mean(y)."""
    fit = mle.fit(SADDLE, {"y": np.array([1.0, 4.0])}, optimizer=NewtonCG())
    assert fit.status is Status.converged
    assert abs(fit.params["a"]) == pytest.approx(np.sqrt(2.5), rel=1e-8)
    at = mle.evaluate(SADDLE, {"y": np.array([1.0, 4.0])}, {"a": 0.0, "b": 1.0})
    assert at.status is Status.saddle


MEANS = mle.Model(lambda p, r: jnp.sum(r["y"] * p["m"] - jnp.exp(p["m"])), {"m": mle.Real(2)})
PAIRS = np.array([[1.0, 2.0], [4.0, 3.0], [1.0, 7.0]])


@pytest.mark.slow
def test_many_starts_without_the_matrix_find_one_maximum(by_products):
    fit = mle.fit(MEANS, {"y": PAIRS}, optimizer=NewtonCG(), starts=3)
    assert fit.maxima["starts"].tolist() == [3]
    np.testing.assert_allclose(fit.params["m"], np.log(PAIRS.mean(axis=0)), rtol=1e-12)


ALIKE = [
    "logit, quasi-separation",
    "Poisson, collinear columns",
    "Poisson, counts near 1e12",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALIKE)
def test_small_problems_end_alike_with_and_without_the_matrix(name, monkeypatch):
    problem = PROBLEMS[name]
    made = model_of(problem)
    model = mle.Model(made.log_density, made.parameters)  # with programs of its own
    found = []
    for limit in (2000, 0):
        monkeypatch.setattr(choosing, "DENSE_UP_TO", limit)
        monkeypatch.setattr(verdicts, "DENSE_UP_TO", limit)
        model._programs.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mle.ConvergenceWarning)
            fit = mle.fit(model, problem.data, start=problem.start, optimizer=NewtonCG())
        assert fit._record.solution.certificate.is_dense == (limit > 0)
        found.append((fit, fit.standard_errors()))
    (dense, errors), (products, same) = found
    assert dense.status is products.status and dense.status in problem.right
    for leaf, other in zip(*(jax.tree_util.tree_leaves(fit.reliable) for fit, _ in found), strict=True):
        np.testing.assert_array_equal(leaf, other)
    for leaf, other in zip(jax.tree_util.tree_leaves(errors), jax.tree_util.tree_leaves(same), strict=True):
        np.testing.assert_allclose(leaf, other, rtol=1e-5)


def test_newton_keeps_its_matrix_if_asked_for_by_name():
    assert choosing.forms_hessian(Newton(), 3000) and not choosing.forms_hessian(NewtonCG(), 2001)
