"""Functions for native loops: their digits, and that they take the place of JAX's wherever a program has some."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from mle_jax.densities import negative_binomial
from mle_jax.likelihood import vector_functions
from mle_jax.likelihood.vector_functions import with_gamma_functions, with_vector_functions
from mle_jax.optimizers._one_kernel import is_known, only_in_one_kernel

RNG = np.random.default_rng(8)
SIZES = 10.0 ** RNG.uniform(-307, 307, 2000)
LENGTHS = 10.0 ** np.concatenate([RNG.uniform(-20, -1, 3000), RNG.uniform(-1, -0.1, 3000)])
NEAR = RNG.choice([-1, 1], 6000) * LENGTHS  # down to 1 - 0.79
ENDS = np.sqrt(2.0) * np.array([1 - 1e-15, 1.0, 1 + 1e-15, 0.5 - 1e-15, 0.5, 0.5 + 1e-15])


@jax.enable_x64(True)
@pytest.mark.parametrize("name", ["log", "log1p"])
def test_digits_against_mpmath(name):
    shift = 1.0 if name == "log" else 0.0
    x = np.concatenate([SIZES, shift + NEAR, ENDS, 2.0 ** np.arange(-30, 30)])
    found = np.asarray(jax.jit(getattr(vector_functions, name))(x))
    with mp.workdps(60):
        exact = [getattr(mp, name)(mp.mpf(float(one))) for one in x]
        error = [
            float(abs(f - e) / abs(e)) if e else float(abs(f)) for f, e in zip(map(float, found), exact, strict=True)
        ]
    assert max(error) < 4e-16


@jax.enable_x64(True)
def test_digits_of_exponentials_minus_one_against_mpmath():
    x = np.concatenate([NEAR, 0.35 * np.array([1 - 1e-15, 1, 1 + 1e-15]), RNG.uniform(-40, 700, 3000), [0.0, 1e-300]])
    x = np.concatenate([x, -x[np.abs(x) < 40]])
    found = np.asarray(jax.jit(vector_functions.expm1)(x))
    with mp.workdps(60):
        exact = [mp.expm1(mp.mpf(float(one))) for one in x]
        error = [float(abs(f - e) / abs(e)) if e else abs(f) for f, e in zip(map(float, found), exact, strict=True)]
    assert max(error) < 1e-15
    ends = np.array([np.inf, -np.inf, np.nan, 710.0, -800.0])
    np.testing.assert_array_equal(jax.jit(vector_functions.expm1)(ends), [np.inf, -1.0, np.nan, np.inf, -1.0])


@jax.enable_x64(True)
@pytest.mark.parametrize("name", ["exp", "logistic"])
def test_digits_of_exponentials_against_mpmath(name):
    halves = (np.arange(-1020, 1024) + 0.5) * np.log(2.0)  # where the power of 2 changes
    ends = [-708.0, 709.782712893384, 0.0, -0.0, 1e-300, -1e-300]
    x = np.concatenate([RNG.uniform(-708, 709.78, 4000), NEAR, halves, np.nextafter(halves, 0), ends])
    found = np.asarray(jax.jit(getattr(vector_functions, name))(x))
    exactly = {"exp": mp.exp, "logistic": lambda t: 1 / (1 + mp.exp(-t))}[name]
    with mp.workdps(40):
        exact = [exactly(mp.mpf(float(one))) for one in x]
        error = [float(abs(f - e) / e) for f, e in zip(map(float, found), exact, strict=True)]
    assert max(error) < 4e-16
    ends = np.array([np.inf, -np.inf, np.nan, 709.7828, 1e300, -709.0, -1e300])
    expected = {"exp": [np.inf, 0, np.nan, np.inf, np.inf, 0, 0], "logistic": [1, 0, np.nan, 1, 1, 0, 0]}[name]
    np.testing.assert_array_equal(jax.jit(getattr(vector_functions, name))(ends), expected)


@jax.enable_x64(True)
@pytest.mark.parametrize("name", ["log", "log1p"])
def test_what_has_no_logarithm(name):
    x = np.array([0.0, -0.0, -1.0, -2.0, np.inf, -np.inf, np.nan, 1.0, 5e-324, 1e-310])
    found = np.asarray(jax.jit(getattr(vector_functions, name))(x))
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x)
    kept = slice(None) if name == "log1p" else slice(0, 8)  # compiled programs may take 1e-310 for 0
    np.testing.assert_allclose(found[kept], expected[kept], rtol=4e-16, atol=1e-300)


@jax.enable_x64(True)
def test_gamma_functions_have_the_digits_and_derivatives_of_mpmath():
    def density(x, y):
        return jax.scipy.special.gammaln(x) - jax.jit(jax.scipy.special.gammaln)(x + y) + jax.scipy.special.digamma(x)

    fast = with_gamma_functions(density)
    text = str(jax.make_jaxpr(jax.hessian(fast))(3.0, 2.0))
    assert not any(f"= {name} " in text for name in ("lgamma", "digamma", "polygamma"))
    assert "= lgamma " in str(jax.make_jaxpr(density)(3.0, 2.0))
    with mp.workdps(40):
        for x, y in ((0.01, 3.0), (0.7, 0.2), (4.0, 12.5), (8.0, 1.0), (900.0, 1e-3), (1e8, 3e8)):
            psi = lambda m, z: mp.psi(m, mp.mpf(z))  # noqa: E731 - three times
            total = mp.mpf(x) + mp.mpf(y)
            value = mp.loggamma(mp.mpf(x)) - mp.loggamma(total) + psi(0, x)
            slope, bend = psi(0, x) - mp.psi(0, total) + psi(1, x), psi(1, x) - mp.psi(1, total) + psi(2, x)
            found = fast(x, y), jax.grad(fast)(x, y), jax.grad(jax.grad(fast))(x, y)
            sizes = abs(mp.loggamma(total)) + abs(psi(0, x)) + 1, abs(psi(1, x)) + abs(psi(0, x)), abs(psi(2, x)) + 1
            for one, exact, size in zip(found, (value, slope, bend), sizes, strict=True):
                # The terms have some roundings each, and cancel; size is what the largest of them is about.
                assert abs(float(one) - exact) < 4e-15 * size


@jax.enable_x64(True)
def test_gamma_functions_of_what_they_are_not_made_for():
    x = jnp.array([0.0, jnp.inf, -0.5, -2.0, jnp.nan, -jnp.inf])
    found = with_gamma_functions(lambda x: jax.scipy.special.gammaln(x))(x)
    np.testing.assert_array_equal(found, [np.inf, np.inf, np.nan, np.nan, np.nan, np.nan])
    found = with_gamma_functions(lambda x: jax.scipy.special.digamma(x))(x)
    np.testing.assert_array_equal(found, [np.nan, np.inf, np.nan, np.nan, np.nan, np.nan])
    masked = lambda x: jnp.where(x > 0, jax.scipy.special.gammaln(x), 2 * x)  # noqa: E731
    assert jax.grad(with_gamma_functions(masked))(-2.5) == 2.0


HIDING = {
    "finite": lambda v: jnp.where(jnp.isfinite(v), v, -50.0),
    "nan_to_num": jnp.nan_to_num,
    "compared": lambda v: jnp.where(v > 0, 1.0, 3.0),
    "power": lambda v: v ** jnp.zeros_like(v),
    "branch": lambda v: jax.lax.cond(v > 0, lambda: 1.0, lambda: 2.0),
    "in a function": jax.jit(lambda v: jnp.where(v > 0, 1.0, 3.0)),
    "rule": jax.nn.relu,
    "counted": lambda v: v.astype(int) * 1.0,
}


@jax.enable_x64(True)
@pytest.mark.parametrize("name", HIDING)
def test_a_function_that_might_hide_nan_keeps_its_gamma_functions(name):
    hiding = lambda x: HIDING[name](2.0 * jax.scipy.special.gammaln(x))  # noqa: E731
    for x in (-1.5, -0.5, 2.5):
        assert with_gamma_functions(hiding)(x) == hiding(x)


@jax.enable_x64(True)
@pytest.mark.parametrize("name", ["exp", "expm1", "logistic", "log", "log1p"])
def test_nan_stays_nan_whatever_bits_it_carries(name):
    bits = [0x7FF00000000007A2, 0x7FF8000000000400, 0x7FF80000000007FF, 0xFFF8000000000001, 0xFFFFFFFFFFFFFFFF]
    assert np.isnan(jax.jit(getattr(vector_functions, name))(np.array(bits, np.uint64).view(float))).all()


@jax.enable_x64(True)
def test_gamma_functions_leave_rules_of_derivatives_alone():
    @jax.custom_jvp
    def ruled(x):
        return jax.scipy.special.gammaln(x)

    ruled.defjvp(lambda primals, tangents: (ruled(*primals), 5.0 * tangents[0]))
    assert jax.grad(with_gamma_functions(ruled))(2.5) == 5.0


def program(x, flag):
    """Such functions in a loop, in the condition of another, in branches, in nested functions and derivatives."""

    def body(now):
        i, total = now
        branch = jax.lax.cond(flag, lambda v: jnp.log(v) + jnp.expm1(-v), lambda v: jnp.log1p(v), total)
        return i + 1, total + branch + negative_binomial.log_density(12.0, total, 0.3)

    _, total = jax.lax.while_loop(lambda now: (now[0] < 3) & (jnp.log(now[1]) < 50.0), body, (0, x))
    slope = jax.grad(lambda v: jax.jit(lambda u: jnp.log(u) * jnp.log1p(u))(v))(x)
    return {"total": total, "slope": slope, "same": x}


@jax.enable_x64(True)
def test_every_function_of_a_program_is_replaced():
    traced = jax.make_jaxpr(program)(3.0, True)
    fast = with_vector_functions(program)
    text = str(jax.make_jaxpr(fast)(3.0, True))
    for name in (" log ", " log1p ", " expm1 "):
        assert name in str(traced) and name not in text
    for flag in (True, False):
        found = fast(3.0, flag)
        for name, expected in program(3.0, flag).items():
            np.testing.assert_allclose(found[name], expected, rtol=1e-13)  # some dozens of roundings


@pytest.mark.smoke
@pytest.mark.skipif(not is_known(), reason="another compiler, or XLA_FLAGS")
@jax.enable_x64(True)
def test_a_native_loop_computes_with_them():
    x = np.abs(NEAR[:256]) + 0.1

    def loop(x):
        return jax.lax.while_loop(
            lambda now: now[0] < 4, lambda now: (now[0] + 1, now[1] + jnp.log(x) + jnp.log1p(x)), (0, 0.0 * x)
        )[1]

    lowered = jax.jit(lambda x: only_in_one_kernel(loop, x)).lower(x)
    assert "log" not in {word.split(".")[-1] for word in lowered.as_text().replace("(", " ").split()}
    np.testing.assert_allclose(lowered.compile()(x), 4 * (np.log(x) + np.log1p(x)), rtol=2e-15, atol=1e-15)
