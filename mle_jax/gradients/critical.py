"""Critical points: is the gradient zero, and if so, is this a maximum, a minimum or a saddle?"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from mle_jax._precision import in_float64
from mle_jax._text import grid, listing, significant
from mle_jax.gradients.coordinates import Coordinates, Vector, cast, name_coordinates, typical_sizes
from mle_jax.gradients.evaluation import MEMORY, Function, Probe, noise_level, value_at
from mle_jax.gradients.rounding import EPS

SENTENCES = {
    "maximum": "A local maximum: the gradient vanishes and every eigenvalue of the Hessian is negative.",
    "minimum": "A local minimum: the gradient vanishes and every eigenvalue of the Hessian is positive.",
    "saddle": "A saddle: the gradient vanishes, and the Hessian has eigenvalues of both signs.",
    "undecided": "Undecided: the gradient vanishes, but some eigenvalue of the Hessian is zero as far as can be told.",
    "not critical": "Not a critical point: the gradient does not vanish.",
}


@dataclass(frozen=True, kw_only=True)
class CriticalPoint:
    """The verdict of the second-derivative test, with its numbers. Made by `critical_point`.

    Example:
        >>> import mle_jax as mle
        >>> found = mle.critical_point(lambda p: p["x"] ** 2 - p["y"] ** 2, {"x": 0.0, "y": 0.0})
        >>> found.verdict, found.names
        ('saddle', ('x', 'y'))
    """

    verdict: str
    """"maximum", "minimum", "saddle", "undecided" or "not critical"."""
    names: tuple[str, ...]
    """The k coordinates."""
    value: float
    gradient: Vector
    """(k,)"""
    hessian: Vector
    """(k, k)"""
    eigenvalues: Vector
    """(k,), of the Hessian, ascending."""
    scaled_eigenvalues: Vector
    """(k,), of the Hessian scaled so that its largest entries are 1: the same signs, whatever the units."""
    newton_step: Vector
    """(k,): how far away the critical point of the local quadratic is; NaN where that is not determined."""
    message: str
    """The verdict in a sentence."""

    def __str__(self) -> str:
        numbers = (self.gradient, self.newton_step, np.diagonal(self.hessian))
        rows = [
            [name, *(significant(float(n), 6) for n in line)] for name, *line in zip(self.names, *numbers, strict=True)
        ]
        table = grid(["coordinate", "gradient", "Newton step", "curvature"], rows)
        values = ", ".join(significant(float(v), 6) for v in self.eigenvalues)
        return f"{self.message}\n\n{table}\n\nEigenvalues of the Hessian: {values}"


@in_float64
def critical_point(function: Function, params: Any, *args: Any, tolerance: float = 1e-6) -> CriticalPoint:
    """Say whether a point is a maximum, a minimum or a saddle of a function, by its gradient and Hessian.

    Nothing is held against an absolute number, so multiplying the function or a coordinate by a constant changes no
    verdict. The gradient counts as zero if moving to the critical point of the local quadratic would change the
    function by less than its rounding noise, or the point by less than `tolerance` of its size, both measured by the
    curvature. The eigenvalues are those of the Hessian scaled to largest entries of 1 (a congruence, which by
    Sylvester's law keeps their signs), and count as zero within rounding.

    Args:
        function: ``function(params, *args) -> scalar``, twice differentiable by JAX.
        params: the point, a pytree of floats.
        *args: data, any pytrees of arrays.
        tolerance: the relative distance from the critical point that is tolerated.

    Returns:
        A `CriticalPoint`. A function that is not finite, or whose derivatives are not, is "undecided".

    Raises:
        TypeError: a parameter is not a float, or the function does not return a real number.
        ValueError: a parameter is not finite, or the tolerance is negative.

    Reference:
        Text, "Critical Points and Local Extrema" (T10).

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> y = jnp.array([1.0, 2.0, 6.0])
        >>> def log_likelihood(mu, y):
        ...     return -0.5 * jnp.sum((y - mu) ** 2)
        >>> mle.critical_point(log_likelihood, 3.0, y).verdict, mle.critical_point(log_likelihood, 2.0, y).verdict
        ('maximum', 'not critical')
    """
    if not tolerance >= 0.0:
        raise ValueError(f"tolerance is {tolerance}, but it must be at least 0; pass for instance tolerance=1e-6")
    coords, point = name_coordinates(params)
    data = cast(args, "float64")
    value, gradient, hessian = _derivatives(function, point, coords, data)
    if not (np.isfinite(value) and np.all(np.isfinite(gradient)) and np.all(np.isfinite(hessian))):
        return _not_finite(coords, value, gradient, hessian)
    sizes = typical_sizes(coords, point)
    rounding, wobble = _rounding(function, coords, point, data=data, here=(gradient, hessian), sizes=sizes)
    noise = noise_level(Probe(function, coords.positions, data, point, MEMORY), value, sizes)
    shape = _Quadratic.of(hessian, wobble, sizes)
    critical, step = _vanishes(shape, gradient, point, rounding=rounding, noise=noise, tolerance=tolerance)
    verdict = _verdict(critical, shape)
    return CriticalPoint(
        verdict=verdict,
        names=coords.names,
        value=value,
        gradient=gradient,
        hessian=hessian,
        eigenvalues=np.asarray(np.linalg.eigvalsh(hessian)),
        scaled_eigenvalues=shape.eigenvalues,
        newton_step=step,
        message=SENTENCES[verdict],
    )


class _Quadratic(NamedTuple):
    """The Hessian in units in which its entries are comparable."""

    units: Vector
    eigenvalues: Vector
    vectors: Vector
    floor: float
    """Eigenvalues below it are rounding."""

    @classmethod
    def of(cls, hessian: Vector, wobble: Vector, sizes: Vector) -> "_Quadratic":
        units = _equilibrating_units(hessian, sizes)
        eigenvalues, vectors = np.linalg.eigh(hessian * np.outer(units, units))
        shaken = float(np.linalg.norm(wobble * np.outer(units, units), 2))
        return cls(units, np.asarray(eigenvalues), np.asarray(vectors), max(32.0 * len(units) * EPS, 8.0 * shaken))


def _vanishes(
    shape: _Quadratic, gradient: Vector, point: Vector, *, rounding: Vector, noise: float, tolerance: float
) -> tuple[bool, Vector]:
    """Say whether the gradient counts as zero, and return the Newton step (NaN where a direction has no curvature)."""
    units, eigenvalues, vectors, floor = shape
    flat = np.abs(eigenvalues) <= floor
    along = vectors.T @ (units * gradient)
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.where(flat, 0.0, -along / eigenvalues)
    unseen = 0.5 * np.sum(np.abs(moves * along)) <= 8.0 * noise
    near = np.linalg.norm(moves) <= tolerance * np.linalg.norm(point / units)
    # Without curvature to hold it against, the gradient has to be zero within its own rounding.
    level = np.all(np.abs(along[flat]) <= np.abs(vectors[:, flat]).T @ (units * rounding))
    step = np.full(point.size, np.nan) if np.any(flat) else units * (vectors @ moves)
    return bool((unseen or near or not np.any(moves)) and level), np.asarray(step)


def _verdict(critical: bool, shape: _Quadratic) -> str:
    eigenvalues, floor = shape.eigenvalues, shape.floor
    if not critical:
        return "not critical"
    if np.any(eigenvalues > floor) and np.any(eigenvalues < -floor):
        return "saddle"
    if np.all(eigenvalues > floor):
        return "minimum"
    return "maximum" if np.all(eigenvalues < -floor) else "undecided"


def _equilibrating_units(hessian: Vector, sizes: Vector) -> Vector:
    """Return units (k,) in which the largest entry of every row is about 1; the typical size for a row of zeros.

    Reference:
        D. Ruiz, A scaling algorithm to equilibrate both rows and columns norms in matrices, RAL-TR-2001-034.
    """
    units = np.ones_like(sizes)
    for _ in range(20):
        largest = np.abs(hessian * units[:, None] * units[None, :]).max(axis=1)
        units = units / np.sqrt(np.where(largest > 0.0, largest, 1.0))
    return np.asarray(np.where(np.any(hessian != 0.0, axis=1), units, sizes))


def _rounding(
    function: Function, coords: Coordinates, point: Vector, *, data: Any, here: tuple[Vector, Vector], sizes: Vector
) -> tuple[Vector, Vector]:
    """Estimate the rounding errors of gradient (k,) and Hessian (k, k) by moving the point by a few roundings."""
    gradient, hessian = here
    shake = 8.0 * EPS * sizes * np.where(np.random.default_rng(13).random(sizes.size) < 0.5, -1.0, 1.0)
    found = [_derivatives(function, point + side * shake, coords, data)[1:] for side in (1.0, -1.0)]
    slack, wobble = (np.fmax(np.abs(found[0][i] - here[i]), np.abs(found[1][i] - here[i])) for i in (0, 1))
    return 8.0 * (slack + EPS * (np.abs(hessian) @ np.abs(point) + np.abs(gradient))), wobble


def _derivatives(function: Function, point: Vector, coords: Coordinates, data: Any) -> tuple[float, Vector, Vector]:
    value, gradient, hessian = _second_order(function, point, coords.positions, data)
    square = np.asarray(hessian, np.float64)
    return float(value), np.asarray(gradient, np.float64), (square + square.T) / 2.0


@functools.partial(jax.jit, static_argnames="function")
def _second_order(function: Function, point: Array, positions: Any, data: Any) -> tuple[Array, Array, Array]:
    def at(x: Array) -> Array:
        return value_at(function, x, positions, data)

    value, gradient = jax.value_and_grad(at)(point)
    return value, gradient, jax.hessian(at)(point)


def _not_finite(coords: Coordinates, value: float, gradient: Vector, hessian: Vector) -> CriticalPoint:
    # One bad coordinate spoils its whole row and column, so the diagonal points at it, if it can.
    bad = ~(np.isfinite(gradient) & np.isfinite(np.diagonal(hessian)))
    bad = bad if np.any(bad) else ~np.all(np.isfinite(hessian), axis=1)
    what = f"the function is {value}" if not np.isfinite(value) else ""
    if not what:
        names = [name for name, is_bad in zip(coords.names, bad, strict=True) if is_bad]
        what = f"the derivatives are not finite in {listing(names)}"
    blank = np.full(len(coords.names), np.nan)
    return CriticalPoint(
        verdict="undecided",
        names=coords.names,
        value=value,
        gradient=gradient,
        hessian=hessian,
        eigenvalues=blank,
        scaled_eigenvalues=blank,
        newton_step=blank,
        message=f"Undecided: {what}.",
    )
