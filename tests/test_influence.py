"""`influence`: against the closed forms of linear regression, refits without each row, and derivatives by weights."""

import functools
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from scipy import special, stats

import mle_jax as mle
from mle_jax import models
from mle_jax.inference.deletion import delete_each_row

RNG = np.random.default_rng(8)
N, SIGMA = 40, 1.5
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
Y = X @ [1.0, -0.5, 0.8] + SIGMA * RNG.normal(size=N)
COUNTS = RNG.poisson(np.exp(X @ [0.5, 0.3, -0.2])).astype(float)
YES = (RNG.random(N) < 1 / (1 + np.exp(-X @ [0.3, 0.7, -0.4]))).astype(float)
WEIGHTS = np.array([0.0, 1.0, 2.0, 5.0] * 10)


def known_variance(params, row):
    return norm.logpdf(row["y"], row["x"] @ params["w"], SIGMA)


LINEAR = mle.Model(known_variance, {"w": mle.Real(columns="x")}, name="line")


def closed_form(x, y, weights, left_out):
    """Return change, Cook's distance, leverage and log density without it of every row (Cook and Weisberg 1982).

    Of row i the weight `left_out` is taken away: b - b_i = a (X'WX)^-1 x e / (1 - h), h = a x' (X'WX)^-1 x, and the
    residual without it is e / (1 - h) for a row left out whole.
    """
    inverse = np.linalg.inv(x.T @ (weights[:, None] * x))
    residual = y - x @ inverse @ x.T @ (weights * y)
    h = left_out * np.einsum("ij,jk,ik->i", x, inverse, x)
    changes = -(left_out * residual / (1 - h))[:, None] * (x @ inverse)
    distance = np.einsum("ij,jk,ik->i", changes, np.linalg.inv(inverse), changes) / SIGMA**2 / x.shape[1]
    alone = stats.norm.logpdf(residual - np.sum(x * changes, axis=1), scale=SIGMA)
    return changes, distance, h, alone


def assert_is(found, expected, used=slice(None)):
    """Everything is exact for this model, so only rounding errors of 3 by 3 systems are left."""
    for name, value in zip(("changes", "distance", "leverage", "leave_one_out"), expected, strict=True):
        np.testing.assert_allclose(getattr(found, name)[used], value[used], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.fixture(scope="module")
def linear():
    fit = mle.fit(LINEAR, {"x": X, "y": Y})
    return fit, mle.influence(fit)


def test_linear_regression_exactly(linear):
    fit, found = linear
    expected = closed_form(X, Y, np.ones(N), np.ones(N))
    assert_is(found, expected)
    assert found.names == ("w[0]", "w[1]", "w[2]")
    assert found.leverage.sum() == pytest.approx(3.0, rel=1e-12)
    assert found.cross_validated == pytest.approx(expected[3].sum(), rel=1e-12)
    np.testing.assert_allclose(found.standard_errors, fit.standard_errors()["w"], rtol=1e-12)
    # Without each row in turn, by least squares.
    whole = np.linalg.lstsq(X, Y)[0]
    without = [np.linalg.lstsq(np.delete(X, i, 0), np.delete(Y, i))[0] for i in range(N)]
    np.testing.assert_allclose(found.changes, without - whole, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.leverage, np.diag(X @ np.linalg.pinv(X)), rtol=1e-10)
    with pytest.raises(ValueError, match="read-only"):
        found.changes[0, 0] = 0.0


def test_the_table_names_the_most_influential_rows(linear):
    _, found = linear
    table = found.table(top=3)
    rows = np.argsort(-found.distance)[:3]
    np.testing.assert_array_equal(table["row"], rows)
    scaled = found.changes[rows] / found.standard_errors
    most = np.abs(scaled).argmax(axis=1)
    assert table["moves"].tolist() == [f"w[{i}]" for i in most]
    np.testing.assert_allclose(table["by"], scaled[np.arange(3), most])
    assert "The 3 most influential of 40 rows" in str(table) and "The 10 most influential" in repr(found)
    assert len(found.table(top=100)) == N and "All rows" in str(found.table(top=100))
    for top in (0, 2.5, True):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            found.table(top=top)


def test_blocks_of_rows_change_nothing(linear):
    fit, found = linear
    record = fit._record
    at = record.place, record.solution.theta, record.solution.certificate.information, record.data, None
    with jax.enable_x64(True):
        blocks = jax.jit(functools.partial(delete_each_row, LINEAR, block=9 * 7))(*at)  # 7 rows of 3 by 3, and 5 left
    np.testing.assert_allclose(blocks.changes, found.changes, rtol=1e-12, atol=1e-15)


def test_weights_are_equal_rows_or_the_importance_of_one():
    data = {"x": np.where(WEIGHTS[:, None] > 0, X, np.nan), "y": Y}
    used = WEIGHTS > 0
    for kind, left_out in (("frequency", np.ones(N)), ("importance", WEIGHTS)):
        found = mle.influence(mle.fit(LINEAR, data, weights=WEIGHTS, weight_kind=kind))
        expected = closed_form(X, Y, WEIGHTS, left_out)
        assert_is(found, expected, used)
        assert not found.changes[~used].any() and not found.distance[~used].any()
        assert np.isnan(found.leave_one_out[~used]).all()  # such a row may contain anything
        assert found.cross_validated == pytest.approx(WEIGHTS[used] @ expected[3][used], rel=1e-12)


def test_a_row_that_alone_determines_a_parameter_cannot_be_left_out():
    x = X.copy()
    x[:, 2] = np.arange(N) == 7
    found = mle.influence(mle.fit(LINEAR, {"x": x, "y": Y}))
    assert np.isnan(found.changes[7]).all() and np.isnan(found.distance[7]) and np.isnan(found.leave_one_out[7])
    assert found.leverage[7] == pytest.approx(1.0, rel=1e-12)
    others = np.arange(N) != 7
    reduced = closed_form(X[others][:, :2], Y[others], np.ones(N - 1), np.ones(N - 1))
    np.testing.assert_allclose(found.changes[others][:, :2], reduced[0], rtol=1e-9, atol=1e-12)
    assert found.table()["row"][0] == 7 and found.table()["moves"][0] == "-"
    assert "Without row 7 the others do not determine the estimates" in str(found)
    assert np.isnan(found.cross_validated)


def test_constraints_hold_without_each_row():
    """With w[1] = w[2] it is the regression on the constant and the sum."""
    found = mle.influence(mle.fit(LINEAR, {"x": X, "y": Y}, constraints="w[1] = w[2]"))
    z = np.column_stack([X[:, 0], X[:, 1] + X[:, 2]])
    changes, *others = closed_form(z, Y, np.ones(N), np.ones(N))
    assert_is(found, (changes[:, [0, 1, 1]], *others))


def test_derivatives_by_the_weights(linear):
    """D w / d weight_i = I^-1 s_i, which is minus the change times 1 - h."""
    _, found = linear

    def w(weights):
        return mle.maximize(LINEAR, {"x": X, "y": Y}, weights=weights).params["w"]

    with jax.enable_x64(True):
        slopes = jax.jacfwd(w)(jnp.ones(N))
    np.testing.assert_allclose(slopes.T, -found.changes * (1 - found.leverage)[:, None], rtol=1e-8, atol=1e-11)


REFITTED = {
    "logistic": (models.logistic_regression(), YES, lambda y, e: stats.bernoulli.logpmf(y, special.expit(e))),
    "poisson": (models.poisson_regression(), COUNTS, lambda y, e: stats.poisson.logpmf(y, np.exp(e))),
}


@pytest.mark.parametrize("name", ["logistic", pytest.param("poisson", marks=pytest.mark.slow)])
def test_refits_without_each_row(name):
    """A Newton step is wrong by the order of the change squared: 4 times the data, 16 times less.

    Data of weight 4, of which one unit is left out, have changes 4 times smaller beside the same curvature.
    """
    model, y, log_density = REFITTED[name]
    errors = []
    for weight in (4.0, 1.0):
        weights = np.full(N, weight)
        fit = mle.fit(model, {"x": X, "y": y}, weights=weights)
        found = mle.influence(fit)
        many = {"x": np.broadcast_to(X, (N, N, 3)), "y": np.broadcast_to(y, (N, N))}
        refits = mle.fit_batch(model, many, weights=weights - np.eye(N))
        assert refits.converged.all()
        changes = refits.params["w"] - fit.params["w"]
        information = np.linalg.inv(fit.covariance()) / weight
        missed, moved = (
            np.sqrt(np.einsum("ij,jk,ik->i", move, information, move)) for move in (found.changes - changes, changes)
        )
        # The constant of the square is that of Newton's method, |third derivative| / (2 information^(3/2)).
        assert np.all(missed < 0.25 * moved**2)
        errors.append(np.linalg.norm(missed))
        # Where the rest has its maximum, the score of the total is that of the row, I times the change: it turns what
        # the change misses into what the log density misses, up to its own change.
        alone = log_density(y, np.sum(X * refits.params["w"], axis=1))
        assert np.all(np.abs(found.leave_one_out - alone) < 1.5 * weight * moved * missed + 1e-9)
    assert 12.0 < errors[1] / errors[0] < 24.0
    lane = mle.influence(refits[5])  # a fit out of a batch knows its own weights: there row 5 has none
    assert np.flatnonzero(~lane.changes.any(axis=1)).tolist() == [5] and np.isnan(lane.leave_one_out[5])


def test_what_has_no_influence_to_tell():
    with pytest.raises(TypeError, match="takes a Fit, but was given a dict"):
        mle.influence({"y": Y})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        fits = mle.fit_batch(models.gaussian(), {"y": [[1.0, 2.0, 6.0], [1.0, 1.0, 1.0]]})
    with pytest.raises(TypeError, match=re.escape("fits[i]")):
        mle.influence(fits)
    with pytest.raises(ValueError, match="ended 'scale_collapsed'"):
        mle.influence(fits[1])
    joint = mle.Model.joint(lambda params, data: -jnp.sum((data["y"] - params["m"]) ** 2), {"m": mle.Real()})
    with pytest.raises(ValueError, match="joint likelihood, which has none"):
        mle.influence(mle.fit(joint, {"y": Y}))
    with pytest.raises(ValueError, match="smooth=False"):
        mle.influence(mle.fit(models.laplace_regression(), {"x": X[:5], "y": Y[:5]}))
    with pytest.raises(ValueError, match="all parameters of this fit are fixed"):
        mle.influence(mle.fit(models.gaussian(), {"y": [1.0, 2.0, 6.0]}, fixed={"mu": 3.0, "variance": 2.0}))
