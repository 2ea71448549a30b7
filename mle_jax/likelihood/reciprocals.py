"""Quotients as products: one reciprocal where several divide by the same, or by what all rows have in common.

A processor divides at a tenth of the speed at which it multiplies, and derivatives are full of quotients: Student's
logarithmic density with its own has fifteen. A product with a reciprocal may differ from the quotient in the last
digit. Where that could be seen, in a comparison or in what is rounded to a whole number, the quotient stays as it is.
"""

from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.likelihood.traced import Program, Step, numbers

_JUMPS = "ceil convert_element_type eq floor ge gt is_finite le lt ne rem round sign"
JUMPS = frozenset(_JUMPS.split())
"""Operations whose result may jump where what they are of hardly changes."""


def with_reciprocals(program: Program, early: Collection[int]) -> Program:
    """Return the program with fewer divisions.

    Args:
        program: a traced function, everything in it worked out once.
        early: the values that are known beforehand: to divide by them once is once too often.
    """
    # Quotients of what is known beforehand are worked out only once.
    untouched = _seen_exactly(program).union(early)
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
        if by not in inverse:
            inverse[by] = len(shapes)
            shapes.append(number.shape)
            types.append(number.dtype)
            divide = _equation(lambda x: jax.lax.div(jnp.ones((), x.dtype), x), number)
            steps.append(Step(divide, (divide.invars[0], by), (inverse[by],)))
        if step.equation.primitive.name == "div":
            steps.append(Step(_equation(jax.lax.mul, number, number), (step.inputs[0], inverse[by]), step.outputs))
        else:
            power = partial(jax.lax.integer_pow, y=-step.equation.params["y"])
            steps.append(Step(_equation(power, number), (inverse[by],), step.outputs))
    return program._replace(steps=tuple(steps), shapes=tuple(shapes), types=tuple(types))


def _divisor(step: Step) -> int | None:
    """Return what a step divides by, if that is a value of the program."""
    name, params = step.equation.primitive.name, step.equation.params
    by = step.inputs[-1] if name == "div" else step.inputs[0] if name == "integer_pow" and params["y"] < 0 else None
    shapes = {atom.aval.shape for atom in (*step.equation.invars, *step.equation.outvars)}
    floating = jnp.issubdtype(step.equation.outvars[0].aval.dtype, jnp.floating)
    return by if isinstance(by, int) and floating and shapes == {()} else None


def _seen_exactly(program: Program) -> set[int]:
    """Return the values on which something depends that may jump."""
    seen: set[int] = set()
    for step in reversed(program.steps):
        if step.equation.primitive.name in JUMPS or not seen.isdisjoint(step.outputs):
            seen |= numbers(step.inputs)
    return seen


def _equation(function: Callable[..., Array], *numbers: jax.ShapeDtypeStruct) -> Any:
    """Return the last equation of a function of numbers, its only one but for constants."""
    return jax.make_jaxpr(function)(*numbers).eqns[-1]
