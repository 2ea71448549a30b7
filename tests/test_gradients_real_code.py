"""Right gradients from real code: all models of the library, and the hand-derived scores of statsmodels' classes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import gammaln
from ready_made_models import READY

import mle_jax as mle

RNG = np.random.default_rng(11)
N = 120
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
ETA = X @ np.array([0.4, -0.7, 0.3])
LABELS = (RNG.random(N) < 1 / (1 + np.exp(-ETA))).astype(float)
COUNTS = RNG.negative_binomial(2.0, 2.0 / (2.0 + np.exp(ETA))).astype(float)
FAST = {"gaussian", "laplace_regression", "poisson_regression", "weibull_aft"}
DTYPES = ("float64", "float32")

ROWS = [
    pytest.param(name, dtype, marks=() if name in FAST else pytest.mark.slow)
    for name in READY
    for dtype in DTYPES
    if "(" not in name or dtype == "float32"  # of other links and options the harder precision
]


@pytest.mark.parametrize(("name", "dtype"), ROWS)
def test_models_pass(name, dtype):
    row = READY[name]
    report = row.model.check_gradient(row.data, row.params, seed=5, dtype=dtype)
    assert report.passed and report.handwritten, str(report)


def logit(params: Any, x: Any, y: Any) -> Any:
    return jnp.sum(y * (x @ params) - jax.nn.softplus(x @ params))


def poisson(params: Any, x: Any, y: Any) -> Any:
    return jnp.sum(y * (x @ params) - jnp.exp(x @ params) - gammaln(y + 1))


def negative_binomial(params: Any, x: Any, y: Any) -> Any:
    """NB2 with alpha = exp(last parameter), as statsmodels has it until a fit has ended."""
    size, mean = jnp.exp(-params[-1]), jnp.exp(x @ params[:-1])
    share = jnp.log(size) - jnp.log(size + mean)
    values = (
        gammaln(y + size) - gammaln(size) - gammaln(y + 1) + size * share + y * (jnp.log(mean) - jnp.log(size + mean))
    )
    return jnp.sum(values)


CLASSES = {
    "Logit": (logit, LABELS, np.array([0.3, -0.5, 0.1])),
    "Poisson": (poisson, COUNTS, np.array([0.2, -0.6, 0.4])),
    "NegativeBinomial": (negative_binomial, COUNTS, np.array([0.2, -0.6, 0.4, -0.5])),
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLASSES)
def test_scores_of_statsmodels_pass_and_their_slips_do_not(name, dtype):
    discrete = pytest.importorskip("statsmodels.discrete.discrete_model")
    function, y, params = CLASSES[name]
    theirs = getattr(discrete, name)(y, X)
    with jax.enable_x64(True):
        # Both are sums of N terms of a few units: N eps of them is ample.
        assert float(function(jnp.asarray(params), X, y)) == pytest.approx(theirs.loglike(params), rel=1e-12)

    def score(at: Any, x: Any, y: Any) -> Any:
        return np.asarray(
            getattr(discrete, name)(np.asarray(y, float), np.asarray(x, float)).score(np.asarray(at, float))
        )

    report = mle.check_gradient(function, score, params, X, y, dtype=dtype)
    assert report.passed, str(report)
    flipped = mle.check_gradient(function, lambda *given: -score(*given), params, X, y, dtype=dtype)
    assert not flipped.passed and "sign" in flipped.diagnosis
