"""Logarithms for native loops, where the compiler calls the C library for one number at a time.

x = 2^e m with m from sqrt(1/2) to sqrt(2), read from the bits of x, and log m = 2 artanh(w), w = (m - 1)/(m + 1), by
its power series: |w| < 0.172, and 13 terms leave 1e-21 out. Every operation is one that processors have for several
numbers at once: no integer is converted, for the exponent becomes the last digits of a number above 2^52 instead.

The error is below 4e-16 of the result.

Source: Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 4.1.27; Muller (2016), Elementary Functions,
3rd edition, section 11.3, for ln 2 in two parts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Literal

from mle_jax._equations import apply_equation

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has 33 digits, binary
ROOT_2 = 1.4142135623730951
AFTER_FIRST = tuple(1.0 / (2 * k + 3) for k in range(12))
INNER = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr"}
OPERATIONS = 40
"""Of one logarithm."""


def log(x: Array) -> Array:
    """Return the logarithm of float64 numbers."""
    return _log(x, x - 1.0)


def log1p(x: Array) -> Array:
    """Return ``log(1 + x)`` of float64 numbers, with all digits near 0."""
    return _log(1.0 + x, x)


def _log(x: Array, excess: Array) -> Array:
    """Return log(x), given x - 1, which may have digits that x has lost."""
    tiny = jnp.finfo(x.dtype).tiny
    small = x < tiny
    scaled = jnp.where(small, x * 2.0**54, x)
    usable = (scaled > 0) & (scaled < jnp.inf)
    bits = lax.bitcast_convert_type(jnp.where(usable, scaled, 1.0), jnp.int64)
    exponent = lax.shift_right_logical(bits, jnp.int64(52)) | 0x4330000000000000  # 2^52 + it
    e = lax.bitcast_convert_type(exponent, x.dtype) - (2.0**52 + 1023) - jnp.where(small, 54.0, 0.0)
    m = lax.bitcast_convert_type((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000, x.dtype)
    upper = m > ROOT_2
    m, e = jnp.where(upper, 0.5 * m, m), jnp.where(upper, e + 1.0, e)
    f = jnp.where(e == 0, excess, m - 1.0)
    w = f / (2.0 + f)
    square = w * w
    series = jnp.full_like(square, AFTER_FIRST[-1])
    for coefficient in reversed(AFTER_FIRST[:-1]):
        series = series * square + coefficient
    found = e * LN2_HIGH + (2.0 * w + (2.0 * w * (square * series) + e * LN2_LOW))
    other = jnp.where(x == 0, -jnp.inf, jnp.where(x == jnp.inf, jnp.inf, jnp.nan))
    return jnp.where(usable, found, other)


FAST = {"log": log, "log1p": log1p}


def with_fast_logarithms(program: ClosedJaxpr) -> Callable[..., list[Any]]:
    """Return the function of a traced program with these logarithms in place of JAX's, wherever they are float64."""
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
    if name in FAST and equation.invars[0].aval.dtype == jnp.float64:
        return [FAST[name](jnp.asarray(values[0]))]
    if name in INNER and isinstance(params.get(INNER[name]), ClosedJaxpr):
        return _evaluate(params[INNER[name]], values)
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


def count_logarithms(steps: Sequence[Any]) -> int:
    """Return how many of the operations of a program will be replaced."""
    return sum(step.primitive.name in FAST and step.invars[0].aval.dtype == jnp.float64 for step in steps)
