"""The examples run, say what they promise, and run from a checkout that nobody installed."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mle_jax as mle

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def printed_by(name: str, monkeypatch, capsys) -> str:
    monkeypatch.setattr(sys, "path", list(sys.path))  # the examples add the checkout to it
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


def test_engel_data_are_complete():
    income, food = np.loadtxt(EXAMPLES / "data" / "engel.csv", delimiter=",", skiprows=1, unpack=True)
    # Means as published with the data: R package quantreg, summary(engel).
    assert income.size == 235
    assert round(income.mean(), 1) == 982.5 and round(food.mean(), 1) == 624.2
    assert round(income.min(), 1) == 377.1 and round(food.max(), 1) == 2032.7


def test_engel(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["engel.py", "--output", str(tmp_path / "album")])
    printed = printed_by("engel.py", monkeypatch, capsys)
    assert "Gradient check passed" in printed
    assert len(re.findall(r"Status +converged", printed)) == 3
    assert "GradientDescent with the handwritten gradient" in printed and "closed form" in printed
    # Both certified to 1e-6 standard errors.
    apart = re.search(r"is (\S+) standard errors from the closed form", printed)
    assert apart is not None and float(apart.group(1)) < 1e-6
    # Least squares of food on income: 147.475, 0.4853 in the quantile-regression example of statsmodels.
    assert re.search(r"w\[intercept\] +147.48 ", printed)
    income, food = np.loadtxt(EXAMPLES / "data" / "engel.csv", delimiter=",", skiprows=1, unpack=True)
    slope, level = np.polyfit(income, food, 1)
    assert re.search(rf"w\[intercept\] +{level:.2f} ", printed)
    assert re.search(rf"w\[income\] +{slope:.5f} ", printed)
    # Least absolute deviations, in exact rational arithmetic: 81.48224741693625, 0.5601805512094195.
    assert re.search(r"w\[intercept\] +81.4822 ", printed) and re.search(r"w\[income\] +0.5602 ", printed)
    table = re.findall(r"^ +(0\.[01]\d+) +(\S+) +(\S+) +\d+$", printed, flags=re.MULTILINE)
    gaps = np.array(table, float)
    assert gaps[:, 0].tolist() == [0.1, 0.03, 0.01, 0.003]
    assert np.all(gaps[:, 1:] > 0) and np.all(gaps[:, 2] <= gaps[:, 1])  # none reaches the exact maximum
    assert np.all(np.diff(gaps[:, 2]) < 0)  # a smaller rate comes nearer
    assert {path.name for path in (tmp_path / "album").iterdir()} == {"engel-lines.png", "engel-laplace-descent.png"}
    assert f"Pictures in {tmp_path / 'album'}" in printed


def test_gaussian_mean(monkeypatch, capsys):
    printed = printed_by("gaussian_mean.py", monkeypatch, capsys)
    assert "Gradient check passed" in printed and re.search(r"Status +converged", printed)
    # The mean of the six numbers is 13.6 / 6, its standard error sqrt(0.25 / 6).
    assert re.search(rf"mu +{13.6 / 6:.4f} +{np.sqrt(0.25 / 6):.5f}", printed)


TEXT_PICTURES = [
    "T1-difference-quotients.png",
    "T11-descent.png",
    "T11-loss.png",
    "T12-laplace-and-gaussian.png",
    "T12-loss.png",
    "T6-gradient-arrows.png",
]


@pytest.mark.slow
def test_text_walks_through_the_chapter_and_names_its_pictures(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["text.py", "--output", str(tmp_path / "album")])
    printed = printed_by("text.py", monkeypatch, capsys)
    titles = re.findall(r"^(T\d+)  (.+)\n=+$", printed, flags=re.MULTILINE)
    assert titles == [(item, example.title) for item, example in mle.text.EXAMPLES.items()]
    # One gradient derived by hand for each of T2 to T9 but T4, and T12; and the slip that is shown on purpose.
    assert printed.count("Gradient check passed") == 8 and printed.count("Gradient check FAILED") == 1
    assert "The sign of the handwritten gradient is flipped" in printed
    assert "28.818595, 2.583853, 29.000000" in printed  # 2 sin 2 + 27, cos 2 + 3, 29
    assert re.search(r"Optimizer +exact solver", printed) and re.search(r"Status +converged", printed)
    assert "2 of 101 residuals are 0" in printed
    lines = re.findall(r"^  (Gaussian|Laplace) .*?\) +\((.+), (.+)\) +\((.+), (.+)\)$", printed, flags=re.MULTILINE)
    moved = {name: np.abs(np.array(w[:2], float) - np.array(w[2:], float)) for name, *w in lines}
    errors = np.array([0.11133, 0.09547])  # of the Laplace line, as its table says
    assert np.all(moved["Laplace"] < errors) and np.all(moved["Gaussian"] > 5 * errors)
    named = re.findall(r"^Picture: (.+)$", printed, flags=re.MULTILINE)
    assert sorted(Path(path).name for path in named) == TEXT_PICTURES
    for path in named:
        content = Path(path).read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 10_000, path  # an empty one has about 5 kB


def test_text_without_matplotlib_says_once_what_is_missing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "path", list(sys.path))
    chapter = runpy.run_path(str(EXAMPLES / "text.py"))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    album = chapter["Album"](tmp_path / "album")
    chapter["derivative_as_a_limit"](album)
    chapter["critical_points"](album)
    printed = capsys.readouterr().out
    assert printed.count("pip install 'mle-jax[plot]'") == 1 and "Picture" not in printed
    assert "T1  Definition 1" in printed and "saddle" in printed
    assert not (tmp_path / "album").exists()


@pytest.mark.smoke
def test_examples_run_from_a_bare_checkout(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, str(EXAMPLES / "gaussian_mean.py")]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "Maximum likelihood" in finished.stdout and finished.stderr == ""
