"""Points at which a function vanishes with its gradient: its value is exact there, or the rounding of what cancels."""

import jax.numpy as jnp
import numpy as np
import pytest

from mle_jax import check_gradient

X = np.random.default_rng(5).normal(size=(30, 3))
W = np.array([0.3, -1.2, 2.0])
TARGET = np.array([[2.0, 0.5], [0.5, 1.0]])
SHARES = np.array([0.2, 0.3, 0.5])


def banana(p):
    return jnp.sum(100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2)


def banana_by_hand(p):
    inner = p[1:] - p[:-1] ** 2
    return jnp.zeros_like(p).at[1:].add(200 * inner).at[:-1].add(-400 * p[:-1] * inner - 2 * (1 - p[:-1]))


MINIMA = {
    "line without residuals": (
        lambda p, x, y: jnp.sum((y - x @ p) ** 2),
        lambda p, x, y: -2 * x.T @ (y - x @ p),
        W,
        X,
        X @ W,
    ),
    "curve without residuals": (
        lambda p, x: jnp.sum((jnp.exp(x * p) - jnp.exp(0.7 * x)) ** 2),
        lambda p, x: 2 * jnp.sum((jnp.exp(x * p) - jnp.exp(0.7 * x)) * x * jnp.exp(x * p)),
        0.7,
        X[:, 0],
    ),
    "Rosenbrock": (banana, banana_by_hand, np.ones(5)),
    "sphere": (lambda p: (p @ p - 1) ** 2, lambda p: 4 * p * (p @ p - 1), np.array([0.6, 0.8])),
    "root": (lambda p: (p**2 - 2) ** 2, lambda p: 4 * p * (p**2 - 2), np.sqrt(2.0)),
    "matrix factor": (
        lambda a, s: jnp.sum((a @ a.T - s) ** 2),
        lambda a, s: 4 * (a @ a.T - s) @ a,
        np.linalg.cholesky(TARGET),
        TARGET,
    ),
    "divergence": (lambda p, q: jnp.sum(p * jnp.log(p / q) - p + q), lambda p, q: jnp.log(p / q), SHARES, SHARES),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", MINIMA)
def test_nothing_is_said_against_a_gradient_where_the_function_vanishes(name, dtype):
    function, gradient, point, *data = MINIMA[name]
    for given in (gradient, None):
        report = check_gradient(function, given, point, *data, dtype=dtype)
        assert report.passed, str(report)
        assert "differentiable" not in report.diagnosis and "Autodiff" not in report.diagnosis


@pytest.mark.parametrize("name", MINIMA)
def test_a_wrong_gradient_is_found_where_the_function_vanishes(name):
    function, gradient, point, *data = MINIMA[name]
    # A thousandth of a millionth of second derivatives around 1 is far above their rounding, and far below all else.
    report = check_gradient(function, lambda *a: gradient(*a) + 1e-9, point, *data, points=0)
    assert {str(row.verdict) for row in report.rows} == {"wrong"}, str(report)
