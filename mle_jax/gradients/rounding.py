"""How far two right gradients may be apart: a bound on rounding that the gradients themselves supply.

Away from cancellation two formulas for one number differ by a few units in the last place, and the cheap bound covers
them. Where they differ by more, each is evaluated again at slightly moved parameters and data. What moves in step is
the gradient's sensitivity: the size of the pieces that it sums, each of which may be wrong by a rounding. The
disagreement of the two, averaged over a move and its opposite, loses its smooth part: if it still changes from one
move to the next, that is rounding. A wrong gradient disagrees by the same amount everywhere around, a right one by
noise.

Reference:
    N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 1.5-1.6 (forward error = condition
    number times backward error) and 4.2 (sums); D. S. Parker, Monte Carlo arithmetic (1997), for measuring rounding by
    perturbing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax.gradients.coordinates import Vector

Gradient = Callable[[Vector, Any], Vector]
"""Take a point (k,) and the data; return the gradient (k,)."""


class Differentiated(Protocol):
    """Something with an automatic derivative: of a function, or of its gradient."""

    @property
    def point(self) -> Vector:
        """The point (k,)."""

    @property
    def args(self) -> Any:
        """The data."""

    def autodiff_with(self, point: Vector, args: Any) -> tuple[float, Vector]:
        """Return the same at another point and other data of the same shapes."""


EPS = float(np.finfo(np.float64).eps)
AGREED = {"float64": 1e-9, "float32": 1e-5}
"""Relative differences below this are never called wrong: constants typed with ten digits, special functions."""
UNITS = 256.0
"""Roundings per piece of the sum, far more than either formula makes."""
SYSTEMATIC = 8.0
"""A disagreement is systematic when it exceeds its own fluctuations by this factor."""
SENSING, ROUNDING = 2.0**-22, 2.0**-49
"""Relative moves: one to measure sensitivities, one to shake the last bits."""
BEND = 2.0**-6
"""A gradient bends when the mean of two opposite moves differs by this share of its size and its change."""


def cheap_bound(hand: Vector, auto: Vector, *, pieces: Vector | float = 0.0) -> Vector:
    """Return the difference (k,) that agreement allows, from the sizes of the gradients (and of their pieces)."""
    size = np.fmax(np.minimum(np.abs(hand), np.abs(auto)), 0.0)
    return np.asarray(AGREED["float64"] * size + UNITS * EPS * np.fmax(pieces, size))


def allowance(hand: Vector, auto: Vector, bound: Vector, *, dtype: str) -> Vector:
    """Return the difference (k,) that is not called wrong in a precision: at least the bound of float64."""
    size = np.fmax(np.minimum(np.abs(hand), np.abs(auto)), 0.0)
    return np.asarray(np.fmax(bound, AGREED[dtype] * size))


def placing_noise(point: Vector, gradient: Vector) -> Vector:
    """Return the changes (k,) of a function that come from rounding each coordinate of the points it is taken at."""
    with np.errstate(invalid="ignore", over="ignore"):
        changes = EPS / 2.0 * np.abs(point * gradient)
    return np.where(np.isfinite(changes), changes, 0.0)


def careful_bound(
    hand: Gradient, probe: Differentiated, *, sizes: Vector, scale: Vector | None, here: tuple[Vector, Vector]
) -> tuple[Vector, Vector]:
    """Return the difference (k,) that rounding explains, and the size (k,) of the pieces that are summed.

    Args:
        hand: the handwritten gradient.
        probe: the function, at the point.
        sizes: (k,), typical sizes of the coordinates.
        scale: (k,), the sum of the absolute pieces where the caller knows it.
        here: the handwritten and the automatic gradient at the point itself.
    """
    point = probe.point
    here_hand, here_auto = here
    pieces = np.fmax(np.abs(here_auto), 0.0 if scale is None else scale)
    jitter = np.zeros(here_auto.size)
    rng = np.random.default_rng(11)
    # Params are moved in every case: a formula may be special at the very point. Moves of the params are compared with
    # moves of the params, and moves of the data with moves of the data: a formula that is wrong at rows picked by their
    # very values (y == 1.5, y >= 1.5) may be right next to them, and that is no rounding.
    for kinds in (((SENSING, 0.0), (ROUNDING, 0.0)), ((ROUNDING, SENSING), (ROUNDING, ROUNDING))):
        middles = []
        for by in kinds:
            moves = _gentle(hand, probe, (sizes * _signed(rng, point.size), _signed(rng, 64)), by=by, here=here_auto)
            with np.errstate(invalid="ignore"):
                up, down = moves.up[0] - moves.up[1], moves.down[0] - moves.down[1]
                middles.append((up + down) / 2.0)
                if moves.largest > ROUNDING:
                    for high, low in zip(moves.up, moves.down, strict=True):
                        pieces = np.fmax(pieces, np.abs(high - low) / (2.0 * moves.largest))
                elif by[1] == 0.0:
                    jitter = np.fmax(jitter, np.abs(up - down) / 2.0)
        with np.errstate(invalid="ignore"):
            jitter = np.fmax(jitter, np.abs(middles[0] - middles[1]))
    bound = cheap_bound(here_hand, here_auto, pieces=pieces)
    return np.fmax(bound, SYSTEMATIC * jitter), pieces


class _Moves(NamedTuple):
    """The handwritten and the automatic gradient after a move of params and data, and after its opposite."""

    largest: float
    up: tuple[Vector, Vector]
    down: tuple[Vector, Vector]


def _gentle(
    hand: Gradient, probe: Differentiated, along: tuple[Vector, Vector], *, by: tuple[float, float], here: Vector
) -> _Moves:
    """Move as far as is wanted, or less far where autodiff bends: next to the edge of a domain little is far.

    Where it seems to bend however small the move, that is rounding, and the move is the one that was wanted.
    """
    widest = None
    for most in (SENSING, SENSING * 2.0**-8, SENSING * 2.0**-16, ROUNDING):
        shift, factors = (min(size, most) * way for size, way in zip(by, along, strict=True))
        moves = _Moves(min(max(by), most), *(_both(hand, probe, sign * shift, sign * factors) for sign in (1.0, -1.0)))
        up, down = moves.up[1], moves.down[1]
        with np.errstate(invalid="ignore"):
            bent = ~(np.abs((up + down) / 2.0 - here) <= BEND * (np.abs(up - down) + np.abs(here)))
        if max(by) < most or not np.any(bent & np.isfinite(here)):
            return moves
        widest = widest or moves
    assert widest is not None
    return widest


def _both(hand: Gradient, probe: Differentiated, shift: Vector, factors: Vector) -> tuple[Vector, Vector]:
    args = _scaled(probe.args, factors)
    return hand(probe.point + shift, args), probe.autodiff_with(probe.point + shift, args)[1]


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
    moved = [
        _scaled_leaf(leaf, factors[i % len(factors)]) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree_util.tree_unflatten(treedef, moved)


@jax.jit
def _scaled_leaf(leaf: Array, factor: Array) -> Array:
    return jnp.where(leaf == jnp.round(leaf), leaf, leaf * (1.0 + factor)).astype(leaf.dtype)
