"""Many starts for one dataset: drawn in the domain, run as one batch, ranked among certified maxima."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._precision import to_numpy
from mle_jax._status import Status, are_certified
from mle_jax.fitting.lanes import CHUNK, lane_of
from mle_jax.fitting.planning import Plan
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.solving import solve
from mle_jax.fitting.starts import start_theta
from mle_jax.likelihood.loss import loss_objective
from mle_jax.likelihood.programs import verb_program
from mle_jax.optimizers._protocol import Optimizer
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

SPREAD = 2.0  # standard errors that one row has at the first start
LONGEST = 10.0  # in free coordinates: where one row says next to nothing
SAME = 1e-2  # standard errors: nearer maxima are one


class Maxima(NamedTuple):
    """What many starts found (m distinct maxima, highest first)."""

    log_likelihood: np.ndarray  # (m,)
    flat: np.ndarray  # (m, k_flat) natural scale
    starts: np.ndarray  # (m,) how many starts ended there
    uncertified: dict[str, int]  # how the other starts ended: status -> number


def solve_from_many(
    model: "Model", plan: Plan, data: Any, weights: Any, start: Any, tolerance: float, *, starts: int, seed: int
) -> tuple[Solution, Maxima]:
    """Solve from the given start and from others drawn around it; return the best certified solution.

    Where none is certified, it is the solution of the first start, so that its status speaks for it.

    Args:
        model: a smooth model.
        plan: how to climb.
        data: the dataset.
        weights: (n,) or None.
        start: start values, partial or None.
        tolerance: of the decrement.
        starts: their number, the first one included.
        seed: of the draws.
    """
    place = plan.coordinates
    run = verb_program(model, _solve_lanes, starts=starts)
    key = jax.random.key(seed)
    stacked = to_numpy(run(place, data, weights, start, key, plan.optimizer, tolerance, plan.max_steps))
    certified = are_certified(stacked.status)
    heights = np.where(certified, stacked.log_likelihood, -np.inf)
    best = int(np.argmax(heights)) if certified.any() else 0
    return lane_of(stacked, best), _distinct(place, stacked, certified)


def _solve_lanes(
    model: "Model",
    place: Coordinates,
    data: Any,
    weights: Array | None,
    start: Any,
    key: Array,
    optimizer: Optimizer[Any],
    tolerance: Array | float,
    max_steps: Array | int,
    *,
    starts: int,
) -> Solution:
    first = start_theta(model, place, data, weights, start)

    def climb(theta: Array) -> Solution:
        return solve(model, place, theta, data, weights, optimizer, tolerance=tolerance, max_steps=max_steps)

    thetas = _drawn(model, place, first, data, weights, key, starts)
    found: Solution = jax.lax.map(climb, thetas, batch_size=min(CHUNK, starts))
    return found


def _drawn(
    model: "Model", place: Coordinates, first: Array, data: Any, weights: Array | None, key: Array, starts: int
) -> Array:
    """Return the first start and others around it, (starts, k).

    They spread over what a single row leaves open, so units do not matter; free coordinates stay inside the domain.
    """
    diagonal = loss_objective(model, place, data, weights=weights).diagonal(first)
    scale = jnp.where(jnp.isfinite(diagonal) & (diagonal != 0), jnp.abs(diagonal), 1.0) ** -0.5
    longest = LONGEST * jnp.maximum(1.0, jnp.abs(first))
    noise = jax.random.normal(key, (starts, first.size), first.dtype).at[0].set(0.0)
    return first + noise * jnp.minimum(SPREAD * scale, longest)


def _distance(stacked: Any, lane: int, head: int) -> float:
    """Return how far two maxima are apart in standard errors; by the diagonal alone where no matrix was formed."""
    apart = stacked.theta[lane] - stacked.theta[head]
    certificate = stacked.certificate
    image = certificate.information[head] @ apart if certificate.is_dense else certificate.diagonal[head] * apart
    return float(np.sqrt(max(apart @ image, 0.0)))


def _distinct(place: Coordinates, stacked: Any, certified: np.ndarray) -> Maxima:
    """Put together the starts that ended at the same maximum, judged in its own standard errors."""
    heads: list[int] = []
    counts: list[int] = []
    order = np.argsort(-np.where(certified, stacked.log_likelihood, -np.inf), kind="stable")
    for lane in order[: int(certified.sum())]:
        for position, head in enumerate(heads):
            if _distance(stacked, lane, head) < SAME:
                counts[position] += 1
                break
        else:
            heads.append(int(lane))
            counts.append(1)
    others, numbers = np.unique(stacked.status[~certified], return_counts=True)
    flat = [np.asarray(place.flat(jnp.asarray(stacked.theta[head]))) for head in heads]
    return Maxima(
        log_likelihood=stacked.log_likelihood[heads],
        flat=np.array(flat).reshape(len(heads), len(place.space.names)),
        starts=np.array(counts, int),
        uncertified={Status(int(code)).name: int(number) for code, number in zip(others, numbers, strict=True)},
    )
