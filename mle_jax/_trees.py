"""Name the leaves of a pytree, in the order in which the user wrote them.

JAX sorts dictionary keys when it flattens; tables and matrices of this library keep the order of declaration.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

import jax
import numpy as np


class NamedLeaves(NamedTuple):
    """The leaves of a pytree with their names and the way back."""

    names: tuple[str, ...]
    leaves: tuple[Any, ...]
    rebuild: Callable[[Any], Any]
    """Take the leaves (a sequence in the same order) and return a pytree of the original layout."""


def named_leaves(tree: Any, *, is_leaf: Callable[[Any], bool] | None = None, root: str = "") -> NamedLeaves:
    """Flatten a pytree in declaration order and name each leaf by its path.

    Nested names are joined by dots: ``{"a": {"b": 1}}`` has the leaf ``a.b``, ``(1, 2)`` the leaves ``0`` and ``1``.

    Args:
        tree: any pytree.
        is_leaf: says which nodes to treat as leaves, as in ``jax.tree_util``.
        root: the name of the leaf when the whole tree is a single leaf.
    """
    pairs = list(_walk(tree, is_leaf, ""))
    treedef = jax.tree_util.tree_structure(tree, is_leaf=is_leaf)
    # JAX's own order, found by flattening the tree with every leaf replaced by its position in ours.
    counter = iter(range(len(pairs)))
    positions = _replace(tree, is_leaf, counter)
    jax_order = jax.tree_util.tree_leaves(positions)

    def rebuild(leaves: Any) -> Any:
        return jax.tree_util.tree_unflatten(treedef, [leaves[i] for i in jax_order])

    names = tuple(name or root for name, _ in pairs)
    return NamedLeaves(names, tuple(leaf for _, leaf in pairs), rebuild)


def entry_names(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Name the entries of an array leaf: ``w[0]``, ``S[1,0]``, or the bare name of a scalar."""
    if not shape:
        return (name,)
    return tuple(f"{name}[{','.join(map(str, index))}]" for index in product(*map(range, shape)))


def lists_to_arrays(tree: Any) -> Any:
    """Turn lists of numbers inside mappings into arrays: ``{"y": [1.0, 2.0]}`` is meant as one leaf, not as two."""
    if isinstance(tree, Mapping) and type(tree) is dict:
        return {key: lists_to_arrays(value) for key, value in tree.items()}
    if isinstance(tree, list) and tree and all(_is_numbers(entry) for entry in tree):
        return np.asarray(tree)
    return np.empty(0) if isinstance(tree, list) and not tree else tree


def _is_numbers(entry: Any) -> bool:
    if isinstance(entry, list):
        return all(_is_numbers(inner) for inner in entry)
    return isinstance(entry, int | float | np.number | np.bool_)


def _children(node: Any) -> list[tuple[str, Any]] | None:
    """Return the named children of one node in declaration order, or None for a leaf."""
    if isinstance(node, Mapping):
        return [(str(key), value) for key, value in node.items()]
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return list(zip(node._fields, node, strict=True))
    if isinstance(node, list | tuple):
        return [(str(i), value) for i, value in enumerate(node)]
    return None


def _walk(node: Any, is_leaf: Callable[[Any], bool] | None, prefix: str) -> Iterator[tuple[str, Any]]:
    if is_leaf is not None and is_leaf(node):
        yield prefix, node
        return
    if node is None:
        return
    children = _children(node)
    if children is not None:
        for key, child in children:
            yield from _walk(child, is_leaf, f"{prefix}.{key}" if prefix else key)
        return
    # Any other registered node (a dataclass, say) keeps JAX's order; a plain leaf comes back as itself.
    for path, leaf in jax.tree_util.tree_flatten_with_path(node, is_leaf=is_leaf)[0]:
        parts = [prefix, *(_key_text(key) for key in path)]
        yield ".".join(part for part in parts if part), leaf


def _key_text(key: Any) -> str:
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))


def _replace(node: Any, is_leaf: Callable[[Any], bool] | None, counter: Iterator[int]) -> Any:
    """Put running numbers in place of the leaves, visiting them in the order of `_walk`."""
    if is_leaf is not None and is_leaf(node):
        return next(counter)
    if node is None:
        return None
    if isinstance(node, Mapping):
        # Rebuilt through JAX so that any registered mapping type comes back as itself.
        replaced = {key: _replace(value, is_leaf, counter) for key, value in node.items()}
        return type(node)(replaced)  # type: ignore[call-arg]
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return type(node)(*(_replace(value, is_leaf, counter) for value in node))
    if isinstance(node, list | tuple):
        return type(node)(_replace(value, is_leaf, counter) for value in node)
    return jax.tree_util.tree_map(lambda _: next(counter), node, is_leaf=is_leaf)
