"""Which rows make the log-likelihood rise toward infinity: for every model whose rows have log densities of their own.

Walk back along the direction of the rise until the log-likelihood has fallen visibly. Rows whose log density has fallen
with it are those that rise. Each is held against its own size as well, so that rows count whose log density is -1e-40
and rises to 0, beside others that rise from -1; what the other rows change by, because the direction is known to so
many digits only, is far less than their own size. Where no row falls along the direction, the rows that rise are
separated: no data bound the parameters in that direction.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax.fitting.certificate import SHARE
from mle_jax.likelihood.evaluation import sample, sample_contributions
from mle_jax.likelihood.programs import verb_program
from mle_jax.parameters import Ordered

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

VISIBLE = 0.5  # log-likelihood units
PACES = 2.0 ** np.arange(-20, 10)  # times a Newton step, which toward infinity is a step of about one unit


class Climbers(NamedTuple):
    """The rows behind a climb."""

    rows: np.ndarray  # positions of the rows that rise
    unopposed: bool  # no row falls


def climbing_rows(
    model: "Model", place: Any, theta: Array, move: np.ndarray, data: Any, weights: Array | None
) -> Climbers:
    """Find the rows whose log density rises along a direction.

    Args:
        model: one whose rows have contributions.
        place: what the free coordinates mean.
        theta: where the search arrived, (k,).
        move: about a Newton step in the direction of the rise, (k,); entries that take no part in it are 0.
        data: the dataset.
        weights: (n,) or None.
    """
    run = verb_program(model, _along)
    here = np.asarray(run(place, theta, jnp.asarray(move), 0.0, data, weights))
    back = here
    for pace in PACES:
        behind = np.asarray(run(place, theta, jnp.asarray(move), pace, data, weights))
        if np.isfinite(behind).all():
            back = behind
        if here.sum() - back.sum() > VISIBLE:
            break
    rise = here - back
    least = SHARE * np.minimum(np.abs(rise).max(), np.abs(back))
    return Climbers(np.flatnonzero(rise > least), not np.any(rise < -least))


def _along(
    model: "Model", place: Any, theta: Array, move: Array, pace: Array | float, data: Any, weights: Array | None
) -> Array:
    """Return the contributions at so many moves back from a point, (n,).

    The way back is straight in the free coordinates, but for ordered entries, whose coordinates are logarithms of gaps:
    toward infinity what is straight are the entries themselves.
    """
    space = place.space
    straight = [isinstance(d, Ordered) for d in space.declarations for _ in range(d.flat_size)]
    flat, change = jax.jvp(place.flat, (theta,), (move,))
    behind = jnp.where(np.array(straight, bool), flat - pace * change, place.flat(theta - pace * move))
    return sample_contributions(model, space.unflatten(behind), sample(model, data, weights))
