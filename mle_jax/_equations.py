"""One equation of a traced program (jaxpr), applied again."""

from collections.abc import Sequence
from typing import Any


def apply_equation(equation: Any, values: Sequence[Any]) -> list[Any]:
    """Apply an equation to other values than those it was traced with, and return its outputs."""
    found = equation.primitive.get_bind_params(equation.params)
    functions, params = found if isinstance(found, tuple) else ((), found)  # by version of JAX
    result = equation.primitive.bind(*functions, *values, **params)
    return list(result) if equation.primitive.multiple_results else [result]
