"""Every ready-made model with data, parameters and extreme responses: the table of the contract tests.

A new model needs a row per link or option that changes its formula, and nothing else: `test_models_ready_made` checks
gradient, start and recovery, `test_inference_self_test` that the density is one and is what `simulate` draws from, and
`test_inference_information` the expected information.
"""

from typing import Any, NamedTuple

import numpy as np

from mle_jax import models

RNG = np.random.default_rng(7)
N = 40
X = np.column_stack([np.ones(N), RNG.normal(size=N)])
"""An intercept and a covariate; every other leaf comes from generators of its own, so that rows do not depend on each
other."""
SHARE = np.column_stack([np.ones(N), RNG.uniform(size=N)])
"""An intercept and a covariate between 0 and 1, for links whose predictors must be positive."""
ALONE = {"y": np.ones(N)}
W = {"w": np.array([0.4, -0.7])}


class Ready(NamedTuple):
    """A ready-made model, a dataset that it might have produced, parameters, and leaves that make a start difficult."""

    model: Any
    data: Any
    params: Any
    extremes: tuple[dict[str, Any], ...] = ()
    """Each replaces some leaves of the data; all with the shapes and types of the others."""


def rng():
    """Return a generator for one row of the table."""
    return np.random.default_rng(11)


def with_y(y, x=X, **more):
    """Return a dataset of a regression."""
    return {"x": x, "y": y, **more}


def each(*responses, **more):
    """Return extremes in y, each a number for all rows or an array."""
    return tuple({"y": np.broadcast_to(np.asarray(y, float), (N,)), **more} for y in responses)


def first(value, rest=0.0):
    """Return a response that is one value in the first row and another in the others."""
    y = np.full(N, float(rest))
    y[0] = value
    return y


COUNTS = each(0, 7, first(1e6), first(1, 3), first(0, 1e9))
LINE = X @ W["w"]
POSITIVE_LINE = SHARE @ np.array([1.5, 2.0])

READY = {
    "gaussian": Ready(models.gaussian(), ALONE, {"mu": 0.7, "variance": 2.5}),
    "gaussian_mean": Ready(models.gaussian_mean(variance=2.0), ALONE, {"mu": 0.7}),
    "linear_gaussian": Ready(models.linear_gaussian(), with_y(np.zeros(N)), {**W, "variance": 0.6}),
    "laplace_regression": Ready(models.laplace_regression(), with_y(np.zeros(N)), {**W, "scale": 0.6}),
    "poisson_regression": Ready(
        models.poisson_regression(), with_y(rng().poisson(np.exp(LINE)), offset=0.1 * X[:, 1]), W, COUNTS
    ),
    "poisson_regression(identity)": Ready(
        models.poisson_regression("identity"),
        with_y(rng().poisson(POSITIVE_LINE), SHARE),
        {"w": np.array([1.5, 2.0])},
        COUNTS,
    ),
    "poisson_regression(sqrt)": Ready(
        models.poisson_regression("sqrt"),
        with_y(rng().poisson(POSITIVE_LINE**2), SHARE),
        {"w": np.array([1.5, 2.0])},
        COUNTS,
    ),
}
