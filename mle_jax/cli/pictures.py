"""The pictures of `--plot`: of a fit the data and what is left over, of a gradient check the errors."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax._optional import optional
from mle_jax._precision import in_float64

if TYPE_CHECKING:
    from mle_jax.cli.choosing import Choice
    from mle_jax.cli.columns import Selection
    from mle_jax.gradients import GradientReport
    from mle_jax.likelihood import Model
    from mle_jax.results import Fit

RESOLUTION = 150
"""Dots per inch of a .png: sharp on a slide, small enough to send."""
FORMATS = (".png", ".pdf", ".svg")
"""matplotlib has more, but some need a LaTeX or lose what is half transparent."""
WIDE, HIGH = 50, 40
"""The letters that fit below and beside one of the two pictures."""


def check_picture(path: Path, model: "Model", choice: "Choice") -> None:
    """Raise where there is nothing to draw, or nothing to draw it with.

    Raises:
        ValueError: there are no features, the model predicts nothing, or the ending of the path names no format.
        ImportError: matplotlib is not installed.
    """
    if not choice.features:
        raise ValueError(f"--plot draws the fit against features, but {model.label} was given none; leave --plot out")
    if model.predict is None:
        raise ValueError(f"--plot draws fitted values, but {model.label} predicts none; leave --plot out")
    check_format(path)


def check_format(path: Path) -> None:
    """Raise where a picture cannot be written in the format that its name says.

    Raises:
        ValueError: the ending of the path names no format.
        ImportError: matplotlib is not installed.
    """
    optional("matplotlib.figure", "plot", "--plot")
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"--plot names '{path}', but the name of a picture ends in its format: .png, .pdf or .svg")


def draw_check(path: Path, report: "GradientReport") -> None:
    """Draw a gradient check.

    Args:
        path: of the picture; its ending says the format.
        report: of the check.

    Raises:
        OSError: the file cannot be written.
        ValueError: no number is finite.
    """
    from mle_jax import plots

    figure = optional("matplotlib.figure", "plot", "--plot").Figure(figsize=(7.5, 5), layout="constrained")
    plots.gradient_check(report, ax=figure.subplots())
    _save(figure, path)


@in_float64
def draw(path: Path, fit: "Fit", model: "Model", *, choice: "Choice", selection: "Selection") -> None:
    """Draw a fit: with one feature data and curve, with several observed against fitted; residuals beside it.

    Args:
        path: of the picture; its ending says the format.
        fit: what was fitted.
        model: with a `predict`.
        choice: at least one feature.
        selection: the data of the fit.

    Raises:
        OSError: the file cannot be written.
        ValueError: the fitted values are not finite.
    """
    from mle_jax import plots

    columns = {name: selection.table.column(name).to_numpy() for name in selection.table.schema.names}
    data = {
        leaf: columns[names] if isinstance(names, str) else np.stack([columns[name] for name in names], axis=1)
        for leaf, names in choice.columns.items()
    }
    x, y = data["x"].astype(np.float64), data["y"].astype(np.float64)
    fitted = predictions(model, fit, {**data, "x": x, "y": y})
    response, model_name = choice.response, _as_text(model.label, WIDE)
    figure = optional("matplotlib.figure", "plot", "--plot").Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    if len(choice.features or ()) == 1 and not choice.leaves:

        def curve(values: Any) -> np.ndarray:
            ones = [np.ones_like(values)] * choice.intercept
            return predictions(model, fit, {"x": np.stack([*ones, values], axis=1), "y": np.zeros_like(values)})

        feature, beside = _as_text(choice.x_names[-1], WIDE), _as_text(response, HIGH)
        plots.fitted_lines(x[:, -1], y, {model_name: curve}, xlabel=feature, ylabel=beside, ax=left)
    else:
        beside, below = _as_text(f"observed {response}", HIGH), _as_text(f"{response} fitted by {model.label}", WIDE)
        plots.fitted_lines(fitted, y, {"observed = fitted": (0.0, 1.0)}, xlabel=below, ylabel=beside, ax=left)
    plots.residuals(fitted, y - fitted, xlabel=_as_text(f"fitted {response}", WIDE), ax=right)
    _save(figure, path)


def predictions(model: "Model", fit: "Fit", data: dict[str, np.ndarray]) -> np.ndarray:
    """Return what the model predicts for every row, (n,)."""
    predict = model.predict
    assert predict is not None  # check_picture has refused such a model
    rows = jax.tree_util.tree_map(jnp.asarray, data)
    return np.asarray(jax.vmap(lambda row: predict(fit.params, row))(rows))


def _as_text(name: str, most: int) -> str:
    """Make a label of a name: no longer than an axis, and no formula, which two dollar signs would start."""
    shown = name if len(name) <= most else f"{name[: most - 3]}..."
    return shown.replace("$", r"\$")


def _save(figure: Any, path: Path) -> None:
    with warnings.catch_warnings():
        # A letter that the font lacks is seen in the picture as a box; two lines of Python about it help nobody.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure.savefig(path, dpi=RESOLUTION)
