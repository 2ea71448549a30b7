"""Overlay given values on params, and check that values lie in their domains."""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from mle_jax._precision import is_traced
from mle_jax.parameters.declared import as_float
from mle_jax.parameters.layout import as_numbers, assignments, leaves_of, shape_text
from mle_jax.parameters.protocol import Declaration, Fault

if TYPE_CHECKING:
    from mle_jax.parameters.space import ParameterSpace


def merge_values(space: "ParameterSpace", base_params: Any, given: Any, *, what: str) -> Any:
    """Overlay given values on complete params; see `ParameterSpace.merge`."""
    found = assignments(space, given, what=what)
    leaves = [_cast(leaf, like=leaf) for leaf in leaves_of(space, base_params, what="params")]
    for i, value in found.leaves.items():
        whole = whole_leaf(space.declarations[i], value, space.leaf_names[i], what=what)
        leaves[i] = _cast(whole, like=leaves[i])
    for i, declared in enumerate(space.declarations):
        part = space.flat_slices[i]
        ours = {k - part.start: value for k, value in found.entries.items() if part.start <= k < part.stop}
        if ours:
            leaves[i] = _with_entries(leaves[i], declared, space.labels[i], ours, what)
    return space.rebuild([leaf[()] if isinstance(leaf, np.ndarray) else leaf for leaf in leaves])


def check_values(space: "ParameterSpace", params: Any, *, what: str, remedy: str) -> None:
    """Raise unless params has the declared layout and its concrete values lie in their domains."""
    leaves = leaves_of(space, params, what=what)
    for i, (declared, leaf) in enumerate(zip(space.declarations, leaves, strict=True)):
        fault = None if is_traced(leaf) else declared.fault(np.asarray(leaf))
        if fault is not None:
            raise ValueError(fault_text(space, i, fault, what=what, remedy=remedy))


def fault_text(space: "ParameterSpace", leaf: int, fault: Fault, *, what: str, remedy: str) -> str:
    """Build the sentence: what was given, what is allowed, what to do; in the names of the user."""
    declared, name = space.declarations[leaf], space.leaf_names[leaf]
    label = name if fault.entry is None else space.labels[leaf][fault.entry]
    target = label if declared.elementwise else name
    rule = f"but '{name}' is {type(declared).__name__}: it {fault.rule}"
    return f"{what} for '{label}' {fault.found}, {rule}; {remedy.replace('{name}', target)}"


def whole_leaf(declared: Declaration, value: Any, name: str, *, what: str) -> Any:
    """Bring a given value to the shape of a leaf; one number fills a leaf whose entries stand for themselves."""
    array = as_numbers(value, name, what=what)
    if array.shape == () and declared.elementwise:
        return (jnp if is_traced(array) else np).broadcast_to(array, declared.shape)
    if array.shape != declared.shape:
        raise ValueError(shape_text(what, name, array.shape, declared.shape))
    return array


def one_number(value: Any, label: str, *, what: str) -> Any:
    """Bring the value given for one entry to a 0-d array."""
    array = as_numbers(value, label, what=what)
    if array.shape != ():
        raise ValueError(shape_text(what, label, array.shape, ()))
    return array


def _with_entries(leaf: Any, declared: Declaration, labels: tuple[str, ...], given: dict[int, Any], what: str) -> Any:
    """Replace single entries of a leaf."""
    values = {k: one_number(value, labels[k], what=what) for k, value in given.items()}
    if not is_traced([leaf, *values.values()]):
        flat = np.array(declared.flatten(leaf))
        for k, value in values.items():
            flat[k] = value
        return declared.unflatten(flat)
    traced = declared.flatten(as_float(leaf))
    for k, value in values.items():
        traced = traced.at[k].set(jnp.asarray(value).astype(traced.dtype))
    return declared.unflatten(traced)


def _cast(array: Any, *, like: Any) -> Any:
    """Copy in the floating dtype of another array: NumPy, or JAX where one of the two is traced."""
    if is_traced([array, like]):
        return jnp.asarray(array).astype(as_float(like).dtype)
    return np.array(array, like.dtype if jnp.issubdtype(like.dtype, np.floating) else np.float64)
