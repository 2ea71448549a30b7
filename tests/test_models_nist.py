"""The NIST reference datasets through `fit` and through the closed forms: certified digits, reached."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import models

NIST = Path(__file__).parent / "data" / "nist"
CERTIFIED = json.loads((NIST / "certified.json").read_text())
PERFECT = ("wampler1", "wampler2")  # exact polynomials: the variance is zero
IMPERFECT = [name for name in CERTIFIED["linear"] if name not in PERFECT]


def read(name: str) -> dict[str, np.ndarray]:
    table = np.genfromtxt(NIST / f"{name}.csv", delimiter=",", names=True)
    return {column: table[column] for column in table.dtype.names}


def regression(name: str) -> dict[str, np.ndarray]:
    columns = read(name)
    y, count = columns.pop("y"), len(CERTIFIED["linear"][name]["estimates"])
    if name == "longley":
        return {"x": np.column_stack([np.ones(y.size), *columns.values()]), "y": y}
    first = 1 if name.startswith("noint") else 0
    return {"x": np.column_stack([columns["x"] ** k for k in range(first, first + count)]), "y": y}


def sparing(names, *kept: str) -> list:
    """Mark all datasets but a few as slow: every number of rows compiles anew."""
    return [name if name in kept else pytest.param(name, marks=pytest.mark.slow) for name in names]


def digits(found, certified) -> float:
    """Return the correct digits of the worst number: minus the decimal logarithm of its relative error."""
    found, certified = np.atleast_1d(found), np.atleast_1d(certified)
    return float(np.min(-np.log10(np.maximum(np.abs(found - certified) / np.abs(certified), 1e-16))))


def check_moments(params, certified: dict, n: int) -> None:
    assert digits(params["mu"], certified["mean"]) >= certified["digits"]["mean"]
    sd = np.sqrt(params["variance"] * n / (n - 1))  # NIST divides by n - 1
    assert digits(sd, certified["sd"]) >= certified["digits"]["sd"]


@jax.enable_x64(True)
@pytest.mark.parametrize("name", CERTIFIED["univariate"])
def test_univariate_closed_form(name):
    y = read(name)["y"]
    check_moments(models.gaussian().closed_form({"y": y}, None), CERTIFIED["univariate"][name], y.size)


@pytest.mark.parametrize("name", sparing(CERTIFIED["univariate"], "mavro", "numacc4"))
def test_univariate_fit(name):
    y, certified = read(name)["y"], CERTIFIED["univariate"][name]
    fit = mle.fit(models.gaussian(), {"y": y})
    n = y.size
    assert fit.converged
    check_moments(fit.params, certified, n)
    error = fit.standard_errors()["mu"] * np.sqrt(n / (n - 1))
    assert digits(error, certified["sd"] / np.sqrt(n)) >= certified["digits"]["sd"] - 1


@jax.enable_x64(True)
@pytest.mark.parametrize("name", CERTIFIED["linear"])
def test_linear_closed_form(name):
    data, certified = regression(name), CERTIFIED["linear"][name]
    found = models.linear_gaussian().closed_form(data, None)
    n, p = data["x"].shape
    assert digits(found["w"], certified["estimates"]) >= certified["digits"]["estimates"]
    sd = np.sqrt(found["variance"] * n / (n - p))
    if name in PERFECT:
        assert sd < 1e-12 * np.max(np.abs(data["y"]))
    else:
        assert digits(sd, certified["residual_sd"]) >= min(certified["digits"]["estimates"] + 1, 12)


@pytest.mark.parametrize("name", sparing(IMPERFECT, "longley", "filip"))
def test_linear_fit(name):
    data, certified = regression(name), CERTIFIED["linear"][name]
    fit = mle.fit(models.linear_gaussian(), data)
    n, p = data["x"].shape
    assert fit.converged
    assert digits(fit.params["w"], certified["estimates"]) >= certified["digits"]["estimates"]
    errors = fit.standard_errors()["w"] * np.sqrt(n / (n - p))
    assert digits(errors, certified["standard_errors"]) >= certified["digits"]["standard_errors"]


@pytest.mark.parametrize("name", sparing(PERFECT, "wampler1"))
def test_perfect_fit_is_reported(name):
    data, certified = regression(name), CERTIFIED["linear"][name]
    with pytest.warns(mle.ConvergenceWarning, match="scale_collapsed"):
        fit = mle.fit(models.linear_gaussian(), data)
    assert fit.status is mle.Status.scale_collapsed
    assert digits(fit.params["w"], certified["estimates"]) >= certified["digits"]["estimates"]
