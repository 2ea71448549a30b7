"""Gradients observation by observation: of one row alone, and by the place of a row among others.

The data are cut along the first axis of the leaves that are n long; the others belong to all rows.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax._trees import named_leaves
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.evaluation import Function, value_at
from mle_jax.gradients.handwritten import lay_out
from mle_jax.gradients.slips import Case

MOST_CALLS = 2048
"""Calls of a gradient that JAX cannot trace."""
TOGETHER = 256
"""Rows that are evaluated at once."""


def is_by_rows(leaf: Any, n: int) -> bool:
    """Whether a leaf of the data has an entry for each observation."""
    return bool(np.ndim(leaf) and np.shape(leaf)[0] == n)


def right_scores(case: Case, n: int) -> Vector:
    """Return the derivatives of the function at each row alone, (n, k), by autodiff."""
    probe = case.probe
    found = _right_scores(probe.function, jnp.asarray(case.points[0]), probe.positions, probe.args, n=n)
    return np.asarray(found, np.float64)


def hand_scores(case: Case, n: int) -> Vector:
    """Return the handwritten gradient of each row alone, (n, k)."""

    def alone(args: Any, i: Any) -> Any:
        return jax.tree_util.tree_map(lambda leaf: leaf[i][None] if is_by_rows(leaf, n) else leaf, args)

    return _call_for_each(case, alone, np.arange(n))


def place_weights(case: Case, scores: Vector, rows: tuple[int, int]) -> tuple[Vector, Vector]:
    """Put one row q among copies of another row r, into each place in turn.

    Args:
        case: the case.
        scores: (n, k), what each row adds to the right gradient.
        rows: q and r.

    Returns:
        The weight (n,) with which the handwritten gradient counts the row in each place, and how far (n,) the weighted
        row is from what the gradient really adds, relative to the row. A right gradient has weights of 1.
    """
    n, (q, r) = len(scores), rows

    def mixed(args: Any, i: Any) -> Any:
        def mix(leaf: Any) -> Any:
            if not is_by_rows(leaf, n):
                return leaf
            chosen = (jnp.arange(n) == i).reshape(n, *(1,) * (leaf.ndim - 1))
            return jnp.where(chosen, leaf[q], leaf[r])

        return jax.tree_util.tree_map(mix, args)

    found = _call_for_each(case, mixed, np.arange(-1, n))
    size = np.max(np.abs(scores), axis=0)
    size = np.where(size > 0.0, size, np.inf)  # such a coordinate does not count
    step, moved = (scores[q] - scores[r]) / size, (found[1:] - found[0]) / size
    weights = moved @ step / (step @ step)
    return weights, np.max(np.abs(moved - weights[:, None] * step), axis=1) / np.max(np.abs(step))


@functools.partial(jax.jit, static_argnames=("function", "n"))
def _right_scores(function: Function, point: Array, positions: Any, args: Any, *, n: int) -> Array:
    def score(i: Array) -> Array:
        row = jax.tree_util.tree_map(lambda leaf: leaf[i][None] if is_by_rows(leaf, n) else leaf, args)
        return jax.grad(lambda at: value_at(function, at, positions, row))(point)

    return jax.lax.map(score, jnp.arange(n), batch_size=min(n, TOGETHER))


def _call_for_each(case: Case, choose: Callable[[Any, Any], Any], numbers: Any) -> Vector:
    """Evaluate the handwritten gradient on chosen data, (m, k): compiled where JAX can trace it, else call by call."""
    hand, args, names = at_highest_precision(case.gradient), case.probe.args, case.coords.leaf_names
    params = jax.tree_util.tree_map(jnp.asarray, case.coords.tree(case.points[0]))

    @jax.jit
    def everywhere(params: Any, args: Any) -> Any:
        one = lambda i: hand(params, *choose(args, i))  # noqa: E731 - a name for jax.lax.map
        return jax.lax.map(one, jnp.asarray(numbers), batch_size=min(len(numbers), TOGETHER))

    try:
        stacked = everywhere(params, args)
    except (jax.errors.JAXTypeError, TypeError, ValueError):
        if len(numbers) > MOST_CALLS:
            raise
        with np.errstate(all="ignore"):  # a formula for many rows may divide by zero at one
            return np.stack([lay_out(hand(params, *choose(args, i)), case.coords).flat for i in numbers])
    leaves = named_leaves(stacked, root=names[0])
    by_name = dict(zip(leaves.names, leaves.leaves, strict=True))
    columns = [np.reshape(by_name[name], (len(numbers), -1)) for name in names]
    return np.concatenate(columns, axis=1).astype(np.float64)
