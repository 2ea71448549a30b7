"""The error of numeric derivatives against a gradient that was checked, over the step."""

from typing import TYPE_CHECKING

import numpy as np

from mle_jax._text import plural
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.curves import StepCurve
from mle_jax.gradients.report import GradientReport, GradientRow
from mle_jax.plots._style import FAINT, GREY, Look, add_grid, axes_for, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 6
"""Curves that can be told apart in one picture."""
LETTERS = 24
"""The letters of a name that a legend has room for."""


def gradient_check(report: GradientReport, *, ax: "Axes | None" = None) -> "Axes":
    """Draw how far difference quotients are from the checked gradient, against the step, worst coordinates first.

    Along a coordinate with a right derivative the error of a central quotient falls like h^2, until rounding takes over
    and it rises like eps / h. With a wrong one it levels off at the error of the derivative, however small the step.
    Errors are relative to the pieces that are summed to give the derivative, like the discrepancy in the report. At
    most six coordinates are drawn: wrong ones solid with filled markers, right ones broken with open markers; where not
    all are wrong, one that is right goes with them. The quotients are computed when the picture is drawn, in float64.

    Args:
        report: from `mle_jax.check_gradient` or `Model.check_gradient`, in the same process.
        ax: the axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        TypeError: `report` is no such report.
        ValueError: it was pickled and has lost its function, or no error is finite.

    Example:
        >>> from matplotlib.figure import Figure
        >>> import mle_jax as mle
        >>> report = mle.check_gradient(lambda x: x**4, lambda x: 4.004 * x**3, 3.0)
        >>> ax = mle.plots.gradient_check(report, ax=Figure().subplots())
        >>> ax.get_title(), ax.get_legend().get_texts()[0].get_text().partition(",")[0]
        ('Gradient check FAILED in 1 of 1 coordinate', 'params: wrong')
    """
    rows, curves = _chosen(report)
    ax = axes_for("mle_jax.plots.gradient_check()", ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    drawn = [curve.errors[np.isfinite(curve.errors) & (curve.errors > 0.0)] for curve in curves]
    low, high = _limits(np.concatenate(drawn))
    _draw_theory(ax, rows, curves)
    for number, (row, curve) in enumerate(zip(rows, curves, strict=True)):
        _draw(ax, number, row, curve=curve, floor=low)
    ax.set_ylim(low, high)
    ax.set_xlabel("step h")
    source = "handwritten gradient" if report.handwritten else "automatic gradient"
    ax.set_ylabel(f"relative distance to the {source}")
    ax.set_title(_title(report, len(rows)), fontsize="medium")
    add_grid(ax)
    ax.legend(loc="upper left", fontsize="small", framealpha=0.9, handlelength=3.2)
    return ax


def _chosen(report: GradientReport) -> tuple[list[GradientRow], list[StepCurve]]:
    """Return the rows to be drawn, with their curves."""
    if not isinstance(report, GradientReport):
        raise TypeError(
            f"report is a {type(report).__name__}, but it must be a GradientReport; "
            "pass mle_jax.check_gradient(function, gradient, params)"
        )
    if report._measure is None:
        raise ValueError(
            "the report has lost its function on the way here, perhaps by pickling; check the gradient again"
        )
    numbers = report.worst_first()
    bad = [i for i in numbers if not report.rows[i].verdict.passes]
    good = [i for i in numbers if report.rows[i].verdict.passes]
    shown = bad[: MOST - bool(good)] + good[: 1 if bad else MOST]
    curves = report._measure(shown)
    if not any(np.any(np.isfinite(curve.errors)) for curve in curves):
        names = ", ".join(f"'{report.rows[i].name}'" for i in shown)
        raise ValueError(
            f"no error is finite in {names}, so there is nothing to draw; print the report, which says what is missing"
        )
    return [report.rows[i] for i in shown], curves


def _limits(errors: Vector) -> tuple[float, float]:
    """Return the ends of the axis of errors, with room above for the legend."""
    if errors.size == 0:  # every quotient is exact
        return 1e-17, 1e-12
    low, high = float(errors.min()), float(errors.max())
    return 0.3 * low, high * (high / low) ** 0.45 * 10.0


def _draw(ax: "Axes", number: int, row: GradientRow, *, curve: StepCurve, floor: float) -> None:
    look, wrong = style(number), not row.verdict.passes
    finite = np.isfinite(curve.errors)
    shown = finite & (curve.errors > 0.0)
    name = row.name if len(row.name) <= LETTERS else f"{row.name[: LETTERS - 3]}..."
    label = f"{name}: {row.verdict}".replace("$", r"\$")
    if wrong and np.isfinite(row.discrepancy) and row.discrepancy > 0.0:
        label += f", off by {row.discrepancy:.0e}"
    if row.point:
        label += f" (point {row.point})"
    if not np.any(finite):
        label += "; no finite error"
    line: Look = {"color": look.color, "marker": look.marker, "markersize": 4.5, "zorder": 4 if wrong else 3}
    line |= {"linestyle": "-", "linewidth": 1.8} if wrong else {"linestyle": "--", "linewidth": 1.1}
    line["markerfacecolor"] = look.color if wrong else "white"
    ax.plot(curve.steps[shown], curve.errors[shown], label=label, **line)
    exact = curve.steps[finite & ~shown]
    if exact.size:  # no logarithm: they stand on the lower edge
        triangle: Look = {"color": look.color, "markerfacecolor": "white", "linestyle": "none", "clip_on": False}
        ax.plot(exact, np.full(exact.size, floor), marker="v", zorder=5, **triangle)


def _draw_theory(ax: "Axes", rows: list[GradientRow], curves: list[StepCurve]) -> None:
    """Draw the slopes of the theory under the first curve that has both of its sides."""
    for row, curve in zip(rows, curves, strict=True):
        usable = np.isfinite(curve.errors) & (curve.errors > 0.0) & (curve.errors < 0.1)
        if not row.verdict.passes or np.sum(usable) < 6:
            continue
        steps, errors = curve.steps[usable], curve.errors[usable]
        best = steps[np.argmin(errors)]
        for power, side, text in ((2, steps >= 3.0 * best, "h²"), (-1, steps <= best / 3.0, "eps/h")):
            if np.sum(side) < 3:
                continue
            factor = np.exp(np.median(np.log(errors[side]) - power * np.log(steps[side]))) / 6.0
            ends = np.array([steps[side].min(), steps[side].max()])
            ax.plot(ends, factor * ends**power, color=FAINT, linewidth=1.0, zorder=2)
            middle = float(np.sqrt(ends[0] * ends[1]))
            place: Look = {"textcoords": "offset points", "va": "top", "ha": "left" if power > 0 else "right"}
            place["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
            shift = (4, -2) if power > 0 else (-4, -2)
            ax.annotate(text, (middle, factor * middle**power), shift, color=GREY, fontsize="small", **place)
        return


def _title(report: GradientReport, shown: int) -> str:
    total, bad = len(report.rows), sum(not row.verdict.passes for row in report.rows)
    part = f"; the worst {shown} of {total}" if shown < total else ""
    if report.passed:
        return f"Gradient check passed{part}"
    where = f"in {bad} of {plural(total, 'coordinate')}" if bad else "along a random direction"
    return f"Gradient check FAILED {where}{part}"
