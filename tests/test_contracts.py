"""Contracts over all problems, optimizers and precisions: the certified answer, or an honest status."""

import jax
import numpy as np
import pytest
from problems import OPTIMIZERS, PROBLEMS

import mle_jax as mle

# Distance to the closed form in standard errors. A certified float64 fit is within its decrement (1e-6, and far less
# after the last Newton step). A float32 search ends where rounding errors of the mean loss, about 1e-7 of it, hide
# the slope: sqrt(2 n 1e-7) is about 4e-3 standard errors at n = 60, and more than 1e-2 may not be claimed.
BOUNDS = {"float64": 1e-8, "mixed": 1e-8, "float32": 2e-2}


def distance(fit, problem):
    """The largest error of an estimate, in standard errors."""
    errors = jax.tree_util.tree_map(
        lambda got, want, se: np.max(np.abs(got - want) / se),
        fit.params,
        problem.estimates,
        problem.standard_errors,
    )
    return max(jax.tree_util.tree_leaves(errors))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_optimizer_reaches_the_certified_maximum(name, optimizer):
    problem = PROBLEMS[name]
    fit = mle.fit(problem.model, problem.data, optimizer=OPTIMIZERS[optimizer])
    assert fit.converged and fit.decrement < 1e-6 and fit.steps > 0
    assert distance(fit, problem) < BOUNDS["float64"]


@pytest.mark.parametrize("dtype", ["float32", "mixed"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_precision_claims_no_more_than_it_can(name, dtype):
    problem = PROBLEMS[name]
    fit = mle.fit(problem.model, problem.data, dtype=dtype)
    assert fit.status is (mle.Status.converged if dtype == "mixed" else mle.Status.converged_to_rounding)
    assert distance(fit, problem) < BOUNDS[dtype]


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_lane_of_a_batch_is_the_single_fit(name):
    problem = PROBLEMS[name]
    single = mle.fit(problem.model, problem.data)
    order = np.random.default_rng(0).permutation(len(next(iter(problem.data.values()))))
    fits = mle.fit_batch(
        problem.model, {leaf: np.stack([values, values[order]]) for leaf, values in problem.data.items()}
    )
    assert fits.converged.all()
    for lane in fits:
        assert distance(lane, problem) < BOUNDS["float64"]
        np.testing.assert_allclose(lane.log_likelihood, single.log_likelihood, rtol=1e-13)
        np.testing.assert_allclose(lane.covariance(), single.covariance(), rtol=1e-7, atol=1e-14)
