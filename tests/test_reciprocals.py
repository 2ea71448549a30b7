"""Quotients as products: fewer divisions, the same numbers but for the last digit, none where that could be seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mle_jax.likelihood.reciprocals import with_reciprocals
from mle_jax.likelihood.stages import in_stages
from mle_jax.likelihood.traced import steps_to, trace, without_repetitions, work_out

# A product with a reciprocal has two rounding errors, half an eps each, a quotient one; the third power has three times
# those of what it is of, and its derivatives are products of some such numbers.
CLOSE = {"rtol": 16 * np.finfo(float).eps}


def both(function, *at, early=()):
    """Return the program as it is and with reciprocals."""
    plain = without_repetitions(trace(function, *at, differentiable=False))
    return plain, with_reciprocals(plain, early)


def run(program, *at):
    return [float(value) for value in work_out(program, dict(enumerate(at)), program.results)]


def divisions(program):
    names = [step.equation.primitive.name for step in steps_to(program, (), program.results)]
    powers = [s.equation.params["y"] for s in program.steps if s.equation.primitive.name == "integer_pow"]
    return names.count("div") + sum(power < 0 for power in powers)


@jax.enable_x64(True)
@pytest.mark.parametrize("at", [(1.3, 0.7), (-5e3, 1e-6), (2e-9, 4e7)])
def test_derivatives_of_a_quotient_need_one_division(at):
    def function(x, s):
        derivatives = jax.grad(lambda x, s: (x / s) ** 3 + s, (0, 1))
        return *derivatives(x, s), x / s, 1.0 / s

    plain, short = both(function, *at)
    assert divisions(plain) >= 4 and divisions(short) == 1
    np.testing.assert_allclose(run(short, *at), run(plain, *at), **CLOSE)


@jax.enable_x64(True)
def test_zeros_infinities_and_nan_come_out_as_they_were():
    def function(x, s):
        return x / s, (x + 1.0) / s, s**-2

    plain, short = both(function, 1.0, 2.0)
    assert divisions(short) == 1
    for at in [(0.0, 0.0), (1.0, 0.0), (1.0, -0.0), (np.inf, 2.0), (1.0, np.inf), (np.inf, np.inf), (np.nan, 1.0)]:
        np.testing.assert_array_equal(run(short, *at), run(plain, *at))


@jax.enable_x64(True)
def test_a_quotient_that_is_compared_or_rounded_stays_one():
    """0.3 / 0.1 is just below 3, and 0.3 times 10 is 3: the whole part would be another."""

    def function(x, s):
        return jnp.floor(x / s), jnp.where(x / s < 3.0, 1.0, 0.0), (x + 1.0) / s, (x + 2.0) / s

    plain, short = both(function, 0.3, 0.1)
    assert divisions(plain) == 3 and divisions(short) == 2
    assert run(short, 0.3, 0.1)[:2] == run(plain, 0.3, 0.1)[:2] == [2.0, 1.0]


def chosen(x):
    """Return the whole part of x, from inside a loop."""
    return jax.lax.map(lambda k: jnp.where(jnp.floor(x) == k, k, 0.0), jnp.arange(5.0)).sum()


def halted(x):
    return jax.lax.while_loop(lambda k: k + 1.0 <= x, lambda k: k + 1.0, 0.0)


def branched(x):
    return jax.lax.cond(True, jnp.floor, lambda y: y, x)


@jax.custom_vjp
def ruled(x):
    return jnp.floor(x)


ruled.defvjp(lambda x: (ruled(x), None), lambda _, slope: (slope,))


def placed(x):
    return jnp.argmax(jnp.stack([3.0, x])).astype(float) + jnp.argsort(jnp.stack([x, 3.0]))[0]


def turned(x):
    return jnp.arctan2(x - 0.3 / 0.1, -1.0)


def raised(x):
    return jnp.nan_to_num(jnp.power(-2.0, x + (3.0 - 0.3 / 0.1)))


@jax.enable_x64(True)
@pytest.mark.parametrize("seen", [chosen, halted, branched, ruled, placed, turned, raised, jnp.trunc, jnp.spacing])
def test_a_quotient_that_is_looked_at_elsewhere_stays_one(seen):
    def function(x, s):
        return seen(x / s), (x + 1.0) / s, (x + 2.0) / s

    plain, short = both(function, 0.3, 0.1)
    assert divisions(short) == 2
    assert run(short, 0.3, 0.1)[0] == run(plain, 0.3, 0.1)[0]


@jax.enable_x64(True)
@pytest.mark.parametrize(
    "function",
    [
        lambda x, s: jnp.log(1.0 - x / s),
        lambda x, s: jnp.log1p(-x / s),
        lambda x, s: jnp.sqrt(1.0 - x / s),
        lambda x, s: 1.0 / (x / s - 1.0),
        lambda x, s: jnp.arctanh(x / s),
        lambda x, s: (2.0 * (3.0 - 3.0 * (x / s))) ** -2,
    ],
)
def test_a_quotient_that_may_cancel_before_a_singular_point_stays_one(function):
    """49 times the reciprocal of 49 is not 1: what is infinite or 0 at the end of the support would not be."""
    assert 49.0 * (1.0 / 49.0) != 1.0
    plain, short = both(lambda x, s: (function(x, s), (x + 1.0) / s, (x + 2.0) / s), 49.0, 49.0)
    assert divisions(short) < divisions(plain)
    assert run(short, 49.0, 49.0)[0] == run(plain, 49.0, 49.0)[0]


@jax.enable_x64(True)
@pytest.mark.parametrize("z", [700.0, 709.0, 709.7])
def test_divisors_next_to_the_largest_number_are_divisors(z):
    """1/exp(709) is too small for a normal number, and others count as 0 in compiled programs."""

    def function(z):
        e = jnp.exp(z)
        return e / (1.0 + e), (1.0 + e) ** -1, 1e300 / (1.0 + e)

    _, short = both(function, z)
    assert divisions(short) == 1
    found = jax.jit(lambda z: work_out(short, {0: z}, short.results))(z)
    np.testing.assert_allclose(found, function(z), **CLOSE, atol=1e-307)


@jax.enable_x64(True)
def test_a_single_division_by_what_is_known_early_is_done_early():
    def function(early, late):
        return early[0] / early[1] + late / early[0]

    stages = in_stages(function, (0.7, 0.3), 2.0)
    known = stages.first((0.7, 0.3))
    assert " div " not in str(jax.make_jaxpr(stages.second)(known, 2.0))
    assert any(float(value) == 0.7 / 0.3 for value in known)  # between numbers known early nothing is gained
    np.testing.assert_allclose(stages.second(known, 5.0), function((0.7, 0.3), 5.0), **CLOSE)


@jax.enable_x64(True)
def test_one_division_by_a_number_of_the_row_stays_as_it_is():
    plain, same = both(lambda x, s: x / s + jnp.exp(s), 1.0, 3.0)
    assert same == plain


@jax.enable_x64(True)
def test_whole_numbers_and_matrices_are_left_alone():
    def function(i, x, m):
        return jax.lax.div(i, 3 * i), jax.lax.div(i + 4, 3 * i), jnp.sum(m / (x + m)) + jnp.sum(2.0 / (x + m))

    at = 7, 2.0, jnp.arange(4.0)
    plain, same = both(function, *at)
    assert same == plain
