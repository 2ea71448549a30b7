"""Functions for batches on a CPU, where the compiler calls the C library, or does without the processor's vectors.

Every operation is one that processors have for several numbers at once. The errors are below 4e-16 of the result, for
exp(x) - 1 below 1e-15; the gamma functions are those of the library's densities. To the logarithm, numbers too small
for all their digits (below 2.2e-308) are 0, as they are throughout the compiler's programs, and the exponential is 0
where it would be below 3.4e-308.

Logarithms: x = 2^e m with m from sqrt(1/2) to sqrt(2), read from the bits of x, and log(1 + f) = 2 artanh(w) with
w = f/(2 + f), written as f - f^2/2 + w (f^2/2 + R(w^2)), |w| < 0.172; the seven terms of R leave 1.3e-18 out. No
integer is converted, for the exponent becomes the last digits of a number above 2^52 instead. Exponentials: x =
n log(2) + r, |r| < 0.347, and exp(x) = 2^n exp(r), where n is added to the exponent in the bits.

Source: Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 4.1.27; Muller (2016), Elementary Functions,
3rd edition, section 11.3, for ln 2 in two parts, and 3.3 for best approximations; fdlibm, e_log.c, for how the terms
are put together.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Literal

from mle_jax._equations import CALLS_OR_RULES, apply_equation
from mle_jax._polynomial import polynomial
from mle_jax.densities import _gamma_functions
from mle_jax.likelihood.traced import Program, numbers, trace, work_out

T = TypeVar("T")

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has 33 digits, binary
BITS_OF_ROOT_HALF, BITS_OF_ONE = 0x3FE6A09E667F3BCD, 0x3FF0000000000000
BITS_OF_FRACTION, BITS_OF_2_TO_52 = 0x000FFFFFFFFFFFFF, 0x4330000000000000
# The best approximation of (2 artanh(w) - 2 w)/w^3 by seven terms in w^2, up to w = 0.1716, by Remez' algorithm.
ARTANH = (
    *(0.66666666666667344, 0.39999999999414898, 0.28571428742345965, 0.22222198576973464),
    *(0.18183564147331665, 0.15314054774216443, 0.14795910240722012),
)
EXPONENTIAL = tuple(1.0 / math.factorial(k) for k in range(1, 15))
# The best approximation of (exp(r) - 1 - r)/r^2 by ten terms in r, relative to exp(r), up to |r| = log(2)/2, likewise.
EXPONENTIAL_REST = (
    *(0.500000000000001, 0.1666666666666667, 0.04166666666652319, 0.00833333333332381, 0.001388888894754582),
    *(0.0001984126988260719, 2.4801487577997425e-05, 2.7557246252451733e-06, 2.7632575508934217e-07),
    2.510872085282183e-08,
)
LOG2_E, WHOLE = 1.4426950408889634, 1.5 * 2.0**52  # the latter, added, gives the last digits to a whole number
LEAST, MOST = -708.0, 709.782712893384  # whose exponentials are numbers with all their digits
USUAL = 1e-300, 1e300  # for the gamma functions
NEAR = 0.35  # to 0: up to there by the power series of exp(x) - 1, of which the terms left out are 1e-18 of it


def log(x: Array) -> Array:
    """Return the logarithm of float64 numbers."""
    return _log(x, None)


def log1p(x: Array) -> Array:
    """Return ``log(1 + x)`` of float64 numbers, with all digits near 0."""
    return _log(1.0 + x, x)


def exp(x: Array) -> Array:
    """Return the exponential of float64 numbers; 0 below -708."""
    n = jnp.floor(x * LOG2_E + 0.5)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    square = r * r
    rest = polynomial(square, EXPONENTIAL_REST[::2]) + r * polynomial(square, EXPONENTIAL_REST[1::2])
    bits = lax.bitcast_convert_type(1.0 + (r + square * rest), jnp.int64)
    # The last 12 bits are those of n, and become the exponent.
    power = lax.shift_left(lax.bitcast_convert_type(n + WHOLE, jnp.int64), jnp.int64(52))
    found = lax.bitcast_convert_type(bits + power, x.dtype)
    # Not by exclusion: of NaN, which may carry bits of its own (R's NA), nothing may become a number.
    return jnp.where((x >= LEAST) & (x <= MOST), found, jnp.where(x > MOST, jnp.inf, jnp.where(x < LEAST, 0.0, x)))


def logistic(x: Array) -> Array:
    """Return ``1/(1 + exp(-x))`` of float64 numbers."""
    return 1.0 / (1.0 + exp(-x))


def expm1(x: Array) -> Array:
    """Return ``exp(x) - 1`` of float64 numbers, with all digits near 0."""
    small = jnp.abs(x) < NEAR
    near = jnp.where(small, x, 0.0)
    return jnp.where(small, near * polynomial(near, EXPONENTIAL), exp(x) - 1.0)


def _log(x: Array, excess: Array | None) -> Array:
    """Return log(x), given x - 1 where that has digits that x has lost."""
    tiny = jnp.finfo(x.dtype).tiny
    bits = lax.bitcast_convert_type(x, jnp.int64) + (BITS_OF_ONE - BITS_OF_ROOT_HALF)
    exponent = lax.shift_right_logical(bits, jnp.int64(52)) | BITS_OF_2_TO_52  # 2^52 + it
    e = lax.bitcast_convert_type(exponent, x.dtype) - (2.0**52 + 1023)
    f = lax.bitcast_convert_type((bits & BITS_OF_FRACTION) + BITS_OF_ROOT_HALF, x.dtype) - 1.0
    if excess is not None:
        f = jnp.where(e == 0, excess, f)
    w = f / (2.0 + f)
    z = w * w
    # In two halves, for a processor works on both at once.
    rest = z * (polynomial(z * z, ARTANH[::2]) + z * polynomial(z * z, ARTANH[1::2]))
    half = 0.5 * f * f
    found = e * LN2_HIGH - ((half - (w * (half + rest) + e * LN2_LOW)) - f)
    other = jnp.where(x >= tiny, x, jnp.where(x >= 0, -jnp.inf, jnp.nan))  # infinity, or NaN, of itself
    return jnp.where((x >= tiny) & (x < jnp.inf), found, other)


def log_gamma(x: Array) -> Array:
    """Return the logarithm of the gamma function of float64 numbers, with three derivatives.

    NaN below 0, and for numbers that are not 0 or infinite but beyond `USUAL`.
    """
    found = _gamma_functions.log_gamma(_where_usual(x))
    return jnp.where(_is_usual(x), found, jnp.where((x == 0) | (x == jnp.inf), jnp.inf, jnp.nan))


def digamma(x: Array) -> Array:
    """Return the derivative of `log_gamma` of float64 numbers, with two derivatives; NaN for x = 0, too."""
    found = _gamma_functions.digamma(_where_usual(x))
    return jnp.where(_is_usual(x), found, jnp.where(x == jnp.inf, jnp.inf, jnp.nan))


def _is_usual(x: Array) -> Array:
    """Say where the series hold: beyond, x log(x) or one of its factors overflows or vanishes."""
    return (x > USUAL[0]) & (x < USUAL[1])


def _where_usual(x: Array) -> Array:
    return jnp.where(_is_usual(x), x, 1.0)


FAST = {"log": (log, 30), "log1p": (log1p, 32), "exp": (exp, 30), "expm1": (expm1, 50), "logistic": (logistic, 33)}
"""By the name of JAX's operation, with the number of operations."""
_LONG = "acos asin atan atan2 cbrt cos cosh erf erf_inv erfc exp2 pow sin sinh tan tanh"
OTHERS = {
    **dict.fromkeys(("div", "rem", "rsqrt", "sqrt"), 5),
    **dict.fromkeys(_LONG.split(), 30),
    **dict.fromkeys(("cond", "digamma", "lgamma", "while"), 100),
}
"""The number of operations, roughly, of others that are more than one."""
GAMMA = {"lgamma": log_gamma, "digamma": digamma}
"""By the name of JAX's operation."""
_PASSING_NAN_ON = (
    "abs add add_any broadcast_in_dim concatenate convert_element_type copy cos cumsum div dot_general dynamic_slice "
    "exp exp2 expm1 integer_pow log log1p logistic max min mul neg reduce_max reduce_min reduce_sum reshape rev rsqrt "
    "select_n sin slice sqrt square squeeze sub tanh transpose"
)
PASSING_NAN_ON = frozenset(_PASSING_NAN_ON.split())
"""Operations whose result is NaN where what they are of is NaN: not comparisons, nor x^0."""


def with_gamma_functions(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of arrays, which returns an array, with these gamma functions in place of JAX's.

    It can be differentiated; derivatives that parts of it have by rules of their own stay as they are. Of negative
    numbers, which these gamma functions are not made for, they return NaN, and so does the function: one that might
    hide it, by a comparison for example, is returned as it is.
    """

    def other(*arguments: Any) -> Any:
        program = trace(function, *arguments)
        if _may_hide_nan(program):
            return function(*arguments)
        return work_out(program, dict(enumerate(arguments)), program.results, _with_gamma_function)[0]

    return other


def _may_hide_nan(program: Program) -> bool:
    """Say whether something computed from a gamma function is used in a way that could hide that it is NaN."""
    from_gamma = [False] * len(program.shapes)
    for step in program.steps:
        follows = any(from_gamma[value] for value in numbers(step.inputs))
        passes = step.equation.primitive.name in PASSING_NAN_ON
        if follows and not (passes and jnp.issubdtype(program.types[step.outputs[0]], jnp.floating)):
            return True
        for output in step.outputs:
            from_gamma[output] = follows or _is_in(GAMMA, step.equation)
    return False


def _with_gamma_function(equation: Any, values: Sequence[Any]) -> list[Any]:
    if _is_in(GAMMA, equation):
        return [GAMMA[equation.primitive.name](jnp.asarray(values[0]))]
    return apply_equation(equation, values)


def with_vector_functions(function: Callable[..., T]) -> Callable[..., T]:
    """Return a function of pytrees of arrays with these functions in place of JAX's, wherever they are float64.

    It is not to be differentiated: derivatives belong into the function.
    """

    def other(*arguments: Any) -> T:
        program, outputs = jax.make_jaxpr(function, return_shape=True)(*arguments)
        found = run_with_vector_functions(program, jax.tree_util.tree_leaves(arguments))
        result: T = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(outputs), found)
        return result

    return other


def run_with_vector_functions(program: ClosedJaxpr, values: Sequence[Any]) -> list[Any]:
    """Do the same for a traced program: return its outputs."""
    known = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    known |= zip(program.jaxpr.invars, values, strict=True)

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else known[variable]

    for equation in program.jaxpr.eqns:
        found = _with_vector_function(equation, [read(variable) for variable in equation.invars])
        known |= zip(equation.outvars, found, strict=True)
    return [read(variable) for variable in program.jaxpr.outvars]


def _with_vector_function(equation: Any, values: list[Any]) -> list[Any]:
    name, params = equation.primitive.name, equation.params
    if _is_in(FAST, equation):
        return [FAST[name][0](jnp.asarray(values[0]))]
    inner = params.get(CALLS_OR_RULES.get(name, ""))
    if isinstance(inner, ClosedJaxpr):
        return run_with_vector_functions(inner, values)
    if name == "while" and not params["cond_jaxpr"].out_avals[0].shape:  # a batched one is more than that
        until, body = params["cond_jaxpr"], params["body_jaxpr"]
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        of_until, of_body, begin = values[:first], values[first:second], values[second:]
        return list(
            lax.while_loop(
                lambda now: run_with_vector_functions(until, (*of_until, *now))[0],
                lambda now: run_with_vector_functions(body, (*of_body, *now)),
                begin,
            )
        )
    if name == "cond":
        branches = [
            lambda *values, branch=branch: run_with_vector_functions(branch, values) for branch in params["branches"]
        ]
        return list(lax.switch(values[0], branches, *values[1:]))
    return apply_equation(equation, values)


def count_added(steps: Sequence[Any]) -> int:
    """Return how many operations the program is longer by."""
    return sum(FAST[step.primitive.name][1] - 1 for step in steps if _is_in(FAST, step))


def operations(equation: Any) -> int:
    """Return of about how many operations an equation consists."""
    name = equation.primitive.name
    return FAST[name][1] if name in FAST else OTHERS.get(name, 1)


def _is_in(functions: Mapping[str, Any], equation: Any) -> bool:
    """Say whether the equation is one of those that these functions take the place of."""
    return equation.primitive.name in functions and equation.invars[0].aval.dtype == jnp.float64
