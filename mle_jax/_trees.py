"""Name the leaves of a pytree, in the order in which the user wrote them.

JAX sorts dictionary keys when it flattens; tables and matrices of this library keep the order of declaration.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    names = tuple(name or root for name, _ in pairs)
    return NamedLeaves(names, tuple(leaf for _, leaf in pairs), lambda leaves: _replace(tree, is_leaf, iter(leaves)))


def in_order(tree: Any, names: Sequence[str], prefix: str = "") -> Any:
    """Sort the keys of a nested dict by the order of the leaf names; JAX hands dicts back in alphabetical order."""
    if type(tree) is not dict:
        return tree
    paths = {key: f"{prefix}.{key}" if prefix else str(key) for key in tree}
    place = {key: next(i for i, n in enumerate(names) if f"{n}.".startswith(f"{path}.")) for key, path in paths.items()}
    return {key: in_order(tree[key], names, paths[key]) for key in sorted(tree, key=place.__getitem__)}


def entry_names(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Name the entries of an array leaf: ``w[0]``, ``S[1,0]``, or the bare name of a scalar."""
    if not shape:
        return (name,)
    return tuple(f"{name}[{','.join(map(str, index))}]" for index in product(*map(range, shape)))


def lists_to_arrays(tree: Any) -> Any:
    """Turn lists of single values inside dicts into arrays: ``{"y": [1.0, 2.0]}`` is meant as one leaf, not as two."""
    if type(tree) is dict:
        return {key: lists_to_arrays(value) for key, value in tree.items()}
    return np.asarray(tree) if isinstance(tree, list) and _is_flat(tree) else tree


def _is_flat(entries: list[Any]) -> bool:
    """Say whether a list, or a list of lists, ends in single values and not in arrays or further containers."""
    nested = (_is_flat(entry) if isinstance(entry, list) else np.isscalar(entry) or entry is None for entry in entries)
    return all(nested)


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


def _replace(node: Any, is_leaf: Callable[[Any], bool] | None, leaves: Iterator[Any]) -> Any:
    """Put other leaves in place, visiting them in the order of `_walk`, so that dicts keep their order."""
    if is_leaf is not None and is_leaf(node):
        return next(leaves)
    if node is None:
        return None
    if isinstance(node, Mapping):
        replaced = {key: _replace(value, is_leaf, leaves) for key, value in node.items()}
        return type(node)(replaced)  # type: ignore[call-arg]
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return type(node)(*(_replace(value, is_leaf, leaves) for value in node))
    if isinstance(node, list | tuple):
        return type(node)(_replace(value, is_leaf, leaves) for value in node)
    return jax.tree_util.tree_map(lambda _: next(leaves), node, is_leaf=is_leaf)
