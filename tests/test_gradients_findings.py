"""Slips that the gradient check calls by name, on a regression with a scale and on a censored model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

import mle_jax as mle
from mle_jax import check_gradient
from mle_jax.gradients.evaluation import Probe
from mle_jax.gradients.terms import split

RNG = np.random.default_rng(0)
N = 80
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
Y = X @ [0.5, -1.0, 0.25] + RNG.normal(size=N)
HERE = {"w": np.array([0.3, 0.2, -0.4]), "s": 1.7}
EARLIER = {"w": np.array([0.32, 0.22, -0.38]), "s": 1.68}


def regression(p, x, y):
    constant = -jnp.log(p["s"]) - 0.5 * jnp.log(2 * jnp.pi)
    return jnp.sum(constant - (y - x @ p["w"]) ** 2 / (2 * p["s"] ** 2))


def right(p, x, y):
    r, s = y - x @ p["w"], p["s"]
    return {"w": x.T @ r / s**2, "s": -r.size / s + r @ r / s**3}


def changed(w=lambda g, s: g, s=lambda g, s: g):
    def gradient(p, x, y):
        g = right(p, x, y)
        return {"w": w(g["w"], p["s"]), "s": s(g["s"], p["s"])}

    return gradient


def of_scale(formula):
    """Replace the derivative in s by a formula of the scale, n and the sum of squared residuals."""

    def gradient(p, x, y):
        r = y - x @ p["w"]
        return {"w": right(p, x, y)["w"], "s": formula(p["s"], r.size, r @ r)}

    return gradient


def of_rows(weights):
    def gradient(p, x, y):
        r, s, v = y - x @ p["w"], p["s"], weights(y)
        return {"w": x.T @ (v * r) / s**2, "s": jnp.sum(v * (r**2 / s**3 - 1 / s))}

    return gradient


def in_numpy(p, x, y):
    """Flip the sign of the derivative in w where y is positive; JAX cannot trace this."""
    x, y, w = np.asarray(x), np.asarray(y), np.asarray(p["w"])
    r = np.where(y > 0, -1.0, 1.0) * (y - x @ w)
    return {"w": x.T @ r / float(p["s"]) ** 2, "s": right(p, x, y)["s"]}


def roll(g, s):
    return jnp.roll(g, 1)


SLIPS = {
    "log": (changed(s=lambda g, s: g * s), "log_derivative", "s", "with respect to the log of the parameter"),
    "square": (changed(s=lambda g, s: g / (2 * s)), "square_derivative", "s", "with respect to the square"),
    "inverse": (changed(s=lambda g, s: -g * s**2), "inverse_derivative", "s", "with respect to the inverse"),
    "root": (changed(s=lambda g, s: g * 2 * s**0.5), "root_derivative", "s", "with respect to the square root"),
    "scale": (changed(w=lambda g, s: g * s), "factor", "w", "is s times the right one (s = 1.70000)"),
    "scale squared": (changed(w=lambda g, s: -g * s**2), "factor", "w", "is minus s^2 times the right one"),
    "over scale": (changed(w=lambda g, s: g / s), "factor", "w", "is 1/s times the right one"),
    "mean": (changed(lambda g, s: g / N, lambda g, s: g / N), "mean_instead_of_sum", "w s", "1/n = 1/80 times"),
    "constant": (of_scale(lambda s, n, q: q / s**3), "missing_term", "s", "depends on 's' alone (a normalizing"),
    "kernel": (of_scale(lambda s, n, q: -n / s), "missing_term", "s", "on 's' and 'w' and the data"),
    "sign of a term": (of_scale(lambda s, n, q: n / s + q / s**3), "term_sign", "s", "on 's' alone"),
    "half a term": (of_scale(lambda s, n, q: q / s**3 / 2 - n / s), "term_factor", "s", "has half its size in"),
    "twice a term": (of_scale(lambda s, n, q: q / s**3 - 2 * n / s), "term_factor", "s", "stands twice in"),
    "nothing": (changed(s=lambda g, s: 0 * s), "zero", "s", "in 's' is 0 at every point"),
    "swap": (changed(w=lambda g, s: g[jnp.array([1, 0, 2])]), "permuted", "w[0] w[1]", "'w[0]' and 'w[1]' are swapped"),
    "shifted": (changed(w=roll), "permuted", "w", "'w' are shifted by 2 of 3 places"),
    "one entry": (changed(w=lambda g, s: g.at[1].add(0.01)), "single_coordinate", "w[1]", "'w[1]' is"),
    "left out": (of_rows(lambda y: jnp.where(y > 0.3, 0.0, 1.0)), "rows", "w s", "what they add is missing"),
    "sign of rows": (in_numpy, "rows", "w", "there its sign is flipped"),
    "captured": (lambda p, x, y: right(EARLIER, x, y), "stale_params", "w s", "does not change with the parameters"),
    "old scale": (lambda p, x, y: right({**p, "s": 1.4}, x, y), "stale_params", "w s", "'s' fixed at 1.4000"),
    "start": (lambda p, x, y: right({**p, "w": HERE["w"]}, x, y), "stale_params", "w s", "fixed at 0.30000, 0.20000"),
    "late": (
        lambda p, x, y: right({**p, "w": p["w"] + 0.03}, x, y),
        "stale_params",
        "w s",
        "'w[0]', 'w[1]' and 'w[2]' off by 0.030000",
    ),
}


@pytest.mark.parametrize("name", SLIPS)
def test_slips_are_named_with_their_coordinates(name):
    gradient, pattern, where, words = SLIPS[name]
    report = check_gradient(regression, gradient, HERE, X, Y)
    assert not report.passed
    (finding,) = report.findings
    expected = {"w": ["w[0]", "w[1]", "w[2]"], "w s": ["w[0]", "w[1]", "w[2]", "s"]}.get(where, where.split())
    assert (finding.pattern, list(finding.coordinates)) == (pattern, expected), report.diagnosis
    assert words in finding.sentence and finding.sentence in report.diagnosis


def test_the_rows_that_are_wrong_are_listed():
    report = check_gradient(regression, of_rows(lambda y: jnp.where(y > 0.3, 0.0, 1.0)), HERE, X, Y)
    assert report.findings[0].rows == tuple(np.flatnonzero(Y > 0.3))
    least = np.min(Y[Y > 0.3])
    assert f"those with argument 2 of at least {least:.6f}" in report.diagnosis
    one = check_gradient(regression, of_rows(lambda y: jnp.where(y == Y[7], 2.0, 1.0)), HERE, X, Y)
    assert one.findings[0].rows == (7,) and "at 1 of 80 observations only: row 7; there it is 2.0" in one.diagnosis


def censored(params, row):
    z = (row["t"] - params["m"]) / params["s"]
    return jnp.where(row["event"] == 1, norm.logpdf(z) - jnp.log(params["s"]), norm.logsf(z))


def forgetful(params, data):
    """Treat every time as an event in the derivative of m."""
    z = (data["t"] - params["m"]) / params["s"]
    hazard = jnp.exp(norm.logpdf(z) - norm.logsf(z))
    event = data["event"] == 1
    return {
        "m": jnp.sum(z) / params["s"],
        "s": jnp.sum(jnp.where(event, z**2 - 1, z * hazard)) / params["s"],
    }


def test_a_wrong_censored_branch_is_named_in_the_words_of_the_data():
    data = {"t": RNG.normal(size=50), "event": (RNG.random(50) < 0.6).astype(float)}
    model = mle.Model(censored, {"m": mle.Real(), "s": mle.Positive()}, gradient=forgetful)
    report = model.check_gradient(data, {"m": 0.2, "s": 0.8})
    (finding,) = report.findings
    assert finding.pattern == "rows" and finding.coordinates == ("m",)
    assert finding.rows == tuple(np.flatnonzero(data["event"] == 0.0))
    assert "those with event = 0" in finding.sentence


def test_a_branch_that_is_missing_is_told_by_its_rows():
    def without_survival(params, data):
        z = (data["t"] - params["m"]) / params["s"]
        event = data["event"] == 1
        return {"m": jnp.sum(jnp.where(event, z, 0.0)) / params["s"], "s": jnp.sum(event * (z**2 - 1)) / params["s"]}

    data = {"t": RNG.normal(size=50), "event": (RNG.random(50) < 0.6).astype(float)}
    model = mle.Model(censored, {"m": mle.Real(), "s": mle.Positive()}, gradient=without_survival)
    (finding,) = model.check_gradient(data, {"m": 0.2, "s": 0.8}).findings
    assert finding.pattern == "rows" and finding.coordinates == ("m", "s")
    assert "those with event = 0; what they add is missing" in finding.sentence


def test_terms_add_up_to_the_function_and_to_its_gradient():
    def function(p, x):
        inside = jax.nn.softplus(p["a"] * x) - p["b"] * (x + p["a"])
        return jnp.mean(jnp.where(x > 0, inside, -(p["a"] ** 2) * x)) / 2 + jnp.exp(p["b"]) - 3.0

    x = RNG.normal(size=30)
    with jax.enable_x64(True):
        positions = {"b": np.array(0), "a": np.array(1)}
        probe = Probe(function, positions, (jnp.asarray(x),), np.array([0.3, -0.7]), 2**20)
        (found,) = split(probe, ("b", "a"), probe.point[None])
        value, gradient = probe.autodiff()
    # softplus, b x, b a, the other branch, exp(b); the constant has no derivative. Sums of 30 numbers near 1.
    assert len(found.leaves) == 5
    np.testing.assert_allclose(np.sum(np.asarray(found.values)) - 3.0, value, rtol=1e-13)
    np.testing.assert_allclose(np.sum(np.asarray(found.gradients), axis=0), gradient, rtol=1e-13)
    assert frozenset(["b"]) in found.leaves and frozenset(["a", "data:argument 1"]) in found.leaves


def test_programs_that_cannot_be_taken_apart_are_one_term():
    def function(p, x):
        return jax.lax.fori_loop(0, 3, lambda _, s: s + jnp.sum(jnp.sin(p * x)), 0.0)

    report = check_gradient(function, lambda p, x: 3 * jnp.sum(x * jnp.cos(p * x)) + 0.1, 0.4, X[:, 1])
    assert [finding.pattern for finding in report.findings] == ["unexplained"]


POWERS = {
    "power": (lambda p: p["a"] ** 3 + p["b"] ** 2, {"a": 1.0, "b": 1.1}),
    "product": (lambda p: p["a"] ** 3 * p["b"], {"a": 1.3, "b": 1.3}),
    "log": (lambda p: 3 * jnp.log(p["a"]) + p["b"] ** 2, {"a": 1.001, "b": 1.0}),
    "beside a zero": (lambda p: 3 * jnp.log(p["a"]) + (p["b"] - 2.0) ** 2, {"a": 1.001, "b": 1.0}),
}


@pytest.mark.parametrize("name", POWERS)
def test_a_factor_is_not_taken_for_parameters_that_are_a_multiple(name):
    function, factors = POWERS[name]

    def gradient(p):
        return jax.tree.map(lambda slope, factor: factor * slope, jax.grad(function)(p), factors)

    report = check_gradient(function, gradient, {"a": 1.5, "b": 2.0})
    (finding,) = report.findings
    assert not report.passed and finding.pattern == "factor", report.diagnosis
