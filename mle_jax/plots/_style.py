"""What all pictures share: where they are drawn, and marks that are told apart in grey and by color-blind readers."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mle_jax._optional import optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GREY, FAINT = "#000000", "#595959", "#a6a6a6"
BLUE, VERMILLION = "#0072B2", "#D55E00"

MANY = 20_000
"""With more points than these matplotlib takes seconds to find the best place for a legend."""


Look = dict[str, Any]
"""Options of matplotlib's drawing functions."""


class Style(NamedTuple):
    """How one line is drawn: color, pattern and marker differ together, so that any one of them is enough."""

    color: str
    pattern: Any
    marker: str


_COLORS = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#56B4E9", "#E69F00", INK)
"""Okabe and Ito, Color Universal Design (2008), without yellow, which cannot be seen on white."""
_PATTERNS = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 1.5, 2)), (0, (7, 2, 1.5, 2, 1.5, 2)))
_MARKERS = ("o", "s", "^", "D", "v")


def style(number: int) -> Style:
    """Return the style of line 0, 1, ...; the first 35 all differ."""
    return Style(_COLORS[number % len(_COLORS)], _PATTERNS[number % len(_PATTERNS)], _MARKERS[number % len(_MARKERS)])


def axes_for(caller: str, ax: "Axes | None") -> "Axes":
    """Return the axes to draw on; a new figure of pyplot only where none were given.

    Args:
        caller: the function that draws, for the message where matplotlib is missing.
        ax: what the user gave.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError: `ax` is something else, for instance a figure or an array of axes.
    """
    if ax is None:
        _, made = optional("matplotlib.pyplot", "plot", caller).subplots(layout="constrained")
        return made
    if not isinstance(ax, optional("matplotlib.axes", "plot", caller).Axes):
        raise TypeError(
            f"ax is a {type(ax).__name__}, but a picture is drawn on one matplotlib Axes; "
            "pass for instance ax=figure.subplots(), or one entry of an array of axes"
        )
    return ax


def add_legend(ax: "Axes", handles: Any = None) -> None:
    """Add a legend where it covers least; none where nothing has a label."""
    found = ax.get_legend_handles_labels()[0] if handles is None else handles
    drawn = sum(np.shape(line.get_xdata())[0] for line in ax.get_lines())
    drawn += sum(np.shape(points.get_offsets())[0] for points in ax.collections)
    look: Look = {"fontsize": "small", "framealpha": 0.9, "handlelength": 2.8}
    if found:
        ax.legend(handles=found, loc="best" if drawn < MANY else "upper right", **look)


def add_legend_below(ax: "Axes") -> None:
    """Add a legend in one row below the axis label, for pictures that fill their axes."""
    found = ax.get_legend_handles_labels()[0]
    if not found:
        return
    matplotlib = optional("matplotlib", "plot", "mle_jax.plots")
    shift = optional("matplotlib.transforms", "plot", "mle_jax.plots").ScaledTranslation
    # Ticks, their labels and the label of the axis take about three and a half lines, whatever the size of the axes.
    drop = 3.5 * float(matplotlib.rcParams["font.size"]) / 72.0
    under = ax.transAxes + shift(0.0, -drop, ax.figure.dpi_scale_trans)
    ax.legend(
        handles=found,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=under,
        ncols=len(found),
        fontsize="small",
        frameon=False,
        borderaxespad=0.0,
        handletextpad=0.3,
    )


def add_grid(ax: "Axes") -> None:
    """Draw a faint grid behind the data."""
    ax.grid(visible=True, color="#d9d9d9", linewidth=0.6)
    ax.set_axisbelow(True)
