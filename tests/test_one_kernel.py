"""Loops as one native function: what is let in, that it computes the same, and what happens to the rest."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
from jax import lax

import mle_jax as mle
from mle_jax.optimizers import GradientDescent, Optax, _one_kernel, minimizing
from mle_jax.optimizers._one_kernel import MOST, MOST_SUMMED, in_one_kernel, is_known, only_in_one_kernel

pytestmark = [  # part of the smoke suite, which compiles as users do, on all supported versions
    pytest.mark.smoke,
    pytest.mark.skipif(not is_known(), reason="another compiler, or XLA_FLAGS: loops are compiled as usual"),
]

SIGNED = np.array([-2.5, -1.5, -0.75, -0.25, 0.125, 0.5, 1.25, 3.5])
INSIDE = SIGNED / 4  # within (-1, 1)
ABOVE = np.abs(SIGNED) + 1.0
COUNTS = np.arange(8)
FLAGS = COUNTS % 2 == 0

# name: the operation of XLA, the same in NumPy or SciPy, arguments
ELEMENTWISE = {
    "abs": (lax.abs, np.abs, SIGNED),
    "acos": (lax.acos, np.arccos, INSIDE),
    "acosh": (lax.acosh, np.arccosh, ABOVE),
    "add": (lax.add, np.add, SIGNED, ABOVE),
    "and": (lax.bitwise_and, np.bitwise_and, COUNTS, COUNTS[::-1]),
    "asin": (lax.asin, np.arcsin, INSIDE),
    "asinh": (lax.asinh, np.arcsinh, SIGNED),
    "atan": (lax.atan, np.arctan, SIGNED),
    "atan2": (lax.atan2, np.arctan2, SIGNED, SIGNED[::-1]),
    "atanh": (lax.atanh, np.arctanh, INSIDE),
    "cbrt": (lax.cbrt, np.cbrt, SIGNED),
    "ceil": (lax.ceil, np.ceil, SIGNED),
    "clamp": (lambda x: lax.clamp(-1.0, x, 1.0), lambda x: np.clip(x, -1.0, 1.0), SIGNED),
    "convert_element_type": (lambda x: x.astype(int), lambda x: x.astype(int), SIGNED),
    "copy": (jnp.copy, np.copy, SIGNED),
    "cos": (lax.cos, np.cos, SIGNED),
    "cosh": (lax.cosh, np.cosh, SIGNED),
    "digamma": (lax.digamma, scipy.special.digamma, ABOVE),
    "div": (lax.div, np.divide, SIGNED, ABOVE),
    "eq": (lax.eq, np.equal, SIGNED, INSIDE),
    "erf": (lax.erf, scipy.special.erf, SIGNED),
    "erf_inv": (lax.erf_inv, scipy.special.erfinv, INSIDE),
    "erfc": (lax.erfc, scipy.special.erfc, SIGNED),
    "exp": (lax.exp, np.exp, SIGNED),
    "exp2": (lax.exp2, np.exp2, SIGNED),
    "expm1": (lax.expm1, np.expm1, SIGNED),
    "floor": (lax.floor, np.floor, SIGNED),
    "ge": (lax.ge, np.greater_equal, SIGNED, INSIDE),
    "gt": (lax.gt, np.greater, SIGNED, INSIDE),
    "integer_pow": (lambda x: lax.integer_pow(x, 3), lambda x: x**3, SIGNED),
    "is_finite": (lax.is_finite, np.isfinite, np.array([1.0, np.nan, np.inf])),
    "le": (lax.le, np.less_equal, SIGNED, INSIDE),
    "lgamma": (lax.lgamma, scipy.special.gammaln, ABOVE),
    "log": (lax.log, np.log, ABOVE),
    "log1p": (lax.log1p, np.log1p, INSIDE),
    "logistic": (lax.logistic, scipy.special.expit, SIGNED),
    "lt": (lax.lt, np.less, SIGNED, INSIDE),
    "max": (lax.max, np.maximum, SIGNED, SIGNED[::-1]),
    "min": (lax.min, np.minimum, SIGNED, SIGNED[::-1]),
    "mul": (lax.mul, np.multiply, SIGNED, ABOVE),
    "ne": (lax.ne, np.not_equal, SIGNED, INSIDE),
    "neg": (lax.neg, np.negative, SIGNED),
    "not": (lax.bitwise_not, np.logical_not, FLAGS),
    "or": (lax.bitwise_or, np.logical_or, FLAGS, FLAGS[::-1]),
    "pow": (lax.pow, np.power, ABOVE, SIGNED),
    "rem": (lax.rem, np.fmod, SIGNED, INSIDE),
    "round": (lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), np.round, SIGNED),
    "rsqrt": (lax.rsqrt, lambda x: 1 / np.sqrt(x), ABOVE),
    "select_n": (jnp.where, np.where, FLAGS, SIGNED, ABOVE),
    "sign": (lax.sign, np.sign, SIGNED),
    "sin": (lax.sin, np.sin, SIGNED),
    "sinh": (lax.sinh, np.sinh, SIGNED),
    "sqrt": (lax.sqrt, np.sqrt, ABOVE),
    "square": (lax.square, np.square, SIGNED),
    "sub": (lax.sub, np.subtract, SIGNED, ABOVE),
    "tan": (lax.tan, np.tan, INSIDE),
    "tanh": (lax.tanh, np.tanh, SIGNED),
    "xor": (lax.bitwise_xor, np.logical_xor, FLAGS, FLAGS[::-1]),
}


@jax.custom_jvp
def known_slope(x):
    return x**2


known_slope.defjvps(lambda tangent, _, x: 2 * x * tangent)


@jax.custom_vjp
def known_pullback(x):
    return x**2


known_pullback.defvjp(lambda x: (x**2, x), lambda x, slope: (2 * x * slope,))

SQUARE = np.arange(12.0).reshape(4, 3)
OTHERS = {
    "add_any": (jax.grad(lambda x: jnp.sum(jnp.exp(x) * x)), lambda x: np.exp(x) * (1 + x), SIGNED),
    "broadcast_in_dim": (lambda x: jnp.broadcast_to(x, (2, 8)), lambda x: np.broadcast_to(x, (2, 8)), SIGNED),
    "concatenate": (lambda x: jnp.concatenate([x, -x]), lambda x: np.concatenate([x, -x]), SIGNED),
    "cond": (lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x), np.cos, SIGNED),
    "custom_jvp_call": (known_slope, np.square, SIGNED),
    "custom_vjp_call": (known_pullback, np.square, SIGNED),
    "dot_general": (jnp.matmul, np.matmul, SQUARE, np.arange(3.0)),
    "dynamic_slice": (lambda x, i: lax.dynamic_slice(x, (i,), (3,)), lambda x, i: x[i : i + 3], SIGNED, np.int64(2)),
    "iota": (lambda x: x * lax.iota(float, 8), lambda x: x * COUNTS, SIGNED),
    "jit": (jax.jit(jnp.sin), np.sin, SIGNED),
    "optimization_barrier": (lambda x: lax.optimization_barrier(x) + 1, lambda x: x + 1, SIGNED),
    "pad": (lambda x: jnp.pad(x, 2), lambda x: np.pad(x, 2), SIGNED),
    "reduce_and": (jnp.all, np.all, FLAGS),
    "reduce_max": (jnp.max, np.max, SIGNED),
    "reduce_min": (jnp.min, np.min, SIGNED),
    "reduce_or": (jnp.any, np.any, FLAGS),
    "reduce_sum": (lambda x: jnp.sum(x, axis=0), lambda x: np.sum(x, axis=0), SQUARE),
    "reshape": (jnp.ravel, np.ravel, SQUARE),
    "rev": (jnp.flip, np.flip, SIGNED),
    "slice": (lambda x: x[2:5], lambda x: x[2:5], SIGNED),
    "split": (lambda x: jnp.split(x, 2)[1], lambda x: x[4:], SIGNED),
    "squeeze": (lambda x: lax.squeeze(x[None], (0,)), np.copy, SIGNED),
    "stack": (lambda x: jnp.stack([x, -x]), lambda x: np.stack([x, -x]), SIGNED),
    "stop_gradient": (lambda x: lax.stop_gradient(x) + 1, lambda x: x + 1, SIGNED),
    "transpose": (lambda x: x.T + 1, lambda x: x.T + 1, SQUARE),
    "unstack": (lambda x: jnp.unstack(x)[2] * 2.0, lambda x: x[2] * 2.0, SQUARE),
    "while": (lambda x: lax.while_loop(lambda v: v[0] < 9.0, lambda v: v + 2.0, x), lambda x: x + 12.0, SIGNED),
}


def compiled(function, *arguments):
    """Return the answer, and whether the compiler was asked to make one native function of it."""
    with jax.enable_x64(True):
        program = jax.jit(lambda *given: in_one_kernel(function, *given)).lower(*arguments).compile()
        return np.asarray(program(*arguments)), "xla_cpu_small_call" in program.as_text()


def operations(function, *arguments):
    with jax.enable_x64(True):
        return {step.primitive.name for step in _one_kernel._steps(jax.make_jaxpr(function)(*arguments).jaxpr)}


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other compilers are not asked")
@pytest.mark.parametrize("name", [*ELEMENTWISE, *OTHERS])
def test_what_is_let_in_is_computed_right(name):
    function, same, *arguments = (ELEMENTWISE | OTHERS)[name]
    answer, whole = compiled(function, *arguments)
    assert whole
    # Elementary functions are within some ulp of NumPy's; those of the Gamma family within some hundred.
    np.testing.assert_allclose(answer, same(*arguments), rtol=1e-13, atol=1e-15)


def test_all_that_is_let_in_is_tried():
    cases = (ELEMENTWISE | OTHERS).values()
    tried = set().union(*(operations(function, *arguments) for function, _, *arguments in cases))
    let_in = _one_kernel.PLAIN | set(_one_kernel.SUMS) | {"dot_general"}
    # Names of a call, and an operation that there need not be, in different versions of JAX.
    assert let_in - tried <= {"closed_call", "jit", "pjit", "stop_gradient"}


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other compilers are not asked")
@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (jnp.sum, [(MOST_SUMMED,)]),
        (lambda x: jnp.sum(x, axis=0), [(MOST_SUMMED // 4, 4)]),
        (jnp.matmul, [(MOST_SUMMED,), (MOST_SUMMED,)]),
        (jnp.matmul, [(MOST // 8, 8), (8,)]),
        (jnp.matmul, [(MOST // 8,), (MOST // 8, 8)]),
        (jnp.matmul, [(2, MOST // 2), (MOST // 2,)]),
        (jnp.matmul, [(MOST, 1), (1,)]),
        (jnp.exp, [(MOST,)]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_largest_that_are_let_in_compile(function, shapes, dtype):
    arguments = [np.ones(shape, dtype) for shape in shapes]
    answer, whole = compiled(function, *arguments)
    assert whole
    # Whole numbers, which sum up exactly; single precision rounds e to 6e-8.
    np.testing.assert_allclose(answer, np.exp(1.0) if function is jnp.exp else function(*arguments), rtol=1e-7)


@pytest.mark.parametrize(
    "useless",
    [lambda v, z: v + jnp.sum(z.astype(int) * 0), lambda v, z: jnp.where((z > 0) | True, v, 2 * v), lambda v, z: v],
    ids=["integer times 0", "or true", "not read"],
)
def test_an_input_that_the_compiler_leaves_out_does_no_harm(useless):
    """Else it ends the process: it leaves out more than the program shows."""

    def loop(x, z, start):
        step = lambda now: (now[0] + 1, useless(now[1] + jnp.sum(jnp.exp(x * now[1])) / 1000, z))  # noqa: E731
        return lax.while_loop(lambda now: now[0] < 5, step, (jnp.int32(0), start))[1]

    with jax.enable_x64(True):
        x, z, start = (np.stack([leaf] * 3) for leaf in (np.linspace(-1, 1, 32), np.ones(32), np.zeros(32)))
        found = jax.jit(lambda *all: lax.map(lambda one: only_in_one_kernel(loop, *one), all))(x, z, start)
    known = np.zeros(32)
    for _ in range(5):
        known = known + np.exp(x[0] * known).sum() / 1000
    np.testing.assert_allclose(found, np.stack([known] * 3), rtol=1e-13)


@pytest.mark.parametrize(
    ("function", "same", "arguments"),
    [
        (jnp.sort, np.sort, [SIGNED[::-1]]),
        (jnp.linalg.cholesky, np.sqrt, [4 * np.eye(3)]),
        (lambda x: jnp.abs(jnp.fft.fft(x)), lambda x: np.abs(np.fft.fft(x)), [SIGNED]),
        (lambda x: jnp.zeros(8).at[np.array([2, 2])].add(x[:2]), lambda x: (COUNTS == 2) * (x[0] + x[1]), [SIGNED]),
        (jnp.matmul, np.matmul, [SQUARE, SQUARE.T]),
        (lambda x: jnp.abs(1j * x), np.abs, [SIGNED]),
        (jnp.sum, np.sum, [np.ones(MOST_SUMMED + 1)]),
        (jnp.exp, np.exp, [np.ones(MOST + 1)]),
        (jnp.matmul, np.matmul, [np.ones(MOST_SUMMED + 1), np.ones(MOST_SUMMED + 1)]),
        (lambda x: x + jnp.ones(MOST + 1)[:8], lambda x: x + 1, [SIGNED]),
        (lambda x: lax.cond(x[0] > 0, jnp.sort, jnp.cos, x), np.cos, [SIGNED]),
    ],
)
def test_what_is_not_let_in_is_compiled_as_usual(function, same, arguments):
    answer, whole = compiled(function, *arguments)
    assert not whole
    np.testing.assert_allclose(answer, same(*arguments), rtol=1e-13)  # some ulp, as above


def logistic(params, x, y):
    predictor = x @ params["w"] + params["a"]
    return jnp.mean(jnp.logaddexp(0.0, predictor) - y * predictor)


@pytest.mark.parametrize(
    "optimizer", [GradientDescent(0.3), Optax(optax.adam(0.05)), Optax(optax.sgd(0.1, momentum=0.9))]
)
@pytest.mark.parametrize("stop", [None, mle.stops.value_change(1e-5)])
def test_minimize_takes_the_same_steps_with_and_without(optimizer, stop):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((40, 3))
    problem = {"w": np.zeros(3), "a": 0.5}, (x, (rng.random(40) < 0.5).astype(float))
    options = {"optimizer": optimizer, "max_steps": 200, "stop": stop}
    whole = mle.minimize(logistic, problem[0], args=problem[1], **options)
    recorded = mle.minimize(logistic, problem[0], args=problem[1], record=True, **options)  # never as one function
    assert (whole.steps, whole.status) == (recorded.steps, recorded.status)
    # 200 steps of a contracting iteration may round differently at each.
    np.testing.assert_allclose(whole.params["w"], recorded.params["w"], rtol=1e-12)
    np.testing.assert_allclose(whole.value, recorded.value, rtol=1e-13)


def test_minimize_falls_back_where_the_compiler_refuses(monkeypatch):
    traced = []

    def middle(w, y):
        traced.append(1)
        return jnp.sum((jnp.sort(y)[1:4] - w) ** 2)

    def solve(y):
        run = mle.minimize(middle, 0.0, args=(np.array(y),), optimizer=GradientDescent(0.1), max_steps=100)
        return run.params, len(traced)

    monkeypatch.setattr(_one_kernel, "PLAIN", _one_kernel.PLAIN | {"sort"})
    one, first = solve([5.0, 1.0, 9.0, 4.0, 2.0])
    two, second = solve([3.0, 0.0, 8.0, 7.0, 4.0])
    np.testing.assert_allclose([one, two], [11 / 3, 14 / 3], rtol=1e-14)  # the mean of the middle; 0.4^100 is nothing
    assert second == first  # neither traced nor compiled again
    assert (middle in minimizing._refused) == (jax.default_backend() == "cpu")


def test_a_function_without_a_hash_is_refused():
    class Distance:
        __hash__ = None

        def __call__(self, w):
            return w**2

    with pytest.raises(TypeError, match="the function is a Distance, which has no hash"):
        mle.minimize(Distance(), 1.0, optimizer=GradientDescent(0.1), max_steps=5)
