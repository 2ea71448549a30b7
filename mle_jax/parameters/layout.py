"""Find out which parameter each piece of a user's pytree or dict means."""

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax._precision import is_traced
from mle_jax._text import listing

if TYPE_CHECKING:
    from mle_jax.parameters.space import ParameterSpace


class Assignments(NamedTuple):
    """What was given, sorted out."""

    leaves: dict[int, Any]
    """Position of the leaf -> value of the whole leaf."""
    entries: dict[int, Any]
    """Position in the flat vector -> value of one entry."""


def assignments(space: "ParameterSpace", given: Any, *, what: str) -> Assignments:
    """Assign every piece of a full, partial or name-keyed pytree to a leaf or an entry.

    None, for the whole or for a part, means that nothing is given there.
    """
    leaf_at = {name: i for i, name in enumerate(space.leaf_names)}
    entry_at = {name: i for i, name in enumerate(space.names)}
    found = Assignments({}, {})
    unknown = []
    single = jax.tree_util.treedef_is_leaf(space.treedef)
    if given is None:
        return found
    if single and not isinstance(given, Mapping):
        return found._replace(leaves={0: given})
    for path, value in _pieces(space, given, "", what):
        target, at = (found.leaves, leaf_at) if path in leaf_at else (found.entries, entry_at)
        if path not in at:
            unknown.append(path)
        elif at[path] in target:
            raise ValueError(f"{what} gives '{path}' twice; give it once")
        else:
            target[at[path]] = value
    if unknown:
        raise ValueError(unknown_text(space, unknown, what))
    return found


def leaves_of(space: "ParameterSpace", params: Any, *, what: str) -> list[Any]:
    """Return the leaves of complete params in the order of declaration, as arrays of the declared shapes.

    Raises:
        ValueError: if a parameter is missing or unknown, or a shape is not the declared one.
        TypeError: if a leaf is not made of real numbers.
    """
    try:
        in_jax_order = space.treedef.flatten_up_to(params)
    except (ValueError, TypeError) as error:
        _explain_layout(space, params, what)
        names = listing(space.leaf_names)
        raise ValueError(f"{what} is not laid out as the parameters {names} were declared: {error}") from error
    leaves: list[Any] = [None] * len(in_jax_order)
    for position, leaf in zip(space.order, in_jax_order, strict=True):
        leaves[position] = leaf
    arrays = [as_numbers(leaf, name, what=what) for name, leaf in zip(space.leaf_names, leaves, strict=True)]
    for name, declared, array in zip(space.leaf_names, space.declarations, arrays, strict=True):
        if array.shape != declared.shape:
            raise ValueError(shape_text(what, name, array.shape, declared.shape))
    return arrays


def as_numbers(value: Any, label: str, *, what: str) -> Any:
    """Return real numbers as an array: JAX for JAX arrays and traced values, else NumPy.

    Raises:
        TypeError: if they are not real numbers.
    """
    try:
        array = jnp.asarray(value) if is_traced(value) or isinstance(value, jax.Array) else np.asarray(value)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if not any(jnp.issubdtype(array.dtype, kind) for kind in (np.floating, np.integer)):
        raise TypeError(f"{what} for '{label}' is {_shown(value)}; pass a real number or an array of them")
    return array


def shape_text(what: str, label: str, given: tuple[int, ...], needed: tuple[int, ...]) -> str:
    """Say that a shape does not fit."""
    needs = "one number" if needed == () else f"an array of shape {needed}"
    return f"{what} for '{label}' has shape {given}, but '{label}' has shape {needed}; pass {needs}"


def _pieces(space: "ParameterSpace", node: Any, path: str, what: str) -> Iterator[tuple[str, Any]]:
    """Walk down to the nodes whose path is a name, or as far as the path could still become one."""
    inside = [name for name in space.leaf_names if not path or name.startswith(f"{path}.")]
    if path in space.leaf_names or not inside:
        if node is not None:
            yield path, node
        return
    children = _children(node)
    if children is None:
        place = f"{what} for '{path}'" if path else what
        raise ValueError(f"{place} is {_shown(node)}, but holds {listing(inside)}; pass a dict (or the like) of these")
    for key, child in children:
        yield from _pieces(space, child, f"{path}.{key}" if path else key, what)


def _children(node: Any) -> list[tuple[str, Any]] | None:
    """The named children of one node, whatever kind of pytree it is, or None for a leaf."""
    if isinstance(node, Mapping):
        return [(str(key), child) for key, child in node.items()]
    pairs = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda child: child is not node)[0]
    if len(pairs) == 1 and not pairs[0][0]:
        return None
    return [(jax.tree_util.keystr(keys, simple=True), child) for keys, child in pairs]


def _explain_layout(space: "ParameterSpace", params: Any, what: str) -> None:
    """Raise with the names of the parameters that are unknown or missing, if that is what is wrong."""
    found = assignments(space, params, what=what)
    missing = [name for i, name in enumerate(space.leaf_names) if i not in found.leaves]
    if missing:
        raise ValueError(f"{what} lacks {listing(missing)}; the parameters are {listing(space.leaf_names)}")


def unknown_text(space: "ParameterSpace", unknown: list[str], what: str) -> str:
    """Say which names are no parameters and which were perhaps meant."""
    verb = "which is no parameter" if len(unknown) == 1 else "which are no parameters"
    text = f"{what} names {listing(unknown)}, {verb}; the parameters are {listing(space.leaf_names)}"
    stem = unknown[0].partition("[")[0]
    if stem in space.leaf_names:
        return f"{text}, and the entries of '{stem}' are {listing(space.labels[space.leaf_names.index(stem)])}"
    close = difflib.get_close_matches(unknown[0], (*space.leaf_names, *space.names), n=1)
    return f"{text}; did you mean '{close[0]}'?" if close else text


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
