"""The command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mle_jax
from mle_jax import text
from mle_jax.cli import main
from mle_jax.text.report import TextReport, TextRow

ROOT = Path(__file__).resolve().parents[1]


def report(passed: bool) -> TextReport:
    return TextReport((TextRow("T6", "a line", 5, 2.0, 1e-12, 2.0, passed=passed, note=""),), "float64", 3)


@pytest.mark.smoke
def test_check_prints_the_table_of_the_text(capsys):
    assert main(["check", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "seed 3" in printed and "Everything agrees." in printed
    assert all(example.title in printed for example in text.EXAMPLES.values())


@pytest.mark.parametrize("passed", [True, False])
def test_exit_status_tells_whether_everything_agrees(monkeypatch, capsys, passed):
    seen = {}
    monkeypatch.setattr(text, "check", lambda seed, *, dtype: seen.update(seed=seed, dtype=dtype) or report(passed))
    assert main(["check", "--dtype", "float32", "--seed", "7"]) == (0 if passed else 1)
    assert seen == {"seed": 7, "dtype": "float32"}
    assert ("DISAGREES" in capsys.readouterr().out) == (not passed)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: command"),
        (["chek"], "invalid choice: 'chek'"),
        (["check", "--seed", "x"], "'x' is no seed; pass a whole number of at least 0, such as --seed 1"),
        (["check", "--seed", "-1"], "'-1' is no seed"),
        (["check", "--dtype", "float16"], "invalid choice: 'float16'"),
    ],
    ids=str,
)
def test_bad_usage_says_what_is_wrong(capsys, arguments, complaint):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "word"), [(["--help"], "check"), (["check", "--help"], "--dtype")], ids=str)
def test_help(capsys, arguments, word):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0
    assert word in capsys.readouterr().out


def test_module_runs_like_the_command():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mle_jax", "--version"]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert finished.stdout == f"mle-jax {mle_jax.__version__}\n"


def test_reader_that_stops_early_causes_no_traceback():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mle_jax", "models"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()  # as `| true` does
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1
