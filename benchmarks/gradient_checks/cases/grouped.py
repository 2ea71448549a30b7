"""Hierarchical models with the random effect integrated out in closed form."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from scipy.special import digamma

from benchmarks.gradient_checks.case import Case
from benchmarks.gradient_checks.cases.data import GROUPED_X, GROUPED_Y, SUCCESSES, TRIALS


def intercept_pieces(p: Any, x: Any, y: Any) -> Any:
    """A group's y is Gaussian with covariance V = s2 I + t2 1 1': log det V and the quadratic form in closed form."""
    s2, t2, m = p["s2"], p["t2"], y.shape[1]
    c = s2 + m * t2
    r = y - x @ p["w"]
    form = (jnp.sum(r**2, axis=1) - t2 / c * jnp.sum(r, axis=1) ** 2) / s2
    log_det = (m - 1) * jnp.log(s2) + jnp.log(c) + m * jnp.log(2 * jnp.pi)
    return {"determinant": -log_det / 2 + 0 * form, "quadratic form": -form / 2}


def intercept_terms(p: Any, x: Any, y: Any) -> Any:
    """V^-1 = (I - t2 / c 1 1') / s2 with c = s2 + m t2; S is the sum of the residuals of a group."""
    s2, t2, m = p["s2"], p["t2"], y.shape[1]
    c = s2 + m * t2
    r = y - x @ p["w"]
    total, squares = np.sum(r, axis=1), np.sum(r**2, axis=1)
    weighted = r - (t2 / c * total)[:, None]
    of_s2 = -squares / s2**2 + t2 * total**2 * (1 / (s2**2 * c) + 1 / (s2 * c**2))
    return {
        "determinant": {"s2": -((m - 1) / s2 + 1 / c) / 2 + 0 * total, "t2": -m / c / 2 + 0 * total},
        "quadratic form": {
            "w": np.einsum("gm,gmp->gp", weighted, x) / s2,
            "s2": -of_s2 / 2,
            "t2": total**2 / c**2 / 2,
        },
    }


def beta_binomial_pieces(p: Any, y: Any, n: Any) -> Any:
    a, b = p["a"], p["b"]
    choose = gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)
    return {
        "kernel": gammaln(y + a) + gammaln(n - y + b) - gammaln(n + a + b) + choose,
        "normalizing constant": gammaln(a + b) - gammaln(a) - gammaln(b) + 0 * y,
    }


def beta_binomial_terms(p: Any, y: Any, n: Any) -> Any:
    a, b = p["a"], p["b"]
    both = digamma(n + a + b)
    return {
        "kernel": {"a": digamma(y + a) - both, "b": digamma(n - y + b) - both},
        "normalizing constant": {
            "a": digamma(a + b) - digamma(a) + 0 * y,
            "b": digamma(a + b) - digamma(b) + 0 * y,
        },
    }


def poisson_gamma_pieces(p: Any, y: Any) -> Any:
    """Groups of counts with a common gamma-distributed rate: m counts of sum S given shape a and rate b."""
    a, b, m = p["a"], p["b"], y.shape[1]
    total = jnp.sum(y, axis=1)
    return {
        "prior": a * jnp.log(b) - gammaln(a) + 0 * total,
        "posterior": gammaln(a + total) - (a + total) * jnp.log(b + m) - jnp.sum(gammaln(y + 1), axis=1),
    }


def poisson_gamma_terms(p: Any, y: Any) -> Any:
    a, b, m = p["a"], p["b"], y.shape[1]
    total = np.sum(y, axis=1)
    return {
        "prior": {"a": np.log(b) - digamma(a) + 0 * total, "b": a / b + 0 * total},
        "posterior": {"a": digamma(a + total) - np.log(b + m), "b": -(a + total) / (b + m)},
    }


GROUPED_COUNTS = np.round(np.exp(GROUPED_Y / 2))

CASES = (
    Case(
        name="random intercept",
        pieces=intercept_pieces,
        terms=intercept_terms,
        params={"w": np.array([0.7, -0.3]), "s2": 1.2, "t2": 0.6},
        args=(GROUPED_X, GROUPED_Y),
        positive=("s2", "t2"),
        scale="s2",
    ),
    Case(
        name="beta-binomial",
        pieces=beta_binomial_pieces,
        terms=beta_binomial_terms,
        params={"a": 1.7, "b": 2.6},
        args=(SUCCESSES, TRIALS),
        positive=("a", "b"),
    ),
    Case(
        name="Poisson-gamma groups",
        pieces=poisson_gamma_pieces,
        terms=poisson_gamma_terms,
        params={"a": 1.4, "b": 0.7},
        args=(GROUPED_COUNTS,),
        positive=("a", "b"),
    ),
)
