"""Try a log density on shapes alone, and say in the user's words what is wrong with it.

`jax.eval_shape` runs the user's function once without numbers: cheap, and before anything is compiled.
"""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax._text import listing
from mle_jax._tracing_errors import advice_on, place_of
from mle_jax._trees import named_leaves

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model


def probe(
    function: Callable[..., Any],
    params: Any,
    row: Any,
    *,
    kind: str,
    owner: str | None = None,
    vectors: Collection[str] = (),
    scalar_only: bool = True,
) -> None:
    """Run a log density on shapes alone and raise a clear error where it cannot work.

    Args:
        function: ``function(params, row)``.
        params: pytree of arrays or shapes.
        row: one observation (the whole dataset of a joint likelihood), arrays or shapes.
        kind: what to call the function: "log_density" or "log_likelihood".
        owner: the name of the model, if it has one; else the function is called by its own name.
        vectors: leaves of the row that are known to be arrays.
        scalar_only: False where an array (n,) of contributions is allowed as well.

    Raises:
        TypeError: Python control flow, NumPy or number conversions on traced values, or a result that is not a
            real scalar.
        KeyError: a name that is neither in the parameters nor in the data.
    """
    shapes = jax.tree_util.tree_map(abstract, (params, row))
    context = f"params {describe(shapes[0])}; {'one row' if scalar_only else 'data'} {describe(shapes[1])}"
    own_name = getattr(function, "__name__", type(function).__name__)
    name = f"{kind} ({own_name})" if owner is None else f"{kind} of {owner}"
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
    leaves = named_leaves(row)  # in the user's order, which the map above does not keep
    like = [name for name, leaf in zip(leaves.names, leaves.leaves, strict=True) if jnp.shape(leaf) == _shape(result)]
    _check_result(result, name, context, scalar_only, suspects=[leaf for leaf in like if leaf not in vectors])


def on_data(model: "Model", role: str, data: Any, *more: Any, **options: Any) -> Any:
    """Call a function of a model that sees the whole dataset, and tell an error in its words.

    Args:
        model: the model.
        role: the attribute that is the function: "start" or "closed_form".
        data: the dataset.
        more: further arguments.
        options: further arguments by name.

    Raises:
        KeyError: the function reads a leaf that the data do not have.
    """
    name = f"{role} of {model.label}"
    try:
        return getattr(model, role)(data, *more, **options)
    except KeyError as error:
        known = listing(named_leaves(data).names)
        raise KeyError(f"{name} reads {error}, which is not there; the data have {known}") from error
    except Exception as error:
        error.add_note(f"This happened inside {name}, called with data {describe(data)}.")
        raise


def _shape(result: Any) -> tuple[int, ...] | None:
    return tuple(result.shape) if isinstance(result, jax.ShapeDtypeStruct) else None


def _check_result(result: Any, name: str, context: str, scalar_only: bool, *, suspects: Sequence[str]) -> None:
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
    if scalar_only and suspects:
        hint = f"{_on_data(suspects, result.shape)}; otherwise {hint}"
    raise TypeError(
        f"{name} returned an array of shape {result.shape}, but it must return {allowed}; {hint} ({context})"
    )


def _on_data(suspects: Sequence[str], shape: tuple[int, ...]) -> str:
    """Say that leaves of the data may have axes too many: the likely cause where the log density is not the user's."""
    given = ", ".join(["n", *map(str, shape)])
    place = f"with shape (n,) in place of ({given})"
    if len(suspects) > 1:
        return f"a row of {listing(suspects)} has that shape: if they should be one number each, pass them {place}"
    single = f", such as {suspects[0]}[:, 0]" if shape == (1,) else ""
    return f"a row of '{suspects[0]}' has that shape: if it should be one number, pass '{suspects[0]}' {place}{single}"


def abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    """Return the shape and the canonical dtype of an array, a number or a tracer."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    return jax.ShapeDtypeStruct(jnp.shape(leaf), jax.dtypes.canonicalize_dtype(_known_dtype(leaf)))


def _known_dtype(leaf: Any) -> Any:
    """Return the type of numbers, of those that JAX does not know the one to which they are converted."""
    dtype = getattr(leaf, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize > np.dtype(np.float64).itemsize:
        return np.float64
    if isinstance(dtype, np.dtype) and not dtype.isnative:  # as in FITS files
        return dtype.newbyteorder("=")
    return jnp.result_type(leaf)


def describe(tree: Any) -> str:
    """List the leaves of a pytree with their shapes: ``x (3,), y ()``."""
    named = named_leaves(tree, root="value")
    return ", ".join(f"{name} {tuple(jnp.shape(leaf))}" for name, leaf in zip(named.names, named.leaves, strict=True))
