"""Many datasets on a CPU: chunks of lanes, each solved by one native loop, for as many of them as that can settle."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._objective import Evaluation
from mle_jax._side_by_side import PLAIN_TOGETHER, TOGETHER
from mle_jax._status import Status
from mle_jax._trees import named_leaves
from mle_jax.fitting.certificate import Certificate
from mle_jax.fitting.lanes import FlatLanes, first_lane, lane_weights, split_lanes
from mle_jax.fitting.native import Arrived, climb
from mle_jax.fitting.native_starts import Begin, begin_apart, begin_side_by_side, begins_side_by_side
from mle_jax.fitting.planning import Plan
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.verdicts import collapse, predicts_all, verdict
from mle_jax.likelihood.lane_rows import Ends, LaneRows, Rows
from mle_jax.likelihood.lane_sums import LaneLikelihood
from mle_jax.likelihood.layout import count_rows
from mle_jax.likelihood.loss import loss_scale, to_information, to_log_likelihood
from mle_jax.likelihood.rows import row_layout
from mle_jax.optimizers._one_kernel import NotOneKernelError, is_known, only_in_one_kernel
from mle_jax.optimizers.newton import Newton
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

LANES = 32  # side by side: enough for the vector registers, few enough that a straggler holds up few others
PLAIN_LANES = 512  # the same, at most, where operations are compiled one by one: with all rows as much as a cache holds
MOST_COORDINATES = 10
MOST_ROWS = 16_384


class Settled(NamedTuple):
    """What is told of B lanes; of those that are not `settled` it is of no use, but for where they got to."""

    settled: Array  # bool
    unfinished: Array  # bool: the steps ran out
    theta: Array  # (B, k)
    params: Any
    log_likelihood: Array
    decrement: Array
    steps: Array
    information: Array  # (B, k, k)
    smallest_eigenvalue: Array
    weakest: Array  # (B, k)
    drop: Array
    uphill_drop: Array


def suits_native(model: "Model", plan: Plan, data: Any, axes: tuple[bool, ...]) -> bool:
    """Say whether a batch is of the kind that can be tried: small smooth problems with independent rows, on a CPU."""
    if not is_known() or jax.default_backend() != "cpu" or model.is_joint or not model.smooth:
        return False
    newton = isinstance(plan.optimizer, Newton) and plan.optimizer.curvature == "observed"
    usual = newton and not (plan.handwritten or plan.closed_form or plan.whiten)
    size = plan.coordinates.size
    one = jax.tree_util.tree_map(lambda leaf: leaf, first_lane(data, axes))  # in JAX's order, which is that of axes
    common = all(
        rows or not own for rows, own in zip(row_layout(one, tuple(model.constants)).by_row, axes, strict=True)
    )
    return usual and 0 < size <= MOST_COORDINATES and count_rows(model, one) <= MOST_ROWS and common


def settle_lanes(
    model: "Model",
    place: Coordinates,
    data: Any,
    firsts: tuple[Array | int, ...],
    weights: Array | Ends | None,
    begin: Begin,
    radius: Array | float,
    tolerance: Array | float,
    max_steps: Array | int,
    *,
    axes: tuple[bool, ...],
    shapes: tuple[tuple[int, ...], ...],
    columns: tuple[int, ...],
    lanes: int,
) -> Settled:
    """Settle as many lanes as a native loop can; or a loop of operations, where the density cannot be part of one.

    Args:
        model: the model.
        place: the free coordinates, common to all lanes.
        data: B datasets, a multiple of `LANES`; those leaves that are not shared by them as rows of numbers.
        firsts: where the numbers of lane 0 begin in each of these.
        weights: (B, n), `Ends` of B, (n,) or None.
        begin: where.
        radius: the first trust radius.
        tolerance: of the decrement.
        max_steps: the most steps of every lane here.
        axes: from `lane_axes`.
        shapes: of a lane's own leaves.
        columns: of which these consist, as `FlatLanes` has them.
        lanes: B.
    """
    datasets = FlatLanes(data, axes, firsts, shapes, columns, lanes)
    first = first_lane(datasets.some(0, 1), axes)
    limits = jnp.asarray(radius, float), jnp.asarray(tolerance, float), jnp.asarray(max_steps, jnp.int32)
    whole = LaneLikelihood(model, place, first, jnp.zeros(place.size))
    by_row = _weights_of(weights, count_rows(model, first))
    apart = lambda: begin_apart(model, place, datasets.some(0, lanes), by_row, begin, axes=axes)  # noqa: E731 - if need be
    native = begins_side_by_side(model, place, datasets.some(0, LANES), by_row, begin, axes=axes)
    chunks = partial(_climb_by_chunks, model, place, datasets, weights, limits=limits)
    try:
        start = begin if native else apart()
        arrived = chunks(start, whole.in_blocks_of(TOGETHER), many=LANES, call=only_in_one_kernel)
    except NotOneKernelError:
        likelihood, many = whole.in_blocks_of(PLAIN_TOGETHER), _plain_lanes(first, model, lanes)
        arrived = chunks(apart(), likelihood, many=many, call=lambda loop, *inputs: loop(*inputs))
    return _all_told(model, place, first, weights, arrived, tolerance)


def _climb_by_chunks(
    model: "Model",
    place: Coordinates,
    datasets: FlatLanes,
    weights: Array | Ends | None,
    begin: Begin,
    likelihood: LaneLikelihood,
    *,
    limits: tuple[Array, Array, Array],
    many: int,
    call: Callable[..., Arrived],
) -> Arrived:
    """Climb by chunks of so many lanes; the loop of each is called as `call` does it."""
    axes, by_lane = datasets.axes, (weights,) if isinstance(weights, Ends) else lane_weights(weights)
    common, where = begin if isinstance(begin, tuple) else (None, begin)
    of_rows = partial(_row_leaves, axes=axes, constants=tuple(model.constants))
    # Groups are read as far as they reach, unless leaves are shared.
    reads = isinstance(weights, Ends) and all(axes)

    def read(number: Array, begin: Array | int, count: int) -> list[Array]:
        return of_rows(datasets.rows(number * many, many, begin, count))

    def chunk(room: Rows | None, its: tuple[Any, ...]) -> tuple[Rows | None, Arrived]:
        number, where, *own_weights = its
        some, by_row = datasets.some(number * many, many), own_weights[0] if own_weights else weights
        values = where if common is None else (common, where)
        size = count_rows(model, first_lane(some, axes))
        start = begin_side_by_side(model, place, some, _weights_of(by_row, size), values, axes=axes)
        if isinstance(by_row, Array) and not own_weights:
            by_row = jnp.broadcast_to(by_row, (many, size))
        rows = likelihood.prepare(partial(read, number) if reads else of_rows(some), by_row, room)

        def loop(rows: LaneRows, start: Array, radius: Array, bar: Array, most: Array) -> Arrived:
            return climb(likelihood, rows, start, radius=radius, tolerance=bar, max_steps=most)

        return None if room is None else rows.rows, call(loop, rows, start, *limits)

    room = None if weights is None else likelihood.make_room(jax.eval_shape(lambda: of_rows(datasets.some(0, many))))
    return _chunk_by_chunk(chunk, room, (where, *by_lane), datasets.lanes // many)


def _chunk_by_chunk(
    chunk: Callable[[Rows | None, Any], tuple[Rows | None, Arrived]], room: Rows | None, lanes: Any, chunks: int
) -> Arrived:
    """Work through chunks of lanes; each is laid out in the room of the one before: to clear it takes as long again.

    Args:
        chunk: of a room and (its number, its lanes); returns the room as it leaves it.
        room: the first one.
        lanes: pytree of arrays with a leading axis of all lanes.
        chunks: how many.
    """
    split = lambda leaf: leaf.reshape(chunks, -1, *leaf.shape[1:])  # noqa: E731 - of every leaf
    _, arrived = jax.lax.scan(chunk, room, (jnp.arange(chunks), *jax.tree_util.tree_map(split, lanes)))
    found: Arrived = jax.tree_util.tree_map(_lanes_first, arrived)
    return found


def _weights_of(weights: Array | Ends | None, size: int) -> Array | None:
    return weights.weights(size) if isinstance(weights, Ends) else weights


def _plain_lanes(dataset: Any, model: "Model", lanes: int) -> int:
    """Return a power of two, at least `LANES`, of which the number of all lanes is a multiple."""
    fitting = PLAIN_TOGETHER // count_rows(model, dataset)
    return max(min(1 << max(fitting, 1).bit_length() - 1, PLAIN_LANES, lanes & -lanes), LANES)


def _row_leaves(data: Any, axes: tuple[bool, ...], constants: tuple[str, ...]) -> list[Array]:
    """Return the leaves that count rows, (L, n, ...) each: a shared one is repeated."""
    own, join = split_lanes(data, axes)
    lanes = own[0].shape[0]
    by_row = row_layout(join([leaf[0] for leaf in own]), constants).by_row
    # By name, as row_layout has them: the order is JAX's, since these data come from inside a compiled function.
    leaves = [jnp.asarray(leaf) for leaf in named_leaves(data, root="data").leaves]
    repeated = [
        leaf if own else jnp.broadcast_to(leaf, (lanes, *leaf.shape)) for leaf, own in zip(leaves, axes, strict=True)
    ]
    return [leaf for leaf, rows in zip(repeated, by_row, strict=True) if rows]


def _lanes_first(leaf: Array) -> Array:
    """Turn (chunks, ..., L) into (B, ...)."""
    moved = jnp.moveaxis(leaf, -1, 1)
    return moved.reshape(-1, *moved.shape[2:])


def _all_told(
    model: "Model",
    place: Coordinates,
    first: Any,
    weights: Array | Ends | None,
    arrived: Arrived,
    tolerance: Array | float,
) -> Settled:
    """Judge all lanes; `first` is one dataset."""
    if isinstance(weights, Ends):
        scale = weights.counts.astype(float)
    else:
        scale = jnp.asarray(loss_scale(model, first, None) if weights is None else jnp.sum(weights, axis=-1))
    in_axes = (0, 0 if scale.ndim else None)
    return jax.vmap(lambda one, scale: _told(place, one, scale, tolerance), in_axes=in_axes)(arrived, scale)


def _told(place: Coordinates, one: Arrived, scale: Array, tolerance: Array | float) -> Settled:
    """Judge a lane by the usual rules, and return to named parameters."""
    here = Evaluation(one.point, one.value, one.magnitude, one.gradient, one.hessian)
    certificate = certificate_of(one, to_information(one.hessian, scale))
    status = verdict(
        certificate,
        tolerance=tolerance,
        finite=here.is_finite,
        stalled=jnp.asarray(False),
        collapsed=collapse(place, here.point, here.magnitude, certificate, scale),
        certain=predicts_all(certificate, here.magnitude * scale),
    )
    return Settled(
        settled=one.clear & (status == Status.converged),
        unfinished=one.unfinished,
        theta=one.point,
        params=place.params(one.point),
        log_likelihood=to_log_likelihood(one.value, scale),
        decrement=one.decrement,
        steps=one.steps,
        information=certificate.information,
        smallest_eigenvalue=one.smallest_eigenvalue,
        weakest=one.weakest,
        drop=certificate.drop,
        uphill_drop=certificate.uphill_drop,
    )


def certificate_of(one: Arrived, information: Array) -> Certificate:
    """Write down what a native loop has seen; what it did not need is zero."""
    zero, nowhere = jnp.zeros_like(one.decrement), jnp.zeros_like(one.point)
    return Certificate(
        decrement=one.decrement,
        smallest_eigenvalue=one.smallest_eigenvalue,
        drop=jnp.min(one.falls),
        error=zero,
        information=information,
        diagonal=jnp.diagonal(information),
        step=one.decrement * one.uphill,
        uphill=one.uphill,
        uphill_drop=one.falls[0],
        weakest=one.weakest,
        sound=zero == 0,
        unsound=nowhere,
        fading=nowhere != 0,
        informed_decrement=one.decrement,
        directions=jnp.zeros_like(information),
        signs=nowhere + 1,
        flat=zero != 0,
        undetermined=nowhere != 0,
        rise=-jnp.min(one.falls),
        higher=nowhere,
        growth=zero,
    )


def to_solution(found: Settled, names: int) -> Solution:
    """Turn what is told of B settled lanes, in NumPy, into solutions; what is the same for all takes no memory.

    Args:
        found: of B lanes.
        names: the number of flat natural parameters.
    """
    lanes, size = found.theta.shape
    same: Any = lambda value, *shape: np.broadcast_to(np.asarray(value), (lanes, *shape))  # noqa: E731 - used throughout
    diagonals: Any = np.diagonal(found.information, axis1=1, axis2=2)
    certificate = Certificate(
        decrement=found.decrement,
        smallest_eigenvalue=found.smallest_eigenvalue,
        drop=found.drop,
        error=same(0.0),
        information=found.information,
        diagonal=diagonals,
        step=same(0.0, size),
        uphill=same(0.0, size),
        uphill_drop=found.uphill_drop,
        weakest=found.weakest,
        sound=same(True),
        unsound=same(0.0, size),
        fading=same(False, size),
        informed_decrement=found.decrement,
        directions=same(0.0, size, size),
        signs=same(1.0, size),
        flat=same(False),
        undetermined=same(False, size),
        rise=-found.drop,
        higher=same(0.0, size),
        growth=same(0.0),
    )
    return Solution(
        params=found.params,
        log_likelihood=found.log_likelihood,
        status=same(np.int32(Status.converged)),
        decrement=found.decrement,
        steps=found.steps,
        theta=found.theta,
        certificate=certificate,
        reliable=same(True, names),
        edge=same(0.0, names),
        trace=None,
    )
