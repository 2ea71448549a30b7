"""The gradients of single observations of a function that turns out to be a sum, or a mean, over the rows of its data.

A plain function does not say what an observation is. So the data are cut along their common first axis into datasets of
one row; if the function's values and gradients at these add up to those at the whole (or average to them), they are
the contributions of the rows.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.evaluation import Function, Probe, value_at
from mle_jax.gradients.footprint import batch_size

MOST_ENTRIES = 2**24
"""Numbers in the gradients of all rows that are still held in memory."""


class RowGradients(NamedTuple):
    """What the rows contribute to the gradient."""

    gradients: Vector
    """(n, k); their sum is the gradient of the function."""
    is_mean: bool
    """Whether the function averages over the rows."""


def row_gradients(probe: Probe) -> RowGradients | None:
    """Return the contributions of the rows to the gradient, or None where the function is no sum over rows."""
    leaves, treedef = jax.tree_util.tree_flatten(probe.args)
    lengths = {leaf.shape[0] for leaf in leaves if np.ndim(leaf)}
    if len(lengths) != 1 or not 1 < (n := lengths.pop()) <= MOST_ENTRIES // probe.point.size:
        return None
    flags = tuple(np.ndim(leaf) > 0 for leaf in leaves)
    try:
        found = _each_row(probe.function, probe.point, probe.positions, tuple(leaves), treedef, flags, probe.memory)
    except (TypeError, ValueError, IndexError, ZeroDivisionError):  # the function does not take data of one row
        return None
    values, gradients = (np.asarray(array, np.float64) for array in found)
    value, gradient = probe.autodiff()
    for divisor in (1.0, float(n)):
        parts = gradients / divisor
        levels = np.abs(values).sum() / divisor, np.abs(parts).sum(axis=0)
        # n roundings of the terms are more than any order of summation makes.
        slack = n * np.finfo(float).eps
        adds = abs(values.sum() / divisor - value) <= slack * levels[0] and np.all(
            np.abs(parts.sum(axis=0) - gradient) <= slack * levels[1]
        )
        if adds:
            return RowGradients(parts, divisor > 1.0)
    return None


@functools.partial(jax.jit, static_argnames=("function", "treedef", "flags", "memory"))
def _each_row(
    function: Function, point: Array, positions: Any, leaves: Any, treedef: Any, flags: Any, memory: int
) -> tuple[Array, Array]:
    rows = [jnp.asarray(leaf)[:, None] for leaf, by_row in zip(leaves, flags, strict=True) if by_row]

    def single(row: Any) -> tuple[Array, Array]:
        remaining = iter(row)
        parts = [next(remaining) if by_row else leaf for leaf, by_row in zip(leaves, flags, strict=True)]
        args = jax.tree_util.tree_unflatten(treedef, parts)
        value, gradient = jax.value_and_grad(lambda x: value_at(function, x, positions, args))(point)
        return value, gradient

    lanes = batch_size(lambda *row: single(row)[1], [row[0] for row in rows], memory=memory, most=rows[0].shape[0])
    return jax.lax.map(single, rows, batch_size=lanes)
