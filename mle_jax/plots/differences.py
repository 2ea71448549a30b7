"""The error of difference quotients against the step (T1)."""

from typing import TYPE_CHECKING

import numpy as np

from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.curves import DifferenceCurve
from mle_jax.plots._style import FAINT, GREY, Look, Style, add_grid, add_legend, axes_for, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

APART = 6.0
"""How far above the errors a reference slope is drawn, as a factor: beside the markers, not through them."""


def difference_error(curve: DifferenceCurve, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the errors of forward and central quotients against the step h, both axes logarithmic.

    The best step of each is ringed. Thin lines have the slopes of the theory, h for the forward and h^2 for the central
    quotient, and eps / h for the rounding; they are drawn where the curve has such a side. An error of exactly 0 has no
    logarithm: it stands as an open triangle on the lower edge, and the legend counts those and errors that are not
    finite.

    Args:
        curve: from `mle_jax.difference_curve`.
        ax: the axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        TypeError: `curve` is no such curve.
        ValueError: no error is finite.

    Reference:
        Text, Definition 1 (T1).

    Example:
        >>> from matplotlib.figure import Figure
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> curve = mle.difference_curve(jnp.exp, 1.0)
        >>> ax = mle.plots.difference_error(curve, ax=Figure().subplots())
        >>> ax.get_xlabel(), ax.get_xscale(), ax.get_yscale()
        ('step h', 'log', 'log')
    """
    if not isinstance(curve, DifferenceCurve):
        raise TypeError(
            f"curve is a {type(curve).__name__}, but it must be a DifferenceCurve; "
            "pass mle_jax.difference_curve(function, params)"
        )
    both = {"forward": curve.forward, "central": curve.central}
    if not any(np.any(np.isfinite(errors)) for errors in both.values()):
        raise ValueError(
            f"no error of the curve of '{curve.name}' is finite, so there is nothing to draw; "
            "take steps at which the function is finite"
        )
    ax = axes_for("mle_jax.plots.difference_error()", ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = _limits(curve)
    for number, (name, errors) in enumerate(both.items()):
        _draw(ax, style(number), curve.steps, errors, name=name, floor=low)
    _draw_slopes(ax, curve)
    ax.set_ylim(low, high)
    ax.set_xlabel("step h")
    ax.set_ylabel("absolute error of the quotient")
    ax.set_title(f"Difference quotients for {curve.name}", fontsize="medium")
    add_grid(ax)
    add_legend(ax)
    return ax


def _limits(curve: DifferenceCurve) -> tuple[float, float]:
    """Return the ends of the axis of errors, with room above for the reference slopes and the legend."""
    errors = np.concatenate([curve.forward, curve.central])
    drawn = errors[np.isfinite(errors) & (errors > 0.0)]
    if drawn.size == 0:  # every quotient is exact: the axis shows the rounding that did not happen
        unit = np.finfo(np.float64).eps * max(abs(curve.derivative), 1.0)
        return 0.1 * unit, 100.0 * unit
    return 0.1 * float(drawn.min()), 100.0 * float(drawn.max())


def _draw(ax: "Axes", look: Style, steps: Vector, errors: Vector, *, name: str, floor: float) -> None:
    finite = np.isfinite(errors)
    exact = finite & (errors == 0.0)
    order = np.argsort(steps)
    shown = order[(finite & ~exact)[order]]
    label = name
    if shown.size and not np.any(exact):
        best = shown[np.argmin(errors[shown])]
        label += f", best at h = {steps[best]:.1e}"
        ring: Look = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.6, "linestyle": "none"}
        ax.plot([steps[best]], [errors[best]], marker=look.marker, color=look.color, zorder=4, **ring)
    if not np.all(finite):
        label += f"; not finite at {np.sum(~finite)} of {steps.size} steps"
    line: Look = {"color": look.color, "linestyle": look.pattern, "marker": look.marker, "markersize": 4.5}
    ax.plot(steps[shown], errors[shown], linewidth=1.3, label=label, zorder=3, **line)
    if np.any(exact):
        zero = f"{name}: error exactly 0 at {np.sum(exact)} of {steps.size} steps"
        triangle: Look = {"color": look.color, "markerfacecolor": "white", "markersize": 7, "linestyle": "none"}
        at = np.full(int(np.sum(exact)), floor)
        ax.plot(steps[exact], at, marker="v", label=zero, clip_on=False, zorder=5, **triangle)


def _draw_slopes(ax: "Axes", curve: DifferenceCurve) -> None:
    """Draw the slopes of the theory a little above the side of the curve that they explain."""
    # Where the steps are too small to change the function, the quotient is 0 and its error no longer depends on h.
    alive = 0.3 * abs(curve.derivative) if curve.derivative else np.inf
    ceiling = APART * max(
        float(np.max(errors[np.isfinite(errors)], initial=0.0)) for errors in (curve.forward, curve.central)
    )
    for errors, power, falling, text in (
        (curve.forward, 1, True, "h"),
        (curve.central, 2, True, "h²"),
        (curve.forward, -1, False, "eps/h"),
    ):
        drawn = np.isfinite(errors) & (errors > 0.0) & (errors < (np.inf if falling else alive))
        if np.sum(drawn) < 2:
            continue
        best = curve.steps[drawn][np.argmin(errors[drawn])]
        side = drawn & (curve.steps >= 3.0 * best if falling else curve.steps <= best / 3.0)
        if np.sum(side) < 2:
            continue
        steps = curve.steps[side]
        factor = APART * np.exp(np.median(np.log(errors[side]) - power * np.log(steps)))
        ends = np.array([steps.min(), steps.max()])
        ends = np.maximum(ends, (ceiling / factor) ** (1.0 / power)) if not falling else ends
        ax.plot(ends, factor * ends**power, color=FAINT, linewidth=1.0, zorder=2)
        middle = float(np.sqrt(ends[0] * ends[1]))
        at = (middle, float(factor * middle**power))
        shift = (-4, 4) if falling else (4, 4)
        side_of_text = "right" if falling else "left"
        ax.annotate(
            text, at, shift, textcoords="offset points", ha=side_of_text, va="bottom", color=GREY, fontsize="small"
        )
