"""The handwritten gradient: call it, and fit what it returns to the layout of the parameters without crashing."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mle_jax._precision import at_highest_precision
from mle_jax._trees import named_leaves
from mle_jax.gradients.coordinates import Coordinates, Vector

NO_NAME = "(no name)"


class Laid(NamedTuple):
    """A gradient laid out flat, and what did not fit."""

    flat: Vector
    """(k,); NaN in the leaves that did not fit."""
    misfits: dict[str, NDArray[np.float64] | None]
    """Leaves of the parameters with what was returned for them: an array of another shape, or None for nothing."""
    strangers: tuple[str, ...]
    """Leaves that were returned and are none of the parameters'."""

    @property
    def fits(self) -> bool:
        """Whether the layout is that of the parameters."""
        return not self.misfits and not self.strangers


def call_gradient(
    gradient: Callable[..., Any], coords: Coordinates, point: NDArray[Any], *, args: Any, dtype: str
) -> Laid:
    """Evaluate a handwritten gradient at a flat point and lay the result out flat.

    It is called as it is, not compiled: it may well be written in NumPy.

    Raises:
        TypeError: it returns something that is not numbers, or complex numbers.
    """
    params = jax.tree_util.tree_map(lambda leaf: jnp.asarray(leaf, dtype), coords.tree(point))
    return lay_out(at_highest_precision(gradient)(params, *args), coords)


def lay_out(tree: Any, coords: Coordinates) -> Laid:
    """Lay out a pytree of gradients like the parameters, as far as it fits."""
    named = named_leaves(tree, root=coords.leaf_names[0] if coords.is_bare else NO_NAME)
    found = {name: _numbers(name, leaf) for name, leaf in zip(named.names, named.leaves, strict=True)}
    flat = np.full(coords.size, np.nan)
    misfits: dict[str, NDArray[np.float64] | None] = {}
    for (name, piece), shape in zip(coords.slices.items(), coords.shapes, strict=True):
        array = found.get(name)
        if array is not None and array.shape == shape:
            flat[piece] = array.ravel()
        else:
            misfits[name] = array
    strangers = tuple(name for name in found if name not in coords.leaf_names)
    return Laid(flat, misfits, strangers)


def _numbers(name: str, leaf: Any) -> NDArray[np.float64]:
    array = np.asarray(leaf)
    real = jnp.issubdtype(array.dtype, jnp.floating) or np.issubdtype(array.dtype, np.integer)
    if not real:
        raise TypeError(
            f"the handwritten gradient returned {type(leaf).__name__} of type {array.dtype} for {name!r}, but a "
            "gradient consists of real numbers; return an array of floats"
        )
    return array.astype(np.float64)
