"""Newton's method by conjugate gradients, and fits of many parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax._objective import Objective
from mle_jax.optimizers._loop import begin, proceed
from mle_jax.optimizers.newton_cg import NewtonCG


def run(function, start, steps):
    with jax.enable_x64(True):
        objective = Objective(lambda at: (function(at), jnp.abs(function(at))))
        first = begin(objective, NewtonCG(), jnp.asarray(start, jnp.float64))
        return proceed(objective, NewtonCG(), first, max_steps=steps)


def test_a_quadratic_whose_units_differ_by_ten_decades_takes_a_few_steps():
    rng = np.random.default_rng(0)
    k = 50
    root = rng.normal(size=(k, k))
    units = 10.0 ** rng.uniform(-5, 5, k)
    matrix = (root @ root.T + k * np.eye(k)) * units[:, None] * units
    top = rng.normal(size=k) / units
    found = run(lambda at: 0.5 * (at - top) @ matrix @ (at - top), np.zeros(k), 14).state.evaluation
    np.testing.assert_allclose(np.asarray(found.point) * units, top * units, rtol=1e-6, atol=1e-8)


def test_rosenbrock_in_many_dimensions():
    def chain(w):
        return jnp.sum(100.0 * (w[1:] - w[:-1] ** 2) ** 2 + (1.0 - w[:-1]) ** 2)

    found = run(chain, np.full(30, -0.5), 200).state.evaluation
    np.testing.assert_allclose(found.point, 1.0, rtol=1e-8)


def test_negative_curvature_is_followed_to_a_minimum():
    # Near the saddle at 0 of x^4 / 4 - x^2 / 2 + y^2 / 2; its minima are at x = +-1, y = 0.
    found = run(lambda w: w[0] ** 4 / 4 - w[0] ** 2 / 2 + w[1] ** 2 / 2, [1e-3, 1.0], 30).state.evaluation
    np.testing.assert_allclose(found.point, [1.0, 0.0], atol=1e-8)


def test_the_diagonal_of_a_hessian():
    with jax.enable_x64(True):
        objective = Objective(lambda w: (jnp.sum(w**3) * w[0], jnp.abs(w[0])))
        at = jnp.linspace(0.5, 2.0, 7)
        exact = jnp.diagonal(jax.hessian(lambda w: objective.value(w))(at))
        np.testing.assert_allclose(objective.diagonal(at), exact, rtol=1e-14)


def test_a_wrong_radius_is_refused():
    with pytest.raises(ValueError, match="initial_radius is -1"):
        mle.minimize(lambda w: w @ w, np.ones(3), optimizer=NewtonCG(initial_radius=-1.0), max_steps=3)


def test_group_effects_by_the_hundred_are_fitted_and_certified():
    """One mean per group and a common slope: closed form by the within transformation (Greene 2018, section 11.4)."""
    rng = np.random.default_rng(1)
    groups, n = 520, 3_120
    g = np.arange(n) % groups
    x = rng.normal(size=n)
    y = 0.7 * x + rng.normal(size=groups)[g] + rng.normal(size=n)

    def log_density(params, row):
        return -0.5 * (row["y"] - params["mean"][row["g"]] - params["slope"] * row["x"]) ** 2

    model = mle.Model(log_density, {"mean": mle.Real(groups), "slope": mle.Real()})
    fit = mle.fit(model, {"x": x, "y": y, "g": g})
    assert fit.status.name == "converged"
    assert "NewtonCG" in fit.summary()

    def within(values):
        return values - (np.bincount(g, values) / np.bincount(g))[g]

    slope = within(x) @ within(y) / (within(x) @ within(x))
    np.testing.assert_allclose(fit.params["slope"], slope, rtol=1e-10)
    np.testing.assert_allclose(fit.standard_errors()["slope"], 1 / np.sqrt(within(x) @ within(x)), rtol=1e-8)
    means = (np.bincount(g, y) - slope * np.bincount(g, x)) / np.bincount(g)
    np.testing.assert_allclose(fit.params["mean"], means, rtol=1e-8, atol=1e-9)
