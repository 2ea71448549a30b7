"""Parameters that are matrices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.gradient_checks.case import Case
from benchmarks.gradient_checks.cases.data import CLASSES, FACTOR, MATRIX, ROWS, SYMMETRIC, WIDE, X, Y


def precision_pieces(p: Any, y: Any) -> Any:
    diagonal = jnp.diagonal(jnp.linalg.cholesky(p["P"]))
    return {
        "determinant": jnp.sum(jnp.log(diagonal)) + jnp.zeros_like(y[:, 0]),
        "quadratic form": -jnp.sum((y @ p["P"]) * y, axis=1) / 2,
    }


def precision_terms(p: Any, y: Any) -> Any:
    # JAX's cholesky takes the symmetric part of a matrix, so that is what the determinant is of.
    inverse = np.linalg.inv((p["P"] + p["P"].T) / 2)
    return {
        "determinant": {"P": np.broadcast_to(inverse / 2, (len(y), *inverse.shape))},
        "quadratic form": {"P": -y[:, :, None] * y[:, None, :] / 2},
    }


def factor_pieces(p: Any, y: Any) -> Any:
    """y of precision A'A: log |det A| - norm(A y)^2 / 2, A any square matrix."""
    return {
        "determinant": jnp.linalg.slogdet(p["A"])[1] + jnp.zeros_like(y[:, 0]),
        "quadratic form": -jnp.sum((y @ p["A"].T) ** 2, axis=1) / 2,
    }


def factor_terms(p: Any, y: Any) -> Any:
    """By hand: the inverse of A transposed, and -(A y) y'."""
    inverse = np.linalg.inv(p["A"]).T
    return {
        "determinant": {"A": np.broadcast_to(inverse, (len(y), *inverse.shape))},
        "quadratic form": {"A": -(y @ p["A"].T)[:, :, None] * y[:, None, :]},
    }


def bilinear_pieces(p: Any, y: Any) -> Any:
    return {"value": jnp.sum(jnp.tanh(y[:, :1] * (y @ p["B"])), axis=1)}


def bilinear_terms(p: Any, y: Any) -> Any:
    slope = 1 - np.tanh(y[:, :1] * (y @ p["B"])) ** 2
    return {"value": {"B": y[:, :, None] * (y[:, :1] * slope)[:, None, :]}}


def multinomial_pieces(p: Any, x: Any, y: Any) -> Any:
    """Three classes, the first of them the baseline with score 0."""
    scores = jnp.concatenate([jnp.zeros_like(x[:, :1]), x @ p["W"]], axis=1)
    return {
        "linear part": jnp.take_along_axis(scores, y[:, None], axis=1)[:, 0],
        "log partition": -jax.nn.logsumexp(scores, axis=1),
    }


def multinomial_terms(p: Any, x: Any, y: Any) -> Any:
    scores = np.concatenate([np.zeros_like(x[:, :1]), x @ p["W"]], axis=1)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares = (shares / shares.sum(axis=1, keepdims=True))[:, 1:]
    chosen = (y[:, None] == np.arange(1, 3)).astype(x.dtype)
    return {
        "linear part": {"W": x[:, :, None] * chosen[:, None, :]},
        "log partition": {"W": -x[:, :, None] * shares[:, None, :]},
    }


def responses_pieces(p: Any, x: Any, y: Any) -> Any:
    """Two Gaussian responses with a matrix of coefficients and a common variance."""
    r = y - x @ p["B"]
    return {
        "normalizing constant": -jnp.log(2 * jnp.pi * p["s2"]) + 0 * r[:, 0],
        "kernel": -jnp.sum(r**2, axis=1) / (2 * p["s2"]),
    }


def responses_terms(p: Any, x: Any, y: Any) -> Any:
    r, s2 = y - x @ p["B"], p["s2"]
    return {
        "normalizing constant": {"s2": -1 / s2 + 0 * r[:, 0]},
        "kernel": {"B": x[:, :, None] * r[:, None, :] / s2, "s2": np.sum(r**2, axis=1) / (2 * s2**2)},
    }


PAIRS = np.column_stack([Y, ROWS[:, 0] - 0.5 * Y])

CASES = (
    Case(
        name="precision matrix",
        pieces=precision_pieces,
        terms=precision_terms,
        params={"P": SYMMETRIC},
        args=(ROWS,),
    ),
    Case(name="factor of a precision", pieces=factor_pieces, terms=factor_terms, params={"A": FACTOR}, args=(ROWS,)),
    Case(name="bilinear", pieces=bilinear_pieces, terms=bilinear_terms, params={"B": MATRIX}, args=(ROWS,)),
    Case(
        name="multinomial logit",
        pieces=multinomial_pieces,
        terms=multinomial_terms,
        params={"W": 0.5 * WIDE},
        args=(X, CLASSES),
    ),
    Case(
        name="two responses",
        pieces=responses_pieces,
        terms=responses_terms,
        params={"B": 0.6 * WIDE, "s2": 1.5},
        args=(X, PAIRS),
        positive=("s2",),
        scale="s2",
    ),
)
