"""Where lanes that failed begin anew: points that other lanes and chance suggest, and how high they lie on their data.

A point is judged by the log-likelihood of the lane that is to begin there, so that of many neighbors the one is taken
whose estimates suit these data best. Such an evaluation costs little beside a search.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._status import Status
from mle_jax.fitting.lanes import map_lanes
from mle_jax.fitting.multistart import LONGEST, SPREAD
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.starts import start_theta
from mle_jax.likelihood.loss import loss_objective, loss_scale, to_log_likelihood
from mle_jax.parameters import Coordinates, nearest_theta

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

NEIGHBORS = 32  # certified lanes that are looked at: half of them the nearest by number, the others from all over
DRAWS = 62  # points drawn around the start; with the start of the model and the declared one that makes 64
SIZES = (16, 64, 256, 1024)  # lanes of a block: few sizes, so that few programs are compiled
BLIND = 3.0  # how far points are drawn in free coordinates where no lane tells anything
NEARER = (1.0, 0.3, 0.1)  # shares of the spread at which points are drawn in turn

HOPELESS = (Status.rising, Status.not_identified, Status.scale_collapsed)
"""Statuses that say why there is no maximum, so that a higher log-likelihood elsewhere is no better answer."""
SETTLED = (Status.converged, Status.converged_to_rounding, Status.at_boundary)


class Survey(NamedTuple):
    """Points around which lanes may begin (B lanes, q points; the first `NEIGHBORS` are estimates of other lanes)."""

    params: Any  # pytree, every leaf (B, q, ...)
    heights: Array  # (B, q) log-likelihoods


def survey_lanes(
    model: "Model",
    place: Coordinates,
    data: Any,
    lanes: tuple[Any, ...],
    weights: Array | None,
    offsets: Array,
    *,
    axes: tuple[bool, ...],
) -> Survey:
    """Evaluate the log-likelihood of every lane at the estimates of others, at its starts and around them; traceable.

    Args:
        model: the model.
        place: the free coordinates (m of them).
        data: the datasets; `axes` says which leaves have the leading axis of B.
        lanes: what differs between lanes: (estimates of neighbors (B, NEIGHBORS, m), weights (B, n) if there are any).
        weights: (n,) in common, or None.
        offsets: (DRAWS, m), from `draw_offsets`.
        axes: from `lane_axes`.
    """
    space = place.space
    declared = nearest_theta(place, space.default_start(), None)

    def one(lane: tuple[Any, ...], lane_data: Any) -> Survey:
        neighbors, *own = lane
        lane_weight = own[0] if own else weights
        first = start_theta(model, place, lane_data, lane_weight, None)
        points = jnp.concatenate([neighbors, first[None], declared[None], first + offsets])
        losses = loss_objective(model, place, lane_data, weights=lane_weight).values(points)
        heights = to_log_likelihood(losses, loss_scale(model, lane_data, lane_weight))
        return Survey(jax.vmap(place.params)(points), heights)

    survey: Survey = map_lanes(one, lanes, data, axes)
    return survey


def pick_neighbors(lanes: np.ndarray, certified: np.ndarray) -> np.ndarray:
    """Choose for every lane `NEIGHBORS` certified ones, (n, NEIGHBORS): the nearest by number, others from all over.

    Args:
        lanes: (n,) the lanes that are to begin anew.
        certified: (c,) the lanes whose estimates may be taken, ascending; some may occur several times, as they must
            where c is small.
    """
    near = NEIGHBORS // 2
    around = np.searchsorted(certified, lanes)[:, None] + np.arange(-near // 2, near - near // 2)
    spread = np.linspace(0, len(certified) - 1, NEIGHBORS - near).round().astype(int)
    return certified[np.concatenate([around.clip(0, len(certified) - 1), np.tile(spread, (len(lanes), 1))], axis=1)]


def draw_offsets(solution: Solution, certified: np.ndarray, *, rows: float, seed: int) -> np.ndarray:
    """Draw moves in free coordinates, (DRAWS, m): as far as one row leaves open, or as the lanes differ, if more.

    Args:
        solution: of all lanes, NumPy.
        certified: (c,) the lanes that tell how far that is; without any it is `BLIND`.
        rows: of a lane, about.
        seed: of the draws.
    """
    size = np.shape(solution.theta)[-1]
    spread = np.full(size, BLIND)
    if len(certified):
        theta, information = solution.theta[certified], np.asarray(solution.certificate.information)[certified]
        diagonal = np.median(np.diagonal(information, axis1=-2, axis2=-1), axis=0)
        of_a_row = SPREAD * np.sqrt(rows / np.where(diagonal > 0, diagonal, rows))
        longest = LONGEST * np.maximum(1.0, np.abs(np.median(theta, axis=0)))
        spread = np.minimum(np.maximum(of_a_row, SPREAD * theta.std(axis=0)), longest)
    noise = np.random.default_rng(seed).normal(size=(DRAWS, size))
    return noise * spread * np.resize(NEARER, DRAWS)[:, None]


def block_size(lanes: int) -> int:
    """Return the number of lanes that are run at once, which is padded."""
    return next((size for size in SIZES if size >= lanes), SIZES[-1])


def is_better(new: Solution, old: Solution) -> np.ndarray:
    """Say where a new answer takes the place of an old one, bool (n,) (NumPy, stacked).

    Certified, or certified but for the boundary, beats everything else; of two that are, or of two that are not, the
    higher log-likelihood beats the other, unless the old status says why there is no maximum. A status that says so
    beats one that leaves it open, if the log-likelihood is no lower.
    """
    settled_new, settled_old = (np.isin(one.status, [int(s) for s in SETTLED]) for one in (new, old))
    explained_new, explained_old = (np.isin(one.status, [int(s) for s in HOPELESS]) for one in (new, old))
    above, below = _height(new), _height(old)
    rounding = 1e-9 * np.maximum(1.0, np.abs(np.where(np.isfinite(below), below, 0.0)))
    higher, no_lower = above > below + rounding, np.isfinite(above) & (above >= below - rounding)
    of_two_open = ~settled_old & ~explained_old & (higher | (explained_new & no_lower))
    return np.where(settled_new, ~settled_old | higher, of_two_open)


def _height(solution: Solution) -> np.ndarray:
    value = np.asarray(solution.log_likelihood, float)
    return np.where(np.isfinite(value), value, -np.inf)
