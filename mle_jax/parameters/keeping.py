"""Values beside constraints: the nearest ones that keep them, and by how much others miss them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax._text import significant
from mle_jax.parameters.layout import assignments
from mle_jax.parameters.moving import Coordinates
from mle_jax.parameters.tying import Row, constraint_rows

if TYPE_CHECKING:
    from mle_jax.parameters.space import ParameterSpace

START_ROUNDING = 1e-6  # of the terms of an equation: single precision, and some
ROUNDING = 1e-9  # the same where numbers are reported for the very values that were given


def nearest_theta(place: Coordinates, params: Any, given: Any) -> jax.Array:
    """Return the moving coordinates (size,) of the nearest params that keep the constraints.

    Free coordinates move as little as possible (in the sum of squares), and what was given does not move at all; where
    the constraints cannot be kept so, they are missed by as little as possible before the dependent entries follow.

    Args:
        place: the coordinates.
        params: complete params, which may miss the constraints.
        given: the part of them that the user gave, by name or laid out like params, or None.
    """
    return _nearest(place, params, given)[np.asarray(place.active, int)]


def _nearest(place: Coordinates, params: Any, given: Any) -> jax.Array:
    """Return the free vector (n_free,) before dependent entries follow."""
    free = place.space.unconstrain(params)
    if not place.dependent:
        return free
    moving = np.array([*place.active, *place.dependent], int)
    stuck = _given_positions(place.space, given)[moving]
    # normal @ free = shift are the constraints; steps lie in the rows of it, where those of given entries are 0.
    normal = jnp.concatenate([-jnp.asarray(place.mixing), jnp.eye(len(place.dependent))], axis=1).astype(free.dtype)
    gap = jnp.asarray(place.shift, free.dtype) - normal @ free[moving]
    return free.at[moving].add(jnp.where(stuck, 0.0, jnp.linalg.pinv(normal * ~stuck) @ gap))


def _given_positions(space: "ParameterSpace", given: Any) -> np.ndarray:
    """Say which free coordinates a start speaks of, bool (n_free,)."""
    found = assignments(space, given, what="start")
    stuck = np.zeros(space.n_free, bool)
    for leaf, (declared, flat, free) in enumerate(
        zip(space.declarations, space.flat_slices, space.free_slices, strict=True)
    ):
        entries = [k - flat.start for k in found.entries if flat.start <= k < flat.stop]
        if leaf in found.leaves or (entries and not declared.elementwise):
            stuck[free] = True
        elif entries:
            stuck[[free.start + k for k in entries]] = True
    return stuck


def check_kept(place: Coordinates, constraints: Any, params: Any, *, what: str, rounding: float = ROUNDING) -> None:
    """Raise where params miss a constraint by more than rounding.

    Raises:
        ValueError: with the equation that is missed most, and by how much.
    """
    _check(constraint_rows(place.space, constraints), np.asarray(place.space.flatten(params)), what, rounding)


def check_start(place: Coordinates, constraints: Any, start: Any) -> None:
    """Raise where the entries that a start speaks of leave no way to keep the constraints.

    Raises:
        ValueError: with the equation that is missed, and by how much.
    """
    space = place.space
    if not place.dependent or start is None:
        return
    rows, given = constraint_rows(space, constraints), _given_positions(space, start)
    # First the equations that the start alone decides, then those that what is left open cannot mend.
    decided = [row for row in rows if all(given[i] for i in row.free)]
    flat = space.flatten(space.constrain(_nearest(place, space.merge(space.default_start(), start), start)))
    _check([*decided, *rows], np.asarray(flat), "start", START_ROUNDING)


def _check(rows: Sequence[Row], flat: np.ndarray, what: str, rounding: float) -> None:
    for row in rows:
        terms = np.array([float(factor) * flat[i] for i, factor in row.flat.items()])
        missed = float(terms.sum() - float(row.constant))
        if abs(missed) > rounding * (np.abs(terms).sum() + abs(float(row.constant))):
            raise ValueError(
                f"{what} misses the constraint '{row.text}' by {significant(abs(missed), 3)}; give values that satisfy "
                "it, or leave it out of the constraints"
            )
