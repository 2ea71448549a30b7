"""What a batch says and writes: tables, summary, files; lanes without data; a fit that is read back from a file.

The model is two independent Gaussians, whose maximum is the mean and the standard deviation of the sample (divisor: the
total weight n), with the standard errors s / sqrt(n) and s / sqrt(2 n).
"""

import copy
import dataclasses
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

import mle_jax as mle
from mle_jax import Status
from mle_jax.parameters import resolve
from mle_jax.results import covariance_access, reports
from mle_jax.results.covariance_access import flatten_numpy, unflatten_numpy

B, N = 9, 25
RNG = np.random.default_rng(4)
Y = RNG.normal(size=(B, N, 2)) @ [[1.0, 0.5], [0.0, 0.8]] + [1.0, -2.0]
NAN, EMPTY, CONSTANT = 1, 4, 6
Y[NAN, 3] = np.nan
Y[CONSTANT] = 2.0
WEIGHTS = RNG.integers(1, 4, size=(B, N)).astype(float)
WEIGHTS[EMPTY] = 0.0
BAD = [NAN, EMPTY, CONSTANT]
GOOD = np.delete(np.arange(B), BAD)
MODEL = mle.Model(
    lambda p, row: jnp.sum(norm.logpdf(row["y"], p["at"]["mean"], p["s"])),
    {"at": {"mean": mle.Real(2, labels=("u", "v"))}, "s": mle.Positive(2)},
    name="two Gaussians",
)
NAMES = ["at.mean[u]", "at.mean[v]", "s[0]", "s[1]"]


@pytest.fixture(scope="module")
def fits():
    with pytest.warns(mle.ConvergenceWarning, match="3 of 9 fits were not certified"):
        return mle.fit_batch(MODEL, {"y": Y}, weights=WEIGHTS)


@pytest.fixture(scope="module")
def keyed(fits):
    keys = {"region": np.array([f"r{i}" for i in range(B)], dtype=object), "year": np.arange(2000, 2000 + B)}
    return dataclasses.replace(fits, _record=dataclasses.replace(fits._record, keys=keys))


def answers():
    """Return estimates, standard errors (B, 4) and log-likelihoods (B,) of the good lanes from the formulas above."""
    total = WEIGHTS.sum(1)[GOOD, None]
    w, y = WEIGHTS[GOOD, :, None] / total[..., None], Y[GOOD]
    mean = (w * y).sum(1)
    s = np.sqrt((w * (y - mean[:, None]) ** 2).sum(1))
    height = -total[:, 0] * (np.log(2 * np.pi) + np.log(s).sum(1) + 1)
    return np.hstack([mean, s]), np.hstack([s / np.sqrt(total), s / np.sqrt(2 * total)]), height


def test_the_wide_table_has_the_formulas(fits):
    estimates, errors, height = answers()
    frame = fits.to_pandas()
    assert list(frame.columns) == [
        *NAMES,
        *(f"se[{name}]" for name in NAMES),
        *("log_likelihood", "status", "decrement", "steps"),
    ]
    # Newton's last step leaves the rounding of the sums; the second derivatives lose a digit or two more.
    np.testing.assert_allclose(frame.loc[GOOD, NAMES], estimates, rtol=1e-9)
    np.testing.assert_allclose(frame.loc[GOOD, [f"se[{name}]" for name in NAMES]], errors, rtol=1e-8)
    np.testing.assert_allclose(frame.loc[GOOD, "log_likelihood"], height, rtol=1e-12)
    assert frame.loc[BAD, [f"se[{name}]" for name in NAMES]].isna().all(axis=None)
    assert fits.to_arrow().to_pandas().equals(frame)


def test_lanes_without_a_maximum_say_why(fits):
    table = fits.failed()
    assert table["lane"].tolist() == sorted(BAD)
    assert Status(fits.status[NAN]) is Status(fits.status[EMPTY]) is Status.non_finite
    reasons = dict(zip(table["lane"].tolist(), table["message"].tolist(), strict=True))
    assert "row 3 (counted from 0)" in reasons[NAN] and "All weights are 0" in reasons[EMPTY]
    assert reasons[CONSTANT] == fits[CONSTANT].message != Status(fits.status[CONSTANT]).text
    assert fits.n_observations[EMPTY] == 0 and np.isnan(fits.bic[EMPTY]) and np.isnan(fits[EMPTY].bic)
    assert np.isfinite(fits.bic[GOOD]).all()


def test_of_many_failures_the_first_are_explained(fits, monkeypatch):
    monkeypatch.setattr(reports, "EXPLAINED", 1)
    table = fits.failed()
    assert "row 3 (counted from 0)" in table["message"][0]
    assert table["message"][1:].tolist() == [Status(fits.status[lane]).text for lane in sorted(BAD)[1:]]
    assert "The messages of the first 1 lanes have details" in str(table)


def test_the_summary_is_about_the_certified_lanes(fits):
    estimates, errors, height = answers()
    lines = fits.summary().splitlines()
    assert lines[0] == "Maximum likelihood, many datasets: two Gaussians"
    assert any(line.startswith("Certified") and "6" in line for line in lines)
    row = next(line.split() for line in lines if line.startswith("s[1]"))
    expected = [f(estimates[:, 3]) for f in (np.mean, np.std, np.min, np.median, np.max)] + [np.median(errors[:, 3])]
    np.testing.assert_allclose([float(cell) for cell in row[1:]], expected, rtol=1e-3)  # five digits are shown
    text = " ".join(fits.summary().split())
    assert f"Log-likelihoods in all {height.sum():.5f}" in text and "6 converged, 2 non_finite" in text
    assert "3 of 9 fits were not certified" in fits.summary()


def test_glance_and_tidy_name_the_lane(fits, keyed):
    assert fits.glance().columns[0] == "lane" and fits.glance()["lane"].tolist() == list(range(B))
    assert keyed.glance().columns[:3] == keyed.tidy().columns[:3] == ("region", "year", "lane")
    assert keyed.tidy()["region"][4:8].tolist() == ["r1"] * 4 and fits.tidy()["term"][4:8].tolist() == NAMES
    assert "lane" not in fits[0].glance().columns
    assert keyed.confidence_intervals(0.9)["lane"].tolist() == fits.tidy()["lane"].tolist()


@pytest.mark.slow
def test_a_batch_of_one():
    one = mle.fit_batch(mle.models.gaussian_mean(variance=4.0), {"y": [[1.0, 3.0, 5.0, 7.0]]})
    assert one.to_pandas()[["mu", "se[mu]"]].to_numpy().tolist() == [[4.0, 1.0]]
    assert str(one).startswith("1 fit of") and len(one.tidy()) == len(one.glance()) == 1 and len(one.failed()) == 0
    assert [float(fit.params["mu"]) for fit in one] == [4.0] and one.summary().splitlines()[3:]


def test_large_batches_compute_the_diagonals_alone(fits, monkeypatch):
    whole = fits.standard_errors()
    monkeypatch.setattr(covariance_access, "WHOLE_MATRICES", 0)
    alone = fits.standard_errors()
    np.testing.assert_allclose(alone["s"], whole["s"], rtol=1e-12)
    np.testing.assert_allclose(alone["at"]["mean"], whole["at"]["mean"], rtol=1e-12)
    np.testing.assert_allclose(alone["at"]["mean"][GOOD], answers()[1][:, :2], rtol=1e-8)


def test_many_lanes_are_laid_out_at_once():
    space = resolve({"S": mle.Covariance(3), "a": mle.Real((2, 2)), "s": mle.Positive()}, None)
    flat = np.arange(200_000 * space.n_flat, dtype=float).reshape(200_000, space.n_flat)
    tree = unflatten_numpy(space, flat)
    assert tree["S"].shape == (200_000, 3, 3) and tree["a"].shape == (200_000, 2, 2) and tree["s"].shape == (200_000,)
    for lane in (0, 77_777):
        first = flat[lane, 0]
        expected = first + np.array([[0, 1, 3], [1, 2, 4], [3, 4, 5]])  # the lower triangle row by row, mirrored
        np.testing.assert_array_equal(tree["S"][lane], expected)
        np.testing.assert_array_equal(tree["a"][lane], first + np.array([[6, 7], [8, 9]]))
        assert tree["s"][lane] == first + 10
    np.testing.assert_array_equal(flatten_numpy(space, tree, (200_000,)), flat)


def test_parquet_keeps_every_bit(keyed, tmp_path):
    import pandas as pd

    keyed.to_parquet(tmp_path / "fits.parquet")
    back = pd.read_parquet(tmp_path / "fits.parquet")
    assert back.equals(keyed.to_pandas()) and list(back.columns[:2]) == ["region", "year"]
    keyed[0].to_parquet(tmp_path / "fit.parquet")
    assert pd.read_parquet(tmp_path / "fit.parquet").equals(keyed[0].to_pandas())


def same(one, other):
    """Compare two fits bit by bit in all that they show."""
    assert one.names == other.names and one.message == other.message and one.n_parameters == other.n_parameters
    for name in ("log_likelihood", "status", "steps", "decrement", "n_observations", "bic", "converged"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert type(getattr(one, name)) is type(getattr(other, name))
    for tree in (lambda f: f.params, lambda f: f.reliable, lambda f: f.standard_errors()):
        assert list(tree(one)) == list(tree(other))
        assert jax.tree_util.tree_structure(tree(one)) == jax.tree_util.tree_structure(tree(other))
        jax.tree_util.tree_map(np.testing.assert_array_equal, tree(one), tree(other))
    assert not any(np.asarray(leaf).flags.writeable for leaf in jax.tree_util.tree_leaves(one.params) if np.ndim(leaf))
    np.testing.assert_array_equal(one.covariance(), other.covariance())
    assert one.summary() == other.summary() and str(one.tidy(0.9)) == str(other.tidy(0.9))
    assert repr(one) == repr(other) and one.to_pandas().equals(other.to_pandas())


def test_a_batch_comes_back_from_a_file(keyed, tmp_path):
    keyed.save(tmp_path / "fits.npz")
    back = mle.Fit.load(tmp_path / "fits.npz")
    same(back, keyed)
    assert len(back) == B and back.failed()["year"].tolist() == keyed.failed()["year"].tolist()
    for lane in (0, -1):
        one = keyed[lane]
        assert one.status is Status.converged
        # That of the single fit is computed alone and not in a batch.
        np.testing.assert_allclose(back[lane].covariance(), one.covariance(), rtol=1e-9, atol=1e-15)
        np.testing.assert_array_equal(back[lane].params["s"], one.params["s"])
        assert back[lane].status is one.status and back[lane].steps == one.steps and not back[lane].is_batch
    assert [fit.log_likelihood for fit in back][:1] == [keyed.log_likelihood[0]]
    back.save(tmp_path / "again.npz")
    same(mle.Fit.load(tmp_path / "again.npz"), keyed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "fits.npz"]


def test_a_single_fit_comes_back_with_history_and_kind_of_covariance(fits, tmp_path):
    params = {"at": {"mean": RNG.normal(size=(4, 2))}, "s": np.ones((4, 2))}
    history = mle.History(value=np.arange(4.0), gradient_norm=np.ones(4), params=params)
    table = mle.Table({"starts": [3, 1], "log_likelihood": [-1.5, -2.0]}, title="two", notes=["a note"])
    fit = dataclasses.replace(fits[0], history=history, maxima=table).with_covariance("sandwich")
    fit.save(tmp_path / "fit")
    back = mle.Fit.load(tmp_path / "fit")
    same(back, fit)
    assert back.covariance_kind == "sandwich" and "the sandwich" in back.summary()
    np.testing.assert_array_equal([back.history.value, back.history.gradient_norm], [np.arange(4.0), np.ones(4)])
    np.testing.assert_array_equal(back.history.params["at"]["mean"], params["at"]["mean"])
    assert not back.history.params["at"]["mean"].flags.writeable
    assert str(back.maxima) == str(table) and back.refitted is None
    # Of a mean, the sandwich is the variance over n, as the others are; of a deviation it has the fourth moment.
    w, y = WEIGHTS[0] / WEIGHTS[0].sum(), Y[0]
    rest = y - w @ y
    s = np.sqrt(w @ rest**2)
    of_deviation = (w @ rest**4 - s**4) / (4 * s**2) / WEIGHTS[0].sum()
    np.testing.assert_allclose(np.diagonal(back.covariance())[2:], of_deviation, rtol=1e-8)


def test_fits_go_from_process_to_process_and_copies_are_themselves(keyed):
    for fit in (keyed, keyed[0]):
        back = pickle.loads(pickle.dumps(fit))
        same(back, fit)
        with pytest.raises(ValueError, match=r"sandwich.* a pickle, which holds its numbers alone; call"):
            back.covariance("sandwich")
        same(pickle.loads(pickle.dumps(back)), fit)
        assert copy.copy(fit) is fit and copy.deepcopy(fit) is fit


def test_what_needs_the_data_says_how_to_get_it(fits, tmp_path):
    fits.save(tmp_path / "fits.npz")
    back = mle.Fit.load(tmp_path / "fits.npz")
    assert back.covariance("observed").shape == (B, 4, 4)
    for call in (lambda: back.covariance("sandwich"), lambda: back.with_covariance("sandwich"), back.refit):
        with pytest.raises(ValueError, match=r"read from a file.*call fit_batch\(model, data, start=fits.params\)"):
            call()
    for call in (lambda: back[0].covariance("sandwich"), lambda: mle.influence(back[0])):
        with pytest.raises(ValueError, match=r"read from a file.*call evaluate\(model, data, fit.params\)"):
            call()
    with pytest.raises(ValueError, match="correction is 'HC1'"):
        back.covariance(correction="HC1")
    with pytest.raises(IndexError, match="the batch has 9 datasets, 0 to 8"):
        back[9]


def test_files_that_are_none_of_ours(fits, tmp_path):
    (tmp_path / "text").write_text("mu,se\n1,2\n")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    np.savez(tmp_path / "pickled.npz", header=np.array([{}], dtype=object))
    header = json.dumps({"format": "mle_jax.Fit", "version": 99}).encode()
    np.savez(tmp_path / "newer.npz", header=np.frombuffer(header, np.uint8))
    for name in ("text", "other.npz", "pickled.npz"):
        with pytest.raises(ValueError, match=r"is no file that fit\.save wrote"):
            mle.Fit.load(tmp_path / name)
    with pytest.raises(ValueError, match=r"of version 99, but mle_jax\.Fit up to version 1 is read here"):
        mle.Fit.load(tmp_path / "newer.npz")
    with pytest.raises(FileNotFoundError):
        mle.Fit.load(tmp_path / "missing.npz")
    keys = {"who": np.array([{}] * B, dtype=object)}
    odd = dataclasses.replace(fits, _record=dataclasses.replace(fits._record, keys=keys))
    with pytest.raises(ValueError, match="key 'who' holds Python objects"):
        odd.save(tmp_path / "odd.npz")
    assert not (tmp_path / "odd.npz").exists()
