"""The gradient check next to the edge of a domain: stencils keep inside, and verdicts are right.

All gradients are derivatives of the functions by the rules of calculus; the wrong ones are off by a thousandth.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mle_jax import check_gradient

RNG = np.random.default_rng(0)
X = RNG.exponential(size=50)
COUNTS = np.array([3.0, 5.0, 0.0, 7.0])
A = RNG.normal(size=50)
B = 0.999 * A + 0.04 * RNG.normal(size=50)


def shifted(p, x):  # -inf or NaN from the smallest x on
    return jnp.sum(jnp.log(x - p["a"])) - 3 * p["a"]


def binomial(p, successes):
    return successes * jnp.log(p) + (30 - successes) * jnp.log1p(-p)


def trinomial(p, counts):  # the simplex, with the last probability as the rest
    return counts[0] * jnp.log(p[0]) + counts[1] * jnp.log(p[1]) + counts[3] * jnp.log(1 - p[0] - p[1])


def trinomial_by_hand(p, counts):
    return jnp.stack([counts[0] / p[0], counts[1] / p[1]]) - counts[3] / (1 - p[0] - p[1])


def multinomial(p, counts):  # 0 log 0 = 0
    return jnp.sum(jnp.where(counts > 0, counts * jnp.log(jnp.where(counts > 0, p, 1.0)), 0.0))


def normal_correlation(p, a, b):
    return -25.0 * jnp.log1p(-(p**2)) - jnp.sum(a * a - 2 * p * a * b + b * b) / (2 * (1 - p**2))


def normal_correlation_by_hand(p, a, b):
    rest = 1 - p**2
    return 50.0 * p / rest + jnp.sum(a * b) / rest - p * jnp.sum(a * a - 2 * p * a * b + b * b) / rest**2


def uniform(p, x):  # the likelihood of a sample from (0, p) jumps at the largest observation
    return jnp.where(p >= jnp.max(x), -x.size * jnp.log(p), -jnp.inf)


def walled(p):  # outside stands a number that is no likelihood
    return jnp.where(p < 0.3, jnp.log(jnp.where(p < 0.3, 0.3 - p, 1.0)), -1e10)


CASES = {
    **{
        f"a rate of {rate}": (lambda p, x: 50 * jnp.log(p) - p * jnp.sum(x), lambda p, x: 50 / p - jnp.sum(x), rate, X)
        for rate in (1e-3, 1e-6, 1e-12)
    },
    **{
        f"a shift {gap} below the smallest observation": (
            shifted,
            lambda p, x: {"a": -jnp.sum(1 / (x - p["a"])) - 3},
            {"a": float(X.min() - gap)},
            X,
        )
        for gap in (1e-2, 1e-6, 1e-9)
    },
    **{
        f"a probability {gap} below 1": (binomial, lambda p, s: s / p - (30 - s) / (1 - p), 1 - gap, 7.0)
        for gap in (1e-3, 1e-6, 1e-9)
    },
    "a probability of 1e-7": (binomial, lambda p, s: s / p - (30 - s) / (1 - p), 1e-7, 7.0),
    **{
        f"a simplex with {gap} left": (trinomial, trinomial_by_hand, np.array([0.4, 0.6 - gap]), COUNTS)
        for gap in (1e-2, 1e-6, 1e-9)
    },
    "a simplex with a probability of 0": (
        multinomial,
        lambda p, c: jnp.where(c > 0, c / jnp.where(c > 0, p, 1.0), 0.0),
        np.array([0.2, 0.3, 0.0, 0.5]),
        COUNTS,
    ),
    **{
        f"a correlation {gap} below 1": (normal_correlation, normal_correlation_by_hand, 1 - gap, A, B)
        for gap in (1e-4, 1e-8, 1.017e-8, 1.034e-8, 3e-9)
    },
    "the end of the support, exactly": (uniform, lambda p, x: -x.size / p, float(X.max()), X),
    "just inside the end of the support": (uniform, lambda p, x: -x.size / p, float(X.max()) * (1 + 1e-6), X),
    **{f"a wall of -1e10 at {gap}": (walled, lambda p: -1 / (0.3 - p), 0.3 - gap) for gap in (1e-2, 1e-6, 1e-9)},
    "a window of a millionth": (
        lambda p: jnp.log(p - 0.2999995) + jnp.log(0.3000005 - p),
        lambda p: 1 / (p - 0.2999995) - 1 / (0.3000005 - p),
        0.3000001,
    ),
    # On one side of 0 NaN, on the other an error that falls like the root of the step only.
    "a root at the edge": (lambda p: p**1.5 + 2 * p, lambda p: 1.5 * jnp.sqrt(p) + 2, 0.0),
}


@pytest.mark.parametrize("case", CASES)
def test_right_gradients_pass_and_wrong_ones_do_not(case):
    function, gradient, params, *args = CASES[case]
    right = check_gradient(function, gradient, params, *args)
    assert right.passed, str(right)
    for row in right.rows:  # measured inside; 1e-7 because next to an edge 1 - p, say, has no more digits than that
        assert abs(row.numeric - row.handwritten) <= 5 * row.numeric_error + 1e-7 * abs(row.handwritten)
    wrong = check_gradient(function, lambda *a: jax.tree.map(lambda g: 1.001 * g, gradient(*a)), params, *args)
    assert not wrong.passed, str(wrong)


def test_many_coordinates_at_all_distances_from_the_edge():
    ends = np.linspace(1, 2, 200)
    gaps = np.geomspace(1e-9, 1, 200)
    args = (lambda w, x: jnp.sum(jnp.log(x - w)), lambda w, x: -1 / (x - w), ends - gaps, ends)
    right = check_gradient(*args)
    assert right.passed, str(right)
    wrong = check_gradient(args[0], lambda w, x: (-1 / (x - w)).at[3].multiply(1.001), *args[2:])
    assert [row.name for row in wrong.rows if not row.verdict.passes] == ["params[3]"]


@pytest.mark.filterwarnings("error")
def test_an_end_with_an_infinite_slope_is_named_without_a_warning():
    report = check_gradient(jnp.sqrt, lambda p: 0.5 / jnp.sqrt(p), 0.0)
    assert [str(row.verdict) for row in report.rows] == ["not finite"]
    assert "The handwritten gradient is inf for 'params'." in report.diagnosis


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"gradient is float \(6\.0\), but it is a function of \(params, \*args\);"):
        check_gradient(lambda p: p**2, 6.0, 3.0)
    with pytest.raises(TypeError, match=r"function is float \(9\.0\), but it is a function"):
        check_gradient(9.0, lambda p: 2 * p, 3.0)
