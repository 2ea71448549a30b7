"""`mle-jax fit`: the numbers of a file, held against least squares done here, and one clear line for bad input."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mle_jax as mle
from mle_jax.cli import main, outputs

ROOT = Path(__file__).resolve().parents[1]
ENGEL = ROOT / "examples" / "data" / "engel.csv"
CHOICE = ["--response", "foodexp", "--features", "income"]

INCOME, FOOD = np.loadtxt(ENGEL, delimiter=",", skiprows=1, unpack=True)
X = np.column_stack([np.ones(INCOME.size), INCOME])

# Least squares loses cond(X) eps = 5e-13 of the coefficients; the rest is sums of 235 terms.
CLOSE = 1e-10


def least_squares() -> tuple[np.ndarray, np.ndarray, float]:
    """Return estimates and standard errors of (w, variance), and the log-likelihood, from the closed forms."""
    w = np.linalg.lstsq(X, FOOD, rcond=None)[0]
    n, variance = FOOD.size, np.mean((FOOD - X @ w) ** 2)
    errors = np.sqrt([*(variance * np.diag(np.linalg.inv(X.T @ X))), 2 * variance**2 / n])
    return np.array([*w, variance]), errors, -n / 2 * (np.log(2 * np.pi * variance) + 1)


@pytest.fixture
def run(capsys):
    def run(*words: str | Path) -> tuple[int, str, str]:
        status = main(["fit", *map(str, words)])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def read(path: Path) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_command_of_the_readme(capsys, monkeypatch, tmp_path):
    found = re.search(r"^mle-jax (fit .+)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    words = [str(ROOT / word) if word.startswith("examples/") else word for word in found[1].split()]
    monkeypatch.chdir(tmp_path)  # where it writes
    assert main(words) == 0
    assert "w[income]" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"fit.png", "fit.json"}


def test_engel_by_least_squares(run, tmp_path):
    status, out, err = run("linear_gaussian", ENGEL, *CHOICE, "--json", tmp_path / "fit.json")
    assert (status, err) == (0, "")
    assert out.startswith("Data: engel.csv, 235 rows; response foodexp; features intercept, income\n\nMaximum likel")
    assert "w[intercept]" in out and "w[income]" in out
    estimates, errors, log_likelihood = least_squares()
    written = read(tmp_path / "fit.json")
    rows = written["parameters"]
    assert [row["name"] for row in rows] == ["w[intercept]", "w[income]", "variance"]
    np.testing.assert_allclose([row["estimate"] for row in rows], estimates, rtol=CLOSE)
    np.testing.assert_allclose([row["std_error"] for row in rows], errors, rtol=CLOSE)
    # 1.959964 is the 97.5 % quantile of the standard normal distribution, to 7 digits.
    np.testing.assert_allclose([row["conf_low"] for row in rows], estimates - 1.959964 * errors, rtol=1e-6)
    np.testing.assert_allclose(np.diag(written["covariance"]["matrix"]), errors**2, rtol=CLOSE)
    np.testing.assert_allclose(written["log_likelihood"], log_likelihood, rtol=CLOSE)
    np.testing.assert_allclose(written["aic"], 2 * 3 - 2 * log_likelihood, rtol=CLOSE)
    np.testing.assert_allclose(written["bic"], 3 * np.log(235) - 2 * log_likelihood, rtol=CLOSE)


def test_keys_of_the_document(run, tmp_path):
    run("linear_gaussian", ENGEL, *CHOICE, "--level", "0.9", "--json", tmp_path / "fit.json")
    written = read(tmp_path / "fit.json")
    assert list(written) == [
        *("schema", "versions", "request", "status", "message", "converged", "reliable", "decrement", "steps"),
        *("log_likelihood", "aic", "bic", "n_observations", "n_parameters", "parameters", "covariance"),
    ]
    assert written["schema"] == 1
    assert written["versions"] == {"mle_jax": mle.__version__, "jax": jax.__version__}
    assert written["request"] == {
        **{"model": "linear_gaussian", "options": {}, "data": str(ENGEL), "response": "foodexp"},
        **{"features": ["income"], "intercept": True, "leaves": {}, "weights": None},
        **{"n_rows": 235, "n_dropped": 0, "level": 0.9},
    }
    assert list(written["parameters"][0]) == [
        *("name", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "reliable")
    ]
    assert (written["status"], written["converged"], written["reliable"]) == ("converged", True, True)
    assert (written["n_observations"], written["n_parameters"], written["steps"]) == (235, 3, 0)
    assert 0 <= written["decrement"] < 1e-6
    assert written["covariance"]["kind"] == "observed"
    # 1.644854 is the 95 % quantile of the standard normal distribution, to 7 digits.
    row = written["parameters"][1]
    np.testing.assert_allclose(row["conf_high"] - row["estimate"], 1.644854 * row["std_error"], rtol=1e-6)


def test_parquet_semicolons_and_dropped_rows_give_the_same_fit(run, tmp_path):
    _, expected, _ = run("linear_gaussian", ENGEL, *CHOICE)
    pq.write_table(pa.table({"foodexp": FOOD, "income": INCOME}), tmp_path / "engel.parquet")
    semicolons = "\ufeffincome;foodexp\n;5.0\n" + "\n".join(f"{i!r};{f!r}" for i, f in zip(INCOME, FOOD, strict=True))
    (tmp_path / "engel.txt").write_text(semicolons.replace("np.float64(", "").replace(")", "") + "\nNA;\n")
    table = expected.partition("\n\n")[2]
    status, out, _ = run("linear_gaussian", tmp_path / "engel.parquet", *CHOICE)
    assert status == 0 and out.partition("\n\n")[2] == table
    status, out, _ = run("linear_gaussian", tmp_path / "engel.txt", *CHOICE, "--missing", "drop")
    assert status == 0 and out.partition("\n\n")[2] == table
    assert "engel.txt, 237 rows, 2 of them left out for missing values; response foodexp" in out


def test_weights_stand_for_repeated_rows(run, tmp_path):
    lines = ENGEL.read_text().splitlines()
    weighted = [f"{lines[0]},times", *(f"{line},2" for line in lines[1:])]
    (tmp_path / "data.csv").write_text("\n".join(weighted))
    words = ["linear_gaussian", tmp_path / "data.csv", *CHOICE, "--weights", "times", "--json", tmp_path / "fit.json"]
    status, out, _ = run(*words)
    assert status == 0 and "frequency weights times" in out
    estimates, errors, log_likelihood = least_squares()
    written = read(tmp_path / "fit.json")
    np.testing.assert_allclose([row["estimate"] for row in written["parameters"]], estimates, rtol=CLOSE)
    np.testing.assert_allclose([row["std_error"] for row in written["parameters"]], errors / np.sqrt(2), rtol=CLOSE)
    np.testing.assert_allclose(written["log_likelihood"], 2 * log_likelihood, rtol=CLOSE)
    assert written["n_observations"] == 470 and written["request"]["weights"] == "times"


def test_model_with_an_option_and_without_features(run, tmp_path):
    words = ["gaussian-mean", ENGEL, "--response", "foodexp", "--option", "variance=100.0"]
    status, out, _ = run(*words, "--json", tmp_path / "fit.json")
    assert status == 0 and out.startswith("Data: engel.csv, 235 rows; response foodexp\n")
    written = read(tmp_path / "fit.json")
    np.testing.assert_allclose(written["parameters"][0]["estimate"], FOOD.mean(), rtol=CLOSE)
    np.testing.assert_allclose(written["parameters"][0]["std_error"], 10 / np.sqrt(235), rtol=CLOSE)
    assert written["request"]["options"] == {"variance": 100.0} and written["request"]["model"] == "gaussian_mean"
    assert written["request"]["intercept"] is False


def test_features_are_kept_in_order_and_intercept_can_be_left_out(run, tmp_path):
    _, expected, _ = run("linear_gaussian", ENGEL, *CHOICE)
    rows = [f"1,{line}" for line in ENGEL.read_text().splitlines()[1:]]
    (tmp_path / "data.csv").write_text('the one,"income, francs",foodexp\n' + "\n".join(rows))
    features = ["--features", "the one ,", "--features", "income, francs"]
    words = ["linear_gaussian", tmp_path / "data.csv", "--response", "foodexp", *features, "--no-intercept"]
    status, out, _ = run(*words)
    assert status == 0 and "; features the one, income, francs\n" in out

    def numbers(table: str) -> list[list[str]]:
        return [line.partition("]")[2].split() for line in table.splitlines() if line.startswith("w[")]

    assert numbers(out) == numbers(expected) and len(numbers(out)) == 2
    assert out.index("w[the one] ") < out.index("w[income, francs] ")


def test_fit_without_certificate_is_seen_in_the_exit_status(run, tmp_path, recwarn):
    (tmp_path / "line.csv").write_text("y,x\n" + "".join(f"{2 * i},{i}\n" for i in range(235)))
    words = ["linear_gaussian", tmp_path / "line.csv", "--response", "y", "--features", "x"]
    status, out, err = run(*words, "--json", tmp_path / "fit.json")
    assert status == 1 and "scale_collapsed" in out
    assert err.startswith("mle-jax fit: not certified: scale_collapsed. ") and err.count("\n") == 1
    assert not recwarn.list
    written = read(tmp_path / "fit.json")  # whatever is not finite is null
    assert written["status"] == "scale_collapsed" and not written["converged"] and not written["reliable"]
    variance = written["parameters"][-1]
    assert variance["name"] == "variance" and variance["reliable"] is False and variance["std_error"] is None
    assert written["covariance"]["matrix"][-1] == [None, None, None]


def test_laplace_regression_of_engel(run, tmp_path):
    status, out, err = run("laplace-regression", ENGEL, *CHOICE, "--json", tmp_path / "fit.json")
    assert (status, err) == (0, "") and "exact solver" in out
    written = read(tmp_path / "fit.json")
    assert (written["status"], written["decrement"], written["reliable"]) == ("converged", 0.0, True)
    estimates = {row["name"]: row["estimate"] for row in written["parameters"]}
    # Koenker and Bassett (1982): median regression of Engel's data; the exact vertex, through rows 75 and 219 (from 0),
    # in rational arithmetic, and the log-likelihood there.
    expected = {"w[intercept]": 81.48224741693625, "w[income]": 0.5601805512094195, "scale": 74.72311764947104}
    assert list(estimates) == list(expected)
    # The solver ends on that vertex: what is left is the rounding of two equations and of sums of 235 terms.
    np.testing.assert_allclose(list(estimates.values()), list(expected.values()), rtol=1e-12)
    np.testing.assert_allclose(written["log_likelihood"], -1411.6301240396149, rtol=1e-12)
    assert written["covariance"]["kind"] == "expected"
    scale = expected["scale"]  # the expected information is X'X / scale^2 and n / scale^2
    errors = scale * np.sqrt([*np.diag(np.linalg.inv(X.T @ X)), 1 / 235])
    np.testing.assert_allclose([row["std_error"] for row in written["parameters"]], errors, rtol=CLOSE)


def test_disk_that_is_full_does_not_cost_the_table(run, tmp_path, monkeypatch):
    def write(path: Path, content: dict) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "write_json", write)
    words = ["--json", tmp_path / "fit.json", "--plot", tmp_path / "fit.svg"]
    status, out, err = run("linear_gaussian", ENGEL, *CHOICE, *words)
    assert status == 2 and "w[income]" in out
    told = f"--json names '{tmp_path / 'fit.json'}', which could not be written: No space left on device; the table is"
    assert err.startswith(f"mle-jax fit: error: {told} printed all the same") and err.count("\n") == 1
    assert (tmp_path / "fit.svg").exists()  # one file that cannot be written does not cost the other


GOOD = "y,x,z\n1,2,3\n2,1,5\n4,2,2\n3,5,1\n"
BAD_DATA = [
    ("", "data.csv is empty"),
    ("y,x,z\n", "data.csv has columns but no rows"),
    (GOOD + "1,2\n", "line 6 of data.csv has 2 fields, but the header has 3"),
    (GOOD + "1,many,1\n", "column 'x' must hold numbers, but line 6 of data.csv has 'many'; correct it"),
    (
        GOOD + "1,,1\n,1,\n",
        "2 of the 6 rows of data.csv lack a value (1 in 'y', 1 in 'x', 1 in 'z'), the first in line 6;",
    ),
    (GOOD + "1,,1\n", "1 of the 5 rows of data.csv lacks a value (1 in 'x'), the first in line 6;"),
    (GOOD + "1,,1\n", "fill them in (with any number where the model does not use the value), or pass --missing drop"),
    (GOOD + '"1,5",1,1\n', "has '1,5'; write it with a decimal point and without other separators, like 1234.5 (empty"),
    (
        GOOD + '"1.234,5",1,1\n',
        "has '1.234,5'; write it with a decimal point and without other separators",
    ),
    (GOOD + "inf,1,1\n", "column 'y' is infinite in line 6 of data.csv"),
    ("y,x,x,z\n1,2,3,4\n", "data.csv has 2 columns called 'x'"),
    ("y,X,z\n1,2,3\n", "--features names 'x', but data.csv has no such column; did you mean 'X'?"),
    (
        "weight,size\n1,2\n",
        "--response names 'y', but data.csv has no such column; its columns are 'weight' and 'size'",
    ),
    ("1,2,3\n2,3,4\n", "its first line must name the columns, but reads 1, 2, 3"),
    ("y x z\n1 2 3\n", "its only column is 'y x z'; pass --separator ' '"),
    ("y,x,z\n1,3,3\n2,3,5\n4,3,2\n", "feature 'x' is 3 in every row, which the intercept covers; leave it out"),
]


@pytest.mark.parametrize(("content", "told"), BAD_DATA, ids=[told[:30] for _, told in BAD_DATA])
def test_bad_data_end_with_one_line(run, tmp_path, content, told):
    (tmp_path / "data.csv").write_text(content)
    assert_refused(run("linear_gaussian", tmp_path / "data.csv", "--response", "y", "--features", "x,z"), told)


BAD_WORDS = [
    ("linear_gausian", [], "there is no model 'linear_gausian'; did you mean 'linear_gaussian'?"),
    ("Laplace", [], "there is no model 'Laplace'; did you mean 'laplace_regression'?"),
    ("gaussian_mean", [], "gaussian_mean needs a value for 'variance'; pass --option variance=VALUE"),
    ("gaussian_mean", ["--option", f"variance={'-' * 20_000}1"], "but it must be a real number; pass the known"),
    ("gaussian", ["--features", "x"], "--features names 'x', but gaussian has no features; leave --features out"),
    ("gaussian", ["--leaf", "exposure=x"], "--leaf names 'exposure', but gaussian reads no such data"),
    ("linear_gaussian", ["--no-intercept"], "linear_gaussian has neither features nor an intercept"),
    ("linear_gaussian", ["--features", " ,"], "--features ' ,' names no column; name one, or leave --features out"),
    ("linear_gaussian", ["--features", "x,y"], "'y' is the response and a feature"),
    ("linear_gaussian", ["--features", "x,x"], "--features names 'x' twice"),
    ("linear_gaussian", ["--features", "intercept"], "--features names 'intercept', which the command adds"),
    ("linear_gaussian", ["--weights", "intercept"], "'intercept' has the name of the column that the command adds"),
    ("linear_gaussian", ["--weights", "minus"], "weight column 'minus' is -1 in line 3 of data.csv, but weights must"),
    ("linear_gaussian", ["--weights", "zero"], "weight column 'zero' is 0 in every row"),
    ("linear_gaussian", ["--json", "nowhere/fit.json"], "--json names 'nowhere/fit.json', but there is no folder 'now"),
    ("linear_gaussian", ["--json", "."], "--json names '.', which is a folder"),
    ("linear_gaussian", ["--json", "data.csv"], "--json names 'data.csv', which is for the data; name another file"),
    ("linear_gaussian", ["--json", "a.png", "--plot", "a.png"], "--plot names 'a.png', which is for --json"),
]


@pytest.mark.parametrize(("model", "words", "told"), BAD_WORDS, ids=[told[:30] for *_, told in BAD_WORDS])
def test_bad_wishes_end_with_one_line(run, tmp_path, monkeypatch, model, words, told):
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("y,x,minus,zero\n1,2,1,0\n2,1,-1,0\n4,2,1,0\n")
    assert_refused(run(model, "data.csv", "--response", "y", *words), told)


def test_unreadable_files_end_with_one_line(run, tmp_path):
    words = ["--response", "y", "--features", "x"]
    assert_refused(run("linear_gaussian", tmp_path / "nothing.csv", *words), "nothing.csv'")
    assert_refused(run("linear_gaussian", tmp_path, *words), "is a folder; pass a CSV or Parquet file")
    (tmp_path / "data.csv").write_bytes(bytes(range(256)))
    assert_refused(run("linear_gaussian", tmp_path / "data.csv", *words), "is neither text nor Parquet")


def test_without_pyarrow_one_line_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert_refused(run("linear_gaussian", ENGEL, *CHOICE), "engel.csv needs pyarrow: pip install 'mle-jax[data]'")


def assert_refused(answer: tuple[int, str, str], told: str) -> None:
    status, out, err = answer
    assert status == 2 and out == ""
    assert err.startswith("mle-jax fit: error: ") and err.endswith("\n") and err.count("\n") == 1
    assert told in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["linear_gaussian", "a.csv"], "the following arguments are required: --response"),
        (["gaussian", "a.csv", "--response", "y", "--level", "95"], "'95' must lie between 0 and 1, such as 0.95"),
        (["gaussian", "a.csv", "--response", "y", "--separator", "ab"], "'ab' must be a single character"),
        (["gaussian", "a.csv", "--response", "y", "--option", "variance"], "'variance' must be NAME=VALUE"),
        (["gaussian", "a.csv", "--response", "y", "--missing", "guess"], "invalid choice: 'guess'"),
    ],
)
def test_bad_usage_says_what_is_wrong(capsys, words, told):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *words])
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err


def test_module_fits_from_anywhere(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mle_jax", "fit", "gaussian", str(ENGEL), "--response", "income"]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert re.search(rf"^mu +{INCOME.mean():.2f} ", finished.stdout, re.M)
    finished = subprocess.run(
        [*command[:5], "nothing.csv", *command[6:]], capture_output=True, text=True, env=environment
    )
    assert finished.returncode == 2 and finished.stdout == ""
    assert finished.stderr == "mle-jax fit: error: there is no file 'nothing.csv'\n"
