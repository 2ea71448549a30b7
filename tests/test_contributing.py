"""The walk of CONTRIBUTING.md, followed: one file, one row, one name, and the contracts hold."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = (
    "mle_jax",
    "tests",
    "benchmarks",
    "examples",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
)
NAME = "geometric_regression"
CONTRACTS = (
    "tests/test_models_ready_made.py",
    "tests/test_inference_self_test.py",
    "tests/test_inference_information.py",
    "mle_jax/models/geometric_linear.py",
)


def walk():
    """Return the code of the walk: the file, the row, the import."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## A walk: adding a model")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.+?)```", section, re.S)


def put_before(path, mark, text):
    """Insert text before the first line that begins with a mark."""
    content = path.read_text()
    place = re.search(rf"^{re.escape(mark)}", content, re.M)
    assert place, f"{path.name} has no line that begins with {mark}"
    path.write_text(content[: place.start()] + text + content[place.start() :])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a copy of the checkout in which the walk has been followed."""
    copy = tmp_path_factory.mktemp("walk")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "output", "pictures"))
        else:
            shutil.copy(source, copy / name)
    file, row, name = walk()
    (copy / "mle_jax/models/geometric_linear.py").write_text(file)
    table = copy / "tests/ready_made_models.py"
    put_before(table, '    "poisson_regression"', row)
    public = copy / "mle_jax/models/__init__.py"
    put_before(public, "from mle_jax.models.gaussian_known_variance", name)
    put_before(public, '    "laplace_regression"', f'    "{NAME}",\n')
    readme = copy / "README.md"
    readme.write_text(readme.read_text().replace("`poisson_regression`", f"`{NAME}`, `poisson_regression`", 1))
    return copy


def run(checkout, *command):
    """Run a command of Python in the copy, and only with what lies there."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, *command], cwd=checkout, env=environment, capture_output=True, text=True, timeout=500
    )
    return done.returncode, done.stdout + done.stderr


def test_the_walk_gives_a_model_that_the_command_line_lists(checkout):
    code, told = run(checkout, "-m", "mle_jax", "models")
    assert code == 0, told
    line = next(line for line in told.splitlines() if line.startswith(NAME))
    assert "y log(mean/(1 + mean)) - log(1 + mean)" in line


def test_the_walk_keeps_the_rules_of_the_house(checkout):
    code, told = run(
        checkout,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:xdist",
        "tests/test_house.py",
        "-k",
        "keeps_the_rule or short or stands_in_the_readme",
    )
    assert code == 0, told
    assert re.search(r"(\d+) passed", told)


@pytest.mark.slow
def test_the_walk_keeps_all_contracts(checkout):
    code, told = run(checkout, "-m", "pytest", "-q", "-p", "no:xdist", *CONTRACTS, "-k", "geometric_")
    assert code == 0, told
    # Links, identity, gradient, two starts, recovery, the self-test of the likelihood, the information, an example.
    assert int(re.search(r"(\d+) passed", told)[1]) >= 9, told
