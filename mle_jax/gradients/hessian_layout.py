"""The handwritten Hessian: a (k, k) matrix, or the nested pytree of `jax.hessian`, made into one matrix."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mle_jax._precision import at_highest_precision
from mle_jax._trees import in_order, named_leaves
from mle_jax.gradients.coordinates import Coordinates, Vector
from mle_jax.gradients.footprint import batch_size
from mle_jax.gradients.handwritten import lay_out

Block = tuple[str, str]
WHOLE: Block = ("", "")
"""Stands for the matrix as a whole, where it came as one array."""


class LaidMatrix(NamedTuple):
    """Second derivatives laid out as a matrix, and what did not fit."""

    matrix: Vector
    """(k, m); NaN in the blocks that did not fit."""
    misfits: dict[Block, NDArray[np.float64] | None]
    """Blocks (names of two leaves) with what was returned for them: another shape, or None for nothing."""
    strangers: tuple[str, ...]
    """What was returned and belongs to no pair of parameters."""

    @property
    def fits(self) -> bool:
        """Whether the layout is one of the two that are known."""
        return not self.misfits and not self.strangers


def call_hessian(
    hessian: Callable[..., Any], coords: Coordinates, point: NDArray[Any], *, args: Any, dtype: str
) -> LaidMatrix:
    """Evaluate a handwritten Hessian at a flat point, as it is, and lay it out as a matrix (k, k).

    Raises:
        TypeError: it returns something that is not numbers, or complex numbers.
    """
    params = _arrays(coords.tree(point), coords, dtype)
    return lay_out_hessian(at_highest_precision(hessian)(params, *args), coords)


def lay_out_hessian(tree: Any, coords: Coordinates) -> LaidMatrix:
    """Lay out a handwritten Hessian as far as it fits; a matrix is in the order of the flat names."""
    k = coords.size
    if _is_array(tree, coords):
        array = _numbers(tree, "as a matrix")
        natural = coords.shapes[0] * 2 if coords.is_bare else (k, k)
        if array.shape in ((k, k), natural):
            return LaidMatrix(array.reshape(k, k), {}, ())
        return LaidMatrix(np.full((k, k), np.nan), {WHOLE: array}, ())
    matrix = np.full((k, k), np.nan)
    misfits: dict[Block, NDArray[np.float64] | None] = {}
    named = named_leaves(tree)
    found = dict(zip(named.names, named.leaves, strict=True))
    for (a, rows), shape_a in zip(coords.slices.items(), coords.shapes, strict=True):
        for (b, columns), shape_b in zip(coords.slices.items(), coords.shapes, strict=True):
            leaf = found.pop(f"{a}.{b}", None)
            block = None if leaf is None else _numbers(leaf, f"for '{a}, {b}'")
            if block is not None and block.shape == shape_a + shape_b:
                matrix[rows, columns] = block.reshape(rows.stop - rows.start, columns.stop - columns.start)
            else:
                misfits[a, b] = block
    return LaidMatrix(matrix, misfits, tuple(found))


def call_product(
    product: Callable[..., Any],
    coords: Coordinates,
    point: NDArray[Any],
    *,
    vectors: Vector,
    args: Any,
    dtype: str,
    memory: int,
) -> LaidMatrix:
    """Evaluate a handwritten Hessian-vector product for vectors (m, k) and lay the results out as (k, m).

    All of them in one compiled program where JAX can trace it; one after the other where it is written in NumPy.
    """
    params = _arrays(coords.tree(point), coords, dtype)
    each = [coords.tree(vector) for vector in vectors.astype(dtype)]
    stacked = jax.tree_util.tree_map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *each)
    try:
        results = _products(product, params, stacked, args, coords.leaf_names, memory)
        trees = [jax.tree_util.tree_map(lambda leaf, j=j: np.asarray(leaf)[j], results) for j in range(len(each))]
    except (jax.errors.JAXTypeError, TypeError, ValueError):
        arrays = [_arrays(vector, coords, dtype) for vector in each]
        trees = [at_highest_precision(product)(params, vector, *args) for vector in arrays]
    laid = [lay_out(tree, coords) for tree in trees]
    blocks: dict[Block, NDArray[np.float64] | None] = {(name, ""): array for name, array in laid[0].misfits.items()}
    return LaidMatrix(np.stack([one.flat for one in laid], axis=1), blocks, laid[0].strangers)


@functools.partial(jax.jit, static_argnames=("product", "names", "memory"))
def _products(
    product: Callable[..., Any], params: Any, vectors: Any, args: Any, names: tuple[str, ...], memory: int
) -> Any:
    def single(vector: Any) -> Any:
        # JAX hands dicts back in alphabetical order; the product may rely on that of the declaration.
        return at_highest_precision(product)(in_order(params, names), in_order(vector, names), *args)

    count = jax.tree_util.tree_leaves(vectors)[0].shape[0]
    first = jax.tree_util.tree_map(lambda leaf: leaf[0], vectors)
    return jax.lax.map(single, vectors, batch_size=batch_size(single, [first], memory=memory, most=count))


def _arrays(tree: Any, coords: Coordinates, dtype: str) -> Any:
    """Make the leaves JAX arrays, and keep the order of declaration, in which a formula may lay out its matrix."""
    return in_order(jax.tree_util.tree_map(lambda leaf: jnp.asarray(leaf, dtype), tree), coords.leaf_names)


def _is_array(tree: Any, coords: Coordinates) -> bool:
    """Say whether one array was returned: lists of numbers are one, unless the parameters are a list themselves."""
    if isinstance(tree, list):
        return coords.is_bare or not isinstance(coords.positions, list | tuple)
    return tree is not None and bool(jax.tree_util.all_leaves([tree]))


def _numbers(leaf: Any, where: str) -> NDArray[np.float64]:
    array = np.asarray(leaf)
    if not (jnp.issubdtype(array.dtype, jnp.floating) or np.issubdtype(array.dtype, np.integer)):
        raise TypeError(
            f"the handwritten Hessian returned {type(leaf).__name__} of type {array.dtype} {where}, but a Hessian "
            "consists of real numbers; return an array of floats"
        )
    return array.astype(np.float64)
