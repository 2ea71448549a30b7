"""How many points fit into memory together: read off the traced program, never found by running out."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array

LIVE = 4
"""Copies of its largest intermediate array that a fused program is assumed to hold at once."""


def batch_size(function: Callable[..., Array], arguments: Sequence[Any], *, memory: int, most: int) -> int:
    """Return how many evaluations of a function may be vectorised together.

    Only arrays that depend on the arguments are multiplied by vectorising; the data are not.

    Args:
        function: traceable; its data are closed over.
        arguments: one set of arguments, or tracers of their shapes.
        memory: bytes that the vectorised arrays may take.
        most: upper limit of the result.
    """
    program = jax.make_jaxpr(function)(*arguments).jaxpr
    heaviest = _heaviest(program, [True] * len(program.invars))
    return int(np.clip(memory // max(LIVE * heaviest, 1), 1, most))


def _heaviest(program: Any, varying: Sequence[bool]) -> int:
    """Return the bytes of the largest array in a jaxpr that depends on the inputs marked as varying."""
    dependent = {variable for variable, varies in zip(program.invars, varying, strict=True) if varies}
    largest = 0
    for equation in program.eqns:
        # Literals have no identity worth tracking (and need not be hashable).
        flags = [not hasattr(v, "val") and v in dependent for v in equation.invars]
        if not any(flags):
            continue
        dependent.update(equation.outvars)
        inner = [sub for value in equation.params.values() for sub in _programs(value)]
        for sub in inner:
            same = len(sub.invars) == len(flags) and len(inner) == 1
            largest = max(largest, _heaviest(sub, flags if same else [True] * len(sub.invars)))
        largest = max(largest, *(_bytes(variable.aval) for variable in equation.outvars))
    return largest


def _programs(value: Any) -> list[Any]:
    """Return the jaxprs inside a parameter of an equation."""
    if hasattr(value, "eqns"):
        return [getattr(value, "jaxpr", value)]
    if isinstance(value, tuple | list):
        return [program for entry in value for program in _programs(entry)]
    return []


def _bytes(aval: Any) -> int:
    shape = getattr(aval, "shape", ())
    itemsize = getattr(getattr(aval, "dtype", None), "itemsize", 8)
    return int(np.prod(shape, dtype=np.int64)) * int(itemsize)
