"""`mle-jax fit` with further data of a model: leaves of one column, matrices of several, and without an intercept."""

import json

import numpy as np
import pytest

import mle_jax as mle
from mle_jax import models
from mle_jax.cli import main

N = 120
RNG = np.random.default_rng(8)
A, B = RNG.normal(size=N), RNG.normal(size=N)
GROUP = np.arange(N) % 2
COUNTS = RNG.poisson(np.exp(1.0 + 0.3 * A)) * (RNG.uniform(size=N) < 1 / (1 + np.exp(-0.8 + B)))
GRADES = np.digitize(0.8 * A + RNG.logistic(size=N), [-0.7, 0.9])
COLUMNS = {"counts": COUNTS, "grade": GRADES, "a": A, "b": B, "first": GROUP, "second": 1 - GROUP}


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = zip(*COLUMNS.values(), strict=True)
    lines = [",".join(COLUMNS), *(",".join(repr(float(value)) for value in row) for row in rows)]
    (tmp_path / "data.csv").write_text("\n".join(lines))

    def run(model: str, *words: str) -> tuple[int, str, str]:
        status = main(["fit", model, "data.csv", *words])
        return status, *capsys.readouterr()

    return run


def read(path):
    return json.loads(path.read_text())


def ones(*columns):
    return np.column_stack([np.ones(N), *columns])


def assert_same_fit(written, names, fit):
    assert [row["name"] for row in written["parameters"]] == names
    # The same numbers go through the same programs.
    flat = [*fit.params["w"], *np.ravel(next(value for name, value in fit.params.items() if name != "w"))]
    np.testing.assert_allclose([row["estimate"] for row in written["parameters"]], flat, rtol=1e-12)
    np.testing.assert_allclose(written["log_likelihood"], fit.log_likelihood, rtol=1e-13)


def test_a_matrix_of_several_columns(run, tmp_path):
    words = ["--response", "counts", "--features", "a", "--leaf", "z=a, b", "--json", "fit.json", "--plot", "fit.png"]
    status, out, err = run("zero_inflated_poisson_regression", *words)
    assert (status, err) == (0, "") and out.startswith(
        "Data: data.csv, 120 rows; response counts; features intercept, a"
    )
    assert "; z intercept, a, b\n" in out and "inflation[b]" in out
    fit = mle.fit(models.zero_inflated_poisson_regression(), {"x": ones(A), "y": COUNTS, "z": ones(A, B)})
    names = ["w[intercept]", "w[a]", "inflation[intercept]", "inflation[a]", "inflation[b]"]
    written = read(tmp_path / "fit.json")
    assert_same_fit(written, names, fit)
    assert written["request"]["leaves"] == {"z": ["a", "b"]}
    assert (tmp_path / "fit.png").stat().st_size > 1000


def test_a_matrix_of_one_column_and_without_intercept(run, tmp_path):
    words = ["--response", "counts", "--features", "a", "--leaf", "z=b", "--no-intercept", "--json", "fit.json"]
    status, out, _ = run("zero_inflated_poisson_regression", *words)
    assert status == 0 and "; features a; z b\n" in out
    fit = mle.fit(models.zero_inflated_poisson_regression(), {"x": A[:, None], "y": COUNTS, "z": B[:, None]})
    assert_same_fit(read(tmp_path / "fit.json"), ["w[a]", "inflation[b]"], fit)


def test_a_leaf_of_one_column(run, tmp_path):
    words = ["--response", "counts", "--features", "b", "--leaf", "offset=a", "--json", "fit.json"]
    status, out, _ = run("linear_gaussian", *words)
    assert status == 0 and "; offset a\n" in out
    w = np.linalg.lstsq(ones(B), COUNTS - A, rcond=None)[0]
    written = read(tmp_path / "fit.json")
    # Least squares of a well-conditioned problem.
    np.testing.assert_allclose([row["estimate"] for row in written["parameters"]][:2], w, rtol=1e-10)
    assert written["request"]["leaves"] == {"offset": "a"}


def test_ordered_categories_get_no_intercept(run, tmp_path):
    words = ["--response", "grade", "--features", "a", "--option", "levels=3", "--json", "fit.json"]
    status, out, err = run("ordered_logit", *words)
    assert (status, err) == (0, "") and "; features a\n" in out and "intercept" not in out
    written = read(tmp_path / "fit.json")
    fit = mle.fit(models.ordered_logit(3), {"x": A[:, None], "y": GRADES})
    assert_same_fit(written, ["w[a]", "cutpoints[0]", "cutpoints[1]"], fit)
    assert written["request"]["intercept"] is False
    same = run("ordered_logit", *words, "--no-intercept")
    assert same == (0, out, "")


def test_an_intercept_that_other_columns_contain_is_pointed_at(run):
    words = ["--response", "counts", "--features", "first,second,b"]
    status, out, err = run("poisson_regression", *words)
    assert status == 1 and "not_identified" in out
    assert err.startswith("mle-jax fit: not certified: not_identified. ") and err.count("\n") == 1
    assert err.endswith(" The command added the intercept; pass --no-intercept if the other columns need none.\n")
    status, _, err = run("poisson_regression", *words, "--no-intercept")
    assert (status, err) == (0, "")
    status, _, err = run("poisson_regression", "--response", "counts", "--features", "first,second,first,", "--no-int")
    assert status == 2 and "--features names 'first' twice" in err


WRONG = [
    (
        "poisson_regression",
        ["offset=a,b"],
        "--leaf offset=a,b names several columns, but 'offset' is one number per row",
    ),
    (
        "poisson_regression",
        ["offset=a", "offset=b"],
        "--leaf names columns for 'offset' twice; it is one number per row",
    ),
    ("poisson_regression", ["z=a,b"], "--leaf names 'z', but poisson_regression reads no such data; it has no further"),
    ("zero_inflated_poisson_regression", ["z=,"], "--leaf z=, names no column; name one, or leave --leaf out"),
    ("zero_inflated_poisson_regression", ["z=a,a"], "--leaf z names 'a' twice; name each column once"),
    (
        "zero_inflated_poisson_regression",
        ["z=a,counts"],
        "'counts' is the response and in --leaf z; leave it out of --l",
    ),
    ("zero_inflated_poisson_regression", ["z=a,c"], "--leaf names 'c', but data.csv has no such column"),
    ("zero_inflated_poisson_regression", ["z=intercept"], "--leaf z names 'intercept', which the command adds; leave"),
    (
        "zero_inflated_poisson_regression",
        ["offset=a,b"],
        "--leaf offset=a,b names several columns, but 'offset' is one",
    ),
]


@pytest.mark.parametrize(("model", "leaves", "told"), WRONG, ids=[told[:40] for *_, told in WRONG])
def test_wrong_leaves_end_with_one_line(run, model, leaves, told):
    words = [word for leaf in leaves for word in ("--leaf", leaf)]
    status, out, err = run(model, "--response", "counts", "--features", "a", *words)
    assert status == 2 and out == "" and err.count("\n") == 1 and told in err


def test_ordered_categories_need_features(run):
    status, _, err = run("ordered_logit", "--response", "grade", "--option", "levels=3")
    assert status == 2
    assert "ordered_logit(levels=3) has no features, and 'cutpoints' has the place of an intercept; name --feat" in err


def test_a_name_with_a_comma_is_one_column(run, tmp_path):
    text = (tmp_path / "data.csv").read_text().replace("counts,grade,a,b", 'counts,grade,"a,b",b', 1)
    (tmp_path / "data.csv").write_text(text)
    words = ["--response", "counts", "--features", "b", "--leaf", "z=a,b", "--leaf", "z=b"]
    status, out, _ = run("zero_inflated_poisson_regression", *words)
    assert status == 0 and "; z intercept, a,b, b\n" in out
