"""Fitted lines over their data, and what they leave over."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax.gradients.coordinates import Vector
from mle_jax.plots._checks import finite_column, mask
from mle_jax.plots._style import GREY, INK, VERMILLION, Look, add_grid, add_legend, axes_for, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE_POINTS = 300
FAR = 8.0
"""Residuals beyond so many robust standard deviations would squeeze the others into a line."""
ROOM = 1.3
"""The axis ends so far beyond the largest residual that stands on it."""
FEW = 400
"""More points than these are drawn small and half transparent."""


def fitted_lines(
    x: Any,
    y: Any,
    lines: Mapping[str, Any],
    *,
    xlabel: str = "x",
    ylabel: str = "y",
    outliers: Any = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw data as points, and fitted lines or curves through them.

    Args:
        x: (n,), finite.
        y: (n,), finite.
        lines: by label, each either a pair (intercept, slope) or a function of x: an array (m,) to an array (m,).
        xlabel: what x is, with its unit.
        ylabel: what y is, with its unit.
        outliers: (n,) of bool, the points to draw as crosses.
        ax: the axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        TypeError: numbers or lines are something else.
        ValueError: shapes do not fit, or something is not finite.

    Example:
        >>> from matplotlib.figure import Figure
        >>> import mle_jax as mle
        >>> lines = {"least squares": (0.0, 2.0), "parabola": lambda x: x**2}
        >>> ax = mle.plots.fitted_lines([0.0, 1.0, 2.0], [0.1, 1.9, 4.0], lines, ax=Figure().subplots())
        >>> [line.get_label() for line in ax.get_lines()]
        ['least squares', 'parabola']
    """
    x = finite_column("x", x)
    y = finite_column("y", y, length=x.size, of="x")
    far = mask("outliers", outliers, x.size)
    curves = _curves(x, lines)
    ax = axes_for("mle_jax.plots.fitted_lines()", ax)
    dots: Look = {"s": 18, "alpha": 0.7} if x.size <= FEW else {"s": 6, "alpha": 0.4}
    ax.scatter(x[~far], y[~far], color=GREY, linewidths=0, label="data", rasterized=x.size > 10 * FEW, **dots)
    if np.any(far):
        ax.scatter(x[far], y[far], marker="x", s=36, color=INK, linewidths=1.4, label="outliers", zorder=3)
    for number, (label, (at, values)) in enumerate(curves.items()):
        look = style(number)
        ax.plot(at, values, color=look.color, linestyle=look.pattern, linewidth=2.0, label=label, zorder=4)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    add_grid(ax)
    add_legend(ax)
    return ax


def residuals(
    fitted: Any,
    residual: Any,
    *,
    xlabel: str = "fitted value",
    ylabel: str = "residual (observed - fitted)",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw residuals against fitted values, with a line at zero.

    A pattern in this cloud is what the model has missed. Residuals beyond 8 robust standard deviations (1.4826 times
    the median of their absolute values) would hide it: the axis ends there, they stand as triangles on its edge, and
    the legend says how many they are and how far they go.

    Args:
        fitted: (n,), finite.
        residual: (n,), finite; observed minus fitted, or a standardized residual.
        xlabel: what the fitted values are, with their unit.
        ylabel: what the residuals are, with their unit.
        ax: the axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        TypeError: something is no number.
        ValueError: shapes do not fit, or something is not finite.

    Example:
        >>> from matplotlib.figure import Figure
        >>> import mle_jax as mle
        >>> ax = mle.plots.residuals([1.0, 2.0, 3.0, 4.0], [0.1, -0.2, 0.1, 90.0], ax=Figure().subplots())
        >>> ax.get_legend_handles_labels()[1]
        ['1 of 4 beyond the edge, as far as 90']
    """
    fitted = finite_column("fitted", fitted)
    left = finite_column("residual", residual, length=fitted.size, of="fitted")
    ax = axes_for("mle_jax.plots.residuals()", ax)
    edge = _edge(left)
    beyond = np.abs(left) > edge
    dots: Look = {"s": 18, "alpha": 0.7} if left.size <= FEW else {"s": 6, "alpha": 0.4}
    ax.axhline(0.0, color=INK, linewidth=1.0, linestyle="--", zorder=3)
    ax.scatter(fitted[~beyond], left[~beyond], color=style(0).color, linewidths=0, **dots)
    if np.any(beyond):
        worst = left[np.argmax(np.abs(left))]
        label = f"{np.sum(beyond)} of {left.size} beyond the edge, as far as {worst:.4g}"
        edge = ROOM * float(np.max(np.abs(left[~beyond])))
        for side, marker in ((1.0, "^"), (-1.0, "v")):
            there = fitted[beyond & (np.sign(left) == side)]
            if there.size:
                at = np.full(there.size, side * edge)
                ax.scatter(there, at, marker=marker, s=40, color=VERMILLION, label=label, clip_on=False, zorder=4)
                label = "_"  # one entry for both sides
        ax.set_ylim(-edge, edge)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    add_grid(ax)
    add_legend(ax)
    return ax


def _edge(residual: Vector) -> float:
    """Return where the axis ends: at infinity, unless some residuals are out of all proportion to the others."""
    spread = 1.4826 * float(np.median(np.abs(residual)))
    return FAR * spread if spread > 0.0 else np.inf


def _curves(x: Vector, lines: Any) -> dict[str, tuple[Vector, Vector]]:
    """Return what to draw for each line: where, and the values there."""
    if not isinstance(lines, Mapping):
        raise TypeError(
            f"lines is a {type(lines).__name__}, but it must map labels to lines; "
            "pass for instance {'least squares': (intercept, slope)}"
        )
    return {str(label): _curve(f"lines['{label}']", x, line) for label, line in lines.items()}


def _curve(name: str, x: Vector, line: Callable[[Vector], Any] | Any) -> tuple[Vector, Vector]:
    if callable(line):
        at = np.linspace(x.min(), x.max(), CURVE_POINTS)
        return at, finite_column(f"{name}(x)", line(at), length=CURVE_POINTS, of="x")
    pair = finite_column(name, line)
    if pair.size != 2:
        raise ValueError(
            f"{name} has {pair.size} entries, but a line has two, (intercept, slope); pass two, or a function of x"
        )
    at = np.array([x.min(), x.max()])
    return at, pair[0] + pair[1] * at
