"""Values of a function at many points in one compiled program, its automatic derivative, and its rounding noise."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mle_jax._precision import at_highest_precision
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.footprint import batch_size

Function = Callable[..., Any]
Indices = NDArray[np.int64]

MEMORY = 2**27
"""Bytes that the points evaluated together may take."""
CAPACITY = 512
"""Points per call of the compiled program: one size, so that it compiles once."""
ROWS = 32
"""Points per call that are given entry by entry."""
AWAY = (2.0**-4, 2.0**-9, 2.0**-14, 2.0**-24)
"""Distances, in typical sizes, at which the noise is measured again, until one of them is inside the domain."""
GROWN = 8.0
"""Noise that has grown by less on the way is the same noise: an estimate from nine values is no better."""


@dataclass(frozen=True)
class Probe:
    """A function at its data, to be evaluated around one point."""

    function: Function
    positions: Any
    """As in `Coordinates`."""
    args: Any
    point: NDArray[Any]
    """(k,), in the precision of the evaluation."""
    memory: int

    def moved(self, point: NDArray[Any]) -> "Probe":
        """Return the probe at another point."""
        return replace(self, point=np.asarray(point, self.point.dtype))

    def at(self, points: NDArray[Any]) -> Vector:
        """Evaluate at points (m, k) given in full; the values come as float64 (m,)."""
        values = [self._block(points[i : i + ROWS]) for i in range(0, len(points), ROWS)]
        return np.concatenate(values) if values else np.empty(0)

    def through(self, directions: Callable[[Indices], Vector], numbers: Indices, *, offsets: Vector) -> Vector:
        """Evaluate along lines of any direction.

        Args:
            directions: takes numbers of lines (m,), returns their directions (m, k).
            numbers: (m,), which line.
            offsets: (m,), how far along it.

        Returns:
            The values (m,).
        """
        values = []
        for i in range(0, len(numbers), ROWS):  # all the points together might not fit into memory
            moves = offsets[i : i + ROWS, None] * directions(numbers[i : i + ROWS])
            values.append(self._block(self.point + moves))
        return np.concatenate(values) if values else np.empty(0)

    def along(self, indices: Indices, offsets: Vector) -> tuple[Vector, Vector]:
        """Evaluate with one coordinate moved at a time.

        Args:
            indices: (m,), which coordinate.
            offsets: (m,), by how much.

        Returns:
            The values (m,) and the offsets (m,) that arithmetic really made: (x + h) - x, not h.
        """
        here = self.point[indices]
        moved = (here.astype(np.float64) + offsets).astype(self.point.dtype)
        rows = np.zeros((ROWS, self.point.size), self.point.dtype)
        rows[0] = self.point
        zeros = np.zeros(len(indices), np.int64)
        values = _sweep_all(self, rows, (zeros, np.asarray(indices, np.int64), moved))
        return values, moved.astype(np.float64) - here.astype(np.float64)

    def autodiff(self) -> tuple[float, Vector]:
        """Return the value and the automatic gradient (k,), in float64."""
        return self.autodiff_with(self.point, self.args)

    def autodiff_with(self, point: NDArray[Any], args: Any) -> tuple[float, Vector]:
        """Return value and automatic gradient at another point and other data of the same shapes."""
        value, gradient = _value_and_gradient(self.function, np.asarray(point, self.point.dtype), self.positions, args)
        return float(value), np.asarray(gradient, np.float64)

    def _block(self, points: NDArray[Any]) -> Vector:
        points = np.asarray(points, self.point.dtype)
        rows = np.concatenate([points, np.broadcast_to(self.point, (ROWS - len(points), self.point.size))])
        entries = (np.arange(len(points)), np.zeros(len(points), np.int64), points[:, 0])
        return _sweep_all(self, rows, entries)


def value_at(function: Function, point: Array, positions: Any, args: Any) -> Array:
    """Evaluate a function of a pytree at a flat vector, and see to it that one real number comes back."""
    params = jax.tree_util.tree_map(lambda place: point.at[place].get(mode="promise_in_bounds"), positions)
    value = at_highest_precision(function)(params, *args)
    _require_real_scalar(value)
    return jnp.asarray(value)


def noise_level(probe: Probe, value: float, sizes: Vector) -> float:
    """Estimate the rounding error of the function's values from the values themselves.

    Differences of high order along a line of closely spaced points contain next to nothing of a smooth function, so
    what is left is noise. Two spacings: a few units of float64, and one that single precision inside the function
    cannot hide from.

    Reference:
        J. J. Moré and S. M. Wild, Estimating computational noise, SIAM J. Sci. Comput. 33 (2011), algorithm ECnoise.
    """
    steps, count = noise_points(probe.point, sizes)
    estimates = [difference_noise(part) for part in np.split(probe.at(steps), count)]
    least = np.finfo(probe.point.dtype).eps / 4.0 * abs(value)
    return float(np.nanmax([*estimates, least]))


class Noise(NamedTuple):
    """The rounding error of a function's values at a point and around it."""

    level: float
    """At the point."""
    drift: float
    """What is added per typical size of the coordinates on the way from the point."""


def noise_around(probe: Probe, value: float, sizes: Vector) -> Noise:
    """Estimate the rounding error of the function's values at the point, and how it grows on the way from there.

    Where a sum of squares vanishes its value is exact, but next to it the residuals were rounded before they were
    squared: an error that grows with the distance, so that the quotient of no step escapes it.

    Args:
        probe: the function, at the point.
        value: its value there.
        sizes: (k,), typical sizes of the coordinates.
    """
    level = noise_level(probe, value, sizes)
    signs = np.where(np.random.default_rng(8).random(sizes.size) < 0.5, -1.0, 1.0)
    for share in AWAY:
        there = probe.moved(probe.point + share * signs * sizes)
        beyond = float(there.at(there.point[None])[0])
        if np.isfinite(beyond):
            grown = noise_level(there, beyond, sizes)
            return Noise(level, grown / share if grown > GROWN * level else 0.0)
    return Noise(level, 0.0)


def noise_points(point: NDArray[Any], sizes: Vector) -> tuple[Vector, int]:
    """Return the points of `noise_level`, line after line of one spacing each, and the number of lines."""
    signs = np.where(np.random.default_rng(7).random(sizes.size) < 0.5, -1.0, 1.0)
    spacings = (2.0**-46, 2.0**-24) if point.dtype == np.float64 else (2.0**-18,)
    steps = np.concatenate([spacing * np.arange(-4, 5) for spacing in spacings])
    return np.asarray(point + steps[:, None] * signs * sizes), len(spacings)


def difference_noise(values: Vector) -> Vector:
    """Return the noise of values (p, ...) along their first axis, at closely spaced points.

    NaN where one of them is not finite: at the edge of a domain, where what is inside bends too much.
    """
    levels = []
    differences, factor = values, 1.0
    for order in range(1, 7):
        with np.errstate(invalid="ignore"):
            differences = np.diff(differences, axis=0)
        factor *= order / (2.0 * (2.0 * order - 1.0))  # (k!)^2 / (2k)!, built up
        if order >= 4:
            levels.append(np.sqrt(factor * np.mean(differences**2, axis=0)))
    stacked = np.stack(levels)
    return np.asarray(np.where(np.all(np.isfinite(stacked), axis=0), np.min(stacked, axis=0), np.nan))


@functools.partial(jax.jit, static_argnames="function")
def _value_and_gradient(function: Function, point: Array, positions: Any, args: Any) -> tuple[Array, Array]:
    value, gradient = jax.value_and_grad(lambda x: value_at(function, x, positions, args))(point)
    return value, gradient


def _sweep_all(probe: Probe, rows: NDArray[Any], entries: tuple[NDArray[Any], ...]) -> Vector:
    """Evaluate any number of points in blocks of `CAPACITY`."""
    count = len(entries[0])
    values = np.empty(count)
    for begin in range(0, count, CAPACITY):
        block = [entry[begin : begin + CAPACITY] for entry in entries]
        used = len(block[0])
        padded = [np.concatenate([entry, np.broadcast_to(entry[:1], CAPACITY - used)]) for entry in block]
        found = _sweep(probe.function, rows, tuple(padded), used, probe.positions, probe.args, probe.memory)
        values[begin : begin + used] = np.asarray(found)[:used]
    return values


@functools.partial(jax.jit, static_argnames=("function", "memory"))
def _sweep(function: Function, rows: Array, entries: Any, used: Array, positions: Any, args: Any, memory: int) -> Array:
    """Evaluate at rows[r] with entry i replaced by v, for each (r, i, v) among the first `used` entries."""

    def single(row: Array, index: Array, replacement: Array) -> Array:
        point = rows[row].at[index].set(replacement)
        return value_at(function, point, positions, args).astype(jnp.float64)

    lanes = batch_size(single, [entry[0] for entry in entries], memory=memory, most=CAPACITY)
    lanes = lanes // ROWS * ROWS or lanes  # no half-empty chunk after every block of rows

    def chunk(i: Array, out: Array) -> Array:
        begin = jnp.minimum(i * lanes, CAPACITY - lanes)
        part = [jax.lax.dynamic_slice(entry, (begin,), (lanes,)) for entry in entries]
        found = jax.vmap(single)(*part) if lanes > 1 else single(*(entry[0] for entry in part))[None]
        return jax.lax.dynamic_update_slice(out, found, (begin,))

    return jax.lax.fori_loop(0, -(-used // lanes), chunk, jnp.zeros(CAPACITY, jnp.float64))


def _require_real_scalar(value: Any) -> None:
    array = value if hasattr(value, "dtype") else jnp.asarray(value)
    if array.shape != ():
        raise TypeError(
            f"the function returned an array of shape {array.shape}, but only a single number has a gradient; "
            "return a scalar, for instance jnp.sum(...) of it"
        )
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(
            f"the function returned a complex number ({array.dtype}), but the gradient is that of a real one; "
            "return its real part or its absolute value"
        )
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"the function returned {array.dtype}, but only a floating-point number has a gradient; "
            "compute with floats: write 1.0 instead of 1 and do not cast to int"
        )
