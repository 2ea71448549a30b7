"""The items T2 to T9 and T12 of the text: its functions, and its gradients written down once more in NumPy."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.gradient_checks.case import Case
from benchmarks.gradient_checks.cases.data import BLOCK, W, X, Y
from mle_jax.text import EXAMPLES

KNOWN = 2.25  # the variance of T4


def three_pieces(p: Any) -> Any:
    x, y, z = p["x"], p["y"], p["z"]
    return {"x^2 sin y": (x**2 * jnp.sin(y))[None], "y z": (y * z)[None], "z^3 x": (z**3 * x)[None]}


def three_terms(p: Any) -> Any:
    x, y, z = p["x"], p["y"], p["z"]
    return {
        "x^2 sin y": {"x": [2 * x * np.sin(y)], "y": [x**2 * np.cos(y)]},
        "y z": {"y": [z], "z": [y]},
        "z^3 x": {"x": [z**3], "z": [3 * z**2 * x]},
    }


def vector_pieces(w: Any) -> Any:
    return three_pieces(dict(zip("xyz", w, strict=True)))


def vector_terms(w: Any) -> Any:
    zero = w[0] * 0
    parts = three_terms(dict(zip("xyz", w, strict=True)))
    return {name: np.array([[part.get(c, [zero])[0] for c in "xyz"]]) for name, part in parts.items()}


def normal_pieces(mean: Any, variance: Any, y: Any) -> Any:
    r = y - mean
    return {"normalizing constant": -jnp.log(2 * jnp.pi * variance) / 2 + 0 * r, "kernel": -(r**2) / (2 * variance)}


def normal_terms(mean: Any, variance: Any, y: Any, *, leaf: str, slope: Any) -> Any:
    """By hand: (y - mean) / variance times the slope of the mean; -1 / (2 variance) + r^2 / (2 variance^2)."""
    r = y - mean
    r_by_slope = r[:, None] * slope if np.ndim(slope) == 2 else r * slope
    return {
        "normalizing constant": {"variance": -1 / (2 * variance) + 0 * r},
        "kernel": {leaf: r_by_slope / variance, "variance": r**2 / (2 * variance**2)},
    }


def mean_pieces(p: Any, data: Any) -> Any:
    return normal_pieces(p["mu"], KNOWN, data["y"])


def mean_terms(p: Any, data: Any) -> Any:
    return {"normalizing constant": {}, "kernel": {"mu": (data["y"] - p["mu"]) / KNOWN}}


def line_pieces(p: Any, data: Any) -> Any:
    return normal_pieces(data["x"] @ p["w"], p["variance"], data["y"])


def line_terms(p: Any, data: Any) -> Any:
    return normal_terms(data["x"] @ p["w"], p["variance"], data["y"], leaf="w", slope=data["x"])


def w_terms(p: Any, x: Any, y: Any, s2: Any) -> Any:
    return {"normalizing constant": {}, "kernel": {"w": x * ((y - x @ p["w"]) / s2)[:, None]}}


def identity_pieces(p: Any, a: Any, x: Any, y: Any) -> Any:
    errors = (x @ p["w"] - y) ** 2 / y.shape[0]
    return {"norm(v)^2": p["v"] ** 2, "f(A u)": (a @ p["u"]) ** 3 / 3, "R(w)": errors}


def identity_terms(p: Any, a: Any, x: Any, y: Any) -> Any:
    return {
        "norm(v)^2": {"v": np.diag(2 * p["v"])},
        "f(A u)": {"u": ((a @ p["u"]) ** 2)[:, None] * a},
        "R(w)": {"w": 2 / y.shape[0] * (x @ p["w"] - y)[:, None] * x},
    }


def laplace_pieces(p: Any, data: Any) -> Any:
    r = data["y"] - data["x"] @ p["w"]
    return {"normalizing constant": -jnp.log(2 * p["scale"]) + 0 * r, "kernel": -jnp.abs(r) / p["scale"]}


def laplace_terms(p: Any, data: Any) -> Any:
    r, b = data["y"] - data["x"] @ p["w"], p["scale"]
    return {
        "normalizing constant": {"scale": -1 / b + 0 * r},
        "kernel": {"w": data["x"] * np.sign(r)[:, None] / b, "scale": np.abs(r) / b**2},
    }


TOP = np.linalg.lstsq(X, Y, rcond=None)[0]
BEST = {"w": TOP, "variance": float(np.mean((Y - X @ TOP) ** 2))}
LINE = {"x": X, "y": Y}
THROUGH_A_POINT = {"w": np.array([Y[0], 0.0, 0.0]), "scale": 0.9}
"""The first residual is exactly 0, in single precision too: the function has a kink here."""

CASES = (
    Case(
        name="T2 partials",
        pieces=three_pieces,
        terms=three_terms,
        function=EXAMPLES["T2"].function,
        params={"x": 1.2, "y": 2.0, "z": -0.7},
    ),
    Case(
        name="T3 gradient",
        pieces=vector_pieces,
        terms=vector_terms,
        function=EXAMPLES["T3"].function,
        params=np.array([1.5, 0.8, 2.2]),
    ),
    Case(
        name="T4 Gaussian mean",
        pieces=mean_pieces,
        terms=mean_terms,
        function=EXAMPLES["T4"].function,
        params={"mu": 0.3},
        args=({"y": Y},),
    ),
    Case(
        name="T5 Gaussian",
        pieces=lambda p, data: normal_pieces(p["mu"], p["variance"], data["y"]),
        terms=lambda p, data: normal_terms(p["mu"], p["variance"], data["y"], leaf="mu", slope=1),
        function=EXAMPLES["T5"].function,
        params={"mu": 0.3, "variance": 1.7},
        args=({"y": Y},),
        positive=("variance",),
        scale="variance",
    ),
    Case(
        name="T6 squared error of a line",
        pieces=lambda p, x, y: {"squared error": (y - p["w1"] * x - p["w0"]) ** 2},
        terms=lambda p, x, y: {
            "squared error": {
                "w0": -2 * (y - p["w1"] * x - p["w0"]),
                "w1": -2 * x * (y - p["w1"] * x - p["w0"]),
            }
        },
        function=EXAMPLES["T6"].function,
        average=True,
        params={"w0": 0.2, "w1": 0.7},
        args=(X[:, 1], Y),
    ),
    Case(
        name="T7 linear Gaussian",
        pieces=line_pieces,
        terms=line_terms,
        function=EXAMPLES["T7"].function,
        params={"w": np.array([0.1, -0.4, 0.6]), "variance": 1.3},
        args=(LINE,),
        positive=("variance",),
        scale="variance",
    ),
    Case(
        name="T7 at its maximum",
        pieces=line_pieces,
        terms=line_terms,
        function=EXAMPLES["T7"].function,
        params=BEST,
        args=(LINE,),
        positive=("variance",),
        scale="variance",
    ),
    Case(
        name="T8 likelihood of w",
        pieces=lambda p, x, y, s2: normal_pieces(x @ p["w"], s2, y),
        terms=w_terms,
        function=EXAMPLES["T8"].function,
        params={"w": np.array([0.9, -0.2, 0.3])},
        args=(X, Y, 1.4),
    ),
    Case(
        name="T9 identities",
        pieces=identity_pieces,
        terms=identity_terms,
        function=EXAMPLES["T9"].function,
        params={"v": np.array([0.4, -1.1, 0.7, 2.0]), "u": np.array([1.0, 0.3, -0.8, 0.5]), "w": 0.8 * W},
        args=(BLOCK, X, Y),
    ),
    Case(
        name="T12 Laplace",
        pieces=laplace_pieces,
        terms=laplace_terms,
        function=EXAMPLES["T12"].function,
        params={"w": 0.9 * W, "scale": 0.8},
        args=(LINE,),
        positive=("scale",),
        scale="scale",
    ),
    Case(
        name="T12 Laplace at a zero residual",
        pieces=laplace_pieces,
        terms=laplace_terms,
        function=EXAMPLES["T12"].function,
        params=THROUGH_A_POINT,
        args=(LINE,),
        positive=("scale",),
        scale="scale",
    ),
)
