"""Functions of extreme size, parameters of extreme scale, large constants, large data."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.gradient_checks.case import Case
from benchmarks.gradient_checks.cases.data import COUNTS, LABELS, TIMES, W, X, Y
from benchmarks.gradient_checks.cases.regressions import (
    NEAR,
    logistic_pieces,
    logistic_terms,
    poisson_pieces,
    poisson_terms,
)
from benchmarks.gradient_checks.cases.samples import gamma_pieces, gamma_terms

UNITS = np.array([1.0, 1e8, 1e-8])
BIG = 1e6 + Y


def sine_pieces(p: Any, x: Any, factor: Any) -> Any:
    return {"sines": factor * jnp.sin(x * p["a"] + p["b"])}


def sine_terms(p: Any, x: Any, factor: Any) -> Any:
    slope = factor * np.cos(x * p["a"] + p["b"])
    return {"sines": {"a": x * slope, "b": slope}}


def square_pieces(m: Any, x: Any) -> Any:
    return {"squares": -((x - m) ** 2)}


def square_terms(m: Any, x: Any) -> Any:
    return {"squares": 2 * (x - m)}


SINES = {"pieces": sine_pieces, "terms": sine_terms, "params": {"a": 0.7, "b": 0.4}}
SQUARES = {"pieces": square_pieces, "terms": square_terms, "args": (BIG,), "spread": 1e-6}

CASES = (
    Case(name="sines of size 1e-8", args=(Y, 1e-8), **SINES),
    Case(name="sines of size 1e8", args=(Y, 1e8), **SINES),
    Case(
        name="logistic + 1e9",
        pieces=logistic_pieces,
        terms=logistic_terms,
        offset=1e9,
        params=NEAR,
        args=(X, LABELS),
    ),
    Case(
        name="gamma - 1e9, times of 1e8",
        pieces=gamma_pieces,
        terms=gamma_terms,
        offset=-1e9,
        params={"a": 1.3, "r": 0.8e-8},
        args=(1e8 * TIMES,),
        positive=("a", "r"),
    ),
    Case(
        name="Poisson, scales 1e-8 to 1e8",
        pieces=poisson_pieces,
        terms=poisson_terms,
        params=0.4 * W / UNITS,
        args=(X * UNITS, COUNTS),
    ),
    Case(
        name="gamma, times of 1e8",
        pieces=gamma_pieces,
        terms=gamma_terms,
        params={"a": 1.3, "r": 0.8e-8},
        args=(1e8 * TIMES,),
        positive=("a", "r"),
    ),
    Case(name="mean of 1e6", params=float(BIG.mean()) + 0.5, **SQUARES),
    Case(name="mean of 1e6 at its maximum", params=float(BIG.mean()), **SQUARES),
)
