"""Functions for native loops, where the compiler calls the C library, or does without the processor's vectors.

Every operation is one that processors have for several numbers at once. The errors are below 4e-16 of the result for
logarithms and 1e-15 for exp(x) - 1. To the logarithm, numbers too small for all their digits (below 2.2e-308) are 0, as
they are throughout the compiler's programs.

Logarithms: x = 2^e m with m from sqrt(1/2) to sqrt(2), read from the bits of x, and log(1 + f) = 2 artanh(w) with
w = f/(2 + f), written as f - f^2/2 + w (f^2/2 + R(w^2)), |w| < 0.172; the seven terms of R leave 1.3e-18 out. No
integer is converted, for the exponent becomes the last digits of a number above 2^52 instead.

Source: Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 4.1.27; Muller (2016), Elementary Functions,
3rd edition, section 11.3, for ln 2 in two parts, and 3.3 for best approximations; fdlibm, e_log.c, for how the terms
are put together.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Literal

from mle_jax._equations import CALLS_OR_RULES, apply_equation
from mle_jax._polynomial import polynomial

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has 33 digits, binary
BITS_OF_ROOT_HALF, BITS_OF_ONE = 0x3FE6A09E667F3BCD, 0x3FF0000000000000
BITS_OF_FRACTION, BITS_OF_2_TO_52 = 0x000FFFFFFFFFFFFF, 0x4330000000000000
# The best approximation of (2 artanh(w) - 2 w)/w^3 by seven terms in w^2, up to w = 0.1716, by Remez' algorithm.
ARTANH = (
    *(0.66666666666667344, 0.39999999999414898, 0.28571428742345965, 0.22222198576973464),
    *(0.18183564147331665, 0.15314054774216443, 0.14795910240722012),
)
EXPONENTIAL = tuple(1.0 / math.factorial(k) for k in range(1, 15))
NEAR = 0.35  # to 0: up to there by the power series of exp(x) - 1, of which the terms left out are 1e-18 of it


def log(x: Array) -> Array:
    """Return the logarithm of float64 numbers."""
    return _log(x, None)


def log1p(x: Array) -> Array:
    """Return ``log(1 + x)`` of float64 numbers, with all digits near 0."""
    return _log(1.0 + x, x)


def expm1(x: Array) -> Array:
    """Return ``exp(x) - 1`` of float64 numbers, with all digits near 0."""
    small = jnp.abs(x) < NEAR
    near = jnp.where(small, x, 0.0)
    return jnp.where(small, near * polynomial(near, EXPONENTIAL), jnp.exp(x) - 1.0)


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


FAST = {"log": (log, 30), "log1p": (log1p, 32), "expm1": (expm1, 30)}
"""By the name of JAX's operation, with the number of operations."""


def with_vector_functions(program: ClosedJaxpr) -> Callable[..., list[Any]]:
    """Return the function of a traced program with these functions in place of JAX's, wherever they are float64."""
    return lambda *values: _evaluate(program, values)


def _evaluate(program: ClosedJaxpr, values: Sequence[Any]) -> list[Any]:
    known = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    known |= zip(program.jaxpr.invars, values, strict=True)

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else known[variable]

    for equation in program.jaxpr.eqns:
        found = _apply(equation, [read(variable) for variable in equation.invars])
        known |= zip(equation.outvars, found, strict=True)
    return [read(variable) for variable in program.jaxpr.outvars]


def _apply(equation: Any, values: list[Any]) -> list[Any]:
    name, params = equation.primitive.name, equation.params
    if _is_replaced(equation):
        return [FAST[name][0](jnp.asarray(values[0]))]
    inner = params.get(CALLS_OR_RULES.get(name, ""))
    if isinstance(inner, ClosedJaxpr):
        return _evaluate(inner, values)
    if name == "while":
        until, body = params["cond_jaxpr"], params["body_jaxpr"]
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        of_until, of_body, begin = values[:first], values[first:second], values[second:]
        return list(
            lax.while_loop(
                lambda now: _evaluate(until, (*of_until, *now))[0],
                lambda now: _evaluate(body, (*of_body, *now)),
                begin,
            )
        )
    if name == "cond":
        branches = [lambda *values, branch=branch: _evaluate(branch, values) for branch in params["branches"]]
        return list(lax.switch(values[0], branches, *values[1:]))
    return apply_equation(equation, values)


def count_added(steps: Sequence[Any]) -> int:
    """Return how many operations the program is longer by."""
    return sum(FAST[step.primitive.name][1] - 1 for step in steps if _is_replaced(step))


def _is_replaced(equation: Any) -> bool:
    return equation.primitive.name in FAST and equation.invars[0].aval.dtype == jnp.float64
