"""Fits whose rows are summed piece by piece: in memory, mapped from files, Parquet, several devices."""

import itertools
import math
import os
import subprocess
import sys
import textwrap
import warnings

import jax
import numpy as np
import pytest

import mle_jax as mle
from mle_jax.data import filed_rows, pieces
from mle_jax.fitting import many_rows, passes
from mle_jax.likelihood import row_sums
from mle_jax.results import from_files

N = 6_007
MODEL = mle.models.poisson_regression()


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Let some thousand rows count as many."""
    for module in (many_rows, from_files):
        monkeypatch.setattr(module, "MANY_ROWS", 1_000)
    monkeypatch.setattr(row_sums, "MANY", 500)
    monkeypatch.setattr(filed_rows, "HEIGHT", 1_024)
    for least in ("LEAST_SAMPLE", "LEAST_PART", "LEAST_PIECE"):
        monkeypatch.setattr(pieces, least, 100)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(N), rng.normal(size=(N, 2))])
    return {"x": x, "y": rng.poisson(np.exp(x @ [0.3, -0.5, 0.2])).astype(float)}


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(1).integers(0, 3, N).astype(float)


@pytest.fixture
def usual(monkeypatch):
    """A function that fits in the one compiled loop."""

    def fit(*args, **kwargs):
        with monkeypatch.context() as patch:
            patch.setattr(many_rows, "MANY_ROWS", 10**9)
            return mle.fit(*args, **kwargs)

    return fit


def assert_same(one, other, rtol=1e-12):
    # The two sum in another order, and both polish the maximum to the last digits. Over pieces the curvature is that
    # before the last step, which changes it by some times 2e-13 at most.
    assert one.status.name == other.status.name == "converged"
    np.testing.assert_allclose(one.params["w"], other.params["w"], rtol=rtol)
    np.testing.assert_allclose(one.log_likelihood, other.log_likelihood, rtol=rtol)
    np.testing.assert_allclose(one.standard_errors()["w"], other.standard_errors()["w"], rtol=rtol)
    assert one.n_observations == other.n_observations and one.names == other.names


def mapped(folder, data):
    for name, leaf in data.items():
        np.save(folder / f"{name}.npy", leaf)
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in data}


@pytest.mark.parametrize("weighted", [False, True])
def test_pieces_change_nothing(data, weights, usual, tmp_path, weighted):
    given = weights if weighted else None
    in_memory = mle.fit(MODEL, data, weights=given)
    assert_same(in_memory, usual(MODEL, data, weights=given))
    assert_same(mle.fit(MODEL, mapped(tmp_path, data), weights=given), in_memory)


def test_rows_of_parquet_files(data, weights, usual, tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    x = data["x"]
    table = pyarrow.table({"one": x[:, 0], "a": x[:, 1], "b": x[:, 2], "y": data["y"].astype(int)})
    parquet.write_table(table[:4_000], tmp_path / "1.parquet", row_group_size=700)
    parquet.write_table(table[4_000:], tmp_path / "2.parquet", row_group_size=1_024)
    columns = {"y": "y", "x": ["one", "a", "b"]}
    fit = mle.fit(MODEL, tmp_path, columns=columns, weights=weights)
    assert_same(fit, usual(MODEL, table, columns=columns, weights=weights))
    assert fit.names == ("w[one]", "w[a]", "w[b]")
    with pytest.raises(ValueError, match=r"evaluate\(model, table, fit.params\)"):
        fit.standard_errors(kind="sandwich")
    with pytest.raises(ValueError, match="height"):
        mle.fit(MODEL, tmp_path, columns={"y": "height", "x": ["one"]})


def test_a_density_of_ones_own_with_a_scale(data, usual):
    def log_density(params, row):
        z = (row["y"] - row["x"] @ params["w"]) / params["s"]
        return -jax.numpy.log1p(z * z / 5.0) * 3.0 - jax.numpy.log(params["s"])

    model = mle.Model(log_density, {"w": mle.Real(columns="x"), "s": mle.Positive()})
    assert_same(mle.fit(model, data), usual(model, data))


def test_the_certificate_looks_along_each_direction_where_sums_of_them_do_not_do(data, usual, monkeypatch):
    """Rows that count for little leave a wide and skewed log-likelihood, and the sums of directions show it."""
    points = []
    losses = passes.Passes.losses
    monkeypatch.setattr(passes.Passes, "losses", lambda self, at: points.append(len(at)) or losses(self, at))
    options = {"weights": np.full(N, 1e-6), "weight_kind": "importance"}
    # Standard errors of 10: a last step from 1e-6 of them ends some 1e-12 of them away.
    assert_same(mle.fit(MODEL, data, **options), usual(MODEL, data, **options), rtol=1e-9)
    assert points == [1 + 3 + 2 * 2, 1 + 3 + 2 * 3]


@pytest.fixture
def asked(monkeypatch):
    """Passes that leave out second derivatives wherever that is allowed: which of those over all rows did."""
    derivatives, noted = passes.Passes.derivatives, []

    def frugal(self, point, *, curved=True):
        found = derivatives(self, point, curved=curved)
        if self.total_weight == N:
            noted.append(curved)
        return found if curved else found._replace(hessian=np.full_like(found.hessian, np.nan), curved=np.zeros(()))

    monkeypatch.setattr(passes.Passes, "derivatives", frugal)
    return noted


def test_some_passes_do_without_second_derivatives(data, usual, asked):
    """The first, by those of the sample, and at most one more, by those of the pass before it."""
    assert_same(mle.fit(MODEL, data), usual(MODEL, data))
    assert not asked[0] and asked[-1] and asked.count(False) <= 2
    assert all(before or after for before, after in itertools.pairwise(asked))


@pytest.fixture
def solutions(monkeypatch):
    """What the searches end with."""
    finish, found = many_rows._finish, []
    monkeypatch.setattr(many_rows, "_finish", lambda *args: found.append(finish(*args)) or found[-1])
    return found


@pytest.mark.filterwarnings("ignore::mle_jax.ConvergenceWarning")
@pytest.mark.parametrize("max_steps", range(7))
def test_wherever_a_search_ends_its_curvature_is_that_of_the_point(data, asked, solutions, max_steps):
    fit = mle.fit(MODEL, data, max_steps=max_steps)
    assert fit.steps <= max_steps and asked[-1]
    rate = np.exp(data["x"] @ fit.params["w"])
    np.testing.assert_allclose(solutions[0].certificate.information, (data["x"].T * rate) @ data["x"], rtol=1e-12)
    if fit.converged:  # the score is zero but for the rounding of its terms, however the last step was taken
        terms = np.abs(data["x"].T) @ np.abs(data["y"] - rate)
        assert np.all(np.abs(data["x"].T @ (data["y"] - rate)) <= 1e-14 * terms)


@pytest.mark.filterwarnings("ignore::mle_jax.ConvergenceWarning")
@pytest.mark.parametrize("tolerance", [1e-6, 1e-2])
def test_passes_that_are_not_counted_are_few(data, asked, tolerance):
    """The log-likelihood rises forever along one parameter, by so little that each step might be the last."""
    model = mle.Model(
        lambda params, row: -0.5 * (row["y"] - params["mu"]) ** 2 + 1e-10 * jax.numpy.log(params["a"]),
        {"mu": mle.Real(), "a": mle.Real(start=1.0)},
    )
    fit = mle.fit(model, {"y": data["y"]}, tolerance=tolerance, max_steps=20)
    # The start and a last step count for nothing, nor does a point that is looked at again.
    assert len(asked) <= fit.steps + 3


@pytest.mark.filterwarnings("ignore::mle_jax.ConvergenceWarning")
def test_steps_toward_infinity_have_their_own_second_derivatives(data, asked):
    """The step by those of the point before, which are larger, is shorter."""
    y = (data["x"][:, 1] > 0).astype(float)
    fit = mle.fit(mle.models.logistic_regression(), {"x": data["x"], "y": y})
    assert fit.status.name == "rising" and len(asked) > 20 and asked.count(False) <= 2


@pytest.mark.parametrize("tolerance", [1e-6, 1e-2, 0.1])
def test_the_history_is_that_of_the_steps(data, asked, tolerance):
    fit = mle.fit(MODEL, data, record=True, tolerance=tolerance, start={"w": [0.3, -0.5, 0.2]})
    points = np.asarray(fit.history.params["w"])
    assert len(points) == fit.steps + 1 and len(asked) > 2
    factorials = np.array([math.lgamma(count + 1.0) for count in data["y"]])
    for value, point in zip(fit.history.value, points, strict=True):
        predictor = data["x"] @ point
        expected = np.sum(data["y"] * predictor - np.exp(predictor) - factorials)
        np.testing.assert_allclose(value, expected, rtol=1e-13)


@pytest.mark.parametrize("events", [(3, 4), (1, 7), (2, 300)])
@pytest.mark.parametrize("weight", [1.0, 1e6])
def test_rare_events_have_all_their_digits(asked, events, weight):
    """Where few rows tell much, the curvature changes by more than a decrement per row says."""
    group = np.repeat([0.0, 1.0], 1500)
    y = np.zeros(3000)
    for which, count in enumerate(events):
        np.add.at(y, 1500 * which + np.arange(count), 1.0)
    data = {"x": np.column_stack([np.ones(3000), group]), "y": y}
    fit = mle.fit(MODEL, data, weights=np.full(3000, weight), weight_kind="importance")
    means = np.array(events) / 1500
    exact = np.array([np.log(means[0]), np.log(means[1] / means[0])])
    errors = np.sqrt(np.array([1 / events[0], 1 / events[0] + 1 / events[1]]) / weight)
    assert fit.converged
    np.testing.assert_allclose(fit.params["w"], exact, rtol=1e-12)
    np.testing.assert_allclose(fit.standard_errors()["w"], errors, rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-3, 1e3, -1.0, 0.0])
def test_a_bad_guess_of_them_does_no_harm(data, usual, asked, monkeypatch, factor):
    good = many_rows._maximum_of

    def bad(*args):
        theta, hessian = good(*args)
        return theta, factor * hessian

    monkeypatch.setattr(many_rows, "_maximum_of", bad)
    fit = mle.fit(MODEL, data)
    assert_same(fit, usual(MODEL, data))
    assert not asked[0] and fit.steps < 20


def test_a_search_that_gets_nowhere_by_a_guess_begins_anew(data, usual, asked, monkeypatch):
    """Where the first step by it leads nowhere, the first point is looked at once more."""
    derivatives, points = passes.Passes.derivatives, []

    def astray(self, point, *, curved=True):
        found = derivatives(self, point, curved=curved)
        if self.total_weight != N:
            return found
        points.append(np.asarray(point))
        back = [np.array_equal(point, points[0]) for point in points[1:]]
        return found._replace(value=np.asarray(np.inf)) if back and not any(back) else found

    monkeypatch.setattr(passes.Passes, "derivatives", astray)
    assert_same(mle.fit(MODEL, data), usual(MODEL, data))
    assert asked[:3] == [False, True, True] and np.array_equal(points[2], points[0])


@pytest.mark.parametrize("options", [{"max_steps": 1}, {"tolerance": 1e3}])
def test_a_search_that_ends_at_its_first_pass_looks_there_once_more(data, asked, solutions, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        fit = mle.fit(MODEL, data, start={"w": [0.3, -0.5, 0.2]}, **options)
    assert asked[-1]
    information = (data["x"].T * np.exp(data["x"] @ fit.params["w"])) @ data["x"]
    np.testing.assert_allclose(solutions[0].certificate.information, information, rtol=1e-12)


def test_no_maximum_is_no_maximum(data):
    y = (data["x"][:, 1] > 0).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        fit = mle.fit(mle.models.logistic_regression(), {"x": data["x"], "y": y})
    assert not fit.converged and fit.status.name == "rising" and "w[1]" in fit.message


@pytest.mark.parametrize("row", [4_321, N - 1])  # the last is one of those that a start is worked out from
def test_bad_rows_of_files_are_named(data, tmp_path, row):
    spoiled = data["y"].copy()
    spoiled[row] = np.nan
    with pytest.raises(ValueError, match=rf"'y' has NaN or infinite values, the first in row {row};"):
        mle.fit(MODEL, mapped(tmp_path, {**data, "y": spoiled}))


def test_pieces_of_weight_zero_may_contain_anything(data, usual, tmp_path):
    """Of a piece without a valid row nothing can be put in place of the others: it is left out."""
    left = np.ones(N)
    left[1_024:2_048] = 0.0
    spoiled = {
        name: np.where(left.reshape(-1, *[1] * (leaf.ndim - 1)) > 0, leaf, np.nan) for name, leaf in data.items()
    }
    kept = {name: leaf[left > 0] for name, leaf in data.items()}
    fit, reference = mle.fit(MODEL, mapped(tmp_path, spoiled), weights=left), usual(MODEL, kept)
    assert fit.status.name == "converged"
    np.testing.assert_allclose(fit.params["w"], reference.params["w"], rtol=1e-12)


def test_nothing_is_searched_where_all_is_fixed(data):
    fit = mle.fit(MODEL, data, fixed={"w": np.array([0.3, -0.5, 0.2])})
    assert fit.status.name == "converged" and fit.n_parameters == 0


@pytest.mark.parametrize("declared", [False, True])
def test_a_sample_may_not_tell_where_the_support_ends(declared):
    """The smallest of all rows is lower than the maximum of a sample, and than a start, computed without it, allow."""

    def log_density(params, row):  # a gamma density of shape 3 above its threshold
        above = row["y"] - params["t"]
        return jax.numpy.where(above > 0, 2 * jax.numpy.log(jax.numpy.where(above > 0, above, 1.0)) - above, -np.inf)

    y = np.random.default_rng(3).gamma(3.0, size=N) + 50.0
    y[4_444] = 20.0
    start = (lambda data: {"t": data["y"].min() - 0.1}) if declared else None
    model = mle.Model(log_density, {"t": mle.Real(start=10.0)}, start=start)
    fit = mle.fit(model, {"y": y})
    assert fit.status.name == "converged"
    # Its score: the sum of 2 / (y - t) is n.
    np.testing.assert_allclose(np.sum(2 / (y - fit.params["t"])), N, rtol=1e-6)


def test_what_needs_all_rows_at_once_says_so(data, tmp_path):
    files = mapped(tmp_path, data)
    for options in ({"missing": "drop"}, {"starts": 4}, {"dtype": "float32"}, {"clusters": np.arange(N)}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} needs all rows at once, but they are in files"):
            mle.fit(MODEL, files, **options)
    with pytest.raises(ValueError, match=r"fitted by Newton\(\) alone"):
        mle.fit(MODEL, files, optimizer=mle.optimizers.LBFGS())
    with pytest.raises(ValueError, match="smooth=False, which needs them all at once"):
        mle.fit(mle.models.laplace_regression(), files)
    with pytest.raises(FileNotFoundError, match="no such Parquet file"):
        mle.fit(MODEL, tmp_path / "absent.parquet")


def assert_with_eight_devices(script):
    """Run a script in a process with eight devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_several_devices_share_a_batch_and_change_nothing():
    assert_with_eight_devices("""
        import jax, numpy as np, mle_jax as mle
        from mle_jax.fitting import streams
        rng = np.random.default_rng(0)
        x = np.stack([np.ones((512, 25)), rng.normal(size=(512, 25))], axis=-1)
        data = {"x": x, "y": rng.poisson(np.exp(x @ [0.3, -0.5]))}
        data["y"][7] = 0  # no maximum
        model, every, used = mle.models.poisson_regression(), jax.local_devices(), set()
        chosen = jax.default_device
        streams.jax.default_device = lambda device: used.add(device) or chosen(device)
        many = mle.fit_batch(model, data)
        assert used == set(every) and len(every) == 8
        streams.jax.local_devices = lambda: every[:1]
        one = mle.fit_batch(model, data)
        assert one.status.tolist() == many.status.tolist() and one.converged.sum() == 511
        good = one.converged
        np.testing.assert_allclose(many.params["w"][good], one.params["w"][good], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(many.log_likelihood[good], one.log_likelihood[good], rtol=1e-12)
        errors = many.standard_errors()["w"][good], one.standard_errors()["w"][good]
        np.testing.assert_allclose(*errors, rtol=1e-12)
    """)


@pytest.mark.slow
def test_several_devices_change_nothing():
    script = """
        import jax, numpy as np, mle_jax as mle
        assert len(jax.devices()) == 8
        rng = np.random.default_rng(0)
        n = 2003
        x = np.column_stack([np.ones(n), rng.normal(size=n)])
        data = {"x": x, "y": rng.poisson(np.exp(x @ [0.3, -0.5]))}
        # First in a process, 16 lanes and a rest: empty arrays in this program made XLA look for LAPACK in vain.
        lanes = {"x": x[:200].reshape(20, 10, 2), "y": np.arange(200).reshape(20, 10) % 2}
        assert len(mle.fit_batch(mle.models.logistic_regression(), lanes)) == 20
        model, weights = mle.models.poisson_regression(), rng.integers(0, 3, n)
        one = mle.fit(model, data, weights=weights)
        many = mle.fit(model, data, weights=weights, devices=jax.devices())
        assert one.status == many.status and many.converged
        np.testing.assert_allclose(many.params["w"], one.params["w"], rtol=1e-12)
        np.testing.assert_allclose(many.log_likelihood, one.log_likelihood, rtol=1e-12)
        np.testing.assert_allclose(many.standard_errors()["w"], one.standard_errors()["w"], rtol=1e-12)
    """
    assert_with_eight_devices(script)
