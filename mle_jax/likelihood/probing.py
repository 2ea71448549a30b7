"""Try a log density on shapes alone, and say in the user's words what is wrong with it.

`jax.eval_shape` runs the user's function once without numbers: cheap, and before anything is compiled.
"""

import traceback
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import errors

from mle_jax._text import listing
from mle_jax._trees import named_leaves

_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (
        errors.TracerBoolConversionError,
        "uses a Python condition (if, and, or, not, while, min, max) on a value that is not known while JAX compiles; "
        "write jnp.where(condition, a, b), jnp.logical_and, jnp.minimum and the like",
    ),
    (
        errors.TracerArrayConversionError,
        "hands a traced value to NumPy, SciPy or another library that needs numbers; use the functions of jax.numpy "
        "and jax.scipy instead",
    ),
    (
        errors.TracerIntegerConversionError,
        "uses a traced value as a Python integer (an index of a list, a range, a shape); turn the list into an array "
        "with jnp.asarray and index that",
    ),
    (
        errors.NonConcreteBooleanIndexError,
        "selects with a boolean mask, whose size is not known while JAX compiles; write jnp.where(mask, value, 0.0)",
    ),
    (
        errors.ConcretizationTypeError,
        "turns a traced value into a Python number (float(), int(), a function of the math module); leave it an array "
        "and use jax.numpy",
    ),
)


def probe(function: Callable[..., Any], params: Any, row: Any, *, kind: str, scalar_only: bool = True) -> None:
    """Run a log density on shapes alone and raise a clear error where it cannot work.

    Args:
        function: ``function(params, row)``.
        params: pytree of arrays or shapes.
        row: one observation (the whole dataset of a joint likelihood), arrays or shapes.
        kind: what to call the function: "log_density" or "log_likelihood".
        scalar_only: False where an array (n,) of contributions is allowed as well.

    Raises:
        TypeError: Python control flow, NumPy or number conversions on traced values, or a result that is not a
            real scalar.
        KeyError: a name that is neither in the parameters nor in the data.
    """
    shapes = jax.tree_util.tree_map(abstract, (params, row))
    context = f"params {describe(shapes[0])}; {'one row' if scalar_only else 'data'} {describe(shapes[1])}"
    name = f"{kind} ({getattr(function, '__name__', type(function).__name__)})"
    try:
        result = jax.eval_shape(function, *shapes)
    except KeyError as error:
        known = listing(named_leaves(shapes[0]).names), listing(named_leaves(shapes[1]).names)
        raise KeyError(
            f"{name} reads {error}, which is not there; params has {known[0]} and the data have {known[1]}"
        ) from error
    except Exception as error:
        advice = next((text for kind_of, text in _ADVICE if isinstance(error, kind_of)), None)
        if advice is not None:
            raise TypeError(f"{name} {advice}{_place(function, error)}") from error
        error.add_note(f"This happened inside {name}{_place(function, error)}, called with {context}.")
        raise
    _check_result(result, name, context, scalar_only)


def _check_result(result: Any, name: str, context: str, scalar_only: bool) -> None:
    allowed = "one real number for one observation" if scalar_only else "one real number or an array (n,)"
    if not isinstance(result, jax.ShapeDtypeStruct):
        raise TypeError(
            f"{name} returned a {type(result).__name__}, but it must return {allowed}; "
            f"return a single jax.numpy value ({context})"
        )
    if not jnp.issubdtype(result.dtype, jnp.floating):
        raise TypeError(
            f"{name} returned a value of type {result.dtype}, but it must return {allowed}; "
            "check that the parameters enter it and that every branch returns a floating-point number"
        )
    if result.shape == () or (not scalar_only and len(result.shape) == 1):
        return
    hint = (
        "the library calls it for every row and adds up the results, so write it for a single row (index or sum what "
        "is left over, for instance params['w'][0] or .sum())"
        if scalar_only
        else "sum over the axes that are left"
    )
    raise TypeError(
        f"{name} returned an array of shape {result.shape}, but it must return {allowed}; {hint} ({context})"
    )


def abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    """Return the shape and the canonical dtype of an array, a number or a tracer."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    return jax.ShapeDtypeStruct(jnp.shape(leaf), jax.dtypes.canonicalize_dtype(jnp.result_type(leaf)))


def describe(tree: Any) -> str:
    """List the leaves of a pytree with their shapes: ``x (3,), y ()``."""
    named = named_leaves(tree, root="value")
    return ", ".join(f"{name} {tuple(jnp.shape(leaf))}" for name, leaf in zip(named.names, named.leaves, strict=True))


def _place(function: Callable[..., Any], error: Exception) -> str:
    """Say where in the user's own file it happened, when that can be told."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == code.co_filename]
    if not frames:
        return ""
    return f" (line {frames[-1].lineno}: {frames[-1].line})" if frames[-1].line else f" (line {frames[-1].lineno})"
