"""Samples from one distribution, and mixtures."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from scipy.special import digamma, expit

from benchmarks.gradient_checks.case import Case
from benchmarks.gradient_checks.cases.data import TIMES, Y


def gamma_pieces(p: Any, t: Any) -> Any:
    a, r = p["a"], p["r"]
    return {
        "normalizing constant": a * jnp.log(r) - gammaln(a) + 0 * t,
        "kernel": (a - 1) * jnp.log(t) - r * t,
    }


def gamma_terms(p: Any, t: Any) -> Any:
    a, r = p["a"], p["r"]
    return {
        "normalizing constant": {"a": np.log(r) - digamma(a) + 0 * t, "r": a / r + 0 * t},
        "kernel": {"a": np.log(t), "r": -t},
    }


def cauchy_pieces(p: Any, y: Any) -> Any:
    z = (y - p["m"]) / p["g"]
    return {"normalizing constant": -jnp.log(jnp.pi * p["g"]) + 0 * y, "kernel": -jnp.log1p(z**2)}


def cauchy_terms(p: Any, y: Any) -> Any:
    r = y - p["m"]
    q = p["g"] ** 2 + r**2
    return {
        "normalizing constant": {"g": -1 / p["g"] + 0 * y},
        "kernel": {"m": 2 * r / q, "g": 2 * r**2 / (p["g"] * q)},
    }


def student_pieces(p: Any, y: Any) -> Any:
    nu, s = p["nu"], p["s"]
    z = (y - p["m"]) / s
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - jnp.log(nu * jnp.pi) / 2 - jnp.log(s)
    return {"normalizing constant": constant + 0 * y, "kernel": -(nu + 1) / 2 * jnp.log1p(z**2 / nu)}


def student_terms(p: Any, y: Any) -> Any:
    nu, s = p["nu"], p["s"]
    z = (y - p["m"]) / s
    share = (nu + 1) / (nu + z**2)
    of_nu = digamma((nu + 1) / 2) / 2 - digamma(nu / 2) / 2 - 1 / (2 * nu)
    return {
        "normalizing constant": {"nu": of_nu + 0 * y, "s": -1 / s + 0 * y},
        "kernel": {
            "m": share * z / s,
            "s": share * z**2 / s,
            "nu": -np.log1p(z**2 / nu) / 2 + share * z**2 / (2 * nu),
        },
    }


def mixture_pieces(p: Any, y: Any) -> Any:
    first = jnp.log(p["q"]) - (y - p["m"][0]) ** 2 / 2
    second = jnp.log1p(-p["q"]) - (y - p["m"][1]) ** 2 / 2
    return {"likelihood": jnp.logaddexp(first, second)}


def mixture_terms(p: Any, y: Any) -> Any:
    q, m = p["q"], p["m"]
    share = expit(np.log(q) - np.log1p(-q) - (y - m[0]) ** 2 / 2 + (y - m[1]) ** 2 / 2)
    means = np.stack([share * (y - m[0]), (1 - share) * (y - m[1])], axis=1)
    return {"likelihood": {"q": share / q - (1 - share) / (1 - q), "m": means}}


def zero_inflated_pieces(p: Any, y: Any) -> Any:
    """y = 0 with probability q + (1 - q) exp(-rate), else (1 - q) times the Poisson probability."""
    q, rate = p["q"], p["rate"]
    return {
        "zeros": jnp.where(y == 0, jnp.logaddexp(jnp.log(q), jnp.log1p(-q) - rate), 0.0),
        "counts": jnp.where(y == 0, 0.0, jnp.log1p(-q) + y * jnp.log(rate) - rate - gammaln(y + 1)),
    }


def zero_inflated_terms(p: Any, y: Any) -> Any:
    q, rate, zero = p["q"], p["rate"], y == 0
    at_zero = q + (1 - q) * np.exp(-rate)
    return {
        "zeros": {"q": zero * (1 - np.exp(-rate)) / at_zero, "rate": zero * (q - 1) * np.exp(-rate) / at_zero},
        "counts": {"q": ~zero / (q - 1), "rate": ~zero * (y / rate - 1)},
    }


SPARSE = np.where(np.arange(Y.size) % 3 == 0, 0.0, np.round(2 * TIMES))

CASES = (
    Case(
        name="gamma",
        pieces=gamma_pieces,
        terms=gamma_terms,
        params={"a": 1.3, "r": 0.8},
        args=(TIMES,),
        positive=("a", "r"),
    ),
    Case(
        name="Cauchy",
        pieces=cauchy_pieces,
        terms=cauchy_terms,
        params={"m": 0.1, "g": 0.6},
        args=(Y,),
        positive=("g",),
        scale="g",
    ),
    Case(
        name="Student",
        pieces=student_pieces,
        terms=student_terms,
        params={"m": 0.2, "s": 0.9, "nu": 4.5},
        args=(Y,),
        positive=("s", "nu"),
        scale="s",
    ),
    Case(
        name="Gaussian mixture",
        pieces=mixture_pieces,
        terms=mixture_terms,
        params={"q": 0.3, "m": np.array([-1.0, 1.2])},
        args=(Y,),
        positive=("q",),
    ),
    Case(
        name="zero-inflated Poisson",
        pieces=zero_inflated_pieces,
        terms=zero_inflated_terms,
        params={"q": 0.25, "rate": 1.6},
        args=(SPARSE,),
        positive=("q", "rate"),
        branch=lambda y: np.asarray(y) == 0,
    ),
)
