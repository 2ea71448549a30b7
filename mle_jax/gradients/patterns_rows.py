"""Handwritten gradients that are wrong at some observations only: a censored branch, a forgotten group."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax._precision import at_highest_precision
from mle_jax._text import significant
from mle_jax._trees import named_leaves
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.evaluation import value_at
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
    leaves, layout = jax.tree_util.tree_flatten(case.probe.args)
    by_rows = [np.ndim(leaf) > 0 and np.shape(leaf)[0] == n for leaf in leaves]
    point, positions = jnp.asarray(case.points[0]), case.probe.positions

    def row(i: Any) -> Any:
        cut = [leaf[i][None] if split else leaf for leaf, split in zip(leaves, by_rows, strict=True)]
        return jax.tree_util.tree_unflatten(layout, cut)

    def right(i: Any) -> Any:
        return jax.grad(lambda x: value_at(case.probe.function, x, positions, row(i)))(point)

    params = jax.tree_util.tree_map(jnp.asarray, case.coords.tree(case.points[0]))
    hand = at_highest_precision(case.gradient)
    try:
        found = np.asarray(_map(right, n), np.float64)
        return Scores(found, _hand_scores(case, lambda i: hand(params, *row(i)), n))
    except Exception:  # whatever a stranger's code makes of one observation: then there is nothing to say
        return None


def _map(function: Callable[[Any], Any], n: int) -> Any:
    return jax.jit(lambda: jax.lax.map(function, jnp.arange(n), batch_size=min(n, 256)))()


def _hand_scores(case: Case, hand: Callable[[Any], Any], n: int) -> Vector:
    """Evaluate the handwritten gradient at each row, (n, k): compiled where JAX can trace it, else call by call."""
    try:
        stacked = _map(hand, n)
    except (jax.errors.JAXTypeError, TypeError, ValueError):
        if n > MOST_CALLS:
            raise
        return np.stack([lay_out(hand(i), case.coords).flat for i in range(n)])
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
