"""What is worked out once for all results of a loop over rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import mle_jax as mle
from mle_jax.fitting.batch_engine import decided_on_native_loops
from mle_jax.likelihood.sharing import worth_keeping
from mle_jax.likelihood.stages import in_stages
from mle_jax.likelihood.traced import numbers, trace


def value_and_derivatives(early, late):
    """Poisson: the exponential of the predictor goes into all three results."""
    eta, y = late
    mean = jnp.exp(eta + early)
    return y * eta - mean, y - mean, -mean


def run(stages, early, late):
    known = stages.first(early)
    for level in stages.between:
        known = [*known, *level(known, late)]
    return stages.second(known, late)


def names(function, *arguments):
    return [equation.primitive.name for equation in jax.make_jaxpr(function)(*arguments).eqns]


@jax.enable_x64(True)
def test_what_several_results_need_is_worked_out_before():
    stages = in_stages(value_and_derivatives, 0.5, (1.0, 2.0), keep=worth_keeping)
    known = stages.first(0.5)
    assert len(stages.between) == 1
    assert names(stages.between[0], known, (1.0, 2.0)).count("exp") == 1
    known = [*known, *stages.between[0](known, (1.0, 2.0))]
    assert "exp" not in names(stages.second, known, (1.0, 2.0))
    assert [float(v) for v in run(stages, 0.3, (1.5, 4.0))] == [
        float(v) for v in value_and_derivatives(0.3, (1.5, 4.0))
    ]


@pytest.mark.parametrize("cheap", [lambda _, x: (x + 1.0, x - 1.0), lambda _, x: (jnp.exp(x),)])
@jax.enable_x64(True)
def test_what_is_cheap_or_needed_once_is_not(cheap):
    assert in_stages(cheap, 0.5, 1.0, keep=worth_keeping).between == ()


@jax.enable_x64(True)
def test_a_level_needs_only_the_levels_before():
    def function(_, x):
        first = jnp.exp(x)
        second = jnp.log1p(first) * x
        third = jnp.exp(-second)
        return first + second + third, first * second * third, third - first, second - third

    program = trace(function, 0.5, 1.0)
    levels = worth_keeping(program.steps, program.results)
    assert len(levels) == 3
    makers = {output: step for step in program.steps for output in step.outputs}

    def needs(value, known):
        step = makers.get(value)
        if step is None or value in known:
            return {value} & known
        return set().union(*(needs(other, known) for other in numbers(step.inputs)))

    everything = {value for level in levels for value in level}
    for i, level in enumerate(levels):
        before = {value for earlier in levels[:i] for value in earlier}
        for value in level:
            assert set().union(*(needs(other, everything) for other in numbers(makers[value].inputs))) <= before
    stages = in_stages(function, 0.5, 1.0, keep=worth_keeping)
    assert [float(v) for v in run(stages, 0.5, 0.7)] == [float(v) for v in function(0.5, 0.7)]


@jax.enable_x64(True)
def test_results_that_are_the_same_or_arguments_or_literals():
    def function(early, x):
        shared = jnp.exp(x) * early
        return shared, shared, x, early, jnp.ones(()), shared + 1.0

    stages = in_stages(function, 2.0, 1.0, keep=worth_keeping)
    assert [float(v) for v in run(stages, 2.0, 0.5)] == [float(v) for v in function(2.0, 0.5)]


@pytest.mark.smoke
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_of_a_density_with_much_in_common(weighted):
    """Student-t regressions by native loops: every one is what SciPy says of its value, and a single fit finds."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((64, 50, 2))
    y = x @ [1.0, -0.5] + rng.standard_t(4, (64, 50))
    weights = rng.integers(0, 3, (64, 50)).astype(float) if weighted else None

    def density(p, row):
        return jax.scipy.stats.t.logpdf(row["y"], 4.0, row["x"] @ p["w"], p["s"])

    model = mle.Model(density, {"w": mle.Real(2), "s": mle.Positive()})
    with decided_on_native_loops(True):
        fits = mle.fit_batch(model, {"x": x, "y": y}, weights=weights)
    assert fits.converged.all()
    for i in range(3):
        one = mle.fit(model, {"x": x[i], "y": y[i]}, weights=None if weights is None else weights[i])
        np.testing.assert_allclose(fits.params["w"][i], one.params["w"], rtol=1e-6)  # both to 1e-6 standard errors
        each = stats.t.logpdf(y[i], 4.0, x[i] @ fits.params["w"][i], fits.params["s"][i])
        total = np.sum(each if weights is None else weights[i] * each)
        np.testing.assert_allclose(fits.log_likelihood[i], total, rtol=1e-12)  # a few rounding errors of a sum of 50


@jax.enable_x64(True)
def test_what_is_not_worked_out_before_is_worked_out_at_last():
    """As where operations are compiled one by one: no levels between."""
    stages = in_stages(value_and_derivatives, 0.5, (1.0, 2.0), keep=worth_keeping)
    assert stages.between
    found = stages.second(stages.first(0.3), (1.5, 4.0))
    assert [float(v) for v in found] == [float(v) for v in value_and_derivatives(0.3, (1.5, 4.0))]
    assert [float(v) for v in stages.second(stages.first(0.3), (1.5, 4.0), only=[1])] == [float(found[1])]
