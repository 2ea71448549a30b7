"""The objective against the step: what a descent did, and whether it settled."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mle_jax._optional import optional
from mle_jax._text import significant
from mle_jax.gradients.coordinates import Vector
from mle_jax.optimizers.minimizing import History
from mle_jax.plots._checks import column, numbers
from mle_jax.plots._style import INK, add_grid, add_legend, axes_for, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROUNDING = 1e-12
"""Relative: what passes the optimum by less, or rises by less, does so by the rounding of a sum."""


class Curve(NamedTuple):
    """One curve as it is drawn."""

    label: str
    values: Vector  # (steps + 1,), up to the last finite one
    best: Vector | None  # (steps + 1,), where it differs from the values


def loss_curve(
    values: Any,
    *,
    optimum: float | None = None,
    larger_is_better: bool = False,
    best: bool = True,
    log_steps: bool = False,
    ylabel: str | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the objective against the step, for one run or for several.

    A run that goes up and down gets a second, thick line: the best value so far. A run that left the finite numbers is
    drawn up to there, and the legend says at which step that was. It also counts the steps at the optimum, because a
    distance of 0 has no logarithm.

    Args:
        values: (steps + 1,) values, the start first; or a `History`; or a dict of these by label.
        optimum: the best value there is, if known: the distance to it is drawn, on a logarithmic axis.
        larger_is_better: True for a log-likelihood, False for a loss.
        best: draw the best so far of runs that are not monotone.
        log_steps: a logarithmic axis of steps (linear up to step 1, so that the start is seen).
        ylabel: what is drawn, with its unit; by default "objective", or "distance to the optimum".
        ax: the axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        TypeError: the values are no numbers.
        ValueError: there are no values, the first is not finite, or one is better than the optimum.

    Reference:
        Text, "A First Look: Gradient Descent for Maximum Likelihood Estimation" (T11) and T12.

    Example:
        >>> from matplotlib.figure import Figure
        >>> import mle_jax as mle
        >>> ax = mle.plots.loss_curve({"a = 0.1": [4.0, 2.0, 3.0, 1.0]}, ax=Figure().subplots())
        >>> [line.get_ydata().tolist() for line in ax.get_lines()]
        [[4.0, 2.0, 3.0, 1.0], [4.0, 2.0, 2.0, 1.0]]
    """
    sign = -1.0 if larger_is_better else 1.0
    top = None if optimum is None else _optimum(optimum)
    runs = values if isinstance(values, Mapping) else {"": values}
    if not runs:
        raise ValueError("values is an empty dict, but a picture needs at least one run; pass {'a = 0.1': values}")
    curves = [_curve(str(label), run, sign, optimum=top, best=best) for label, run in runs.items()]
    ax = axes_for("mle_jax.plots.loss_curve()", ax)
    for number, curve in enumerate(curves):
        _draw(ax, number, curve, logarithmic=top is not None)
    if not log_steps:
        ax.xaxis.set_major_locator(optional("matplotlib.ticker", "plot", "mle_jax.plots").MaxNLocator(integer=True))
    else:
        ax.set_xscale("symlog", linthresh=1.0)
        ax.set_xlim(left=0.0)
    if top is not None:
        ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel(ylabel or ("objective" if top is None else "distance to the optimum"))
    add_grid(ax)
    add_legend(ax, _handles(ax, curves))
    return ax


def _optimum(value: Any) -> float:
    number = numbers("optimum", value)
    if number.shape != () or not np.isfinite(number):
        raise ValueError(f"optimum is {value!r}, but it must be one finite number; leave it out where it is not known")
    return float(number)


def _curve(label: str, run: Any, sign: float, *, optimum: float | None, best: bool) -> Curve:
    name = f"values['{label}']" if label else "values"
    array = column(name, run.value if isinstance(run, History) else run)
    lost = np.flatnonzero(~np.isfinite(array))
    if lost.size:
        if lost[0] == 0:
            raise ValueError(f"{name} starts with {array[0]}, but a run must start at a finite value; check the start")
        array, label = array[: lost[0]], f"{label} (not finite at step {lost[0]})".strip()
    so_far = sign * np.minimum.accumulate(sign * array)
    settled = bool(np.max(np.abs(array - so_far)) <= ROUNDING * np.max(np.abs(array)))
    if optimum is not None:
        array, so_far = (_distances(name, line, sign, optimum) for line in (array, so_far))
        reached = np.flatnonzero(array == 0.0)
        if reached.size:
            label = f"{label} (at the optimum at {reached.size} of {array.size} steps)".strip()
    return Curve(label, array, so_far if best and not settled else None)


def _distances(name: str, array: Vector, sign: float, optimum: float) -> Vector:
    """Return the distances to the optimum; those of rounding size below it count as 0."""
    gaps = sign * (array - optimum)
    if gaps.min() < -ROUNDING * max(abs(optimum), 1.0):
        place = int(np.argmin(gaps))
        raise ValueError(
            f"{name} is {significant(array[place], 12)} at step {place}, better than optimum = "
            f"{significant(optimum, 12)}; pass the best value there is, and larger_is_better=True for a log-likelihood"
        )
    return np.maximum(gaps, 0.0)


def _draw(ax: "Axes", number: int, curve: Curve, *, logarithmic: bool) -> None:
    look = style(number)
    steps = np.arange(curve.values.size)
    label = curve.label or "_"
    line = {"color": look.color, "linestyle": look.pattern}

    def drawable(values: Vector) -> Vector:
        return np.where(values > 0.0, values, np.nan) if logarithmic else values

    if curve.best is None:
        ax.plot(steps, drawable(curve.values), linewidth=1.8, label=label, zorder=3, **line)
        return
    ax.plot(steps, drawable(curve.values), color=look.color, linewidth=0.7, alpha=0.45, zorder=2)
    ax.plot(steps, drawable(curve.best), linewidth=2.2, label=label, zorder=4, **line)


def _handles(ax: "Axes", curves: list[Curve]) -> list[Any]:
    """Return the entries of the legend; where there are two lines to a run, it says which is which."""
    handles = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    if any(curve.best is not None for curve in curves):
        line = optional("matplotlib.lines", "plot", "mle_jax.plots").Line2D
        handles.append(line([], [], color=INK, linewidth=0.7, alpha=0.6, label="each step"))
        handles.append(line([], [], color=INK, linewidth=2.2, label="best so far"))
    return handles
