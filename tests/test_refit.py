"""`fits.refit`: lanes that failed are tried again, better answers take their places, the others stay as they are.

The model is a bump of known height and width at an unknown place: its log-likelihood is flat far from the place and has
lower maxima on the way, so that a search from 0 fails or ends too low where the bump is far away.
"""

import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import Status
from mle_jax.fitting.retrying import is_better, pick_neighbors
from mle_jax.fitting.solution import Solution
from mle_jax.results import refitting

B, N, NOISE = 33, 41, 0.05
T = np.linspace(-10.0, 10.0, N)
CENTERS = np.linspace(-8.0, 8.0, B)
RNG = np.random.default_rng(0)
Y = np.exp(-0.5 * (T - CENTERS[:, None]) ** 2) + NOISE * RNG.normal(size=(B, N))
NAN, EMPTY, FLAT, HALF = 5, 6, 8, 9
Y[NAN] = np.nan
Y[FLAT] = 0.0  # the likelihood rises as the bump leaves the data
WEIGHTS = np.ones((B, N))
WEIGHTS[EMPTY] = 0.0
WEIGHTS[HALF, ::2] = 2.0
HOPELESS = [NAN, EMPTY, FLAT]
GOOD = np.delete(np.arange(B), HOPELESS)


def log_density(params, row):
    return -0.5 * ((row["y"] - jnp.exp(-0.5 * (row["t"] - params["c"]) ** 2)) / NOISE) ** 2


MODEL = mle.Model(log_density, {"c": mle.Real()}, name="bump")


def truth():
    """Return the places and their standard errors by Gauss-Newton from the true ones, in NumPy."""
    c = CENTERS.copy()
    for _ in range(50):
        u = T - c[:, None]
        f = np.exp(-0.5 * u**2)
        rest = WEIGHTS * (np.nan_to_num(Y) - f)
        c = c + (rest * u * f).sum(1) / np.maximum((WEIGHTS * (u * f) ** 2).sum(1), 1e-300)
    u = T - c[:, None]
    f = np.exp(-0.5 * u**2)
    information = (WEIGHTS * ((u * f) ** 2 - (Y - f) * (u**2 - 1) * f)).sum(1) / NOISE**2
    return c, 1 / np.sqrt(np.where(information > 0, information, np.nan))


@pytest.fixture(scope="module")
def fits():
    with pytest.warns(mle.ConvergenceWarning):
        # The start by lane is the declared one; other tests have others, and all share one program.
        return mle.fit_batch(MODEL, {"t": T, "y": Y}, shared=("t",), weights=WEIGHTS, start={"c": np.zeros(B)})


@pytest.fixture(scope="module")
def again(fits):
    with pytest.warns(mle.ConvergenceWarning, match="3 of the . datasets tried again are not certified"):
        return fits.refit()


def test_failed_lanes_are_settled_from_neighbors(fits, again):
    failing = fits.failed()["lane"]
    mended = np.setdiff1d(failing, HOPELESS)
    assert len(mended) >= 2 and set(HOPELESS) <= set(failing.tolist())
    c, errors = truth()
    assert again.converged[GOOD].all()
    np.testing.assert_allclose(again.params["c"][mended], c[mended], rtol=1e-9)
    np.testing.assert_allclose(again.standard_errors()["c"][mended], errors[mended], rtol=1e-7)
    for lane in mended.tolist():
        one = again[lane]
        assert one.converged and float(one.params["c"]) == again.params["c"][lane]
        np.testing.assert_allclose(one.standard_errors()["c"], errors[lane], rtol=1e-7)
        assert "refit, by neighbor" in one.summary()


def test_lanes_without_a_maximum_keep_their_status_and_the_others_their_bits(fits, again):
    np.testing.assert_array_equal(again.status[HOPELESS], fits.status[HOPELESS])
    assert [Status(code) for code in again.status[[NAN, EMPTY]]] == [Status.non_finite] * 2
    assert np.isnan(again.standard_errors()["c"][HOPELESS]).all()
    before, after = fits.to_pandas(), again.to_pandas()
    untouched = np.delete(np.arange(B), fits.failed()["lane"])
    assert before.iloc[untouched].equals(after.iloc[untouched]) and len(untouched) > 20


def test_the_table_tells_what_became_of_the_lanes(fits, again):
    table = again.refitted
    assert table["lane"].tolist() == fits.failed()["lane"].tolist() and fits.refitted is None
    for row in table:
        mended = row["lane"] not in HOPELESS
        assert row["settled_by"] == ("neighbor" if mended else "-")
        assert row["status_before"] == Status(fits.status[row["lane"]]).name
        assert row["status"] == ("converged" if mended else row["status_before"])
        assert not mended or row["log_likelihood"] > row["log_likelihood_before"] + 100


def test_lower_maxima_are_left_for_higher_ones_where_the_mask_names_them(again):
    c, errors = truth()
    low = np.zeros(B, bool)
    low[GOOD] = np.abs(again.params["c"][GOOD] - c[GOOD]) > 0.1
    assert low.sum() >= 5 and again.converged[low].all()
    best = again.refit(low)
    np.testing.assert_allclose(best.params["c"][GOOD], c[GOOD], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(best.standard_errors()["c"][GOOD], errors[GOOD], rtol=1e-7)
    assert (best.log_likelihood[low] > again.log_likelihood[low] + 100).all()
    assert set(again.refitted["lane"]) < set(best.refitted["lane"])  # earlier attempts stay in the table
    same = best.with_covariance("outer_product").refit(low)  # nothing is better now
    assert same.covariance_kind == "outer_product"
    np.testing.assert_array_equal(same.params["c"], best.params["c"])


def test_more_steps_for_lanes_that_ran_out_of_them_and_a_given_start():
    c, errors = truth()
    data = {"t": T, "y": Y}
    start = {"c": np.where(np.abs(CENTERS) < 3, CENTERS + 0.7, CENTERS)}
    options = {"shared": ("t",), "weights": WEIGHTS, "start": start}
    with pytest.warns(mle.ConvergenceWarning):
        short = mle.fit_batch(MODEL, data, max_steps=1, **options)
    stopped = (short.status == Status.max_steps) & (CENTERS < 1)  # at most 16: no block of another size to compile
    assert 5 < stopped.sum() <= 16
    done = short.refit(stopped)
    assert set(done.refitted["settled_by"]) == {"more steps"} and (done.steps[stopped] >= 1).all()
    np.testing.assert_allclose(done.params["c"][stopped], c[stopped], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(done.standard_errors()["c"][stopped], errors[stopped], rtol=1e-7)
    given = short.refit(stopped, start={"c": c})
    assert set(given.refitted["settled_by"]) == {"given start"}
    np.testing.assert_allclose(given.params["c"][stopped], c[stopped], rtol=1e-9, atol=1e-12)
    with pytest.warns(mle.ConvergenceWarning, match="not certified"):
        none = short.refit(stopped, max_steps=0, optimizer=mle.optimizers.Newton())
    np.testing.assert_array_equal(none.converged, short.converged)


def test_lanes_that_began_badly_are_settled_from_other_starts():
    c, errors = truth()
    lost = np.zeros(B, bool)
    lost[10:23] = True  # the bump is within 3 of the start of the model
    start = {"c": np.where(lost, 40.0, CENTERS)}
    data = {"t": T, "y": Y}
    with pytest.warns(mle.ConvergenceWarning):
        far = mle.fit_batch(MODEL, data, shared=("t",), weights=WEIGHTS, start=start, max_steps=0)
    assert not far.converged.any()  # so that there are no neighbors
    found = far.refit(lost, max_steps=50)
    assert set(found.refitted["settled_by"]) == {"other start"} and found.converged[lost].all()
    np.testing.assert_allclose(found.params["c"][lost], c[lost], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.standard_errors()["c"][lost], errors[lost], rtol=1e-7)


@pytest.mark.slow
def test_the_last_rung_is_another_optimizer(monkeypatch):
    c, errors = truth()
    near = (CENTERS > -1) & (CENTERS < 3)
    with pytest.warns(mle.ConvergenceWarning):
        none = mle.fit_batch(
            MODEL, {"t": T, "y": Y}, shared=("t",), weights=WEIGHTS, start={"c": CENTERS + 0.1}, max_steps=0
        )
    monkeypatch.setattr(refitting, "STOPPED", ())
    monkeypatch.setattr(refitting, "OTHER_STARTS", 0)
    found = none.refit(near)
    assert set(found.refitted["settled_by"]) == {"other optimizer"}
    np.testing.assert_allclose(found.params["c"][near], c[near], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.standard_errors()["c"][near], errors[near], rtol=1e-7)
    assert "refit, by other optimizer" in found[np.flatnonzero(near)[0]].summary()


def test_keys_of_lanes_come_first(again):
    from dataclasses import replace

    keyed = replace(again, _record=replace(again._record, keys={"place": np.arange(B) * 10, "status": np.arange(B)}))
    assert list(keyed.to_pandas().columns[:3]) == ["place", "key[status]", "c"]
    assert keyed.failed().columns[:3] == ("place", "key[status]", "lane")
    assert keyed.failed()["place"].tolist() == [10 * lane for lane in HOPELESS]
    assert keyed.tidy()["place"].tolist() == keyed.glance()["place"].tolist() == [10 * lane for lane in range(B)]
    with pytest.warns(mle.ConvergenceWarning):
        assert set(HOPELESS) <= {place // 10 for place in keyed.refit().refitted["place"].tolist()}


@pytest.mark.parametrize(
    ("mask", "options", "message"),
    [
        (np.ones(B), {}, r"mask is of type float64 and shape \(33,\), but must be bool with one entry for each of the"),
        (np.ones(4, bool), {}, r"shape \(4,\), but must be bool"),
        (None, {"tolerance": 0.0}, "tolerance is 0.0"),
        (None, {"start": {"d": 1.0}}, "'d'"),
        (None, {"max_steps": -1}, "max_steps"),
    ],
)
def test_bad_input(again, mask, options, message):
    with pytest.raises(ValueError, match=message):
        again.refit(mask, **options)


def test_a_single_fit_cannot_be_refitted(again):
    with pytest.raises(TypeError, match=r"refit\(\) is for the results of fit_batch"):
        again[0].refit()
    assert again.refit(np.zeros(B, bool)) is again


def test_neighbors_are_the_nearest_certified_lanes_and_some_from_all_over():
    certified = np.arange(0, 1000, 2)
    picked = pick_neighbors(np.array([501, 0, 999]), certified)
    assert picked.shape == (3, 32) and np.isin(picked, certified).all()
    assert set(range(486, 517, 2)) <= set(picked[0].tolist())  # 16 around lane 501
    assert {0, 998} <= set(picked[0].tolist()) and set(range(0, 16, 2)) <= set(picked[1].tolist())
    assert set(pick_neighbors(np.array([3]), np.array([7]))[0].tolist()) == {7}


@pytest.mark.parametrize(
    ("old", "new", "wins"),
    [
        ((Status.max_steps, -1.0), (Status.converged, -5.0), True),  # certified beats not certified
        ((Status.rising, -1.0), (Status.converged, -5.0), True),
        ((Status.converged, -5.0), (Status.max_steps, -1.0), False),
        ((Status.converged, -5.0), (Status.converged_to_rounding, -4.0), True),  # among equals the higher
        ((Status.converged, -5.0), (Status.converged, -5.0), False),
        ((Status.at_boundary, -4.0), (Status.converged, -5.0), False),  # the boundary holds a maximum, too
        ((Status.converged, -5.0), (Status.at_boundary, -4.0), True),
        ((Status.max_steps, -5.0), (Status.precision_lost, -4.0), True),
        ((Status.max_steps, -5.0), (Status.rising, -5.0), True),  # it says why
        ((Status.max_steps, -5.0), (Status.not_identified, -6.0), False),
        ((Status.rising, -5.0), (Status.max_steps, -4.0), False),
        ((Status.scale_collapsed, 1e4), (Status.scale_collapsed, 2e4), False),
        ((Status.non_finite, np.nan), (Status.max_steps, -4.0), True),
        ((Status.non_finite, -np.inf), (Status.non_finite, np.inf), False),
    ],
)
def test_what_counts_as_better(old, new, wins):
    def one(status, height):
        empty = dict.fromkeys(Solution._fields)
        return Solution(**{**empty, "status": np.array([int(status)]), "log_likelihood": np.array([height])})

    assert is_better(one(*new), one(*old)).tolist() == [wins]
