"""Automatic gradients at many points and automatic second derivatives along many vectors, inside memory bounds."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.evaluation import Function, Probe, difference_noise, noise_points, value_at
from mle_jax.gradients.extrapolation import Slopes, slopes
from mle_jax.gradients.footprint import batch_size
from mle_jax.gradients.rounding import EPS

CAPACITY = 64
"""Points per call of the compiled program: one size, so that it compiles once."""
MANY = 128
"""Lines that climb their ladders of steps together."""
LEAST = 1e-200
"""A noise so small that it is none, for gradients that are exactly zero."""


@dataclass(frozen=True)
class SecondProbe:
    """A function around one point, to be differentiated twice along given vectors."""

    probe: Probe
    """In float64 or float32."""
    vectors: Vector
    """(m, k)."""
    sizes: Vector
    """(k,), typical sizes of the coordinates."""

    @property
    def point(self) -> NDArray[Any]:
        """The point (k,)."""
        return self.probe.point

    @property
    def args(self) -> Any:
        """The data."""
        return self.probe.args

    def columns(self) -> Vector:
        """Return the automatic second derivatives H v for every vector v, as (k, m) in float64."""
        return self.autodiff()[1].reshape(self.point.size, -1)

    def autodiff(self) -> tuple[float, Vector]:
        """Return the same flat, entry (i, j) at i m + j; the first number means nothing."""
        return self.autodiff_with(self.point, self.args)

    def autodiff_with(self, point: NDArray[Any], args: Any) -> tuple[float, Vector]:
        """Return the same at another point and other data of the same shapes."""
        probe = self.probe
        point, vectors = (np.asarray(array, probe.point.dtype) for array in (point, self.vectors))
        found = _columns(probe.function, point, vectors, probe.positions, args, probe.memory)
        return np.nan, np.asarray(found, np.float64).T.ravel()

    def gradients(self, points: Vector) -> Vector:
        """Return the automatic gradients (q, k) at points (q, k)."""
        probe = self.probe
        found = np.empty((len(points), probe.point.size))
        for begin in range(0, len(points), CAPACITY):
            block = np.asarray(points[begin : begin + CAPACITY], probe.point.dtype)
            used = len(block)
            padded = np.concatenate([block, np.broadcast_to(block[:1], (CAPACITY - used, block.shape[1]))])
            values = _gradients(probe.function, padded, used, probe.positions, probe.args, probe.memory)
            found[begin : begin + used] = np.asarray(values)[:used]
        return found


def differenced(
    second: SecondProbe, lengths: Vector, *, columns: NDArray[np.int64], known: tuple[Vector, Vector, Vector]
) -> Slopes:
    """Differentiate the automatic gradient numerically along some of the vectors.

    Args:
        second: the function at the point.
        lengths: (m,), on which the function may be expected to change along the vectors.
        columns: positions (c,) of the vectors.
        known: handwritten and automatic second derivatives and the difference of the two that rounding explains, each
            (k, c): where they answer the question few steps are taken.

    Returns:
        Slopes of shape (k, c), with infinite errors where the differences carry no digits.
    """
    k = second.point.size
    gradient = second.gradients(second.point[None])[0]
    unit = _units(second, gradient, largest=np.max(np.abs(known[1]) * lengths[columns], axis=1, initial=0.0))
    parts = []
    for begin in range(0, columns.size, max(1, MANY // k)):
        some = slice(begin, begin + max(1, MANY // k))
        hand, auto, bound = (array[:, some] for array in known)
        parts.append(_along(second, gradient, unit, columns[some], lengths=lengths, known=(hand, auto, bound)))
    fields = ("value", "error", "jump", "best")
    return Slopes(*(np.concatenate([getattr(part, name) for part in parts], axis=1) for name in fields))


def _along(
    second: SecondProbe,
    gradient: Vector,
    unit: Vector,
    columns: NDArray[np.int64],
    *,
    lengths: Vector,
    known: tuple[Vector, Vector, Vector],
) -> Slopes:
    """Climb the ladders of a few vectors; line i c + j is entry i of the gradient along vector j."""
    k, c = known[0].shape
    vectors, point = second.vectors[columns], second.point

    def line(numbers: NDArray[np.int64], offsets: Vector) -> tuple[Vector, Vector]:
        entry, which = numbers // c, numbers % c
        places, inverse = np.unique(np.stack([which.astype(np.float64), offsets]), axis=1, return_inverse=True)
        ways = vectors[places[0].astype(np.int64)]
        moved = point + places[1][:, None] * ways
        # The step that arithmetic really made, measured where the vector is longest.
        longest = np.argmax(np.abs(ways), axis=1)[:, None]
        made = np.take_along_axis(moved - point, longest, 1) / np.take_along_axis(ways, longest, 1)
        inverse = np.ravel(inverse)
        with np.errstate(invalid="ignore", over="ignore"):
            risen = (second.gradients(moved)[inverse, entry] - gradient[entry]) / unit[entry]
        return risen, made[inverse, 0]

    lines = np.tile(lengths[columns], k)
    units = np.repeat(unit, c)
    hand, auto, bound = (array.ravel() / units for array in known)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.max(np.where(vectors != 0.0, np.abs(point / vectors), 0.0), axis=1) * 4.0 * EPS
    with np.errstate(invalid="ignore"):
        apart = np.abs(hand - auto)
        target = np.where(apart > bound, apart / 16.0, np.fmax(1e-6 * np.abs(auto), 1e3 / lines))

    def settled(seen: Slopes) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore"):
            return np.asarray((np.abs(auto - seen.value) <= seen.error + bound) & (seen.error <= target))

    found = slopes(line, lines, centre=0.0, noise=1.0, reach=np.tile(reach, k), settled=settled)
    scaled = (found.value * units, found.error * units, found.jump * units, found.best)
    return Slopes(*(array.reshape(k, c) for array in scaled))


def _units(second: SecondProbe, gradient: Vector, *, largest: Vector) -> Vector:
    """Return the rounding error (k,) of each entry of the gradient, estimated from its values at close points."""
    points, count = noise_points(second.point, second.sizes)
    estimates = [difference_noise(part) for part in np.split(second.gradients(points), count)]
    least = EPS / 4.0 * np.fmax(np.abs(gradient), largest / 16.0)
    return np.fmax(np.fmax.reduce([*estimates, least]), LEAST)


@functools.partial(jax.jit, static_argnames=("function", "memory"))
def _columns(function: Function, point: Array, vectors: Array, positions: Any, args: Any, memory: int) -> Array:
    """Return H v for each of the vectors (m, k): the gradient is linearized once, then pushed forward."""
    gradient = jax.grad(lambda x: value_at(function, x, positions, args))
    _, push = jax.linearize(gradient, point)
    lanes = batch_size(push, [vectors[0]], memory=memory, most=vectors.shape[0])
    return jnp.asarray(jax.lax.map(push, vectors, batch_size=lanes))


@functools.partial(jax.jit, static_argnames=("function", "memory"))
def _gradients(function: Function, points: Array, used: Array, positions: Any, args: Any, memory: int) -> Array:
    """Return the gradients at the first `used` of the points."""
    gradient = jax.grad(lambda x: value_at(function, x, positions, args))
    lanes = batch_size(gradient, [points[0]], memory=memory, most=CAPACITY)

    def chunk(i: Array, out: Array) -> Array:
        begin = jnp.minimum(i * lanes, CAPACITY - lanes)
        part = jax.lax.dynamic_slice(points, (begin, 0), (lanes, points.shape[1]))
        found = jax.vmap(gradient)(part).astype(jnp.float64)
        return jax.lax.dynamic_update_slice(out, found, (begin, 0))

    return jax.lax.fori_loop(0, -(-used // lanes), chunk, jnp.zeros(points.shape, jnp.float64))
