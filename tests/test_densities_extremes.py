"""Positive responses at the ends of the range of either type: the right value or minus infinity, and never NaN.

y/mean is too large or too small a number in a third of these points. Values and gradients are held against textbook
formulas in mpmath, wherever these are in the range of the type; no derivative of a log density may be NaN, nor any
gradient of the log probability of a tail or an interval.
"""

import importlib.util
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from mle_jax import densities

SPEC = importlib.util.spec_from_file_location(
    "exact_densities", Path(__file__).parent / "reference" / "exact_densities.py"
)
exact = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(exact)

SIZES = {
    "float64": (1e-300, 1e-200, 1e-150, 1e-20, 0.3, 1.0, 1e20, 1e150, 1e200, 1e300),
    "float32": (1e-36, 1e-30, 1e-20, 1e-10, 0.3, 1.0, 1e10, 1e20, 1e30, 1e36),
}
RANGE = {"float64": (1e-306, 1e306), "float32": (1e-37, 1e37)}
CLOSE = {"float64": 1e-12, "float32": 1e-4}
"""A few dozen roundings of terms up to 1400 in size (the logarithms of 1e-600), or 170 in float32."""
SHAPES = (1e-3, 0.7, 40.0)
PARAMETERS = {"exponential": ("mean",), "gamma": ("mean", "shape"), "inverse_gaussian": ("mean", "shape")}
FAMILIES = list(PARAMETERS)
TYPES = ["float64", "float32"]


def gradient(family, y, mean, shape):
    """Return the textbook derivatives in mean and shape."""
    if family == "exponential":
        return [(y / mean - 1) / mean]
    if family == "gamma":
        return [shape * (y / mean - 1) / mean, mp.log(shape * y / mean) + 1 - y / mean - mp.digamma(shape)]
    return [shape * (y - mean) / mean**3, 1 / (2 * shape) - (y - mean) ** 2 / (2 * mean**2 * y)]


def points(family, dtype):
    """Return all y, mean and shapes, (n, 2 or 3), as the type has them."""
    sizes = SIZES[dtype]
    zero = (0.0,) if family == "exponential" else ()
    shapes = (SHAPES,) if "shape" in PARAMETERS[family] else ()
    return np.array(list(itertools.product((*zero, *sizes), sizes, *shapes)), dtype)


def derivatives(function, family, *, twice=True):
    """Return the compiled function of parameters and the rest of the inputs that gives value and derivatives."""
    names = PARAMETERS[family]

    def at(parameters, *limits):
        return function(*limits, **dict(zip(names, parameters, strict=True)))

    def everything(parameters, *limits):
        once = jax.value_and_grad(at)(parameters, *limits)
        return (*once, jax.hessian(at)(parameters, *limits), jax.jacfwd(at)(parameters, *limits)) if twice else once

    return jax.jit(jax.vmap(everything))


def as_numbers(found):
    return [np.asarray(part, float) for part in found]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_log_densities(family, dtype):
    given = points(family, dtype)
    with jax.enable_x64(dtype == "float64"):
        function = getattr(densities, family).log_density
        found = derivatives(lambda y, **at: function(y, **at), family)(
            jnp.asarray(given[:, 1:]), jnp.asarray(given[:, 0])
        )
    values, slopes, bends, forward = as_numbers(found)
    assert not np.isnan(values).any() and np.all(values < np.inf)
    assert not any(np.isnan(part).any() for part in (slopes, bends, forward))
    least, most = RANGE[dtype]
    with mp.workdps(50):
        rows = [[mp.mpf(float(number)) for number in row] for row in given]
        of = getattr(exact, f"{family}_log_density")
        numbers = [of(*row) for row in rows]
        right = [gradient(family, *row, *[None] * (3 - len(row))) for row in rows]
        # y/mean, its powers and its like are multiplied by the shape, which may bring them back into the range.
        ends = [most * min(row[-1], 1) if len(row) > 2 else most for row in rows]
        near = np.array([number > -end for number, end in zip(numbers, ends, strict=True)])
        told = [[n and least < abs(d) < e for d in row] for row, n, e in zip(right, near, ends, strict=True)]
        numbers, ends = np.array([float(max(number, -most)) for number in numbers]), np.array(ends, float)
        right = np.array([[float(d) if abs(d) < most else np.inf for d in row] for row in right])
    assert 0.05 < np.mean(~near) < 0.6  # both kinds are there
    np.testing.assert_allclose(values[near], numbers[near], rtol=CLOSE[dtype], atol=50 * CLOSE[dtype])
    assert np.all(values[~near] < -0.99 * ends[~near])
    # The derivative in the shape is a sum of terms that may cancel.
    np.testing.assert_allclose(slopes[told], right[told], rtol=20 * CLOSE[dtype], atol=0)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_log_tails(family, dtype):
    given = points(family, dtype)
    module = getattr(densities, family)
    with jax.enable_x64(dtype == "float64"):
        parameters, y = jnp.asarray(given[:, 1:]), jnp.asarray(given[:, 0])
        below = as_numbers(derivatives(module.log_cdf, family, twice=False)(parameters, y))
        above = as_numbers(derivatives(module.log_survival, family, twice=False)(parameters, y))
    for part in (*below, *above):
        assert not np.isnan(part).any(), given[np.isnan(part).reshape(len(given), -1).any(axis=1)][:5]
    assert np.all(below[0] <= 0) and np.all(above[0] <= 0)
    np.testing.assert_allclose(np.exp(below[0]) + np.exp(above[0]), 1.0, rtol=CLOSE[dtype])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_log_intervals(family, dtype):
    sizes = SIZES[dtype]
    pairs = [pair for low, high in itertools.combinations(sizes, 2) for pair in ((low, high), (low, low * 1.001))]
    shapes = (SHAPES[1:2],) if "shape" in PARAMETERS[family] else ()
    given = np.array([(*pair, *rest) for pair, *rest in itertools.product(pairs, sizes[::3], *shapes)], dtype)
    if family == "inverse_gaussian":  # the derivative in the mean is about low/mean^3: it must be a number of the type
        log_size = np.log(given[:, 0].astype(float)) - 3 * np.log(given[:, 2].astype(float))
        given = given[log_size < np.log(float(np.finfo(dtype).max))]
    module = getattr(densities, family)

    def function(low, high, **at):
        return module.log_interval(low, high, **at)

    with jax.enable_x64(dtype == "float64"):
        found = derivatives(function, family, twice=False)(
            jnp.asarray(given[:, 2:]), jnp.asarray(given[:, 0]), jnp.asarray(given[:, 1])
        )
    for part in as_numbers(found):
        assert not np.isnan(part).any(), given[np.isnan(part).reshape(len(given), -1).any(axis=1)][:5]
