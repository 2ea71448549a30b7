"""Right gradients pass, wrong ones do not: a table of functions times a table of slips, in float64 and float32.

Each row is a function with the terms of its gradient, one per observation, derived by hand; their sum is the right
gradient. The points lie away from zeros of the gradient, except where a name says otherwise.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import digamma, gammaln

from mle_jax import check_gradient

N = 60
RNG = np.random.default_rng(42)
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
W = np.array([0.5, -1.0, 0.25])
Y = X @ W + RNG.normal(size=N)
COUNTS = RNG.poisson(np.exp(X @ W / 2))
LABELS = (RNG.random(N) < 0.5).astype(float)
TIMES = RNG.exponential(size=N)
ROWS = RNG.normal(size=(N, 3))
UNITS = np.array([1.0, 1e8, 1e-8])
SYMMETRIC = np.array([[2.0, 0.5, 0.1], [0.5, 1.5, -0.2], [0.1, -0.2, 1.0]])
MATRIX = RNG.normal(size=(3, 3))


class Row(NamedTuple):
    """A function of (params, *args), the terms of its gradient, and where to check it."""

    function: Callable[..., Any]
    terms: Callable[..., Any]
    params: Any
    args: tuple[Any, ...]


def gaussian(p, x):  # T5
    return jnp.sum(-jnp.log(2 * jnp.pi * p["s2"]) / 2 - (x - p["mu"]) ** 2 / (2 * p["s2"]))


def gaussian_terms(p, x):
    r = x - p["mu"]
    return {"mu": r / p["s2"], "s2": -1 / (2 * p["s2"]) + r**2 / (2 * p["s2"] ** 2)}


def line(p, x, y):  # T6
    return jnp.mean((y - p["w1"] * x - p["w0"]) ** 2)


def line_terms(p, x, y):
    r = y - p["w1"] * x - p["w0"]
    return {"w0": -2 / r.size * r, "w1": -2 / r.size * x * r}


def linear_gaussian(p, x, y):  # T7
    return jnp.sum(-jnp.log(2 * jnp.pi * p["s2"]) / 2 - (y - x @ p["w"]) ** 2 / (2 * p["s2"]))


def linear_gaussian_terms(p, x, y):
    r = y - x @ p["w"]
    return {"w": x * r[:, None] / p["s2"], "s2": -1 / (2 * p["s2"]) + r**2 / (2 * p["s2"] ** 2)}


def laplace(p, x, y):  # T12
    return jnp.sum(-jnp.log(2 * p["b"]) - jnp.abs(y - x @ p["w"]) / p["b"])


def laplace_terms(p, x, y):
    r = y - x @ p["w"]
    return {"w": x * jnp.sign(r)[:, None] / p["b"], "b": -1 / p["b"] + jnp.abs(r) / p["b"] ** 2}


def logistic(w, x, y):
    return jnp.sum(y * (x @ w) - jax.nn.softplus(x @ w))


def logistic_terms(w, x, y):
    return x * (y - jax.nn.sigmoid(x @ w))[:, None]


def poisson(w, x, y):
    return jnp.sum(y * (x @ w) - jnp.exp(x @ w) - gammaln(y + 1.0))


def poisson_terms(w, x, y):
    return x * (y - jnp.exp(x @ w))[:, None]


def gamma(p, t):
    return jnp.sum(p["a"] * jnp.log(p["r"]) - gammaln(p["a"]) + (p["a"] - 1) * jnp.log(t) - p["r"] * t)


def gamma_terms(p, t):
    return {"a": jnp.log(p["r"]) - digamma(p["a"]) + jnp.log(t), "r": p["a"] / p["r"] - t}


def weibull(p, t):
    z = (t / p["l"]) ** p["k"]
    return jnp.sum(jnp.log(p["k"] / p["l"]) + (p["k"] - 1) * jnp.log(t / p["l"]) - z)


def weibull_terms(p, t):
    z, log = (t / p["l"]) ** p["k"], jnp.log(t / p["l"])
    return {"k": 1 / p["k"] + log - z * log, "l": p["k"] / p["l"] * (z - 1)}


def cauchy(p, y):
    return jnp.sum(-jnp.log(jnp.pi * p["g"]) - jnp.log1p(((y - p["m"]) / p["g"]) ** 2))


def cauchy_terms(p, y):
    r = y - p["m"]
    q = p["g"] ** 2 + r**2
    return {"m": 2 * r / q, "g": -1 / p["g"] + 2 * r**2 / (p["g"] * q)}


def mixture(p, y):
    first = jnp.log(p["q"]) - (y - p["m"][0]) ** 2 / 2
    return jnp.sum(jnp.logaddexp(first, jnp.log1p(-p["q"]) - (y - p["m"][1]) ** 2 / 2))


def mixture_terms(p, y):
    r = jax.nn.sigmoid(jnp.log(p["q"]) - jnp.log1p(-p["q"]) - (y - p["m"][0]) ** 2 / 2 + (y - p["m"][1]) ** 2 / 2)
    means = jnp.stack([r * (y - p["m"][0]), (1 - r) * (y - p["m"][1])], axis=1)
    return {"q": r / p["q"] - (1 - r) / (1 - p["q"]), "m": means}


def precision(p, y):
    diagonal = jnp.diagonal(jnp.linalg.cholesky(p["P"]))
    return y.shape[0] * jnp.sum(jnp.log(diagonal)) - jnp.sum((y @ p["P"]) * y) / 2


def precision_terms(p, y):
    return {"P": jnp.linalg.inv(p["P"])[None] / 2 - y[:, :, None] * y[:, None, :] / 2}


def bilinear(p, y):
    return jnp.sum(jnp.tanh(y[:, :1] * (y @ p["B"])))


def bilinear_terms(p, y):
    slope = 1 - jnp.tanh(y[:, :1] * (y @ p["B"])) ** 2
    return {"B": y[:, :, None] * (y[:, :1] * slope)[:, None, :]}


def sines(p, x):
    return jnp.sum(jnp.sin(x * p))


def sines_terms(p, x):
    return x * jnp.cos(x * p)


def scaled_sines(p, x, factor):
    return factor * sines(p, x)


def scaled_sines_terms(p, x, factor):
    return factor * sines_terms(p, x)


def squares(p, x):
    return -jnp.sum((x - p) ** 2)


def squares_terms(p, x):
    return 2 * (x - p)


def raised_logistic(w, x, y):
    return 1e9 + logistic(w, x, y)


W_HAT = np.linalg.lstsq(X, Y, rcond=None)[0]
TOP = {"w": W_HAT, "s2": float(np.mean((Y - X @ W_HAT) ** 2))}
BIG = 1e6 + Y

TABLE = {
    "gaussian": Row(gaussian, gaussian_terms, {"mu": 0.3, "s2": 1.7}, (Y,)),
    "line": Row(line, line_terms, {"w0": 0.2, "w1": 0.7}, (X[:, 1], Y)),
    "linear-gaussian": Row(linear_gaussian, linear_gaussian_terms, {"w": np.zeros(3), "s2": 1.1}, (X, Y)),
    "linear-gaussian at its maximum": Row(linear_gaussian, linear_gaussian_terms, TOP, (X, Y)),
    "laplace": Row(laplace, laplace_terms, {"w": 0.9 * W, "b": 0.8}, (X, Y)),
    "logistic": Row(logistic, logistic_terms, W, (X, LABELS)),
    "logistic + 1e9": Row(raised_logistic, logistic_terms, W, (X, LABELS)),
    "poisson": Row(poisson, poisson_terms, 0.4 * W, (X, COUNTS)),
    "poisson, scales 1e-8 to 1e8": Row(poisson, poisson_terms, 0.4 * W / UNITS, (X * UNITS, COUNTS)),
    "gamma": Row(gamma, gamma_terms, {"a": 1.3, "r": 0.8}, (TIMES,)),
    "gamma, times of 1e8": Row(gamma, gamma_terms, {"a": 1.3, "r": 0.8e-8}, (1e8 * TIMES,)),
    "weibull": Row(weibull, weibull_terms, {"k": 1.5, "l": 1.2}, (TIMES,)),
    "cauchy": Row(cauchy, cauchy_terms, {"m": 0.1, "g": 0.6}, (Y,)),
    "mixture": Row(mixture, mixture_terms, {"q": 0.3, "m": np.array([-1.0, 1.0])}, (Y,)),
    "precision matrix": Row(precision, precision_terms, {"P": SYMMETRIC}, (ROWS,)),
    "bilinear": Row(bilinear, bilinear_terms, {"B": MATRIX}, (ROWS,)),
    "1e-8 sines": Row(scaled_sines, scaled_sines_terms, 0.7, (Y, 1e-8)),
    "1e8 sines": Row(scaled_sines, scaled_sines_terms, 0.7, (Y, 1e8)),
    "mean of 1e6": Row(squares, squares_terms, float(BIG.mean()) + 0.5, (BIG,)),
    "mean of 1e6 at its maximum": Row(squares, squares_terms, float(BIG.mean()), (BIG,)),
}
NO_DIGITS = {"logistic + 1e9"}  # differences carry 5 digits: "cannot tell which" is an honest verdict on 1e-6
SMALLEST = {"float64": 1e-6, "float32": 1e-3}


def right(row, p, *args):
    return jax.tree.map(lambda terms: terms.sum(axis=0), row.terms(p, *args))


def times(factor):
    return lambda row, p, *args: jax.tree.map(lambda g: factor * g, right(row, p, *args))


def one_entry(row, size):
    """Make the entry that is largest in the terms wrong by a relative error, and return its name."""
    terms = row.terms(jax.tree.map(jnp.asarray, row.params), *row.args)
    weights = jax.tree.map(lambda leaf: np.abs(np.asarray(leaf)).sum(axis=0), terms)
    leaves, treedef = jax.tree.flatten(weights)
    worst = int(np.argmax([leaf.max() for leaf in leaves]))
    index = np.unravel_index(int(np.argmax(leaves[worst])), leaves[worst].shape)

    def gradient(row, p, *args):
        flat, _ = jax.tree.flatten(right(row, p, *args))
        flat[worst] = flat[worst].at[index].multiply(1 + size)
        return jax.tree.unflatten(treedef, flat)

    names = sorted(row.params) if isinstance(row.params, dict) else ["params"]
    return gradient, names[worst] + (f"[{','.join(map(str, index))}]" if index else "")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", TABLE)
def test_right_gradients_pass(name, dtype):
    row = TABLE[name]
    report = check_gradient(
        row.function, lambda p, *args: right(row, p, *args), row.params, *row.args, dtype=dtype, seed=1
    )
    assert report.passed, str(report)
    alone = check_gradient(row.function, None, row.params, *row.args, dtype=dtype, seed=1)
    assert alone.passed, str(alone)


SLIPS = {
    "The sign of the handwritten gradient is flipped": times(-1.0),
    "the handwritten gradient is 2 times the right one": times(2.0),
    "the handwritten gradient is 1/2 of the right one": times(0.5),
    f"the handwritten gradient is 1/n = 1/{N} times the right one": times(1 / N),
    f"the handwritten gradient is n = {N} times the right one": times(float(N)),
    "the handwritten gradient is minus 2 times the right one": times(-2.0),
    "the sum over observations is missing": lambda row, p, *args: row.terms(p, *args),
    "is 0 at every point": times(0.0),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", TABLE)
def test_slips_are_found_and_named(name, dtype):
    row = TABLE[name]
    for words, mutant in SLIPS.items():
        report = check_gradient(
            row.function, lambda p, *args, m=mutant: m(row, p, *args), row.params, *row.args, dtype=dtype
        )
        assert not report.passed, f"{words}: accepted\n{report}"
        assert [known for known in SLIPS if known in report.diagnosis] == [words], report.diagnosis


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", TABLE)
def test_small_errors_are_found_and_located(name, dtype):
    row, size = TABLE[name], SMALLEST[dtype]
    mutant, entry = one_entry(row, size)
    report = check_gradient(row.function, lambda p, *args: mutant(row, p, *args), row.params, *row.args, dtype=dtype)
    failed = [found for found in report.rows if not found.verdict.passes]
    assert [found.name for found in failed] == [entry], str(report)
    assert f"'{entry}'" in report.diagnosis
    expected = "cannot tell" if name in NO_DIGITS and dtype == "float64" else "wrong"
    assert failed[0].verdict == expected
    if expected == "wrong":
        assert failed[0].difference == pytest.approx(size * failed[0].autodiff, rel=0.05)
    everywhere = check_gradient(
        row.function, lambda p, *args: times(1 - size)(row, p, *args), row.params, *row.args, dtype=dtype
    )
    assert not everywhere.passed, str(everywhere)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_sum_of_absolute_terms_can_be_supplied(dtype):
    row = TABLE["linear-gaussian at its maximum"]

    def scale(p, *args):
        return jax.tree.map(lambda terms: np.abs(np.asarray(terms)).sum(axis=0), row.terms(p, *args))

    for given in (scale, scale(row.params, *row.args)):
        report = check_gradient(
            row.function, lambda p, *args: right(row, p, *args), row.params, *row.args, dtype=dtype, scale=given
        )
        assert report.passed, str(report)
        # Relative to the terms, n of them rounded a few times each: n eps is ample.
        assert all(found.discrepancy < N * np.finfo(dtype).eps for found in report.rows)
