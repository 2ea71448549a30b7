"""A function of two parameters from above: contours, gradient arrows (T6), and the path of a descent (T11)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mle_jax._optional import optional
from mle_jax._precision import in_float64
from mle_jax._whole import is_whole
from mle_jax.gradients.coordinates import Vector
from mle_jax.plots import _landscape as landscape
from mle_jax.plots._checks import interval, marked_points, numbers, two_names
from mle_jax.plots._landscape import Frame, Function
from mle_jax.plots._style import INK, VERMILLION, Look, add_legend_below, axes_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEEP, HIGH = "#86b3d1", "#f7fafc"
"""Heights as shades of one light color: their order survives in grey, and black lines can be read on them."""
MARGIN = 0.2
"""Space around a path, in lengths of the path."""
ARROWHEADS = 5
FLAT = 0.02
"""Where the slope is less than this part of the steepest, an arrow would be a dot without direction."""


@in_float64
def surface(
    function: Function,
    x_range: Any,
    y_range: Any,
    *,
    args: Sequence[Any] = (),
    gradient: Function | None = None,
    arrows: int = 9,
    names: tuple[str, str] = ("w0", "w1"),
    value_label: str = "value",
    marks: Mapping[str, Any] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the contours of a function of two parameters, with arrows along its gradient.

    An arrow stands on the point at its middle, points uphill, and is the longer the steeper (its length goes with the
    square root of the slope, so that gentle slopes are still seen). It crosses the contours at right angles, which only
    shows where one unit is equally long on both axes: the axes are scaled so. Where one range is more than four times
    as long as the other that would be a thread; then the picture is square, and the gradient is taken in units of
    the ranges, as the title says.

    Args:
        function: ``function(w, *args) -> scalar`` of a vector w of two parameters, traceable by JAX.
        x_range: both ends for the first parameter.
        y_range: both ends for the second.
        args: data of the function, pytrees of arrays.
        gradient: ``gradient(w, *args) -> (2,)`` for the arrows, for instance derived by hand; by default autodiff.
        arrows: how many there are along each axis; 0 for none.
        names: of the two parameters.
        value_label: what the function is, with its unit.
        marks: points to mark, by label: ``{"minimum": (0.0, 2.0)}``.
        ax: the axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        TypeError: a function is none, or does not return one number (the gradient: two).
        ValueError: ranges, arrows, names or marks are not what they should be, or the function has no contours there.

    Reference:
        Text, the section on the gradient (T6).

    Example:
        >>> from matplotlib.figure import Figure
        >>> import mle_jax as mle
        >>> bowl = lambda w: w[0] ** 2 + 3 * w[1] ** 2
        >>> ax = mle.plots.surface(bowl, (-2, 2), (-1, 1), names=("a", "b"), ax=Figure().subplots())
        >>> ax.get_xlabel(), ax.get_ylabel(), ax.get_aspect()
        ('a', 'b', 1.0)
    """
    frame = Frame(interval("x_range", x_range), interval("y_range", y_range))
    points, data = marked_points(marks), landscape.as_data(args)
    labels = two_names(names)
    count = _count(arrows)
    landscape.check_function("function", function, data, ())
    slope = jax.grad(lambda w, *rest: function(w, *rest)) if gradient is None else gradient
    landscape.check_function("gradient", slope, data, (2,))
    heights = landscape.heights(function, frame, data)
    arrow = _arrows(function, slope, frame, data=data, count=count)
    levels = landscape.levels(heights[2])
    ax = axes_for("mle_jax.plots.surface()", ax)
    _draw_contours(ax, frame, heights, levels=levels, value_label=value_label)
    if arrow is not None:
        at, along = arrow
        shape: Look = {"angles": "xy", "scale_units": "xy", "scale": 1.0, "pivot": "mid", "width": 0.004}
        ax.quiver(at[:, 0], at[:, 1], along[:, 0], along[:, 1], color=INK, zorder=3, **shape)
        if not frame.is_equal:
            ax.set_title("arrows: gradient per length of each axis", fontsize="small")
    _finish(ax, frame, points, labels)
    return ax


@in_float64
def descent_path(
    function: Function,
    path: Any,
    *,
    args: Sequence[Any] = (),
    names: tuple[str, str] = ("w0", "w1"),
    value_label: str = "value",
    marks: Mapping[str, Any] | None = None,
    x_range: Any = None,
    y_range: Any = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the path of a descent over the contours of its function: a dot for every step, arrowheads along the way.

    Args:
        function: ``function(w, *args) -> scalar`` of a vector w of two parameters, traceable by JAX.
        path: (steps + 1, 2), the start first, for instance ``run.history.params["w"]``.
        args: data of the function, pytrees of arrays.
        names: of the two parameters.
        value_label: what the function is, with its unit.
        marks: points to mark, by label: ``{"minimum": (0.0, 2.0)}``.
        x_range: both ends for the first parameter; by default around path and marks.
        y_range: both ends for the second.
        ax: the axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        TypeError: the function is none, or does not return one number.
        ValueError: the path is not finite or not of two parameters, or the function has no contours around it.

    Reference:
        Text, "A First Look: Gradient Descent for Maximum Likelihood Estimation" (T11).

    Example:
        >>> from matplotlib.figure import Figure
        >>> import mle_jax as mle
        >>> bowl = lambda w: w[0] ** 2 + 3 * w[1] ** 2
        >>> descent = mle.optimizers.GradientDescent(0.1)
        >>> run = mle.minimize(bowl, [1.0, 1.0], optimizer=descent, max_steps=9, record=True)
        >>> ax = mle.plots.descent_path(bowl, run.history.params, ax=Figure().subplots())
        >>> ax.get_legend_handles_labels()[1]
        ['start', 'end, step 9']
    """
    way = _path(path)
    points, data = marked_points(marks), landscape.as_data(args)
    labels = two_names(names)
    around = _frame_around(np.concatenate([way, *(point[None] for point in points.values())]))
    frame = Frame(
        around.x if x_range is None else interval("x_range", x_range),
        around.y if y_range is None else interval("y_range", y_range),
    )
    landscape.check_function("function", function, data, ())
    heights = landscape.heights(function, frame, data)
    levels = landscape.levels(heights[2])
    ax = axes_for("mle_jax.plots.descent_path()", ax)
    _draw_contours(ax, frame, heights, levels=levels, value_label=value_label)
    _draw_path(ax, way, frame)
    _finish(ax, frame, points, labels)
    return ax


def _count(arrows: Any) -> int:
    if not is_whole(arrows, least=0):
        raise ValueError(f"arrows is {arrows!r}, but it must be a whole number of at least 0; pass for instance 9")
    return int(arrows)


def _path(path: Any) -> Vector:
    way = numbers("path", path)
    if way.ndim != 2 or way.shape[1] != 2 or way.shape[0] == 0:
        raise ValueError(
            f"path has shape {way.shape}, but it must be (steps + 1, 2), one row of two parameters per step; "
            "pass for instance run.history.params['w']"
        )
    lost = np.flatnonzero(~np.all(np.isfinite(way), axis=1))
    if lost.size:
        raise ValueError(
            f"path is {way[lost[0]].tolist()} at step {lost[0]}, but what is drawn must be finite; "
            f"pass path[:{lost[0]}]"
        )
    return way


def _frame_around(points: Vector) -> Frame:
    """Return a rectangle around points, never thinner than two thirds of its length unless the scales differ widely."""
    low, high = points.min(axis=0), points.max(axis=0)
    spans = high - low
    longest = spans.max() if spans.max() > 0.0 else 1.0
    # A direction in which nothing moves gets a share of the other one.
    spans = np.where(spans > 1e-3 * longest, spans, longest)
    similar = spans.max() < landscape.SIMILAR * spans.min()
    lengths = np.maximum(spans, spans.max() / 1.5 if similar else spans) * (1.0 + 2.0 * MARGIN)
    middle = (low + high) / 2.0
    ends = np.stack([middle - lengths / 2.0, middle + lengths / 2.0], axis=1)
    return Frame((float(ends[0, 0]), float(ends[0, 1])), (float(ends[1, 0]), float(ends[1, 1])))


def _arrows(
    function: Function, slope: Function, frame: Frame, *, data: tuple[Any, ...], count: int
) -> tuple[Vector, Vector] | None:
    """Return where the arrows stand and how far they go, both (m, 2) in units of the axes; the longest fill a cell.

    None stands where the function has no finite value, whatever the formula of its gradient gives there.
    """
    if count == 0:
        return None
    part = (np.arange(count) + 0.5) / count
    x = frame.x[0] + part * frame.lengths[0]
    y = frame.y[0] + part * frame.lengths[1]
    at = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    uphill = landscape.evaluate(slope, at, data) * frame.units
    steepness = np.linalg.norm(uphill, axis=1)
    finite = np.isfinite(steepness) & np.isfinite(landscape.evaluate(function, at, data))
    shown = finite & (steepness > FLAT * np.max(steepness[finite], initial=0.0))
    if not np.any(shown):
        return None
    at, uphill, steepness = at[shown], uphill[shown], steepness[shown]
    cell = 0.9 * float(np.min(frame.lengths / frame.units)) / count
    lengths = cell * np.sqrt(steepness / steepness.max())
    return at, uphill / steepness[:, None] * lengths[:, None] * frame.units


def _draw_contours(
    ax: "Axes", frame: Frame, heights: tuple[Vector, Vector, Vector], *, levels: Vector, value_label: str
) -> None:
    x, y, values = heights
    shades = optional("matplotlib.colors", "plot", "mle_jax.plots").LinearSegmentedColormap.from_list(
        "depth", [DEEP, HIGH]
    )
    values = np.ma.masked_invalid(values)
    # Shades go by the number of the level, not by its height: else a steep function is one pale plain.
    norm = optional("matplotlib.colors", "plot", "mle_jax.plots").BoundaryNorm(levels, shades.N)
    filled = ax.contourf(x, y, values, levels=levels, cmap=shades, norm=norm)
    ax.contour(x, y, values, levels=levels, colors="#7a7a7a", linewidths=0.6)
    # Inside the axes' own space: as tall as the picture whatever its shape, and other axes of the figure stay put.
    beside = ax.inset_axes((1.03, 0.0, 0.04, 1.0))
    ticks = levels[:: max(len(levels) // 6, 1)]
    bar = ax.figure.colorbar(filled, cax=beside, ticks=ticks, format=f"%.{_digits(ticks)}g")
    bar.set_label(value_label)
    if frame.is_equal:
        ax.set_aspect("equal")
    else:
        ax.set_box_aspect(1.0)
    ax.set_xlim(*frame.x)
    ax.set_ylim(*frame.y)


def _digits(ticks: Vector) -> int:
    """Return how many digits tell the ticks apart: three, but more near the top of a log-likelihood of -1411.6."""
    return next((n for n in range(3, 17) if len({f"{tick:.{n}g}" for tick in ticks}) == len(ticks)), 17)


def _draw_path(ax: "Axes", way: Vector, frame: Frame) -> None:
    ax.plot(way[:, 0], way[:, 1], "-", color=INK, marker=".", markersize=4, linewidth=1.1, zorder=3)
    # Arrowheads at equal shares of the way, as it looks on the page.
    moves = np.linalg.norm(np.diff(way, axis=0) / frame.units, axis=1)
    gone = np.cumsum(moves)
    if gone.size and gone[-1] > 0.0:
        wanted = gone[-1] * (np.arange(ARROWHEADS) + 0.5) / ARROWHEADS
        for step in np.unique(np.searchsorted(gone, wanted)):
            look: Look = {"arrowstyle": "-|>", "color": INK, "mutation_scale": 13, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", xy=way[step + 1], xytext=way[step], arrowprops=look, zorder=3)
    around: Look = {"linestyle": "none", "color": INK, "zorder": 4}
    ax.plot(*way[0], marker="o", markersize=8, markerfacecolor="white", label="start", **around)
    end: Look = {"markersize": 12, "markerfacecolor": "none", "markeredgewidth": 1.6}
    ax.plot(*way[-1], marker="s", label=f"end, step {len(way) - 1}", **end, **around)


def _finish(ax: "Axes", frame: Frame, points: dict[str, Vector], labels: tuple[str, str]) -> None:
    for number, (label, point) in enumerate(points.items()):
        look: Look = {"markersize": 11, "markerfacecolor": VERMILLION, "markeredgecolor": INK, "linestyle": "none"}
        ax.plot(*point, marker="*PXdh"[number % 5], label=label, zorder=5, **look)
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    add_legend_below(ax)
