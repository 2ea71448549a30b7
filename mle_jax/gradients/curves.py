"""The error of a difference quotient against its step: falling with the step at first, then rising by rounding."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mle_jax._precision import in_float64
from mle_jax._text import grid, listing, significant
from mle_jax.gradients.coordinates import Coordinates, Vector, cast, name_coordinates, require_dtype, typical_sizes
from mle_jax.gradients.differences import quotients, require_method
from mle_jax.gradients.evaluation import MEMORY, Function, Probe

if TYPE_CHECKING:
    from mle_jax.gradients.evidence import Evidence, Task

MOST = 26
"""Steps of a curve next to a report: with smaller ones the quotients are 0."""


class StepCurve(NamedTuple):
    """How far central quotients are from a derivative that is to be checked, at a sequence of steps."""

    steps: Vector
    """(m,)"""
    errors: Vector
    """(m,): relative to the pieces that are summed to give the derivative, like the discrepancy in a report."""


@dataclass(frozen=True, kw_only=True)
class DifferenceCurve:
    """The errors of forward and central quotients at a sequence of steps, for one coordinate.

    Printing it gives a table. Made by `difference_curve`.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> curve = mle.difference_curve(jnp.exp, 1.0, steps=[1e-1, 1e-2], method="central")
        >>> [round(float(ratio), 1) for ratio in curve.errors[:1] / curve.errors[1:]]  # h^2: a hundredth
        [100.0]
    """

    name: str
    """The coordinate."""
    derivative: float
    """Its derivative by autodiff, in float64."""
    steps: Vector
    """(m,)"""
    forward: Vector
    """(m,): absolute errors of the forward quotients."""
    central: Vector
    """(m,): absolute errors of the central quotients."""
    method: str
    """The one that was asked for."""

    @property
    def errors(self) -> Vector:
        """Absolute errors (m,) of the method that was asked for."""
        return self.forward if self.method == "forward" else self.central

    @property
    def best(self) -> float:
        """The step with the smallest error of that method; NaN where no error is finite."""
        finite = np.where(np.isfinite(self.errors), self.errors, np.inf)
        return float(self.steps[np.argmin(finite)]) if np.any(np.isfinite(finite)) else math.nan

    def __str__(self) -> str:
        rows = [
            [f"{step:.1e}", f"{ahead:.1e}", f"{around:.1e}"]
            for step, ahead, around in zip(self.steps, self.forward, self.central, strict=True)
        ]
        title = f"Error of difference quotients for '{self.name}' (autodiff: {significant(self.derivative, 8)})"
        return f"{title}\n\n" + grid(["step", "forward", "central"], rows, left=())


@in_float64
def difference_curve(
    function: Function,
    params: Any,
    *args: Any,
    steps: Any = None,
    method: str = "forward",
    coordinate: str | int | None = None,
    dtype: str = "float64",
    memory: int = MEMORY,
) -> DifferenceCurve:
    """Compare difference quotients at many steps with the automatic derivative.

    The error of a forward quotient falls like h f''/2, that of a central one like h^2 f'''/6, until rounding takes
    over and it rises like eps f/h.

    Args:
        function: ``function(params, *args) -> scalar``, traceable by JAX.
        params: the point, a pytree of floats.
        *args: data, any pytrees of arrays.
        steps: (m,) steps above 0; by default two per decade over 15 decades, from a tenth of the coordinate's size.
        method: "forward" or "central": whose errors `errors` holds. Both are computed.
        coordinate: the name of the coordinate (``"w[1]"``) or its number; by default the first.
        dtype: "float64" or "float32", the precision in which the function is evaluated.
        memory: bytes that the points evaluated together may take.

    Returns:
        A `DifferenceCurve` with arrays `steps`, `errors`, `forward`, `central`, all (m,).

    Raises:
        TypeError: a parameter is not a float, or the function does not return a real number.
        ValueError: steps, method, coordinate or dtype are not what they should be.

    Reference:
        Text, Definition 1 (T1).

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> curve = mle.difference_curve(jnp.sin, 1.0)
        >>> 1e-9 < curve.best < 1e-7  # about the root of eps
        True
    """
    require_dtype(dtype)
    require_method(method)
    coords, point = name_coordinates(params)
    place = _place(coordinate, coords)
    if dtype == "float32":
        point = point.astype(np.float32).astype(np.float64)
    data = cast(args, dtype)
    probe = Probe(function, coords.positions, data, point.astype(dtype), memory)
    chosen = _default(typical_sizes(coords, point)[place]) if steps is None else _checked(steps)
    exact = Probe(function, coords.positions, cast(data, "float64"), point, memory).autodiff()[1][place]
    value = float(probe.at(probe.point[None])[0])
    indices = np.full(chosen.size, place)
    with np.errstate(invalid="ignore"):
        forward, central = (
            np.abs(quotients(probe, indices, chosen, value=value, method=kind, exact_steps=False) - exact)
            for kind in ("forward", "central")
        )
    return DifferenceCurve(
        name=coords.names[place],
        derivative=float(exact),
        steps=chosen,
        forward=forward,
        central=central,
        method=method,
    )


@in_float64
def step_curves(task: "Task", found: "Sequence[Evidence]", places: Sequence[tuple[int, int]]) -> list[StepCurve]:
    """Measure the errors of central quotients against the checked gradient, all coordinates of a point together.

    Args:
        task: what was checked.
        found: the evidence at each point.
        places: coordinates, each with the number of a point.

    Returns:
        A curve for each place.
    """
    curves: dict[tuple[int, int], StepCurve] = {}
    for point in sorted({point for _, point in places}):
        one, chosen = found[point], [i for i, p in places if p == point]
        sizes = typical_sizes(task.coords, one.point)
        steps = np.stack([_default(sizes[i])[:MOST] for i in chosen])
        indices = np.repeat(chosen, steps.shape[1])
        probe = task.probe.moved(one.point)
        quotient = quotients(probe, indices, steps.ravel(), value=one.value, method="central").reshape(steps.shape)
        pieces = np.fmax(one.pieces, np.abs(one.auto))[chosen, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = np.abs(quotient - one.hand[chosen, None]) / np.where(pieces > 0.0, pieces, 1.0)
        curves |= {(i, point): StepCurve(*pair) for i, *pair in zip(chosen, steps, errors, strict=True)}
    return [curves[place] for place in places]


def _place(coordinate: str | int | None, coords: Coordinates) -> int:
    if coordinate is None:
        return 0
    if isinstance(coordinate, str) and coordinate in coords.names:
        return coords.names.index(coordinate)
    if isinstance(coordinate, int) and 0 <= coordinate < coords.size:
        return coordinate
    raise ValueError(
        f"coordinate is {coordinate!r}, but params has {listing(coords.names)}; "
        f"pass a name or a number below {coords.size}"
    )


def _default(size: float) -> Vector:
    """Return two steps per decade, with round numbers."""
    return np.asarray(10.0 ** (round(math.log10(size)) - np.arange(1.0, 16.25, 0.5)))


def _checked(steps: Any) -> Vector:
    array = np.asarray(steps, np.float64)
    if array.ndim != 1 or array.size == 0 or not (np.all(array > 0.0) and np.all(np.isfinite(array))):
        raise ValueError(
            f"steps is {steps!r}, but it must be a sequence of finite numbers above 0; "
            "pass for instance steps=[1e-2, 1e-4]"
        )
    return array
