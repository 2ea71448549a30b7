"""`mle-jax fit --plot`: what is drawn is what was fitted."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.figure import Figure

from mle_jax.cli import main

ENGEL = Path(__file__).resolve().parents[1] / "examples" / "data" / "engel.csv"
INCOME, FOOD = np.loadtxt(ENGEL, delimiter=",", skiprows=1, unpack=True)
CHOICE = ["--response", "foodexp", "--features", "income"]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def draw(monkeypatch, capsys, tmp_path):
    """Run the command with --plot and return its status, what it printed, the picture, and the figure behind it."""
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))[1])

    def draw(*words: object, name: str = "fit.png") -> tuple[int, str, Path, Figure | None]:
        path = tmp_path / name
        status = main(["fit", *map(str, words), "--plot", str(path)])
        return status, capsys.readouterr().err, path, figures[-1] if figures else None

    return draw


def test_one_feature_shows_the_line_in_the_data(draw):
    status, err, path, figure = draw("linear_gaussian", ENGEL, *CHOICE)
    assert (status, err) == (0, "") and path.read_bytes().startswith(PNG)
    left, right = figure.axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("income", "foodexp")
    assert right.get_xlabel() == "fitted foodexp" and "residual" in right.get_ylabel()
    slope, level = np.polyfit(INCOME, FOOD, 1)
    at, values = left.get_lines()[0].get_data()
    assert left.get_lines()[0].get_label() == "linear_gaussian"
    assert (at.min(), at.max()) == (INCOME.min(), INCOME.max())
    np.testing.assert_allclose(values, level + slope * at, rtol=1e-9)  # polyfit loses some 1e-12
    expected = FOOD - level - slope * INCOME
    inside = np.abs(expected) < 700  # the one farther out, -726, stands on the edge
    offsets = np.asarray(right.collections[0].get_offsets())
    assert inside.sum() == 234
    np.testing.assert_allclose(offsets, np.column_stack([FOOD - expected, expected])[inside], rtol=1e-9, atol=1e-9)


def test_several_features_show_observed_against_fitted(draw, tmp_path):
    rows = [f"1,{line}" for line in ENGEL.read_text().splitlines()[1:]]
    (tmp_path / "data.csv").write_text("one,income,food in $ (of 1857: $)\n" + "\n".join(rows))
    words = ["linear_gaussian", tmp_path / "data.csv", "--response", "food in $ (of 1857: $)"]
    status, err, path, figure = draw(*words, "--features", "one,income", "--no-intercept", name="fit.svg")
    assert (status, err) == (0, "") and b"<svg" in path.read_bytes()
    left, _ = figure.axes
    slope, level = np.polyfit(INCOME, FOOD, 1)
    offsets = np.asarray(left.collections[0].get_offsets())
    np.testing.assert_allclose(offsets, np.column_stack([level + slope * INCOME, FOOD]), rtol=1e-9)
    at, values = left.get_lines()[0].get_data()
    assert np.array_equal(at, values) and left.get_lines()[0].get_label() == "observed = fitted"
    assert left.get_ylabel() == r"observed food in \$ (of 1857: \$)"  # dollar signs, not a formula


@pytest.mark.parametrize(
    ("words", "name", "told"),
    [
        (["gaussian", ENGEL, "--response", "foodexp"], "a.png", "against features, but gaussian was given none"),
        (["linear_gaussian", ENGEL, "--response", "foodexp"], "a.png", "but linear_gaussian was given none; leave"),
        (["linear_gaussian", ENGEL, *CHOICE], "a.xyz", "ends in its format: .png, .pdf or .svg"),
        (["linear_gaussian", ENGEL, *CHOICE], "a.pgf", "ends in its format: .png, .pdf or .svg"),  # takes a LaTeX
        (["linear_gaussian", ENGEL, *CHOICE], "a", "ends in its format: .png, .pdf or .svg"),
        (["linear_gaussian", ENGEL, *CHOICE], "nowhere/a.png", "but there is no folder"),
    ],
    ids=lambda value: str(value)[-20:],
)
def test_picture_that_cannot_be_is_refused_before_fitting(draw, words, name, told):
    status, err, path, figure = draw(*words, name=name)
    assert status == 2 and err.startswith("mle-jax fit: error: --plot ") and err.count("\n") == 1
    assert told in err and not path.exists() and figure is None


def test_long_names_end_where_their_axes_do(draw, tmp_path):
    response, feature = (
        "weight in kg per square meter and year, dry",
        "size of all the plants on the day of the harvest",
    )
    lines = [f'"{response}","{feature}"', "1,2", "2,1", "4,5", "3,7"]
    (tmp_path / "data.csv").write_text("\n".join(lines))
    status, err, _, figure = draw(
        "linear_gaussian", tmp_path / "data.csv", "--response", response, "--features", feature
    )
    assert (status, err) == (0, "")
    figure.draw_without_rendering()  # at one resolution for all that is measured below
    left, right = figure.axes
    assert left.get_xlabel() == feature and left.get_ylabel().startswith("weight in kg per square meter and")
    assert right.get_xlabel().startswith("fitted weight in kg")
    for axes in (left, right):
        room, beside, below = (part.get_window_extent() for part in (axes, axes.yaxis.label, axes.xaxis.label))
        assert beside.height < room.height and below.width < 1.1 * room.width


def test_letters_that_the_font_lacks_are_drawn_quietly(draw, tmp_path):
    (tmp_path / "data.csv").write_text("y,\u8eab\u9ad8\n1,2\n2,1\n4,5\n", encoding="utf-8")
    words = ["linear_gaussian", tmp_path / "data.csv", "--response", "y", "--features", "\u8eab\u9ad8"]
    status, err, path, figure = draw(*words)  # any warning would be an error here
    assert (status, err) == (0, "") and path.read_bytes().startswith(PNG)
    assert figure.axes[0].get_xlabel() == "\u8eab\u9ad8"


def test_without_matplotlib_one_line_says_what_to_install(draw, monkeypatch):
    found = importlib.import_module

    def without_matplotlib(name: str) -> ModuleType:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return found(name)

    monkeypatch.setattr(importlib, "import_module", without_matplotlib)
    status, err, *_ = draw("linear_gaussian", ENGEL, *CHOICE)
    assert status == 2 and err == "mle-jax fit: error: --plot needs matplotlib: pip install 'mle-jax[plot]'\n"
