"""A function of two parameters as numbers: its values on a grid, its gradient, and levels that spread its contours."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax.gradients.coordinates import Vector, cast
from mle_jax.gradients.evaluation import MEMORY
from mle_jax.gradients.footprint import batch_size

Function = Callable[..., Any]

GRID = 121
LEVELS = 12
SIMILAR = 4.0
"""Ranges whose lengths differ by less than this factor share one scale."""


class Frame(NamedTuple):
    """The rectangle that is drawn, and how: one scale for both axes, or each axis its own."""

    x: tuple[float, float]
    y: tuple[float, float]

    @property
    def lengths(self) -> Vector:
        """The lengths of the two ranges."""
        return np.array([self.x[1] - self.x[0], self.y[1] - self.y[0]])

    @property
    def is_equal(self) -> bool:
        """Whether one unit is equally long on both axes."""
        return bool(self.lengths.max() < SIMILAR * self.lengths.min())

    @property
    def units(self) -> Vector:
        """What counts as one on each axis where directions are drawn: 1, or the length of the axis."""
        return np.ones(2) if self.is_equal else self.lengths


def check_function(name: str, function: Any, args: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    """Raise where a function of a length-2 vector is none, or returns something of another shape."""
    if not callable(function):
        raise TypeError(
            f"{name} is a {type(function).__name__}, but it must be a function of a vector of two parameters; "
            "pass for instance lambda w: (w**2).sum()"
        )
    found = jax.eval_shape(function, jax.ShapeDtypeStruct((2,), jnp.float64), *args)
    if getattr(found, "shape", None) != shape:
        given = f"an array of shape {found.shape}" if hasattr(found, "shape") else f"a {type(found).__name__}"
        wanted = "one number" if shape == () else "an array of shape (2,)"
        raise TypeError(f"{name} returned {given}, but it must return {wanted} for a vector of two parameters")


def as_data(args: Any) -> tuple[Any, ...]:
    """Return the data of a function as arrays of float64."""
    if not isinstance(args, tuple | list):
        raise TypeError(f"args is a {type(args).__name__}, but it must be a tuple of data; write args=(x, y)")
    return cast(tuple(args), "float64")


def evaluate(function: Function, points: Vector, args: tuple[Any, ...]) -> Vector:
    """Return a function's values at points (m, 2), as many at a time as memory allows."""

    @jax.jit
    def values(at: Array, data: tuple[Any, ...]) -> Any:
        def single(point: Array) -> Array:
            return jnp.asarray(at_highest_precision(function)(point, *data), jnp.float64)

        lanes = batch_size(single, [at[0]], memory=MEMORY, most=len(points))
        return jax.lax.map(single, at, batch_size=lanes)

    return np.asarray(values(jnp.asarray(points), args))


def heights(function: Function, frame: Frame, args: tuple[Any, ...]) -> tuple[Vector, Vector, Vector]:
    """Return a grid over the frame, x (m,) and y (m,), and the values (m, m), rows along y."""
    x, y = np.linspace(*frame.x, GRID), np.linspace(*frame.y, GRID)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return x, y, evaluate(function, points, args).reshape(GRID, GRID)


def levels(values: Vector) -> Vector:
    """Return heights whose contours lie about equally far apart, for a bowl, a hill or a slope.

    In a bowl the area inside a contour grows with the square of its distance from the bottom, so the levels are the
    quantiles at (k / LEVELS)^2 of the values over the area. Around a hill the same from above.

    Raises:
        ValueError: no value is finite, or all are equal.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.min() == finite.max():
        found = "has no finite value" if finite.size == 0 else f"is {finite[0]} everywhere"
        raise ValueError(f"the function {found} on this rectangle, so it has no contours; pass other ranges")
    part = np.linspace(0.0, 1.0, LEVELS + 1)
    if _inside(np.where(np.isfinite(values), values, np.inf), np.argmin):
        part = part**2
    elif _inside(np.where(np.isfinite(values), values, -np.inf), np.argmax):
        part = 1.0 - part[::-1] ** 2
    height = np.quantile(finite, part)
    # What is 0 but for rounding shall be labeled 0.
    return np.unique(np.where(np.abs(height) < 1e-12 * np.max(np.abs(height)), 0.0, height))


def _inside(values: Vector, extreme: Any) -> bool:
    row, place = np.unravel_index(extreme(values), values.shape)
    return bool(0 < row < values.shape[0] - 1 and 0 < place < values.shape[1] - 1)
