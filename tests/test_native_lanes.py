"""The engine under `fit_batch`: sums over lanes, native loops, streams; held against NumPy and the loss of a lane."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import gammaln

import mle_jax as mle
from mle_jax._side_by_side import height_of_block, sum_blocks
from mle_jax.fitting import batch_engine, native_lanes, streams
from mle_jax.fitting.native import climb
from mle_jax.inference.covariances import inverse_root
from mle_jax.likelihood import lane_sums
from mle_jax.likelihood.lane_rows import Ends
from mle_jax.likelihood.lane_sums import LaneLikelihood
from mle_jax.likelihood.layout import model_space
from mle_jax.likelihood.loss import loss_objective
from mle_jax.optimizers._one_kernel import is_known
from mle_jax.parameters import coordinates

ROWS = 27  # no multiple of a block


def log_density(params: Any, row: Any) -> Any:
    """Poisson with the logarithm of y! worked out from the data."""
    eta = row["x"] @ params["w"]
    return row["y"] * eta - jnp.exp(eta) - gammaln(row["y"] + 1.0)


POISSON = mle.Model(log_density, {"w": mle.Real(columns="x")}, name="poisson")

NOISY = mle.Model(
    lambda params, row: jax.scipy.stats.logistic.logpdf(row["y"], row["x"] @ params["w"], params["scale"]),
    {"w": mle.Real(columns="x"), "scale": mle.Positive()},
)


def poisson_data(lanes: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Return designs with an intercept, and counts."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((lanes, ROWS, 2))
    x[..., 0] = 1.0
    w = np.array([0.8, 0.4]) + 0.2 * rng.standard_normal((lanes, 2))
    return {"x": x, "y": rng.poisson(np.exp(np.einsum("lnp,lp->ln", x, w))).astype(float)}


def by_newton(data: dict[str, np.ndarray], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return maximizers and standard errors of all lanes by Newton's method in NumPy."""
    x, y = data["x"], data["y"]
    w = np.zeros((len(x), 2))
    w[:, 0] = np.log(np.sum(weights * y, 1) / np.sum(weights, 1))
    for _ in range(30):
        mean = np.exp(np.einsum("lnp,lp->ln", x, w)) * weights
        information = np.einsum("lnp,ln,lnq->lpq", x, mean, x)
        w = w + np.linalg.solve(information, np.einsum("lnp,ln->lp", x, weights * y - mean)[..., None])[..., 0]
    return w, np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2))


@pytest.mark.parametrize("name", ["poisson", "logistic_noise", "gaussian"])
def test_sums_over_lanes_are_those_of_the_loss_of_each_dataset(name: str) -> None:
    """Own predictors, own beside common ones, and common ones alone; weights with zeros, rows filled up."""
    model = {
        "poisson": POISSON,
        "logistic_noise": NOISY,
        "gaussian": mle.models.gaussian(),
    }[name]
    data = poisson_data(3)
    data = {"y": data["y"]} if name == "gaussian" else data
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 3, (3, ROWS)).astype(float)
    data["y"][weights == 0] = np.nan  # left out, whatever it is
    with jax.enable_x64(True):
        one = {key: leaf[0] for key, leaf in data.items()}
        place = coordinates(model_space(model, one), None)
        points = 0.3 * rng.standard_normal((3, place.size))

        @jax.jit
        def of_lanes(leaves: list[Any], weights: Any, points: Any) -> Any:
            likelihood = LaneLikelihood(model, place, one, points[0])
            rows = likelihood.prepare(leaves, weights)
            at = [points[:, i] for i in range(place.size)]
            return likelihood.sums(rows, at), likelihood.value(rows, at)

        @jax.jit
        def of_one(data: Any, weights: Any, point: Any) -> Any:
            return loss_objective(model, place, data, weights=weights).with_hessian(point)

        found, values = of_lanes([data[key] for key in one], weights, points)
        for lane in range(3):
            there = of_one({key: leaf[lane] for key, leaf in data.items()}, weights[lane], points[lane])
            total = weights[lane].sum()
            hessian = {place: entry[lane] for place, entry in found.hessian.items()}
            # Sums of 27 numbers of order one in another order: some rounding errors of their size.
            close = {"rtol": 1e-11, "atol": 1e-11}
            np.testing.assert_allclose(found.value[lane], -there.value * total, **close)
            np.testing.assert_allclose(values[lane], -there.value * total, **close)
            np.testing.assert_allclose(found.magnitude[lane], there.magnitude * total, **close)
            np.testing.assert_allclose([g[lane] for g in found.gradient], -there.gradient * total, **close)
            expected = {(i, j): -there.hessian[i, j] * total for i, j in hessian}
            np.testing.assert_allclose(list(hessian.values()), list(expected.values()), **close)


def test_what_the_data_alone_decide_is_worked_out_once() -> None:
    """The logarithm of y! is no part of what a step computes."""
    with jax.enable_x64(True):
        one = {key: leaf[0] for key, leaf in poisson_data(1).items()}
        likelihood = LaneLikelihood(POISSON, coordinates(model_space(POISSON, one), None), one, jnp.zeros(2))
        rows = likelihood.prepare([leaf[None] for leaf in one.values()], None)
        step = jax.make_jaxpr(lambda at: likelihood.sums(rows, at).value)([jnp.zeros(1), jnp.zeros(1)])
    assert "lgamma" not in str(step)
    assert rows.rows.computed[0].shape[-1] == 1


@pytest.mark.parametrize(
    ("rows", "lanes"),
    [(1, 32), (3, 32), (4, 32), (7, 16), (49, 16), (49, 32), (200, 32), (201, 32), (211, 32), (9, 500)],
)
def test_blocks_are_short_and_cover_the_rows_without_a_rest_where_they_can(rows: int, lanes: int) -> None:
    """A block holds 128 numbers at most, unless the lanes alone are more, or up to 255 leave no rest."""
    height = height_of_block(rows, lanes, 128)
    assert 1 <= height <= rows
    usual = max(min(128 // lanes, rows), 1)
    assert height <= usual or (height < 2 * usual and rows % height == 0)
    if any(rows % h == 0 for h in range(usual // 2 + 1, 2 * usual)):
        assert rows % height == 0


def test_sums_over_high_blocks_are_not_written_out() -> None:
    """Row by row they would take minutes to compile."""
    rows = jnp.zeros((3000, 32))
    sums = lambda rows: sum_blocks(lambda block: [block, 2 * block], rows, rows[0], 2**15)  # noqa: E731 - traced
    assert len(str(jax.make_jaxpr(sums)(rows)).splitlines()) < 100


def test_a_native_loop_settles_maxima_and_leaves_the_rest() -> None:
    """Against NumPy; a lane without a maximum, one of NaN, and one out of steps are left."""
    data = poisson_data(5)
    data["y"][1] = 0.0  # the intercept goes to minus infinity
    data["y"][2, 3] = np.nan
    start = np.zeros((2, 5))
    start[:, 3] = [-30.0, 0.0]  # far away on the flat side: many steps
    with jax.enable_x64(True):
        one = {key: leaf[0] for key, leaf in data.items()}
        place = coordinates(model_space(POISSON, one), None)

        @jax.jit
        def solve(leaves: list[Any], start: Any, most: Any) -> Any:
            likelihood = LaneLikelihood(POISSON, place, one, start[:, 0])
            rows = likelihood.prepare(leaves, None)
            return climb(likelihood, rows, start, radius=1.0, tolerance=1e-6, max_steps=most)

        found = solve(list(data.values()), jnp.asarray(start), 8)
        later = solve(list(data.values()), jnp.asarray(start), 100)
        # Where no lane has a step to go, and one without a maximum is so far out that its score is nearly 0.
        at_top = later.point.at[:, 1].set(jnp.array([-40.0, 0.0]))
        again = solve(list(data.values()), at_top, 0)
    assert again.clear.tolist() == [True, False, False, True, True]
    assert again.steps[np.array([0, 1, 3, 4])].tolist() == [0] * 4 and float(again.decrement[1]) < 1e-6
    assert found.clear.tolist() == [True, False, False, False, True]
    assert found.unfinished.tolist() == [False, True, False, True, False]
    assert later.clear.tolist() == [True, False, False, True, True]
    good = [0, 3, 4]
    expected, errors = by_newton({key: leaf[good] for key, leaf in data.items()}, np.ones((3, ROWS)))
    # Newton's method polished: what is left is rounding.
    np.testing.assert_allclose(later.point.T[np.array(good)], expected, rtol=0, atol=1e-9 * errors.min())
    hessian = np.asarray(later.hessian)[..., 0]
    scaled = hessian / np.sqrt(np.outer(np.diagonal(hessian), np.diagonal(hessian)))
    # Ten applications of the inverse of a 2 by 2 matrix.
    np.testing.assert_allclose(later.smallest_eigenvalue[0], np.linalg.eigvalsh(scaled)[0], rtol=1e-3)


def test_the_last_step_is_taken_though_rounding_hides_its_fall() -> None:
    """From 1e-7 standard errors to 1e-13: of 60 rows the log-likelihood changes by less than its rounding errors."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((32, 60, 3))
    data = {"x": x, "y": rng.gamma(2.0, np.exp(x @ [0.3, -0.2, 0.1]) / 2)}
    model = mle.models.gamma_regression()
    with jax.enable_x64(True):
        one = {key: leaf[0] for key, leaf in data.items()}
        place = coordinates(model_space(model, one), None)

        @jax.jit
        def solve(leaves: list[Any], start: Any) -> Any:
            likelihood = LaneLikelihood(model, place, one, start[:, 0]).in_blocks_of(2**12)
            rows = likelihood.prepare(leaves, None)
            return climb(likelihood, rows, start, radius=1.0, tolerance=1e-6, max_steps=20)

        found = solve(list(data.values()), jnp.zeros((place.size, 32)))
    assert np.asarray(found.clear).all()
    assert np.asarray(found.decrement).max() < 1e-11


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small batches take the way of large ones."""
    monkeypatch.setattr(batch_engine, "WORTH", 0)


@pytest.mark.smoke
@pytest.mark.usefixtures("eager")
def test_a_batch_equals_numpy_whatever_the_pieces_and_the_order_of_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With lanes that fail among them. (Compiled as users compile, most lanes are settled by native loops.)"""
    data = poisson_data(100)
    weights = np.random.default_rng(2).integers(0, 3, (100, ROWS)).astype(float)
    data["y"][7] = 0.0
    data["y"][40, 5], weights[40, 5] = np.nan, 1.0
    with pytest.warns(mle.ConvergenceWarning, match="2 of 100"):
        fits = mle.fit_batch(POISSON, data, weights=weights)
    failed = np.flatnonzero(~fits.converged)
    assert failed.tolist() == [7, 40]
    assert [mle.Status(int(fits.status[lane])).name for lane in failed] == ["rising", "non_finite"]
    good = np.setdiff1d(np.arange(100), failed)
    expected, errors = by_newton({key: leaf[good] for key, leaf in data.items()}, weights[good])
    np.testing.assert_allclose(fits.params["w"][good], expected, rtol=0, atol=1e-9 * errors.min())
    np.testing.assert_allclose(fits.standard_errors()["w"][good], errors, rtol=1e-10)
    one = mle.fit(POISSON, {key: leaf[9] for key, leaf in data.items()}, weights=weights[9])
    np.testing.assert_allclose(fits[9].params["w"], one.params["w"], rtol=1e-12)
    np.testing.assert_allclose(fits[9].standard_errors()["w"], one.standard_errors()["w"], rtol=1e-10)
    np.testing.assert_allclose(fits.log_likelihood[9], one.log_likelihood, rtol=1e-12)

    monkeypatch.setattr(streams, "LEAST_PIECE", 32)
    order = np.random.default_rng(3).permutation(100)
    turned_data = {key: leaf[order] for key, leaf in data.items()}
    with pytest.warns(mle.ConvergenceWarning, match="2 of 100"):
        turned = mle.fit_batch(POISSON, turned_data, weights=weights[order], memory="1MB")
    assert turned.status.tolist() == fits.status[order].tolist()
    np.testing.assert_allclose(
        turned.params["w"][turned.converged], fits.params["w"][order][turned.converged], rtol=1e-13
    )


@pytest.mark.smoke
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("rows", [1009, 4099])
def test_datasets_of_a_thousand_rows_and_more_whose_number_is_prime(rows: int) -> None:
    """They have no whole blocks; weights that the compiler knows would end the process."""
    rng = np.random.default_rng(4)
    y = rng.poisson(3.0, (40, rows)).astype(float)
    model = mle.Model(lambda p, r: r["y"] * jnp.log(p["mu"]) - p["mu"], {"mu": mle.Positive()})
    fits = mle.fit_batch(model, {"y": y})
    assert np.asarray(fits.converged).all()
    # The mean; sums of some thousand numbers, and a last step of Newton's method in log(mu).
    np.testing.assert_allclose(fits.params["mu"], y.mean(axis=1), rtol=1e-12)
    exact = np.sum(y * np.log(y.mean(axis=1, keepdims=True)) - y.mean(axis=1, keepdims=True), axis=1)
    np.testing.assert_allclose(fits.log_likelihood, exact, rtol=1e-12)


@pytest.mark.smoke
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("soon_done", [False, True])
def test_lanes_that_need_many_steps_are_packed_together_and_finished(
    soon_done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By native loops if they are much work. A start far away for a few of them; the shared design is given once."""
    monkeypatch.setattr(batch_engine, "is_soon_done", lambda *_: soon_done)
    run, ways = streams.Streams.run, []
    monkeypatch.setattr(
        streams.Streams, "run", lambda self, *args, name, **how: ways.append(name) or run(self, *args, name=name, **how)
    )
    data = poisson_data(64)
    begin = np.zeros((64, 2))
    begin[:5, 0] = -30.0
    fits = mle.fit_batch(
        POISSON, {"x": data["x"][0], "y": data["y"]}, shared="x", start={"w": begin}, weights=np.ones(ROWS)
    )
    assert fits.converged.all()
    assert fits.steps[:5].min() > batch_engine.FIRST_STEPS > fits.steps[5:].max()
    if is_known():
        assert ways[0] == "native" and (ways[1] == "native, on") is not soon_done
    repeated = {"x": np.repeat(data["x"][:1], 64, axis=0), "y": data["y"]}
    expected, errors = by_newton(repeated, np.ones((64, ROWS)))
    np.testing.assert_allclose(fits.params["w"], expected, rtol=0, atol=1e-9 * errors.min())


@pytest.mark.smoke
@pytest.mark.usefixtures("eager")
def test_a_density_that_cannot_be_a_native_loop_is_solved_all_the_same() -> None:
    """Sorting is nothing for it; the maximum is the mean of the middle numbers."""
    model = mle.Model(
        lambda params, row: -0.5 * (jnp.sort(row["y"])[1] - params["mu"]) ** 2, {"mu": mle.Real()}, name="middle"
    )
    y = np.random.default_rng(4).standard_normal((40, 10, 3))
    fits = mle.fit_batch(model, {"y": y})
    assert fits.converged.all()
    np.testing.assert_allclose(fits.params["mu"], np.median(y, axis=2).mean(axis=1), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("eager")
def test_a_density_with_a_derivative_by_a_rule_of_its_own() -> None:
    @jax.custom_vjp
    def softplus(z: Any) -> Any:
        return jnp.logaddexp(0.0, z)

    softplus.defvjp(lambda z: (softplus(z), z), lambda z, pulled: (pulled * jax.nn.sigmoid(z),))

    def density(params: Any, row: Any) -> Any:
        z = row["x"] @ params["w"]
        return row["y"] * z - softplus(z)

    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((40, 60, 2)), (rng.random((40, 60)) < 0.4).astype(float)
    fits = mle.fit_batch(mle.Model(density, {"w": mle.Real(2)}), {"x": x, "y": y})
    assert fits.converged.all()
    p = 1 / (1 + np.exp(-np.einsum("bnp,bp->bn", x, fits.params["w"])))
    score = np.einsum("bnp,bn->bp", x, y - p)
    information = np.einsum("bnp,bn,bnq->bpq", x, p * (1 - p), x)
    # The decrement to which every lane is solved.
    assert np.sqrt(np.einsum("bp,bp->b", score, np.linalg.solve(information, score[..., None])[..., 0])).max() < 1e-6


@pytest.mark.usefixtures("eager")
def test_gamma_functions_as_users_write_them() -> None:
    """Those of jax.scipy, where the library puts its own in their place: against the library's own density."""

    def textbook(params: Any, row: Any) -> Any:
        eta, r = row["x"] @ params["w"], 1.0 / params["dispersion"]
        log_total = jnp.log(r + jnp.exp(eta))
        constant = gammaln(row["y"] + r) - gammaln(r) - gammaln(row["y"] + 1.0)
        return constant + r * (jnp.log(r) - log_total) + row["y"] * (eta - log_total)

    model = mle.Model(textbook, {"w": mle.Real(columns="x"), "dispersion": mle.Positive()})
    rng = np.random.default_rng(12)
    data = poisson_data(32, seed=12)
    data["y"] = rng.poisson(data["y"] * rng.gamma(2.0, 0.5, data["y"].shape)).astype(float)
    fits = mle.fit_batch(model, data)
    known = mle.fit_batch(mle.models.negative_binomial_regression(), data)
    both = fits.converged & known.converged
    assert both.sum() > 25  # some samples have less spread than Poisson counts, and no maximum
    assert (fits.converged == known.converged).all()
    np.testing.assert_allclose(fits.log_likelihood[both], known.log_likelihood[both], rtol=1e-12)
    for name, errors in known.standard_errors().items():
        apart = np.abs(fits.params[name] - known.params[name])[both] / errors[both]
        assert apart.max() < 1e-5  # the tolerance is 1e-6 standard errors each


@pytest.mark.usefixtures("eager")
def test_gamma_functions_of_negative_numbers_are_left_to_the_means_of_a_single_fit() -> None:
    """The library's own are not made for them; the answer is there all the same, with its constant."""
    model = mle.Model(lambda params, row: -0.5 * (row["y"] - params["mu"]) ** 2 + gammaln(row["c"]), {"mu": mle.Real()})
    y = np.random.default_rng(13).standard_normal((40, 6))
    c = np.full((40, 6), -1.5)
    c[7] = 2.5
    fits = mle.fit_batch(model, {"y": y, "c": c})
    assert fits.converged.all()
    np.testing.assert_allclose(fits.params["mu"], y.mean(axis=1), rtol=0, atol=1e-12)
    constants = np.where(c[:, 0] < 0, np.log(4 * np.sqrt(np.pi) / 3), np.log(3 * np.sqrt(np.pi) / 4))
    expected = -0.5 * y.var(axis=1) * 6 + 6 * constants  # Gamma(-3/2) = 4 sqrt(pi)/3, Gamma(5/2) = 3 sqrt(pi)/4
    np.testing.assert_allclose(fits.log_likelihood, expected, rtol=1e-13)


@pytest.mark.usefixtures("eager")
def test_bad_rows_that_the_density_looks_at_are_what_they_are_to_a_single_fit() -> None:
    """Gamma functions of negative numbers, which are finite, by a density that says what to do with others."""

    def guarded(params: Any, row: Any) -> Any:
        value = -0.5 * (row["y"] - params["mu"]) ** 2 + gammaln(row["c"])
        return jnp.where(jnp.isfinite(value), value, -50.0)

    model = mle.Model(guarded, {"mu": mle.Real()})
    y = np.random.default_rng(15).standard_normal((40, 6))
    c = np.full((40, 6), 2.5)
    y[:, 0], c[:, 0] = y[:, 0] + 30.0, -1.5
    fits = mle.fit_batch(model, {"y": y, "c": c})
    np.testing.assert_allclose(fits.params["mu"], y.mean(axis=1), rtol=0, atol=1e-12)


def test_the_last_piece_begins_among_lanes_that_are_done_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every lane has its own answer, and no piece is put together of scattered lanes, but where there are too few."""
    taken: list[np.ndarray] = []
    take = streams.Batch.take
    monkeypatch.setattr(streams, "PIECE_BYTES", 2**14)
    monkeypatch.setattr(
        streams.Batch, "take", lambda self, lanes, room, **how: taken.append(lanes) or take(self, lanes, room, **how)
    )
    model = mle.Model(lambda params, row: -0.5 * (row["y"] - params["mu"]) ** 2, {"mu": mle.Real()})
    y = np.random.default_rng(14).standard_normal((139, 27))
    fits = mle.fit_batch(model, {"y": y})
    np.testing.assert_allclose(fits.params["mu"], y.mean(axis=1), rtol=0, atol=1e-12)
    assert len(taken) > 2
    assert all((np.diff(lanes) == 1).all() for lanes in taken)
    assert {lane for lanes in taken for lane in lanes.tolist()} == set(range(139))


def test_only_problems_of_its_kind_are_tried() -> None:
    """Not with a closed form, and not with a leaf that differs between lanes and counts no rows."""
    assert native_lanes.MOST_COORDINATES >= 8
    fits = mle.fit_batch(mle.models.gaussian(), {"y": np.random.default_rng(5).standard_normal((40, 6))})
    assert "closed form" in fits._record.optimizer


def test_mapped_data_stay_where_they_are(tmp_path: Any) -> None:
    """And give the same estimates."""
    y = np.random.default_rng(6).standard_normal((40, 6))
    np.save(tmp_path / "y.npy", y)
    mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    fits = mle.fit_batch(mle.models.gaussian(), {"y": mapped}, memory="2MB")
    assert isinstance(fits._record.data["y"], np.memmap)
    np.testing.assert_allclose(fits.params["mu"], y.mean(axis=1), rtol=0, atol=1e-15)


@pytest.mark.parametrize("memory", ["a lot", 0, -1, "10", True, "1e99999GB"])
def test_a_size_that_is_none_is_refused(memory: Any) -> None:
    """By name."""
    with pytest.raises(ValueError, match="memory is"):
        mle.fit_batch(mle.models.gaussian(), {"y": [[1.0, 2.0, 4.0]]}, memory=memory)


@pytest.mark.smoke
@pytest.mark.skipif(not is_known(), reason="no native lanes: another compiler, or XLA_FLAGS")
@pytest.mark.usefixtures("eager")
def test_matrices_among_the_parameters_have_fewer_names_than_entries() -> None:
    """A covariance matrix of two: three names. The maximum is the mean and the mean outer product."""

    def log_density(params: Any, row: Any) -> Any:
        return jax.scipy.stats.multivariate_normal.logpdf(row["y"], params["mu"], params["S"])

    model = mle.Model(log_density, {"mu": mle.Real((2,)), "S": mle.Covariance(2)}, name="pair")
    y = np.random.default_rng(8).standard_normal((40, 30, 2)) @ np.array([[1.0, 0.4], [0.0, 0.8]])
    y[3, :, 1] = y[3, :, 0]  # has no maximum
    with pytest.warns(mle.ConvergenceWarning, match="1 of 40"):
        fits = mle.fit_batch(model, {"y": y})
    good = np.flatnonzero(fits.converged)
    centered = y - y.mean(axis=1, keepdims=True)
    spread = np.einsum("bni,bnj->bij", centered, centered) / 30
    np.testing.assert_allclose(fits.params["mu"][good], y.mean(axis=1)[good], rtol=0, atol=1e-10)
    np.testing.assert_allclose(fits.params["S"][good], spread[good], rtol=0, atol=1e-9)
    assert fits.covariance().shape == (40, 5, 5)
    errors = fits.standard_errors()["mu"][good]
    np.testing.assert_allclose(errors, np.sqrt(np.diagonal(spread[good], axis1=1, axis2=2) / 30), rtol=1e-8)


def test_lanes_that_weigh_much_are_taken_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No piece is filled up to many lanes that would not fit into the memory."""
    sizes = []
    take = streams.Batch.take
    monkeypatch.setattr(streams, "PIECE_BYTES", 5_000)
    monkeypatch.setattr(
        streams.Batch,
        "take",
        lambda self, lanes, room, **how: sizes.append(lanes.size) or take(self, lanes, room, **how),
    )
    y = np.random.default_rng(9).standard_normal((5, 1000))
    fits = mle.fit_batch(mle.models.gaussian(), {"y": y})
    assert set(sizes) == {1}
    np.testing.assert_allclose(fits.params["mu"], y.mean(axis=1), rtol=0, atol=1e-14)


def test_pieces_waste_an_eighth_at_most() -> None:
    """And have few sizes, for each of which a program is compiled."""
    sizes = [streams._in_eighths(lanes) for lanes in range(1, 5000)]
    assert all(lanes <= size < 1.26 * lanes for lanes, size in enumerate(sizes, 1))
    assert len(set(sizes)) < 60


def test_mapped_bytes_are_widened_wherever_they_are_looked_at(tmp_path: Any) -> None:
    """Of a batch, of one lane, for a sandwich: 100 + 100 is not -56."""
    y = np.random.default_rng(10).integers(90, 120, (5, 40)).astype(np.int8)
    np.save(tmp_path / "y.npy", y)
    mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    model = mle.Model(
        lambda params, row: -0.5 * (row["y"] + row["y"] - params["mu"]) ** 2, {"mu": mle.Real()}, name="twice"
    )
    fits, usual = mle.fit_batch(model, {"y": mapped}), mle.fit_batch(model, {"y": y.astype(float)})
    np.testing.assert_allclose(fits.params["mu"], 2 * y.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        fits[2].standard_errors("sandwich")["mu"], usual.standard_errors("sandwich")["mu"][2], rtol=1e-10
    )


def test_weights_are_those_of_the_call() -> None:
    """Whatever becomes of the caller's array."""
    y, weights = np.random.default_rng(12).standard_normal((4, 10)), np.ones((4, 10))
    fits = mle.fit_batch(mle.models.gaussian(), {"y": y}, weights=weights)
    weights[:] = 7.0
    assert fits[1].n_observations == 10


@pytest.mark.parametrize("rows", [1, 30, 500, 16_000])
def test_plain_lanes_divide_every_piece(rows: int) -> None:
    """A piece may hold 1792 lanes, which is no multiple of 512."""
    for lanes in range(native_lanes.LANES, 4097, native_lanes.LANES):
        many = native_lanes._plain_lanes({"x": np.zeros((rows, 2)), "y": np.zeros(rows)}, POISSON, lanes)
        assert lanes % many == 0 and native_lanes.LANES <= many <= native_lanes.PLAIN_LANES


def test_rows_filled_in_behind_the_longest_lane_are_not_gone_through() -> None:
    """Blocks are counted to the last one with a row of positive weight, and none of these is missing from the sums."""
    data = poisson_data(3)
    weights = np.zeros((3, ROWS))
    for lane, size in enumerate((5, 14, 9)):
        weights[lane, :size] = 1.0
        data["y"][lane, size:] = np.nan
    with jax.enable_x64(True):
        one = {key: leaf[0] for key, leaf in data.items()}
        place = coordinates(model_space(POISSON, one), None)
        likelihood = LaneLikelihood(POISSON, place, one, jnp.zeros(2)).in_blocks_of(9)  # three rows of three lanes
        rows = likelihood.prepare([jnp.asarray(data["x"]), jnp.asarray(data["y"])], jnp.asarray(weights))
        assert int(rows.blocks) == 5
        found = likelihood.value(rows, [jnp.full(3, 0.5), jnp.full(3, -0.1)])
    for lane, size in enumerate((5, 14, 9)):
        part = {key: leaf[lane, :size] for key, leaf in data.items()}
        with jax.enable_x64(True):
            usual = POISSON.log_likelihood({"w": jnp.array([0.5, -0.1])}, part)
        np.testing.assert_allclose(found[lane], usual, rtol=1e-13)


@pytest.mark.parametrize("together", [9, 2**15])  # in blocks of three rows, and all at once
def test_lanes_that_end_at_different_rows_are_summed_in_one_room_after_another(monkeypatch: Any, together: int) -> None:
    """What is behind their ends may be anything, also what a longer dataset has left in the room."""
    monkeypatch.setattr(lane_sums, "LAID_OUT", 3 * 4)  # four rows at once: no multiple of a block
    with jax.enable_x64(True):
        one = {key: leaf[0] for key, leaf in poisson_data(3).items()}
        place = coordinates(model_space(NOISY, one), None)
        likelihood = LaneLikelihood(NOISY, place, one, jnp.zeros(place.size)).in_blocks_of(together)
        at = [jnp.full(3, value) for value in (0.5, -0.1, 0.2)]
        room = None
        for sizes in ((5, ROWS, 9), (14, 1, 3), (4, 2, 1)):
            data, weights = poisson_data(3), np.arange(ROWS) < np.array(sizes)[:, None]
            reference = likelihood.prepare([jnp.asarray(data[key]) for key in one], jnp.asarray(weights, float))
            for leaf in data.values():
                leaf[~weights] = np.nan
            rows = likelihood.prepare([jnp.asarray(data[key]) for key in one], Ends(jnp.asarray(sizes)), room)
            room = rows.rows
            assert rows.total_weight.tolist() == list(map(float, sizes)) and rows.blocks == reference.blocks
            for found, expected in zip(
                jax.tree_util.tree_leaves((likelihood.sums(rows, at), likelihood.value(rows, at))),
                jax.tree_util.tree_leaves((likelihood.sums(reference, at), likelihood.value(reference, at))),
                strict=True,
            ):
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("density", ["native", "plain"])
@pytest.mark.parametrize("kind", ["columns", "one column", "weights"])
def test_groups_of_several_sizes_by_native_loops(monkeypatch: Any, density: str, kind: str) -> None:
    """As each by itself; rows of a group are scattered, sizes go from one chunk of rows to several."""
    pd = pytest.importorskip("pandas")
    monkeypatch.setattr(batch_engine, "WORTH", 0)
    monkeypatch.setattr(lane_sums, "LAID_OUT", 32 * 8)
    rng = np.random.default_rng(4)
    sizes = np.concatenate([rng.integers(4, 90, 70), [3, 8, 16, 150]])
    group = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    table = pd.DataFrame({"one": 1.0, "x": rng.normal(size=len(group)), "group": group})
    table["y"] = rng.poisson(np.exp(1.0 + 0.3 * table["x"]))
    table["w"] = rng.integers(1, 3, len(group))

    def log_density(params: Any, row: Any) -> Any:
        eta = jnp.atleast_1d(row["x"]) @ params["b"]
        eta = jnp.sort(jnp.stack([eta, eta]))[0] if density == "plain" else eta
        return row["y"] * eta - jnp.exp(eta)

    columns = {"y": "y", "x": "x" if kind == "one column" else ["one", "x"]}
    model = mle.Model(log_density, {"b": mle.Real(1 if kind == "one column" else 2)})
    fits = mle.fit_groups(
        model, table, by="group", columns=columns, weights="w" if kind == "weights" else None, start={"b": 0.1}
    )
    assert fits.converged.all()
    for number in range(len(sizes)):
        own = table[table["group"] == number]
        x = own[["x"] if kind == "one column" else ["one", "x"]].to_numpy()
        w = own["w"].to_numpy() if kind == "weights" else np.ones(len(own))
        mean = np.exp(x @ fits.params["b"][number])
        information = (x.T * (w * mean)) @ x
        score = x.T @ (w * (own["y"].to_numpy() - mean))
        assert np.sqrt(score @ np.linalg.solve(information, score)) < 1e-6
        np.testing.assert_allclose(fits.covariance()[number], np.linalg.inv(information), rtol=1e-8)
        assert fits.n_observations[number] == w.sum()


def test_inverses_of_lanes_are_those_of_a_single_fit() -> None:
    """Factored side by side where they are clearly definite; else by eigenvectors, or NaN."""
    rng = np.random.default_rng(11)
    with jax.enable_x64(True):
        for size in (1, 3, 8, 9):
            q = np.linalg.qr(rng.standard_normal((size, size)))[0]
            units = 10.0 ** rng.uniform(-3, 3, size)
            stack = np.array([(q * 10.0 ** -np.linspace(0, lost, size)) @ q.T for lost in (0, 4, 9)])
            stack = np.concatenate([stack, -stack[:1], np.full((1, size, size), np.nan)])
            stack = (stack + stack.swapaxes(1, 2)) / 2 * units[:, None] * units
            root = np.asarray(jax.vmap(inverse_root)(jnp.asarray(stack)))
            for lane, lost in enumerate((0, 4, 9)):
                # An inverse has lost as many digits as its matrix is ill-conditioned.
                errors = np.sqrt(np.diagonal(np.linalg.inv(stack[lane])))
                apart = (root[lane] @ root[lane].T - np.linalg.inv(stack[lane])) / errors[:, None] / errors
                assert np.abs(apart).max() < 1e-14 * 10.0 ** (lost if size > 1 else 0)
            assert np.isnan(root[3:]).all()


@pytest.mark.usefixtures("eager")
def test_a_density_need_not_look_at_its_row() -> None:
    """What it says is counted once for every row."""
    model = mle.Model(lambda params, row: -((params["a"] - 2.0) ** 2), {"a": mle.Real()}, name="blind")
    fits = mle.fit_batch(model, {"y": np.zeros((40, 9))})
    np.testing.assert_allclose(fits.params["a"], 2.0, rtol=1e-12)
    np.testing.assert_allclose(fits.standard_errors()["a"], np.sqrt(1 / 18), rtol=1e-12)
