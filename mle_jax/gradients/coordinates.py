"""Parameters as one flat vector of named coordinates, and data as arrays of the working precision."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mle_jax._text import listing
from mle_jax._trees import entry_names, lists_to_arrays, named_leaves

Vector = NDArray[np.float64]

DTYPES = ("float64", "float32")


@dataclass(frozen=True)
class Coordinates:
    """The named coordinates of a pytree of parameters, in the order of declaration."""

    names: tuple[str, ...]
    """One per coordinate: ``w[0]``, ``sigma``."""
    leaf_names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    """One per leaf."""
    positions: Any
    """A pytree like the parameters that holds the position of every entry in the flat vector."""
    rebuild: Callable[[Any], Any]

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return len(self.names)

    @property
    def is_bare(self) -> bool:
        """Whether the parameters are a single array rather than a container of arrays."""
        return isinstance(self.positions, np.ndarray)

    @property
    def slices(self) -> dict[str, slice]:
        """The piece of the flat vector that belongs to each leaf."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        return {
            name: slice(int(end) - int(np.prod(shape)), int(end))
            for name, shape, end in zip(self.leaf_names, self.shapes, ends, strict=True)
        }

    def tree(self, vector: Any) -> Any:
        """Lay a flat vector out like the parameters, as NumPy arrays; scalars as NumPy scalars."""
        vector = np.asarray(vector)
        pieces = zip(self.slices.values(), self.shapes, strict=True)
        return self.rebuild([vector[piece].reshape(shape)[()] for piece, shape in pieces])

    def flat(self, tree: Any, what: str) -> Vector:
        """Flatten another pytree of the same layout.

        Raises:
            ValueError: its leaves differ in name or shape; `what` says whose they are.
        """
        named = named_leaves(tree, root=self.leaf_names[0])
        if sorted(named.names) != sorted(self.leaf_names):
            raise ValueError(
                f"{what} has the leaves {listing(named.names)}, but params has {listing(self.leaf_names)}; "
                "lay it out like params"
            )
        leaves = dict(zip(named.names, named.leaves, strict=True))
        for name, shape in zip(self.leaf_names, self.shapes, strict=True):
            if np.shape(leaves[name]) != shape:
                raise ValueError(
                    f"{what} has shape {np.shape(leaves[name])} in {name!r}, but params has {shape}; "
                    "lay it out like params"
                )
        return np.concatenate([np.asarray(leaves[name], np.float64).ravel() for name in self.leaf_names])


def name_coordinates(params: Any) -> tuple[Coordinates, Vector]:
    """Name the coordinates of a pytree of floats and flatten it.

    Args:
        params: pytree of real numbers or arrays of them.

    Returns:
        The coordinates and the flat vector (k,) of float64.

    Raises:
        TypeError: a leaf is no real floating-point number or array.
        ValueError: there are no entries, or one of them is not finite.
    """
    named = named_leaves(params, root="params")
    arrays = [_real(name, leaf) for name, leaf in zip(named.names, named.leaves, strict=True)]
    names = tuple(
        entry for name, array in zip(named.names, arrays, strict=True) for entry in entry_names(name, array.shape)
    )
    if not names:
        raise ValueError("params has no entries, but a gradient needs at least one; pass a point such as {'mu': 0.0}")
    flat = np.concatenate([array.ravel() for array in arrays])
    for name, value in zip(names, flat, strict=True):
        if not np.isfinite(value):
            raise ValueError(f"parameter {name!r} is {value}, but the point must be finite; pass finite params")
    ends = np.cumsum([array.size for array in arrays])
    ranges = [np.arange(end - a.size, end).reshape(a.shape) for end, a in zip(ends, arrays, strict=True)]
    shapes = tuple(array.shape for array in arrays)
    return Coordinates(names, named.names, shapes, named.rebuild(ranges), named.rebuild), flat


def typical_sizes(coords: Coordinates, point: Vector) -> Vector:
    """Return a positive length per coordinate on which the function may be expected to change.

    The coordinate's own size; for a zero that of the largest entry of its leaf; 1 for a leaf of zeros.
    """
    sizes = np.abs(point)
    for piece in coords.slices.values():
        largest = sizes[piece].max(initial=0.0)
        sizes[piece] = np.where(sizes[piece] > 0.0, sizes[piece], largest if largest > 0.0 else 1.0)
    return np.asarray(sizes)


def cast(args: tuple[Any, ...], dtype: str) -> tuple[Any, ...]:
    """Turn the data into arrays, lists of numbers too, and real floats into the given precision."""

    def convert(leaf: Any) -> Any:
        array = jnp.asarray(leaf)
        return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return tuple(jax.tree_util.tree_map(convert, lists_to_arrays(arg)) for arg in args)


def require_dtype(dtype: str) -> None:
    """Raise ValueError unless dtype names one of the two precisions."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}, but it is 'float64' or 'float32'; pass one of these")


def require_callable(given: Any, what: str) -> None:
    """Raise TypeError unless something is a function; `what` names the argument."""
    if not callable(given):
        raise TypeError(
            f"{what} is {type(given).__name__} ({given!r}), but it is a function of (params, *args); "
            "pass the function itself, not its value"
        )


def _real(name: str, leaf: Any) -> NDArray[np.float64]:
    array = np.asarray(leaf)
    kind = array.dtype
    if np.issubdtype(kind, np.integer) or np.issubdtype(kind, np.bool_):
        word = "boolean" if np.issubdtype(kind, np.bool_) else "integer"
        given = f"an {word} ({array})" if word == "integer" else f"a {word} ({array})"
        if array.ndim:
            given = f"an array of {word}s ({kind}, shape {array.shape})"
        example = f"write {float(array)} instead of {array}" if array.ndim == 0 else "write 1.0 instead of 1"
        raise TypeError(f"parameter {name!r} is {given}; gradients need floats: {example}")
    if not jnp.issubdtype(kind, jnp.floating):
        raise TypeError(
            f"parameter {name!r} is of type {kind}, but gradients are taken with respect to real numbers; "
            "pass floats, complex numbers as real and imaginary part"
        )
    return array.astype(np.float64)
