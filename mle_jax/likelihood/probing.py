"""Try a log density on shapes alone, and say in the user's words what is wrong with it.

`jax.eval_shape` runs the user's function once without numbers: cheap, and before anything is compiled.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mle_jax._text import listing
from mle_jax._tracing_errors import advice_on, place_of
from mle_jax._trees import named_leaves


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
        advice = advice_on(function, error, name)
        if advice is not None:
            raise TypeError(advice) from error
        error.add_note(f"This happened inside {name}{place_of(function, error)}, called with {context}.")
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
