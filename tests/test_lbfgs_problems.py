"""L-BFGS on problems that could break it: it ends where Newton's method does, with the same status."""

import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle

RNG = np.random.default_rng(0)
N = 80
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 3))])
Y = RNG.poisson(np.exp(X @ [0.5, 0.3, 0.2, 0.1])).astype(float)
WEIGHTS = RNG.integers(0, 3, N).astype(float)
POISSON, LOGISTIC = mle.models.poisson_regression(), mle.models.logistic_regression()
MEAN = mle.Model(lambda params, row: -0.5 * (row["y"] - params["m"]) ** 2, {"m": mle.Real()}, name="mean")
SHIFTED = mle.Model(  # exponential beyond 3; its start is at a NaN
    lambda params, row: jnp.log(params["m"] - 3.0) - row["y"] * (params["m"] - 3.0), {"m": mle.Real()}, name="shifted"
)
SCALES = np.array([1.0, 1e4, 1e-4, 1e6])

PROBLEMS = {
    "scales": (POISSON, {"x": X * SCALES, "y": Y}, {}),
    "weights of zero": (POISSON, {"x": X, "y": np.where(WEIGHTS == 0, np.nan, Y)}, {"weights": WEIGHTS}),
    "constraints": (POISSON, {"x": X, "y": Y}, {"constraints": ("w[1] + w[2] = 0.4", "w[3] = w[0]")}),
    "one parameter": (MEAN, {"y": Y}, {}),
    "start at a NaN": (SHIFTED, {"y": Y + 1.0}, {}),
    "separated": (LOGISTIC, {"x": X[:, :2], "y": (X[:, 1] > 0) * 1.0}, {}),
    "collinear": (POISSON, {"x": np.column_stack([X, X[:, 1]]), "y": Y}, {}),
    "few steps": (POISSON, {"x": X, "y": Y}, {"max_steps": 1}),
}
OTHERS = {"separated": "rising", "collinear": "not_identified", "few steps": "max_steps"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::mle_jax.ConvergenceWarning")
@pytest.mark.parametrize("name", PROBLEMS)
def test_it_ends_where_newton_does(name):
    model, data, options = PROBLEMS[name]
    fit = mle.fit(model, data, optimizer=mle.optimizers.LBFGS(), **options)
    newton = mle.fit(model, data, **options)
    assert fit.status.name == newton.status.name == OTHERS.get(name, "converged")
    if fit.converged:
        (leaf,) = fit.params
        # Both take a last Newton step: what is left is rounding, in units of standard errors.
        errors = np.where(newton.standard_errors()[leaf] > 0, newton.standard_errors()[leaf], 1.0)
        np.testing.assert_allclose((fit.params[leaf] - newton.params[leaf]) / errors, 0.0, atol=1e-8)
        np.testing.assert_allclose(fit.log_likelihood, newton.log_likelihood, rtol=1e-12)


@pytest.mark.slow
def test_a_start_that_somebody_gave_is_not_replaced():
    with pytest.warns(mle.ConvergenceWarning, match="non_finite"):
        fit = mle.fit(SHIFTED, {"y": Y + 1.0}, start={"m": 1.0}, optimizer=mle.optimizers.LBFGS())
    assert fit.status is mle.Status.non_finite
