"""`fit_batch`: every lane is the single fit, and a bad lane is nobody else's business."""

import jax.numpy as jnp
import numpy as np
import pytest
from problems import PROBLEMS

import mle_jax as mle
from mle_jax import Status

MODEL = PROBLEMS["normal regression"].model
RNG = np.random.default_rng(21)
B, N = 37, 30  # not a multiple of the chunk
X = np.stack([np.column_stack([np.ones(N), RNG.normal(size=N)]) for _ in range(B)])
Y = np.einsum("bnp,p->bn", X, [1.0, -2.0]) + RNG.gamma(1.0, size=(B, 1)) * RNG.normal(size=(B, N))


@pytest.fixture(scope="module")
def whole():
    return mle.fit_batch(MODEL, {"x": X, "y": Y})


def test_every_lane_is_the_closed_form(whole):
    assert whole.converged.all() and len(whole) == B
    for lane in range(B):
        w = np.linalg.lstsq(X[lane], Y[lane], rcond=None)[0]
        sigma = np.sqrt(np.mean((Y[lane] - X[lane] @ w) ** 2))
        np.testing.assert_allclose(whole.params["w"][lane], w, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(whole.params["sigma"][lane], sigma, rtol=1e-10)
        errors = sigma * np.sqrt(np.diag(np.linalg.inv(X[lane].T @ X[lane])))
        np.testing.assert_allclose(whole.standard_errors()["w"][lane], errors, rtol=1e-8)
    assert whole.params["w"].shape == (B, 2) and whole.covariance().shape == (B, 3, 3)
    assert whole.aic.shape == (B,) and whole.steps.shape == (B,) and whole.n_observations.tolist() == [N] * B


@pytest.mark.parametrize("lane", [0, 5, -1])
def test_a_lane_is_the_single_fit(whole, lane):
    single = mle.fit(MODEL, {"x": X[lane], "y": Y[lane]})
    one = whole[lane]
    np.testing.assert_allclose(one.params["w"], single.params["w"], rtol=1e-12)
    np.testing.assert_allclose(one.log_likelihood, single.log_likelihood, rtol=1e-13)
    np.testing.assert_allclose(one.covariance(), single.covariance(), rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(one.covariance("sandwich"), single.covariance("sandwich"), rtol=1e-9, atol=1e-15)
    assert (one.status, one.steps, one.names, one.converged) == (single.status, single.steps, single.names, True)
    assert one.message == single.message and one.n_observations == single.n_observations
    assert one.summary().splitlines()[3:] and not one.is_batch


def test_bad_lanes_have_names_and_leave_the_others_alone(whole):
    y = Y.copy()
    y[3] = np.nan
    y[4] = 1.0
    x = X.copy()
    x[5, :, 1] = 2.0  # collinear with the intercept
    with pytest.warns(mle.ConvergenceWarning, match="3 of 37 fits were not certified"):
        fits = mle.fit_batch(MODEL, {"x": x, "y": y})
    assert Status(fits.status[3]) is Status.non_finite
    assert Status(fits.status[4]) is Status.scale_collapsed
    assert Status(fits.status[5]) is Status.not_identified
    good = np.delete(np.arange(B), [3, 4, 5])
    assert fits.converged[good].all()
    np.testing.assert_array_equal(fits.params["w"][good], whole.params["w"][good])
    assert fits.failed()["lane"].tolist() == [3, 4, 5]
    assert np.isnan(fits.standard_errors()["w"][3]).all() and np.isfinite(fits.standard_errors()["w"][good]).all()
    assert "rows 0, 1, 2" in fits[3].message
    assert not fits.reliable["w"][5].any() and "34" in str(fits)


def test_lanes_may_share_leaves_and_weights():
    shared = mle.fit_batch(MODEL, {"x": X[0], "y": Y}, shared=("x",))
    other_order = mle.fit_batch(MODEL, {"y": Y, "x": X[0]}, shared=("x",))  # JAX sorts the keys of dictionaries
    np.testing.assert_array_equal(other_order.params["w"], shared.params["w"])
    np.testing.assert_array_equal(other_order[2].covariance(), shared[2].covariance())
    copied = mle.fit_batch(MODEL, {"x": np.broadcast_to(X[0], X.shape), "y": Y})
    np.testing.assert_allclose(shared.params["w"], copied.params["w"], rtol=1e-12)
    np.testing.assert_allclose(shared.standard_errors()["w"], copied.standard_errors()["w"], rtol=1e-10)
    np.testing.assert_allclose(shared[2].covariance(), copied[2].covariance(), rtol=1e-9, atol=1e-16)
    weights = RNG.integers(0, 3, size=(B, N)).astype(float)
    by_lane = mle.fit_batch(MODEL, {"x": X, "y": Y}, weights=weights)
    common = mle.fit_batch(MODEL, {"x": X, "y": Y}, weights=weights[7])
    one = mle.fit(MODEL, {"x": X[7], "y": Y[7]}, weights=weights[7])
    for fits in (by_lane, common):
        np.testing.assert_allclose(fits.params["w"][7], one.params["w"], rtol=1e-11)
        np.testing.assert_allclose(fits.standard_errors()["w"][7], one.standard_errors()["w"], rtol=1e-9)
        assert fits.n_observations[7] == one.n_observations
        np.testing.assert_allclose(fits[7].covariance("sandwich"), one.covariance("sandwich"), rtol=1e-9, atol=1e-15)


def test_ragged_lanes_by_weights_of_zero():
    y = Y.copy()
    y[:, 20:] = np.nan
    fits = mle.fit_batch(MODEL, {"x": X, "y": y}, weights=(np.arange(N) < 20) * 1.0)
    short = mle.fit_batch(MODEL, {"x": X[:, :20], "y": Y[:, :20]})
    np.testing.assert_allclose(fits.params["w"], short.params["w"], rtol=1e-10)


def test_starts_and_fixed_values(whole):
    warm = mle.fit_batch(MODEL, {"x": X, "y": Y}, start=whole.params)
    assert warm.converged.all() and (warm.steps <= 1).all()
    fixed = mle.fit_batch(MODEL, {"x": X, "y": Y}, fixed={"w[1]": -2.0}, start={"sigma": 2.0})
    assert (fixed.params["w"][:, 1] == -2.0).all() and fixed.n_parameters == 2
    np.testing.assert_allclose(fixed.params["w"][:, 0], np.mean(Y + 2 * X[:, :, 1], axis=1), rtol=1e-9)
    assert (fixed.standard_errors()["w"][:, 1] == 0).all()


def test_tables_of_a_batch(whole):
    wide = whole.to_pandas()
    assert list(wide.columns) == [
        "w[0]",
        "w[1]",
        "sigma",
        "se[w[0]]",
        "se[w[1]]",
        "se[sigma]",
        "log_likelihood",
        "status",
        "decrement",
        "steps",
    ]
    assert len(wide) == B and (wide["status"] == "converged").all()
    np.testing.assert_array_equal(wide["w[1]"], whole.params["w"][:, 1])
    tidy = whole.tidy()
    assert tidy.columns[0] == "lane" and len(tidy) == 3 * B
    assert len(list(whole)) == B


@pytest.mark.parametrize(
    ("data", "options", "kind", "message"),
    [
        ({"x": X, "y": Y[:5]}, {}, ValueError, "differ in their number of datasets .*'x' has 37, 'y' has 5"),
        ({"x": X, "y": Y}, {"shared": ("z",)}, ValueError, "shared names 'z', which is no leaf"),
        ({"x": X, "y": Y}, {"shared": ("x", "y")}, ValueError, "every leaf is shared"),
        ({"x": X, "y": Y, "c": 1.0}, {}, ValueError, "'c' is a single number"),
        ({"x": X[:0], "y": Y[:0]}, {}, ValueError, "0 datasets"),
        ({"x": X, "y": Y}, {"weights": np.ones(3)}, ValueError, r"must have shape \(30,\) in common or \(37, 30\)"),
        ({"x": X, "y": Y}, {"weights": -np.ones(N)}, ValueError, "negative or not finite"),
        ({"x": X, "y": Y}, {"start": {"sgima": 1.0}}, ValueError, "did you mean 'sigma'"),
    ],
)
def test_bad_input(data, options, kind, message):
    with pytest.raises(kind, match=message):
        mle.fit_batch(MODEL, data, **options)


def test_indexing_errors(whole):
    with pytest.raises(IndexError, match="the batch has 37 datasets, 0 to 36"):
        whole[37]
    with pytest.raises(TypeError, match="indexed by one whole number"):
        whole["a"]
    with pytest.raises(TypeError, match="this is a single fit"):
        len(whole[0])


def test_other_batches_of_the_same_shape_do_not_compile_again():
    traces = []

    def log_density(params, row):
        traces.append(1)
        return -0.5 * (row["y"] - params["a"]) ** 2

    model = mle.Model(log_density, {"a": mle.Real()})
    mle.fit_batch(model, {"y": jnp.ones((5, 4))}).standard_errors()
    seen = len(traces)
    fits = mle.fit_batch(model, {"y": 2 * np.arange(20.0).reshape(5, 4)})
    fits.standard_errors()
    assert len(traces) == seen
    np.testing.assert_allclose(fits.params["a"], 2 * np.arange(20.0).reshape(5, 4).mean(axis=1), rtol=1e-12)


def test_lanes_get_the_second_look_of_a_single_fit():
    closed = mle.Model(
        lambda p, r: -0.5 * jnp.log(1 + p["tau2"]) - 0.5 * (r["y"] - p["mu"]) ** 2 / (1 + p["tau2"]),
        {"mu": mle.Real(), "tau2": mle.Positive(closed=True)},
    )
    y = np.array([[0.1, -0.3, 0.5, 0.2], [1.0, -3.0, 5.0, 2.0]])
    with pytest.warns(mle.ConvergenceWarning, match="1 of 2"):
        fits = mle.fit_batch(closed, {"y": y})
    assert [Status(code) for code in fits.status] == [Status.at_boundary, Status.converged]
    assert fits.params["tau2"][0] == 0.0 and fits.params["mu"][0] == pytest.approx(y[0].mean(), rel=1e-9)
    assert fits[0].status is Status.at_boundary and fits[0].reliable["mu"]
    np.testing.assert_allclose(fits.standard_errors()["mu"], [0.5, np.sqrt(y[1].var() / 4)], rtol=1e-8)
    assert np.isnan(fits.standard_errors()["tau2"][0]) and fits[0].n_parameters == 2

    rng = np.random.default_rng(0)
    z = rng.normal(size=N)
    x = np.column_stack([np.ones(N), z, z + 1e-7 * rng.normal(size=N)])
    response = z + 0.1 * rng.normal(size=N)
    near = mle.fit_batch(MODEL, {"x": np.stack([x, x]), "y": np.stack([response, 2 * response])})
    single = mle.fit(MODEL, {"x": x, "y": response})
    assert single.converged and near.converged.all()
    # The design has a condition of 1e7, so least squares itself keeps about 8 of 16 digits.
    np.testing.assert_allclose(near.params["w"][0], single.params["w"], rtol=1e-7)
    np.testing.assert_allclose(near.standard_errors()["w"][0], single.standard_errors()["w"], rtol=1e-7)
    np.testing.assert_allclose(single.params["w"], np.linalg.lstsq(x, response, rcond=None)[0], rtol=1e-6)
