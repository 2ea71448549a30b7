"""A traced function as a list of steps over numbered values, so that it can be taken apart.

What must be worked out for a value, what does not depend on some of the arguments, and what is worked out twice can all
be read from the steps. What is left of them is run step by step, by JAX, and may be differentiated, batched and
compiled.

Source: Aho, Lam, Sethi and Ullman (2006), Compilers, 2nd edition, section 8.5.1, for value numbers.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import Literal

from mle_jax._equations import CALLS, CALLS_OR_RULES, apply_equation
from mle_jax.likelihood.separate import apply_to_numbers, are_numbers


class Step(NamedTuple):
    """One equation of the program, calls taken apart."""

    equation: Any
    inputs: tuple[Any, ...]  # the number of a value, or a Literal
    outputs: tuple[int, ...]


class Program(NamedTuple):
    """A traced function of arrays; the arguments are the values 0, 1, ..."""

    steps: tuple[Step, ...]
    shapes: tuple[tuple[int, ...], ...]  # of all values
    types: tuple[Any, ...]
    constants: dict[int, Any]
    results: tuple[Any, ...]  # the numbers of values, or Literals

    def size(self, value: int) -> int:
        """Return of how many numbers a value consists."""
        return int(np.prod(self.shapes[value], dtype=int))


def trace(function: Callable[..., Any], *arguments: Any, differentiable: bool = True) -> Program:
    """Trace a function of arrays, or descriptions of arrays, which returns an array or a tuple of arrays.

    Args:
        function: of arrays.
        arguments: arrays or their descriptions.
        differentiable: keep the derivatives that functions have by rules of their own; without, these functions are
            taken apart as well.
    """
    closed = jax.make_jaxpr(function)(*arguments)
    calls = CALLS if differentiable else CALLS_OR_RULES
    shapes: list[tuple[int, ...]] = []
    types: list[Any] = []
    steps: list[Step] = []
    constants: dict[int, Any] = {}

    def new(variable: Any) -> int:
        shapes.append(tuple(variable.aval.shape))
        types.append(variable.aval.dtype)
        return len(shapes) - 1

    def constant(variable: Any, value: Any) -> int:
        number = new(variable)
        constants[number] = value
        return number

    def follow(jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        known: dict[Any, Any] = dict(zip(jaxpr.invars, inputs, strict=True))
        known |= {variable: constant(variable, value) for variable, value in zip(jaxpr.constvars, consts, strict=True)}

        def read(atom: Any) -> Any:
            return atom if isinstance(atom, Literal) else known[atom]

        for equation in jaxpr.eqns:
            inner = equation.params.get(calls.get(equation.primitive.name, ""))
            if inner is not None:
                outputs = follow(inner.jaxpr, inner.consts, [read(atom) for atom in equation.invars])
            else:
                outputs = [new(variable) for variable in equation.outvars]
                steps.append(Step(equation, tuple(read(atom) for atom in equation.invars), tuple(outputs)))
            known |= dict(zip(equation.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    inputs = [new(variable) for variable in closed.jaxpr.invars]
    results = follow(closed.jaxpr, closed.consts, inputs)
    return Program(tuple(steps), tuple(shapes), tuple(types), constants, tuple(results))


def work_out(
    program: Program,
    known: dict[int, Any],
    wanted: Sequence[Any],
    apply: Callable[[Any, Sequence[Any]], list[Any]] = apply_equation,
) -> list[Any]:
    """Evaluate the values wanted from those known, by the steps that they need.

    A value may be known as separate numbers, an array of objects: see `mle_jax.likelihood.separate`. Equations are
    applied to all others as `apply` does it.
    """
    known = {**program.constants, **known}
    for step in steps_to(program, known.keys(), wanted):
        inputs = [value.val if isinstance(value, Literal) else known[value] for value in step.inputs]
        outputs = apply_to_numbers(step.equation, inputs) if any(map(are_numbers, inputs)) else None
        known |= dict(zip(step.outputs, outputs or apply(step.equation, inputs), strict=True))
    return [value.val if isinstance(value, Literal) else known[value] for value in wanted]


def steps_to(program: Program, known: Iterable[int], wanted: Sequence[Any]) -> list[Step]:
    """Return the steps, in order, that lead from values known to those wanted."""
    known = {*known, *program.constants}
    missing = numbers(wanted) - known
    steps = []
    for step in reversed(program.steps):
        if missing.intersection(step.outputs):
            steps.append(step)
            missing.difference_update(step.outputs)
            missing |= numbers(step.inputs) - known
    return steps[::-1]


def numbers(atoms: Iterable[Any]) -> set[int]:
    """Return the values among inputs or results, without what is literally written there."""
    return {atom for atom in atoms if not isinstance(atom, Literal)}


def depends(program: Program, arguments: Iterable[int]) -> list[bool]:
    """Say of every value whether it depends on one of these arguments."""
    found = [False] * len(program.shapes)
    for argument in arguments:
        found[argument] = True
    for step in program.steps:
        follows = any(found[value] for value in numbers(step.inputs))
        for output in step.outputs:
            found[output] = follows
    return found


def without_repetitions(program: Program) -> Program:
    """Return the program with everything worked out once: no two steps do the same to the same values."""
    same: dict[int, int] = {}
    seen: dict[Any, tuple[int, ...]] = {}
    steps = []

    def first(atom: Any) -> Any:
        return atom if isinstance(atom, Literal) else same.get(atom, atom)

    for step in program.steps:
        inputs = tuple(first(atom) for atom in step.inputs)
        key = step.equation.primitive, tuple(sorted(step.equation.params.items())), tuple(map(_key, inputs))
        try:
            earlier = seen.setdefault(key, step.outputs)
        except TypeError:  # what cannot be compared is kept
            earlier = step.outputs
        if earlier is step.outputs:
            steps.append(step._replace(inputs=inputs))
        else:
            same |= dict(zip(step.outputs, earlier, strict=True))
    return program._replace(steps=tuple(steps), results=tuple(first(atom) for atom in program.results))


def _key(atom: Any) -> Any:
    if not isinstance(atom, Literal):
        return atom
    value = np.asarray(atom.val)
    return value.dtype.name, value.shape, value.tobytes()  # bytes: 0.0 is not -0.0, and NaN is NaN
