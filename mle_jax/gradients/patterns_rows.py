"""Handwritten gradients that are wrong at some observations only: a censored branch, a forgotten group."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax._text import significant
from mle_jax._trees import named_leaves
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.evaluation import Function, value_at
from mle_jax.gradients.handwritten import lay_out
from mle_jax.gradients.slips import TELLING, Case, Mask, Slip
from mle_jax.gradients.terms import data_names

LARGEST = 2**24
"""Numbers that the derivatives of all observations may have."""
MOST_CALLS = 2048
"""Calls of a gradient that JAX cannot trace."""
SAME = 1e-9
"""Relative difference of two scores that is rounding."""


class Scores(NamedTuple):
    """The derivatives of each observation's share of the function, at the first point."""

    right: Vector
    """(n, k)."""
    hand: Vector
    """(n, k)."""


def some_rows(case: Case, left: Mask) -> Iterator[Slip]:
    """Find the observations at which the gradient is wrong, where at others it is right."""
    if not np.any(left) or not case.is_finite(left):
        return
    for n in case.lengths:
        scores = _scores(case, n) if n * case.coords.size <= LARGEST and n > 1 else None
        if scores is None or not _adds_up(case, scores):
            continue
        size = np.abs(scores.right)
        rounding = SAME * size + 1e-12 * np.max(size, axis=0)
        off = np.abs(scores.hand - scores.right)
        off = np.where(np.isfinite(off), off, np.inf)[:, left]
        wrong = np.any(off > TELLING * rounding[:, left], axis=1)
        same = np.all(off <= rounding[:, left], axis=1)
        telling = np.any(size > TELLING * rounding, axis=1)
        if np.any(wrong) and np.any(same & telling) and np.all(wrong | same):
            rows = np.flatnonzero(wrong)
            yield Slip("rows", _told(case, rows, scores, left=left, n=n), left.copy(), tuple(int(row) for row in rows))
            return


def _scores(case: Case, n: int) -> Scores | None:
    """Return the derivatives of every single observation; None where the data cannot be taken apart."""
    probe, point = case.probe, jnp.asarray(case.points[0])
    params = jax.tree_util.tree_map(jnp.asarray, case.coords.tree(case.points[0]))
    try:
        right = _right_scores(probe.function, point, probe.positions, probe.args, n=n)
        return Scores(np.asarray(right, np.float64), _hand_scores(case, params, n))
    except Exception:  # whatever a stranger's code makes of one observation: then there is nothing to say
        return None


def _row(args: Any, i: Any, n: int) -> Any:
    """Return the data of one observation, as a dataset of length 1; what is not n long belongs to all of them."""
    return jax.tree_util.tree_map(lambda leaf: leaf[i][None] if leaf.ndim and leaf.shape[0] == n else leaf, args)


@functools.partial(jax.jit, static_argnames=("function", "n"))
def _right_scores(function: Function, point: Array, positions: Any, args: Any, *, n: int) -> Array:
    def score(i: Array) -> Array:
        return jax.grad(lambda at: value_at(function, at, positions, _row(args, i, n)))(point)

    return jax.lax.map(score, jnp.arange(n), batch_size=min(n, 256))


def _hand_scores(case: Case, params: Any, n: int) -> Vector:
    """Evaluate the handwritten gradient at each row, (n, k): compiled where JAX can trace it, else call by call."""
    hand, args = at_highest_precision(case.gradient), case.probe.args

    @jax.jit
    def everywhere(params: Any, args: Any) -> Any:
        return jax.lax.map(lambda i: hand(params, *_row(args, i, n)), jnp.arange(n), batch_size=min(n, 256))

    try:
        stacked = everywhere(params, args)
    except (jax.errors.JAXTypeError, TypeError, ValueError):
        if n > MOST_CALLS:
            raise
        return np.stack([lay_out(hand(params, *_row(args, i, n)), case.coords).flat for i in range(n)])
    leaves = named_leaves(stacked, root=case.coords.leaf_names[0])
    by_name = dict(zip(leaves.names, leaves.leaves, strict=True))
    columns = [np.reshape(by_name[name], (n, -1)) for name in case.coords.leaf_names]
    return np.concatenate(columns, axis=1).astype(np.float64)


def _adds_up(case: Case, scores: Scores) -> bool:
    """Whether both gradients are the sums (or the means) of what they are at single observations."""
    for factor in (1.0, 1.0 / len(scores.right)):
        sums = [factor * np.sum(array, axis=0) for array in scores]
        sizes = [factor * np.sum(np.abs(array), axis=0) for array in scores]
        wholes = (case.right[0], case.hand[0])
        if all(np.all(np.abs(s - w) <= 1e-10 * z + case.bound[0]) for s, w, z in zip(sums, wholes, sizes, strict=True)):
            return True
    return False


def _told(case: Case, rows: Any, scores: Scores, *, left: Mask, n: int) -> str:
    shown = ", ".join(str(row) for row in rows[:6]) + (f" and {len(rows) - 6} more" if len(rows) > 6 else "")
    where = f"The handwritten gradient is wrong at {len(rows)} of {n} observations only: rows {shown}"
    if len(rows) == 1:
        where = f"The handwritten gradient is wrong at 1 of {n} observations only: row {shown}"
    return f"{where}{_what_they_share(case, rows, n)}{_what_is_wrong(scores, rows, left)}."


def _what_they_share(case: Case, rows: Any, n: int) -> str:
    """Name a leaf of the data whose values separate these rows from all others."""
    wrong = np.isin(np.arange(n), rows)
    for name, leaf in zip(data_names(case.probe.args), jax.tree_util.tree_leaves(case.probe.args), strict=True):
        values = np.asarray(leaf)
        if values.shape != (n,):
            continue
        inside, outside, label = values[wrong], values[~wrong], name.removeprefix("data:")
        if np.all(inside == inside[0]) and not np.any(outside == inside[0]) and len(inside) > 1:
            return f", those with {label} = {significant(float(inside[0]), 4)}"
        if len(inside) > 1 and np.min(inside) > np.max(outside):
            return f", those with {label} of at least {significant(float(np.min(inside)), 6)}"
        if len(inside) > 1 and np.max(inside) < np.min(outside):
            return f", those with {label} of at most {significant(float(np.max(inside)), 6)}"
    return ""


def _what_is_wrong(scores: Scores, rows: Any, left: Mask) -> str:
    hand, right = scores.hand[rows][:, left], scores.right[rows][:, left]
    if not np.any(hand):
        return "; they are left out"
    tells = np.abs(right) > 1e-6 * np.max(np.abs(right))
    ratio = hand[tells] / right[tells]
    if np.ptp(ratio) > 1e-8 * np.max(np.abs(ratio)):
        return ""
    factor = float(np.median(ratio))
    return (
        "; there its sign is flipped"
        if abs(factor + 1.0) < 1e-8
        else f"; there it is {significant(factor, 6)} times the right one"
    )
