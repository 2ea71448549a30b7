"""How far two right gradients may be apart: a bound on rounding that the gradients themselves supply.

Away from cancellation two formulas for one number differ by a few units in the last place, and the cheap bound covers
them. Where they differ by more, each is evaluated again at slightly moved parameters and data. What moves in step is
the gradient's sensitivity: the size of the pieces that it sums, each of which may be wrong by a rounding. What does not
move in step is the rounding error itself: the second difference hand(+) - 2 hand(0) + hand(-) of the disagreement
contains no smooth part. A wrong gradient disagrees by the same amount at all these points, a right one by noise.

Reference:
    N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 1.5-1.6 (forward error = condition
    number times backward error) and 4.2 (sums); D. S. Parker, Monte Carlo arithmetic (1997), for measuring rounding by
    perturbing.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.evaluation import Probe

Gradient = Callable[[Vector, Any], Vector]
"""Take a point (k,) and the data; return the gradient (k,)."""

EPS = float(np.finfo(np.float64).eps)
AGREED = {"float64": 1e-9, "float32": 1e-5}
"""Relative differences below this are never called wrong: constants typed with ten digits, special functions."""
UNITS = 256.0
"""Roundings per piece of the sum, far more than either formula makes."""
SYSTEMATIC = 8.0
"""A disagreement is systematic when it exceeds its own fluctuations by this factor."""
SENSING, ROUNDING = 2.0**-22, 2.0**-49
"""Relative moves: one to measure sensitivities, one to shake the last bits."""


def cheap_bound(hand: Vector, auto: Vector, *, dtype: str, pieces: Vector | float = 0.0) -> Vector:
    """Return the difference (k,) that agreement allows, from the sizes of the gradients (and of their pieces)."""
    size = np.fmax(np.minimum(np.abs(hand), np.abs(auto)), 0.0)
    return np.asarray(AGREED[dtype] * size + UNITS * EPS * np.fmax(pieces, size))


def careful_bound(
    hand: Gradient, probe: Probe, *, dtype: str, sizes: Vector, scale: Vector | None
) -> tuple[Vector, Vector]:
    """Return the difference (k,) that rounding explains, and the size (k,) of the pieces that are summed.

    Args:
        hand: the handwritten gradient.
        probe: the function, at the point.
        dtype: the precision in which agreement is asked for.
        sizes: (k,), typical sizes of the coordinates.
        scale: (k,), the sum of the absolute pieces where the caller knows it.
    """
    point, args = probe.point, probe.args
    here_hand, here_auto = hand(point, args), probe.autodiff()[1]
    fluctuation, pieces = np.zeros(point.size), np.fmax(np.abs(here_auto), 0.0)
    if scale is not None:
        pieces = np.fmax(pieces, scale)
    rng = np.random.default_rng(11)
    for move, with_params, with_data in ((SENSING, True, False), (SENSING, False, True), (ROUNDING, True, True)):
        shift = move * sizes * _signed(rng, point.size) * with_params
        factors = move * _signed(rng, 64) * with_data
        seen = []
        for side in (1.0, -1.0):
            moved = _scaled(args, side * factors)
            where = point + side * shift
            seen.append((hand(where, moved), probe.autodiff_with(where, moved)[1]))
        (up_hand, up_auto), (down_hand, down_auto) = seen
        with np.errstate(invalid="ignore"):
            bend = (up_hand - up_auto) - 2.0 * (here_hand - here_auto) + (down_hand - down_auto)
            fluctuation = np.fmax(fluctuation, np.abs(bend) / 2.0)
            if move == SENSING:
                for up, down in ((up_hand, down_hand), (up_auto, down_auto)):
                    pieces = np.fmax(pieces, np.abs(up - down) / (2.0 * move))
    bound = cheap_bound(here_hand, here_auto, dtype=dtype, pieces=pieces)
    return np.fmax(bound, SYSTEMATIC * fluctuation), pieces


def _signed(rng: np.random.Generator, count: int) -> Vector:
    """Return numbers of random sign between 1/2 and 1 in size, so that no two moves cancel exactly."""
    return np.asarray(rng.uniform(0.5, 1.0, count) * np.where(rng.random(count) < 0.5, -1.0, 1.0))


def _scaled(args: Any, factors: Vector) -> Any:
    """Multiply every floating-point leaf by 1 + its factor, sparing whole numbers, which may be labels or indices.

    One factor per leaf keeps ties tied and orders ordered.
    """
    if not np.any(factors):
        return args
    leaves, treedef = jax.tree_util.tree_flatten(args)
    moved = []
    for i, leaf in enumerate(leaves):
        array = np.asarray(leaf)
        if np.issubdtype(array.dtype, np.floating):
            array = np.where(array == np.round(array), array, array * (1.0 + factors[i % len(factors)]))
            leaf = jax.numpy.asarray(array)
        moved.append(leaf)
    return jax.tree_util.tree_unflatten(treedef, moved)
