"""Traced programs taken apart: the same numbers in two stages, nothing done twice, and nothing late done early."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Literal

from mle_jax import densities
from mle_jax.likelihood.separate import separated
from mle_jax.likelihood.stages import in_stages
from mle_jax.likelihood.traced import steps_to, trace, without_repetitions, work_out


def run(program, *arguments):
    return work_out(program, dict(enumerate(arguments)), program.results)


def names(program):
    return [step.equation.primitive.name for step in steps_to(program, (), program.results)]


@jax.enable_x64(True)
def test_what_is_done_twice_is_done_once():
    def function(x, y):
        return jnp.exp(x) + y, jnp.exp(x) * jnp.log(x + 1.0) + jnp.log(1.0 + x) * 0.0, jnp.exp(y)

    program = trace(function, 0.5, 2.0)
    short = without_repetitions(program)
    assert names(program).count("exp") == 3 and names(short).count("exp") == 2
    assert names(short).count("log") == 2  # x + 1 and 1 + x are two different steps
    for one, other in zip(run(short, 0.3, 1.2), function(0.3, 1.2), strict=True):
        assert one == other


@jax.enable_x64(True)
def test_numbers_that_only_look_alike_are_kept_apart():
    def function(x):
        return x / 0.0, x / -0.0, x + jnp.float32(1.0).astype(x.dtype), x + 1.0

    program = without_repetitions(trace(function, 1.0))
    assert [float(value) for value in run(program, 1.0)] == [np.inf, -np.inf, 2.0, 2.0]


@jax.enable_x64(True)
def test_stages_give_the_same_numbers_and_do_early_what_can_be_done_early():
    def function(early, late):
        scale = jnp.exp(early["log_scale"])
        gamma = jax.scipy.special.gammaln(scale)  # depends on what is known early alone
        return {"value": gamma * late + jnp.log(late), "slope": jnp.exp(early["log_scale"]) * late, "early": gamma}

    stages = in_stages(function, {"log_scale": 0.1}, 2.0)
    kept = stages.first({"log_scale": 0.3})
    found = stages.second(kept, 5.0)
    expected = function({"log_scale": 0.3}, 5.0)
    assert {name: float(value) for name, value in found.items()} == {n: float(v) for n, v in expected.items()}
    late = str(jax.make_jaxpr(stages.second)(kept, 5.0))
    assert "lgamma" not in late and "exp" not in late and " log " in late
    assert "log " not in str(jax.make_jaxpr(stages.first)({"log_scale": 0.3}))


@pytest.mark.parametrize(
    ("family", "early", "late"),
    [
        ("negative_binomial", (0.4,), (12.0, 3.0)),
        ("gamma", (2.5,), (1.3, 0.7)),
        ("poisson", (), (4.0, 2.0)),
    ],
)
@jax.enable_x64(True)
def test_densities_with_derivatives_by_rules_of_their_own_are_taken_apart(family, early, late):
    """The last parameter is known early; the row and its mean come late."""
    log_density = getattr(densities, family).log_density

    def function(early, late):
        y, mean = late
        value, slopes = jax.value_and_grad(log_density, argnums=tuple(range(1, 2 + len(early))))(y, mean, *early)
        return value, slopes

    stages = in_stages(function, early, late)
    found = jax.jit(lambda early, late: stages.second(stages.first(early), late))(early, late)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(function(early, late)), strict=True):
        # The compiler may put a product and a sum into one rounding.
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)
    assert "custom_jvp" not in str(jax.make_jaxpr(stages.second)(stages.first(early), late))


@jax.enable_x64(True)
def test_results_that_are_arguments_or_literals_or_depend_on_nothing():
    stages = in_stages(lambda early, late: (early, late, jnp.ones(()), early + 0.0 * late), 2.0, 3.0)
    assert [float(value) for value in stages.second(stages.first(7.0), 8.0)] == [7.0, 8.0, 1.0, 7.0]
    assert not any(isinstance(kept, Literal) for kept in stages.first(7.0))


@jax.enable_x64(True)
def test_loops_and_branches_stay_whole():
    def function(early, late):
        total = jax.lax.fori_loop(0, 5, lambda _, now: now * early + late, late)
        return jax.lax.cond(late > 0, lambda: total, lambda: -total)

    stages = in_stages(function, 0.5, 2.0)
    for late in (2.0, -3.0):
        assert float(stages.second(stages.first(0.7), late)) == float(function(0.7, late))


@jax.enable_x64(True)
def test_separate_numbers_take_the_way_of_the_array():
    """Every rearrangement and some arithmetic, on numbers given as an array and given one by one."""

    def function(theta, row):
        a, b = theta[:2], theta[2:]
        both = jnp.concatenate([b, a])[::-1].reshape(2, 2).T
        first, second = jnp.split(jnp.stack([a, b]), 2)
        spread = jnp.broadcast_to(a[:, None], (2, 3))
        whole = jnp.cumsum(jnp.exp(theta))  # has to be put together
        mixed = jnp.where(row > 0, first[0], second[0]) * jnp.array([2.0, 3.0])
        return both[0, 1] * row + jnp.sum(spread) + whole[-1] + jnp.sum(mixed) + (a @ b)

    theta = np.array([0.3, -0.2, 0.5, 0.7])
    program = trace(function, theta, 2.0)
    numbers = separated([jnp.asarray(number) for number in theta], (4,))
    for row in (2.0, -1.0):
        found = work_out(program, {0: numbers, 1: jnp.asarray(row)}, program.results)[0]
        np.testing.assert_allclose(found, function(theta, row), rtol=1e-15)


def test_no_numbers_at_all_are_an_array_too():
    program = trace(lambda theta, row: jnp.sum(theta) + row, np.zeros(0), 1.0)
    found = work_out(program, {0: separated([], (0,)), 1: jnp.asarray(3.0)}, program.results)[0]
    assert float(found) == 3.0


@jax.enable_x64(True)
def test_derivatives_of_separate_numbers_put_nothing_back_among_zeros():
    program = trace(lambda theta, row: jnp.exp(theta[0]) * row + theta[1] ** 2, np.zeros(2), 1.0)

    def density(first, second, row):
        return work_out(program, {0: separated([first, second], (2,)), 1: row}, program.results)[0]

    text = str(jax.make_jaxpr(jax.grad(density, argnums=(0, 1)))(0.3, 0.2, 2.0))
    assert "pad" not in text and "concatenate" not in text and "stack" not in text
    np.testing.assert_allclose(jax.grad(density, argnums=(0, 1))(0.3, 0.2, 2.0), [np.exp(0.3) * 2.0, 0.4], rtol=1e-15)
