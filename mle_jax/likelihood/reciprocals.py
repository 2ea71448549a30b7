"""Quotients as products: one reciprocal where several divide by the same, or by what all rows have in common.

A processor divides at a tenth of the speed at which it multiplies, and derivatives are full of quotients: Student's
logarithmic density with its derivatives has fifteen. A product with a reciprocal may differ from the quotient in the
last digit, and 49 times the reciprocal of 49 is not 1. Where that could matter the quotient stays as it is: in what may
jump, such as a comparison, and in a sum that may cancel before a function that is singular at 0, as in log(1 - x/s).
"""

import enum
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Literal

from mle_jax.likelihood.traced import Program, Step

_AS_EXACT = "abs copy max min mul neg reshape select_n square squeeze"
AS_EXACT = frozenset(_AS_EXACT.split())
"""Operations whose result has the relative error of what they are of, and is 0 where that is."""
_SMOOTH = "add add_any atan cos erf erfc exp exp2 expm1 log logistic sin sinh cosh sub tanh"
SMOOTH = frozenset(_SMOOTH.split())
"""Operations whose result hardly changes where what they are of hardly does."""
SINGULAR_AT_ZERO = frozenset({"cbrt", "log", "pow", "rsqrt", "sqrt"})


class Needed(enum.IntEnum):
    """How a value must be worked out for the sake of what is made of it."""

    TO_THE_LAST_DIGIT_BUT_ONE = 0
    AND_ZERO_WHERE_IT_IS = 1
    EXACTLY = 2


def with_reciprocals(program: Program, early: Collection[int]) -> Program:
    """Return the program with fewer divisions.

    Args:
        program: a traced function, everything in it worked out once.
        early: the values that are known beforehand: to divide by them once is once too often.
    """
    # Quotients of what is known beforehand are worked out only once.
    untouched = _needed_exactly(program).union(early)
    divisors = [_divisor(step) if untouched.isdisjoint(step.outputs) else None for step in program.steps]
    counts = Counter(divisors)
    worth = {by for by in counts if by is not None and (by in early or counts[by] > 1)}
    shapes, types, steps = [*program.shapes], [*program.types], list[Step]()
    inverse: dict[int, int] = {}
    for step, by in zip(program.steps, divisors, strict=True):
        if by not in worth:
            steps.append(step)
            continue
        number = jax.ShapeDtypeStruct(program.shapes[by], program.types[by])

        def new(function: Callable[..., Array], *values: Any, number: Any = number) -> int:
            shapes.append(number.shape)
            types.append(number.dtype)
            steps.append(_step(function, values, len(shapes) - 1, number))
            return len(shapes) - 1

        if by not in inverse:
            inverse[by] = new(_four_by, by)
        if step.equation.primitive.name == "div":
            product = new(jax.lax.mul, step.inputs[0], inverse[by])
            steps.append(_step(_quarter, (product,), step.outputs[0], number))
        else:
            power = partial(jax.lax.integer_pow, y=-step.equation.params["y"])
            steps.append(_step(power, (new(_quarter, inverse[by]),), step.outputs[0], number))
    return program._replace(steps=tuple(steps), shapes=tuple(shapes), types=tuple(types))


def _divisor(step: Step) -> int | None:
    """Return what a step divides by, if that is a value of the program."""
    name, params = step.equation.primitive.name, step.equation.params
    by = step.inputs[-1] if name == "div" else step.inputs[0] if name == "integer_pow" and params["y"] < 0 else None
    shapes = {atom.aval.shape for atom in _variables(step)}
    floating = jnp.issubdtype(step.equation.outvars[0].aval.dtype, jnp.floating)
    return by if isinstance(by, int) and floating and shapes == {()} else None


def _needed_exactly(program: Program) -> set[int]:
    """Return the values that must be what they are to the last digit."""
    needed = dict.fromkeys(range(len(program.shapes)), Needed.TO_THE_LAST_DIGIT_BUT_ONE)
    for step in reversed(program.steps):
        result = max(needed[value] for value in step.outputs)
        for place, value in enumerate(step.inputs):
            if isinstance(value, int):
                needed[value] = max(needed[value], _needed_of(step, place, result))
    return {value for value, how in needed.items() if how is Needed.EXACTLY}


def _needed_of(step: Step, place: int, result: Needed) -> Needed:
    """Return how an input of a step must be worked out where its result is needed like that."""
    name, params = step.equation.primitive.name, step.equation.params
    same_type = name == "convert_element_type" and len({v.aval.dtype for v in _variables(step)}) == 1
    if result is Needed.EXACTLY:
        return Needed.EXACTLY
    if (name == "div" and place == 1) or (name == "integer_pow" and params["y"] < 0):
        return Needed.AND_ZERO_WHERE_IT_IS
    if name in AS_EXACT or name in ("div", "integer_pow") or same_type:
        return result
    if name in SINGULAR_AT_ZERO and place == 0 and (name != "log" or not result):  # that of 1 is 0
        return Needed.AND_ZERO_WHERE_IT_IS
    return Needed.TO_THE_LAST_DIGIT_BUT_ONE if name in SMOOTH and not result else Needed.EXACTLY


def _variables(step: Step) -> tuple[Any, ...]:
    return (*step.equation.invars, *step.equation.outvars)


def _four_by(x: Array) -> Array:
    """Return 4/x, for a quotient that is taken by 4 afterwards.

    The reciprocals of the largest numbers are below the smallest normal one, and those are 0 in compiled code. So it is
    the largest quotients that are lost: above a quarter of the largest number they are infinite.
    """
    return jax.lax.div(x.dtype.type(4), x)


def _quarter(x: Array) -> Array:
    return jax.lax.mul(x, x.dtype.type(0.25))


def _step(function: Callable[..., Array], values: tuple[Any, ...], output: int, number: jax.ShapeDtypeStruct) -> Step:
    """Return a step that is one operation on numbers, of which those not given are literally written in it."""
    equation = jax.make_jaxpr(function)(*(number,) * len(values)).eqns[-1]
    given = iter(values)
    inputs = tuple(atom if isinstance(atom, Literal) else next(given) for atom in equation.invars)
    return Step(equation, inputs, (output,))
