"""Functions for native loops: their digits, and that they take the place of JAX's wherever a program has some."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from mle_jax.densities import negative_binomial
from mle_jax.optimizers import _vector_functions
from mle_jax.optimizers._one_kernel import is_known, only_in_one_kernel
from mle_jax.optimizers._vector_functions import with_vector_functions

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
    found = np.asarray(jax.jit(getattr(_vector_functions, name))(x))
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
    found = np.asarray(jax.jit(_vector_functions.expm1)(x))
    with mp.workdps(60):
        exact = [mp.expm1(mp.mpf(float(one))) for one in x]
        error = [float(abs(f - e) / abs(e)) if e else abs(f) for f, e in zip(map(float, found), exact, strict=True)]
    assert max(error) < 1e-15
    ends = np.array([np.inf, -np.inf, np.nan, 710.0, -800.0])
    np.testing.assert_array_equal(jax.jit(_vector_functions.expm1)(ends), [np.inf, -1.0, np.nan, np.inf, -1.0])


@jax.enable_x64(True)
@pytest.mark.parametrize("name", ["log", "log1p"])
def test_what_has_no_logarithm(name):
    x = np.array([0.0, -0.0, -1.0, -2.0, np.inf, -np.inf, np.nan, 1.0, 5e-324, 1e-310])
    found = np.asarray(jax.jit(getattr(_vector_functions, name))(x))
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x)
    kept = slice(None) if name == "log1p" else slice(0, 8)  # compiled programs may take 1e-310 for 0
    np.testing.assert_allclose(found[kept], expected[kept], rtol=4e-16, atol=1e-300)


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
    traced, shape = jax.make_jaxpr(program, return_shape=True)(3.0, True)
    fast = with_vector_functions(traced)
    text = str(jax.make_jaxpr(fast)(3.0, True))
    for name in (" log ", " log1p ", " expm1 "):
        assert name in str(traced) and name not in text
    for flag in (True, False):
        found = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(shape), fast(3.0, flag))
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
