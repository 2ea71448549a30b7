"""Newton's method on a few datasets side by side, written out entry by entry: one native loop, for a CPU.

The steps are those of `optimizers.newton`, in its scale and with its rules, but for two things. What takes an
eigendecomposition there takes a Cholesky factor here, written out; and where the curvature is indefinite, it is shifted
until it is not (Gershgorin), instead of turned around. A lane is let go as `done` only where all that a certificate
asks for is clear:

- the decrement is below the tolerance, at the start or after a step that shrank it tenfold, so that value, gradient and
  Hessian belong together; then comes one last step, kept if it brings the maximum nearer;
- the information, scaled by its diagonal, is far from singular: 1 / trace of its inverse, which is no more than its
  smallest eigenvalue, is above k sqrt(eps);
- no coordinate is seen through rows alone whose curvature is nothing beside that of others: their predictor is on its
  way to infinity, where all that is left of a score is rounding;
- over one standard error along the step, along the weakest direction both ways, and along what all rows have in common
  (a dispersion, which may run to a boundary), the log-likelihood falls by what a quadratic says to a factor of two.

Every other lane is for `fitting.solving`, which can tell what is the matter with it.

Source: Nocedal and Wright (2006), Numerical Optimization, 2nd edition, algorithms 4.1 and 4.3.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._side_by_side import Entries, Factor, Vector, cholesky, dot, repeat, solve, total
from mle_jax.fitting.climbing import LAST_DIGITS, QUADRATIC
from mle_jax.likelihood.lane_rows import LaneRows
from mle_jax.likelihood.lane_sums import LaneLikelihood
from mle_jax.optimizers.newton import next_radius

RUNNING, LAST, DONE, LEFT, LATE = 0, 1, 2, 3, 4
SECULAR_STEPS = 4  # for the damping: only its order of magnitude matters
SHIFT = 0.1  # of the scaled curvature, beyond what makes it positive definite
POWERS = 8  # of the inverse: enough to tell the weakest direction
ROUNDING_OF_LAST = 1000  # rounding units of the mean absolute contribution
FADED = 1e-20  # of the curvature of other rows: nothing, whatever the units of several predictors
CLEAR_FALL = 0.25, 1.0  # over one standard error, where a quadratic falls by 0.5


class Here(NamedTuple):
    """What is known at a point: the loss with its derivatives, scaled, and the factor of its curvature."""

    point: Vector
    value: Array
    magnitude: Array
    gradient: Vector
    hessian: Entries


class Climb(NamedTuple):
    """Where the lanes are."""

    here: Here
    radius: Array
    decrement: Array  # in the units of the loss; infinite where the curvature is indefinite
    accepted: Array
    stage: Array  # int32: RUNNING, LAST (one more step), DONE, LEFT to others, or LATE: out of steps
    steps: Array  # int32
    trial: Vector
    predicted: Array
    damping: Array
    length: Array
    first: Array


class Arrived(NamedTuple):
    """What a lane brings home."""

    point: Array  # (k, L)
    value: Array  # (L,) of the loss
    magnitude: Array
    gradient: Array  # (k, L)
    hessian: Array  # (k, k, L)
    steps: Array
    clear: Array  # bool: a maximum beyond doubt
    unfinished: Array  # bool: the steps ran out
    smallest_eigenvalue: Array
    decrement: Array  # in standard errors
    uphill: Array  # (k, L) one standard error along the step
    weakest: Array  # (k, L) one standard error long
    falls: Array  # (3 + 2 c, L) of the log-likelihood: ahead, along the weakest direction and the predictors in common


def climb(
    likelihood: LaneLikelihood, rows: LaneRows, start: Array, *, radius: Array, tolerance: Array, max_steps: Array
) -> Arrived:
    """Climb from the starts (k, L), and look around at the top.

    Args:
        likelihood: of L datasets.
        rows: the datasets.
        start: (k, L).
        radius: the first trust radius.
        tolerance: of the decrement, in standard errors.
        max_steps: the most steps; lanes that need more are left.
    """
    size, lanes = start.shape
    scale = jnp.zeros(lanes, start.dtype) + rows.total_weight
    nothing = jnp.zeros(lanes, start.dtype)

    def evaluate(point: Vector) -> Here:
        sums = likelihood.sums(rows, point)
        return Here(
            point,
            -sums.value / scale,
            sums.magnitude / scale,
            [-entry / scale for entry in sums.gradient],
            {place: -entry / scale for place, entry in sums.hessian.items()},
        )

    begin = [start[i] for i in range(size)]
    triangle = {(i, j): nothing for i in range(size) for j in range(i + 1)}
    first = Climb(
        here=Here(begin, nothing + jnp.inf, nothing, [nothing] * size, triangle),
        radius=nothing + radius,
        decrement=nothing + jnp.inf,
        accepted=nothing == 0,
        stage=jnp.zeros(lanes, jnp.int32),
        steps=jnp.full(lanes, -1, jnp.int32),
        trial=begin,
        predicted=nothing,
        damping=nothing,
        length=nothing,
        first=nothing == 0,
    )
    bar = tolerance / jnp.sqrt(scale)
    end = jax.lax.while_loop(
        lambda now: jnp.any(now.stage < DONE),
        lambda now: _step(now, evaluate(now.trial), bar=bar, max_steps=max_steps),
        first,
    )
    return _look_around(likelihood, rows, end, scale)


def _step(now: Climb, found: Here, *, bar: Array, max_steps: Array) -> Climb:
    """Keep the trial or not, and plan the next one."""
    here, eps = now.here, jnp.finfo(found.value.dtype).eps
    usable = _all_finite([found.value, *found.gradient, *found.hessian.values()])
    fall = here.value - found.value
    pieces = jnp.where(usable, jnp.maximum(here.magnitude, found.magnitude), here.magnitude)
    tie = jnp.abs(fall) <= 10 * eps * pieces
    before = _scales(here)
    smaller = _square([g / d for g, d in zip(found.gradient, before, strict=True)]) <= _square(
        [g / d for g, d in zip(here.gradient, before, strict=True)]
    )
    better = usable & jnp.where(tie, smaller, fall > 1e-4 * now.predicted)
    # A last step is kept only if it brings the maximum nearer; of its fall there is nothing left but rounding.
    last = now.stage == LAST
    better = jnp.where(last, usable & smaller & (fall > -ROUNDING_OF_LAST * eps * pieces), better)
    accepted = jnp.where(now.first, usable, better)
    there = jax.tree_util.tree_map(lambda new, old: jnp.where(accepted, new, old), found, here)

    scales = _scales(there)
    scaled = {(i, j): entry / (scales[i] * scales[j]) for (i, j), entry in there.hessian.items()}
    slope = [g / d for g, d in zip(there.gradient, scales, strict=True)]
    factor = cholesky(scaled)
    full = solve(factor, slope)
    decrement = jnp.where(factor.definite, jnp.sqrt(dot(slope, full)), jnp.inf)
    lost = last & ~(accepted & (decrement <= now.decrement))
    there = jax.tree_util.tree_map(lambda new, old: jnp.where(lost, old, new), there, here)
    decrement = jnp.where(lost, now.decrement, decrement)

    ratio = fall / now.predicted
    radius = next_radius(now.radius, now.length, ratio=ratio, usable=usable, tie=tie)
    radius = jnp.where(now.accepted, radius, jnp.minimum(radius, now.radius))  # grow on a second success
    radius = jnp.where(now.first, now.radius, radius)
    unit = jnp.sqrt(jnp.maximum(1.0, there.magnitude))
    damping, move = _damped(scaled, slope, full, factor.definite, radius * unit)
    along = dot(slope, move)

    steps = now.steps + jnp.where(last | (now.stage >= DONE), 0, 1)
    near = decrement < bar
    trial = [p - m / d for p, m, d in zip(there.point, move, scales, strict=True)]
    changes = _any([jnp.abs(t - p) > LAST_DIGITS * eps * jnp.abs(p) for t, p in zip(trial, there.point, strict=True)])
    quadratic = (accepted & jnp.isfinite(now.decrement) & (decrement < QUADRATIC * now.decrement)) | now.first
    # Where nothing is gained any more although the decrement is not small, others must judge.
    idle = ~now.first & tie & ~accepted
    stage = jnp.where(near & quadratic, jnp.where(changes, LAST, DONE), RUNNING)
    stage = jnp.where((near & ~quadratic) | idle | (now.first & ~usable), LEFT, stage)
    stage = jnp.where((stage == RUNNING) & (steps >= max_steps), LATE, stage)
    stage = jnp.where(last, DONE, stage)
    after = Climb(
        here=there,
        radius=radius,
        decrement=decrement,
        accepted=accepted,
        stage=stage.astype(jnp.int32),
        steps=steps,
        trial=trial,
        predicted=0.5 * (along + damping * dot(move, move)),
        damping=damping,
        length=jnp.sqrt(dot(move, move)) / unit,
        first=jnp.zeros_like(now.first),
    )
    ended = now.stage >= DONE
    return jax.tree_util.tree_map(lambda new, old: jnp.where(ended, old, new), after, now)


def _scales(here: Here) -> Vector:
    """Return the square roots of the diagonal, bounded from below by the squared gradient, as `Newton` does."""
    size = jnp.maximum(1.0, here.magnitude)
    found = []
    for i, slope in enumerate(here.gradient):
        diagonal = jnp.maximum(jnp.abs(here.hessian[i, i]), slope**2 / size)
        found.append(jnp.sqrt(jnp.where((diagonal > 0) & jnp.isfinite(diagonal), diagonal, 1.0)))
    return found


def _damped(scaled: Entries, slope: Vector, full: Vector, definite: Array, radius: Array) -> tuple[Array, Vector]:
    """Return the damping m >= 0 and the step (A + m)^-1 slope, not longer than the radius but by a few percent."""
    size = len(slope)
    entry = lambda i, j: scaled[max(i, j), min(i, j)]  # noqa: E731 - reads a symmetric matrix
    least = [entry(i, i) - sum(jnp.abs(entry(i, j)) for j in range(size) if j != i) for i in range(size)]
    shift = jnp.maximum(-_least(least), 0.0) + SHIFT
    length = jnp.sqrt(dot(full, full))
    damping = jnp.where(definite, 0.0, shift)
    waits = ~definite | (length > radius)

    # What was added last belongs to no move yet: the damping that made the move goes along.
    def shorten(now: tuple[Array, Array, Vector, Array, Array]) -> tuple[Array, Array, Vector, Array, Array]:
        trip, damping, move, waits, made = now
        factor = cholesky({(i, j): e + damping if i == j else e for (i, j), e in scaled.items()})
        move = [jnp.where(waits, new, old) for new, old in zip(solve(factor, slope), move, strict=True)]
        square, bend = dot(move, move), dot(move, solve(factor, move))
        length = jnp.sqrt(square)
        long = waits & (length > 1.05 * radius)
        gain = (length / radius - 1.0) * square / jnp.where(bend > 0, bend, 1.0)
        made = jnp.where(waits, damping, made)
        return trip + 1, damping + jnp.where(long, jnp.maximum(gain, 0.0), 0.0), move, long, made

    begin = jnp.int32(0), damping, full, waits, damping
    _, _, move, _, damping = jax.lax.while_loop(lambda now: (now[0] <= SECULAR_STEPS) & jnp.any(now[3]), shorten, begin)
    length = jnp.sqrt(dot(move, move))
    share = jnp.minimum(1.0, 1.05 * radius / jnp.where(length > 0, length, 1.0))
    return damping, [entry * share for entry in move]


def _look_around(likelihood: LaneLikelihood, rows: LaneRows, end: Climb, scale: Array) -> Arrived:
    here, size = end.here, len(end.here.point)
    diagonal = [here.hessian[i, i] for i in range(size)]
    scales = [jnp.sqrt(jnp.where(d > 0, d, 1.0)) for d in diagonal]
    scaled = {(i, j): entry / (scales[i] * scales[j]) for (i, j), entry in here.hessian.items()}
    slope = [g / d for g, d in zip(here.gradient, scales, strict=True)]
    factor = cholesky(scaled)
    full = solve(factor, slope)
    decrement = jnp.sqrt(dot(slope, full))
    zero = jnp.zeros_like(decrement)
    weakest, reciprocal, trace = _weakest(factor, size)
    # One standard error along a unit vector v of the scaled coordinates is 1 / sqrt(v' A v scale) long.
    across = [entry * jnp.sqrt(reciprocal / scale) / d for entry, d in zip(weakest, scales, strict=True)]
    forward = jnp.where(decrement > 0, 1.0 / jnp.where(decrement > 0, decrement, 1.0), 0.0) / jnp.sqrt(scale)
    uphill = [-f * forward / d for f, d in zip(full, scales, strict=True)]
    moves = [uphill, across, [-a for a in across]]
    for slopes in likelihood.slopes_in_common(zero):
        # One standard error of this predictor, the others following it.
        aside = solve(factor, [s / d for s, d in zip(slopes, scales, strict=True)])
        along = [a / d for a, d in zip(aside, scales, strict=True)]
        length = jnp.sqrt(dot(slopes, along) * scale)
        moves += [[a / length for a in along], [-a / length for a in along]]

    def look(number: Array, seen: list[Array]) -> list[Array]:
        # One after another, so that the log density is compiled once.
        chosen = [total(jnp.where(number == i, one[c], 0.0) for i, one in enumerate(moves)) for c in range(size)]
        value = likelihood.value(rows, [p + m for p, m in zip(here.point, chosen, strict=True)])
        return [jnp.where(number == i, value, old) for i, old in enumerate(seen)]

    after = repeat(len(moves), look, [zero] * len(moves))
    falls = [-there - here.value * scale for there in after]  # values are those of the log-likelihood
    falls = [jnp.where(jnp.isnan(fall), jnp.inf, fall) for fall in falls]
    falls[0] = jnp.where(decrement > 0, falls[0], 0.5)  # with no score there is no direction ahead
    sized = _all([(fall > CLEAR_FALL[0]) & (fall < CLEAR_FALL[1]) for fall in falls])
    regular = (
        factor.definite & _all([d > 0 for d in diagonal]) & (trace * size * jnp.sqrt(jnp.finfo(trace.dtype).eps) < 1)
    )
    regular &= _is_even([d * scale for d in diagonal], likelihood.squares(rows, zero))
    whole = jnp.stack([jnp.stack([here.hessian[max(i, j), min(i, j)] for j in range(size)]) for i in range(size)])
    return Arrived(
        point=jnp.stack(here.point),
        value=here.value,
        magnitude=here.magnitude,
        gradient=jnp.stack(here.gradient),
        hessian=whole,
        steps=end.steps,
        clear=(end.stage == DONE) & sized & regular,
        unfinished=end.stage == LATE,
        smallest_eigenvalue=1.0 / reciprocal,
        decrement=decrement * jnp.sqrt(scale),
        uphill=jnp.stack(uphill),
        weakest=jnp.stack(across),
        falls=jnp.stack(falls),
    )


def _weakest(factor: Factor, size: int) -> tuple[Vector, Array, Array]:
    """Return the weakest direction, a unit vector, the largest eigenvalue of the inverse, and the trace of that.

    By powers of the inverse, from its longest column on.
    """
    one = jnp.ones_like(factor.lower[0, 0])
    inverse = [solve(factor, [one if i == j else 0 * one for i in range(size)]) for j in range(size)]
    trace = inverse[0][0]
    weakest, largest = inverse[0], inverse[0][0]
    for i in range(1, size):
        trace = trace + inverse[i][i]
        weakest = [jnp.where(inverse[i][i] > largest, new, old) for new, old in zip(inverse[i], weakest, strict=True)]
        largest = jnp.maximum(largest, inverse[i][i])

    def unit(vector: Vector) -> Vector:
        return [entry / jnp.sqrt(dot(vector, vector)) for entry in vector]

    def power(_: Array, now: tuple[Vector, Array]) -> tuple[Vector, Array]:
        before = unit(now[0])
        after = solve(factor, before)
        return after, dot(before, after)

    weakest, reciprocal = repeat(POWERS, power, (weakest, one))
    return unit(weakest), reciprocal, trace


def _is_even(diagonal: Vector, squares: Vector) -> Array:
    """Say whether the curvatures of predictors, averaged over the rows that each coordinate is seen through, compare.

    Args:
        diagonal: of the information.
        squares: what it would be if every curvature were 1; empty where no predictor is a row's own.
    """
    if not squares:
        return diagonal[0] == diagonal[0]
    pairs = list(zip(diagonal, squares, strict=True))
    smallest = _least([jnp.where(square > 0, d / square, jnp.inf) for d, square in pairs])
    largest = -_least([jnp.where(square > 0, -d / square, 0.0) for d, square in pairs])
    return ~(smallest < FADED * largest)


def _square(vector: Vector) -> Array:
    return dot(vector, vector)


def _any(conditions: list[Array]) -> Array:
    found = conditions[0]
    for condition in conditions[1:]:
        found = found | condition
    return found


def _all(conditions: list[Array]) -> Array:
    return ~_any([~condition for condition in conditions])


def _least(values: list[Array]) -> Array:
    found = values[0]
    for value in values[1:]:
        found = jnp.minimum(found, value)
    return found


def _all_finite(values: list[Array]) -> Array:
    return _all([jnp.isfinite(value) for value in values])
