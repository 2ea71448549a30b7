"""`mle-jax check FILE.py:MODEL`: right and wrong gradients, data from a file, and one clear line for what is bad."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mle_jax.cli import main

SOURCE = """
import jax.numpy as jnp
import mle_jax as mle

def log_density(p, row):
    return jnp.log(p["rate"]) - p["rate"] * row["t"]

def by_hand(p, data):
    return {"rate": data["t"].size / p["rate"] - data["t"].sum()}

def slipped(p, data):
    return {"rate": -by_hand(p, data)["rate"]}

def line(p, row):
    return -0.5 * (row["y"] - row["x"] @ p["w"]) ** 2

right = mle.Model(log_density, {"rate": mle.Positive()}, gradient=by_hand)
wrong = mle.Model(log_density, {"rate": mle.Positive()}, gradient=slipped)
bare = mle.Model(log_density, {"rate": mle.Positive()})
regression = mle.Model(
    line, {"w": mle.Real(columns="x")}, gradient=lambda p, d: {"w": (d["y"] - d["x"] @ p["w"]) @ d["x"]}
)
square = lambda x: x**2
number = 3
divides = mle.Model(log_density, {"rate": mle.Positive()}, gradient=lambda p, d: 1 / 0)
misses = mle.Model(log_density, {"rate": mle.Positive()}, gradient=lambda p, d: {"rate": d["dose"]})
"""
ROOT = Path(__file__).resolve().parents[1]
TIMES = (0.5, 1.25, 3.0, 0.75)


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the folder of the file is put into it
    Path("models.py").write_text(SOURCE)
    Path("data.csv").write_text("t,z,name\n" + "\n".join(f"{t},{t * t},patient" for t in TIMES))

    def run(*words: str) -> tuple[int, str, str]:
        status = main(["check", *words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_right_gradient_passes_and_the_columns_are_leaves(run):
    status, out, err = run("models.py:right", "--data", "data.csv", "--params", "rate=2")
    assert (status, err) == (0, "")
    assert out.startswith("Data: data.csv, 4 rows; t; z; without name (no numbers)\n\nGradient check passed: hand")
    score = len(TIMES) / 2.0 - sum(TIMES)  # n / rate - sum t
    assert f"{score:.7f}" in out


def test_a_wrong_gradient_is_named_and_written(run):
    words = ("models.py:wrong", "--data", "data.csv", "--params", '{"rate": 2.0}')
    status, out, _ = run(*words, "--json", "check.json", "--plot", "check.png", "--seed", "5")
    assert status == 1
    assert "The sign of the handwritten gradient is flipped in every coordinate." in out
    written = json.loads(Path("check.json").read_text())
    assert list(written) == [
        *("schema", "versions", "request", "passed", "diagnosis", "handwritten", "dtype", "rows", "directions"),
        "findings",
    ]
    assert written["passed"] is False and written["findings"][0]["pattern"] == "sign"
    assert written["request"] == {
        **{"model": "models.py:wrong", "data": "data.csv", "leaves": {"t": ["t"], "z": ["z"]}, "n_dropped": 0},
        **{"params": ['{"rate": 2.0}'], "seed": 5},
    }
    row = written["rows"][0]
    assert (row["name"], row["verdict"]) == ("rate", "wrong")
    if row["point"] == 0:
        assert row["autodiff"] == pytest.approx(len(TIMES) / 2.0 - sum(TIMES), rel=1e-14)
    assert row["handwritten"] == pytest.approx(-row["autodiff"], rel=1e-14)
    assert Path("check.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_handwritten_gradient_autodiff_is_checked_and_it_says_so(run):
    status, out, _ = run("models.py:bare", "--data", "data.csv", "--dtype", "float32")
    assert status == 0
    assert "'bare' has no handwritten gradient: its automatic one is compared with finite differences alone." in out
    assert "Gradient check passed: autodiff and finite differences agree" in out and "float32" in out


def test_columns_are_chosen_as_for_a_fit(run):
    x, y = np.array([1.0, 2.0, 4.0]), np.array([0.5, 2.5, 3.0])
    Path("line.csv").write_text("a;b\n" + "\n".join(f"{p};{q}" for p, q in zip(x, y, strict=True)) + "\n;7.0\n")
    words = ("models.py:regression", "--data", "line.csv", "--response", "b", "--features", "a")
    status, out, _ = run(*words, "--missing", "drop", "--params", "w=[0.5, 0.25]", "--json", "check.json")
    assert status == 0
    assert "line.csv, 4 rows, 1 of them left out for missing values; y = b; x = intercept, a" in " ".join(out.split())
    rows = {row["name"]: row for row in json.loads(Path("check.json").read_text())["rows"]}
    residuals = y - (0.5 + 0.25 * x)
    for name, score in (("w[0]", residuals.sum()), ("w[1]", residuals @ x)):
        assert rows[name]["point"] == 0 and rows[name]["handwritten"] == pytest.approx(score, rel=1e-14)


def test_other_leaves_and_a_file_with_one_model(run):
    Path("alone.py").write_text(SOURCE.partition("wrong = ")[0])
    Path("renamed.csv").write_text("time,patient\n1.5,a\n2.5,b\n")
    status, out, _ = run("alone.py", "--data", "renamed.csv", "--leaf", "t=time")
    assert status == 0 and "2 rows; t = time\n" in out


DATA = ("--data", "data.csv")
BAD = {
    "no data": (("models.py:right",), r"there are no data to check models\.py:right with; pass --data FILE"),
    "no file": (("gone.py:model", *DATA), r"there is no file 'gone\.py'; pass FILE\.py:MODEL"),
    "no Python": (("data.csv:model", *DATA), r"'data\.csv:model' names no Python file; pass FILE\.py:MODEL"),
    "no such model": (("models.py:rigth", *DATA), r"models\.py has no 'rigth'; did you mean 'right'\?"),
    "no model like that": (("models.py:zzz", *DATA), r"models\.py has no 'zzz'; its models are 'right', 'wrong', "),
    "which model": (
        ("models.py", *DATA),
        r"'models\.py' does not say which model is meant; .*, so pass models\.py:NAME",
    ),
    "a function": (("models.py:square", *DATA), r"'square' in models\.py is a function, but .* an mle_jax\.Model; its"),
    "a number": (("models.py:number", *DATA), r"'number' in models\.py is an int, but .* an mle_jax\.Model; its"),
    "a gradient that fails": (
        ("models.py:divides", *DATA),
        r"models\.py stopped in line 25: ZeroDivisionError: division by zero; correct the model",
    ),
    "a gradient of other data": (("models.py:misses", *DATA), r"models\.py stopped in line 26: KeyError: 'dose'; "),
    "a file that fails": (
        ("broken.py:m", *DATA),
        r"broken\.py cannot be run: ZeroDivisionError: .* in line 2; correct",
    ),
    "a file that is no Python": (("syntax.py:m", *DATA), r"syntax\.py cannot be run: SyntaxError: .* in line 1; corr"),
    "a file that ends": (("exits.py:m", *DATA), r"exits\.py cannot be run: SystemExit: 3 in line 2; correct the file"),
    "a file without models": (("empty.py", *DATA), r"it holds none; write model = mle_jax\.Model"),
    "no such data": (("models.py:right", "--data", "gone.csv"), r"gone\.csv"),
    "no such column": (
        ("models.py:right", *DATA, "--leaf", "t=tt"),
        r"--leaf names 'tt', but data\.csv has no such col",
    ),
    "texts": (("models.py:right", *DATA, "--leaf", "t=name"), r"column 'name' .*'patient'"),
    "a missing value": (("models.py:right", "--data", "holes.csv"), r"1 of the 2 rows .* pass --missing drop"),
    "a leaf the model needs": (("models.py:regression", *DATA), r"the data"),
    "no number": (("models.py:right", *DATA, "--params", "rate=x"), r"--params 'rate=x' is neither a number nor JSON"),
    "no name": (("models.py:right", *DATA, "--params", "2"), r"--params '2' is no NAME=VALUE; write for instance"),
    "a text in JSON": (
        ("models.py:right", *DATA, "--params", '{"rate": "x"}'),
        r"holds 'x', but a parameter is a number",
    ),
    "outside the domain": (
        ("models.py:right", *DATA, "--params", "rate=-1"),
        r"'rate' is -1.0, but 'rate' is Positive",
    ),
    "an unknown parameter": (("models.py:right", *DATA, "--params", "scale=1"), r"'scale'"),
    "two leaves of a name": (
        ("models.py:right", *DATA, "--response", "t", "--leaf", "y=z"),
        r"--response is the leaf 'y', but --leaf names one of this name too; choose one",
    ),
    "a picture without a format": (
        ("models.py:right", *DATA, "--plot", "a.doc"),
        r"--plot names 'a\.doc', but .*\.png",
    ),
    "a folder that is not there": (("models.py:right", *DATA, "--json", "no/a.json"), r"there is no folder 'no'"),
    "data without a model": (DATA, r"--data belongs to a model, but none is named; pass FILE\.py:MODEL too"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_bad_is_said_in_one_line(run, case):
    words, said = BAD[case]
    Path("broken.py").write_text("\n1 / 0\n")
    Path("syntax.py").write_text("model = = 1\n")
    Path("exits.py").write_text("import sys\nsys.exit(3)\n")
    Path("empty.py").write_text("")
    Path("holes.csv").write_text("t\n1.5\nNA\n")
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.startswith("mle-jax check: error: ") and err.count("\n") == 1
    assert re.search(said, err), err


def test_the_command_in_a_process_of_its_own(run):
    Path("helper.py").write_text("slope = 2.0\n")
    Path("uses.py").write_text("import helper\n" + SOURCE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mle_jax", "check", "uses.py:wrong", "--data", "data.csv"]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (finished.returncode, finished.stderr) == (1, "")
    assert "Gradient check FAILED (wrong) in 1 of 1: 'rate'" in finished.stdout
