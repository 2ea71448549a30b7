"""Regressions: generalized linear models, and censored responses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, log_ndtr
from scipy.special import digamma, erfcx, expit

from benchmarks.gradient_checks.case import Case, Slip
from benchmarks.gradient_checks.cases.data import CENSORED, COUNTS, EVENTS, LABELS, TIMES, W, X

ROWS = frozenset({"rows"})


def logistic_pieces(w: Any, x: Any, y: Any) -> Any:
    return {"linear part": y * (x @ w), "log partition": -jax.nn.softplus(x @ w)}


def logistic_terms(w: Any, x: Any, y: Any) -> Any:
    return {"linear part": x * y[:, None], "log partition": -x * expit(x @ w)[:, None]}


def poisson_pieces(w: Any, x: Any, y: Any) -> Any:
    eta = x @ w
    return {"linear part": y * eta, "log partition": -jnp.exp(eta), "base measure": -gammaln(y + 1.0)}


def poisson_terms(w: Any, x: Any, y: Any) -> Any:
    return {"linear part": x * y[:, None], "log partition": -x * np.exp(x @ w)[:, None], "base measure": 0 * x}


def probit_pieces(w: Any, x: Any, y: Any) -> Any:
    return {"likelihood": log_ndtr((2 * y - 1) * (x @ w))}


def mills(z: Any) -> Any:
    """Return phi(z) / Phi(z) = sqrt(2 / pi) / erfcx(-z / sqrt 2)."""
    return np.sqrt(2 / np.pi).astype(np.asarray(z).dtype) / erfcx(-z / np.asarray(np.sqrt(2.0), np.asarray(z).dtype))


def probit_terms(w: Any, x: Any, y: Any) -> Any:
    q = 2 * y - 1
    return {"likelihood": x * (q * mills(q * (x @ w)))[:, None]}


def gamma_pieces(p: Any, x: Any, y: Any) -> Any:
    a, eta = p["a"], x @ p["w"]
    return {
        "normalizing constant": a * jnp.log(a) - gammaln(a) - a * eta,
        "kernel": (a - 1) * jnp.log(y) - a * y * jnp.exp(-eta),
    }


def gamma_terms(p: Any, x: Any, y: Any) -> Any:
    a, eta = p["a"], x @ p["w"]
    return {
        "normalizing constant": {"w": -a * x, "a": np.log(a) + 1 - digamma(a) - eta},
        "kernel": {"w": x * (a * y * np.exp(-eta))[:, None], "a": np.log(y) - y * np.exp(-eta)},
    }


def negative_binomial_pieces(p: Any, x: Any, y: Any) -> Any:
    r, eta = p["r"], x @ p["w"]
    return {
        "normalizing constant": gammaln(y + r) - gammaln(r) - gammaln(y + 1) + r * jnp.log(r),
        "kernel": y * eta - (r + y) * jnp.log(r + jnp.exp(eta)),
    }


def negative_binomial_terms(p: Any, x: Any, y: Any) -> Any:
    r, eta = p["r"], x @ p["w"]
    mean = np.exp(eta)
    share = (r + y) / (r + mean)
    return {
        "normalizing constant": {"r": digamma(y + r) - digamma(r) + np.log(r) + 1},
        "kernel": {"w": x * (y - share * mean)[:, None], "r": -np.log(r + mean) - share},
    }


def tobit_pieces(p: Any, x: Any, y: Any) -> Any:
    eta, s = x @ p["w"], p["s"]
    z = (y - eta) / s
    seen = y > 0
    return {
        "uncensored rows": jnp.where(seen, -jnp.log(s) - z**2 / 2 - jnp.log(2 * jnp.pi) / 2, 0.0),
        "censored rows": jnp.where(seen, 0.0, log_ndtr(-eta / s)),
    }


def tobit_terms(p: Any, x: Any, y: Any) -> Any:
    """Uncensored: z x / s and (z^2 - 1) / s; censored, with m = phi / Phi at -eta / s: -m x / s and m eta / s^2."""
    eta, s = x @ p["w"], p["s"]
    z, seen, m = (y - eta) / s, y > 0, mills(-eta / s)
    return {
        "uncensored rows": {"w": x * (seen * z / s)[:, None], "s": seen * (z**2 - 1) / s},
        "censored rows": {"w": -x * (~seen * m / s)[:, None], "s": ~seen * m * eta / s**2},
    }


def tobit_blind(p: Any, x: Any, y: Any) -> Any:
    """Treat the censored observations as if 0 had been observed."""
    z = (y - x @ p["w"]) / p["s"]
    return {"all rows": {"w": x * (z / p["s"])[:, None], "s": (z**2 - 1) / p["s"]}}


def weibull_pieces(p: Any, t: Any, d: Any) -> Any:
    k, scale = p["k"], p["l"]
    return {
        "hazard": d * (jnp.log(k / scale) + (k - 1) * jnp.log(t / scale)),
        "survival": -((t / scale) ** k),
    }


def weibull_terms(p: Any, t: Any, d: Any) -> Any:
    k, scale = p["k"], p["l"]
    log = np.log(t / scale)
    z = (t / scale) ** k
    return {
        "hazard": {"k": d * (1 / k + log), "l": -d * k / scale},
        "survival": {"k": -z * log, "l": k * z / scale},
    }


def exponential_pieces(w: Any, x: Any, t: Any, d: Any) -> Any:
    return {"hazard": d * (x @ w), "survival": -t * jnp.exp(x @ w)}


def exponential_terms(w: Any, x: Any, t: Any, d: Any) -> Any:
    return {"hazard": x * d[:, None], "survival": -x * (t * np.exp(x @ w))[:, None]}


NEAR = 0.8 * W + np.array([0.1, 0.2, -0.1])

CASES = (
    Case(name="logistic", pieces=logistic_pieces, terms=logistic_terms, params=NEAR, args=(X, LABELS)),
    Case(name="Poisson", pieces=poisson_pieces, terms=poisson_terms, params=0.4 * W, args=(X, COUNTS)),
    Case(name="probit", pieces=probit_pieces, terms=probit_terms, params=NEAR, args=(X, LABELS)),
    Case(
        name="gamma regression",
        pieces=gamma_pieces,
        terms=gamma_terms,
        params={"w": 0.3 * W, "a": 1.4},
        args=(X, TIMES),
        positive=("a",),
    ),
    Case(
        name="negative binomial",
        pieces=negative_binomial_pieces,
        terms=negative_binomial_terms,
        params={"w": 0.4 * W, "r": 2.3},
        args=(X, COUNTS),
        positive=("r",),
    ),
    Case(
        name="tobit",
        pieces=tobit_pieces,
        terms=tobit_terms,
        params={"w": NEAR, "s": 1.2},
        args=(X, CENSORED),
        positive=("s",),
        scale="s",
        branch=lambda x, y: np.asarray(y) == 0,
        slips={"censored rows as if observed": Slip(terms=tobit_blind, names=ROWS)},
    ),
    Case(
        name="Weibull, right-censored",
        pieces=weibull_pieces,
        terms=weibull_terms,
        params={"k": 1.5, "l": 1.2},
        args=(TIMES, EVENTS),
        positive=("k", "l"),
        scale="l",
        branch=lambda t, d: np.asarray(d) == 0,
        slips={
            "censored rows as if observed": Slip(terms=lambda p, t, d: weibull_terms(p, t, np.ones_like(d)), names=ROWS)
        },
    ),
    Case(
        name="exponential, right-censored",
        pieces=exponential_pieces,
        terms=exponential_terms,
        params=0.3 * W,
        args=(X, TIMES, EVENTS),
        branch=lambda x, t, d: np.asarray(d) == 0,
        slips={
            "censored rows as if observed": Slip(
                terms=lambda w, x, t, d: exponential_terms(w, x, t, np.ones_like(d)), names=ROWS
            )
        },
    ),
)
