"""Equations of traced programs (jaxprs): applied again, and what is known of their operations."""

from collections.abc import Sequence
from typing import Any

import jax

_ELEMENTWISE = (
    "abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp convert_element_type copy cos cosh "
    "digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt integer_pow is_finite le lgamma log log1p logistic lt "
    "max min mul ne neg not or pow rem round rsqrt select_n sign sin sinh sqrt square sub tan tanh xor"
)
ELEMENTWISE = frozenset(_ELEMENTWISE.split())
"""Operations on every number of an array by itself, by JAX's name."""
CALLS = {"jit": "jaxpr", "pjit": "jaxpr"}
CALLS_OR_RULES = {**CALLS, "closed_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr"}
"""Operations that hold a program, and the name of the parameter that it is; the latter may have derivatives by rule."""


def inner_programs(equation: Any) -> list[Any]:
    """Return the programs that an equation holds."""
    found = jax.tree_util.tree_leaves(list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns"))
    return [leaf for leaf in found if hasattr(leaf, "eqns")]


def apply_equation(equation: Any, values: Sequence[Any]) -> list[Any]:
    """Apply an equation to other values than those it was traced with, and return its outputs."""
    found = equation.primitive.get_bind_params(equation.params)
    functions, params = found if isinstance(found, tuple) else ((), found)  # by version of JAX
    result = equation.primitive.bind(*functions, *values, **params)
    return list(result) if equation.primitive.multiple_results else [result]
