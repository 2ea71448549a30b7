"""Every kind of covariance against its textbook formula in NumPy, and against published numbers."""

import csv
import functools
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import gammaln

import mle_jax as mle

RNG = np.random.default_rng(4)
N = 120
X = np.column_stack([np.ones(N), RNG.normal(size=N), RNG.exponential(size=N)])
Y = RNG.negative_binomial(2.0, 0.4, size=N).astype(float)  # overdispersed: the kinds differ
CLUSTERS = np.array(list("abcdefgh"))[RNG.integers(0, 8, size=N)]


def poisson(params, row):
    eta = row["x"] @ params["b"]
    return row["y"] * eta - jnp.exp(eta) - gammaln(row["y"] + 1.0)


def information(params, data):
    mean = jnp.exp(data["x"] @ params["b"])
    return data["x"].T @ (mean[:, None] * data["x"])


MODEL = mle.Model(poisson, {"b": mle.Real(columns="x")}, expected_information=information)


@functools.cache
def fitted():
    return mle.fit(MODEL, {"x": X, "y": Y}, clusters=CLUSTERS)


def textbook(kind, weights=None):
    """Poisson regression with log link: scores (y - mu) x, information X' diag(mu) X, observed = expected."""
    w = np.ones(N) if weights is None else weights
    mean = np.exp(X @ fitted().params["b"])
    scores = (Y - mean)[:, None] * X
    bread = np.linalg.inv(X.T @ ((w * mean)[:, None] * X))
    if kind in ("observed", "expected"):
        return bread
    if kind == "clustered":
        scores = np.array([scores[label == CLUSTERS].sum(axis=0) for label in np.unique(CLUSTERS)])
        w = np.ones(len(scores))
    meat = scores.T @ (w[:, None] * scores)
    return np.linalg.inv(meat) if kind == "outer_product" else bread @ meat @ bread


@pytest.mark.parametrize("kind", ["observed", "expected", "outer_product", "sandwich", "clustered"])
def test_kinds_equal_their_formulas(kind):
    np.testing.assert_allclose(fitted().covariance(kind), textbook(kind), rtol=1e-9)
    np.testing.assert_allclose(fitted().standard_errors(kind)["b"], np.sqrt(np.diag(textbook(kind))), rtol=1e-9)


def test_the_kinds_really_differ_on_these_data():
    first = [np.sqrt(np.diag(textbook(kind)))[1] for kind in ("observed", "outer_product", "sandwich", "clustered")]
    assert len({round(value, 3) for value in first}) == 4


@pytest.mark.parametrize("options", [{}, {"optimizer": mle.optimizers.LBFGS()}, {"fixed": {"s": 2.0}}])
def test_those_that_come_with_a_fit_are_those_of_its_point(options):
    """They are worked out by its program, from the eigenvectors of the certificate; `evaluate` inverts the matrix."""

    def log_density(params, row):
        z = (row["y"] - row["x"] @ params["b"]) / params["s"]
        return -0.5 * z * z - jnp.log(params["s"])

    model = mle.Model(log_density, {"b": mle.Real(columns="x"), "s": mle.Positive()})
    data = {"x": X * [1.0, 1e3, 1e-3], "y": Y}
    fit = mle.fit(model, data, **options)
    there = mle.evaluate(model, data, fit.params, fixed=options.get("fixed"))
    assert fit.converged and fit._record.covariance is not None and there._record.covariance is None
    # In standard errors, rounding errors are some units times the condition of the scaled information, below 100 here.
    units = np.where(there.covariance().diagonal() > 0, np.sqrt(there.covariance().diagonal()), 1.0)
    one, other = (each.covariance() / units / units[:, None] for each in (fit, there))
    np.testing.assert_allclose(one, other, atol=1e-12)
    for kind in ("sandwich", "outer_product"):
        np.testing.assert_allclose(fit.covariance(kind), there.covariance(kind), rtol=1e-9)


def test_with_covariance_changes_every_table():
    robust = fitted().with_covariance("sandwich")
    assert (fitted().covariance_kind, robust.covariance_kind) == ("clustered", "sandwich")
    np.testing.assert_allclose(robust.tidy()["std_error"], np.sqrt(np.diag(textbook("sandwich"))), rtol=1e-9)
    assert "misspecified" in robust.summary() and "clusters" in fitted().summary()
    np.testing.assert_allclose(robust.covariance(), textbook("sandwich"), rtol=1e-9)


def test_one_cluster_per_row_is_the_sandwich():
    np.testing.assert_allclose(fitted().covariance("clustered", clusters=np.arange(N)), textbook("sandwich"), rtol=1e-9)


def test_natural_scale_by_the_exact_jacobian():
    # Gamma with shape 2: observed information of the rate is 2 n / rate^2; of its logarithm 2 n.
    t = np.array([0.5, 1.0, 1.5, 4.0, 8.0])
    model = mle.Model(lambda p, r: 2 * jnp.log(p["rate"]) - p["rate"] * r["t"], {"rate": mle.Positive()})
    fit = mle.fit(model, {"t": t})
    scores = 2 / fit.params["rate"] - t
    np.testing.assert_allclose(fit.covariance()[0, 0], fit.params["rate"] ** 2 / 10, rtol=1e-10)
    np.testing.assert_allclose(fit.covariance("outer_product")[0, 0], 1 / (scores @ scores), rtol=1e-10)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("robust", {}, "must be one of 'observed', 'expected', 'outer_product', 'sandwich' and 'clustered'"),
        ("observed", {"correction": "HC1"}, "'none' is the only one so far"),
        ("clustered", {"clusters": [1, 2]}, r"clusters have shape \(2,\), but the data have 120 rows"),
    ],
)
def test_bad_kinds(kind, options, message):
    with pytest.raises(ValueError, match=message):
        fitted().covariance(kind, **options)


def test_kinds_that_need_what_is_not_there():
    plain = mle.fit(mle.Model(poisson, {"b": mle.Real(columns="x")}), {"x": X, "y": Y})
    with pytest.raises(ValueError, match="has no expected information"):
        plain.covariance("expected")
    with pytest.raises(ValueError, match="needs clusters"):
        plain.covariance("clustered")


def test_engel_with_modeled_spread_equals_published_numbers():
    """Koenker and Bassett's Engel data, Gaussian with log sd linear in log income.

    Expected numbers: 320-bit Newton iteration with an independent log-likelihood, confirmed by R's glmmTMB 1.1
    (dispformula) to 6 digits.
    """
    with open(Path(__file__).parents[1] / "examples" / "data" / "engel.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    income, food = (np.array([float(row[name]) for row in rows]) for name in ("income", "foodexp"))

    def log_density(params, row):
        s = params["spread"][0] + params["spread"][1] * jnp.log(row["income"])
        z = (row["food"] - params["mean"][0] - params["mean"][1] * row["income"]) * jnp.exp(-s)
        return -0.5 * jnp.log(2 * jnp.pi) - s - 0.5 * z**2

    model = mle.Model(log_density, {"mean": mle.Real(2), "spread": mle.Real(2)})
    fit = mle.fit(model, {"income": income, "food": food}, start={"mean": [100.0, 0.5], "spread": [4.0, 0.0]})
    estimates = [59.09816936769849, 0.5838398429198096, -3.715837006534504, 1.186824626503397]
    errors = {
        "observed": [11.309387231986749, 0.016009389679784613, 0.6642343156643544, 0.09764437251113413],
        "outer_product": [11.04484191824482, 0.016221824235460494, 0.7442088653405176, 0.10926913411961173],
        "sandwich": [11.722658879276048, 0.016034365078736065, 0.5947753169114094, 0.0875694377674635],
    }
    assert fit.converged
    # log income is printed with 6 decimals in the reference data, computed here: the coefficients of the spread move
    # by about 1e-6 relative.
    np.testing.assert_allclose(fit.tidy()["estimate"], estimates, rtol=1e-5)
    np.testing.assert_allclose(fit.log_likelihood, -1352.9158890117676, rtol=1e-8)
    for kind, expected in errors.items():
        np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance(kind))), expected, rtol=1e-4)
