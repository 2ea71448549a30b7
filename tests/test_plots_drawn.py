"""What stands in the pictures: the data that were given, at the right places, under the right names."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import matplotlib.figure
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

import mle_jax as mle
from mle_jax import plots
from mle_jax.plots._landscape import LEVELS, Frame, evaluate, levels
from mle_jax.plots._style import style


def axes():
    figure = matplotlib.figure.Figure(layout="constrained")
    FigureCanvasAgg(figure)  # lays out when it draws, needs no screen
    return figure.subplots()


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def line(ax, label):
    """Return the data (m, 2) of the one line whose label starts so."""
    found = [one for one in ax.get_lines() if str(one.get_label()).startswith(label)]
    assert len(found) == 1
    return np.column_stack(found[0].get_data())


def bowl(w):
    return w[0] ** 2 + 3.0 * w[1] ** 2


# Difference quotients (T1)


def test_the_errors_are_drawn_and_the_best_steps_ringed():
    curve = mle.difference_curve(jnp.exp, 1.0)
    ax = plots.difference_error(curve, ax=axes())
    for name in ("forward", "central"):
        errors = getattr(curve, name)
        order = np.argsort(curve.steps)
        np.testing.assert_array_equal(line(ax, name), np.column_stack([curve.steps, errors])[order])
        best = curve.steps[np.argmin(errors)]
        assert f"{name}, best at h = {best:.1e}" in labels(ax)
        rings = [one for one in ax.get_lines() if one.get_markerfacecolor() == "none" and one.get_xdata()[0] == best]
        assert [one.get_ydata()[0] for one in rings] == [errors.min()]
    assert ax.get_title() == "Difference quotients for params"


def test_the_reference_slopes_have_their_exponents():
    ax = plots.difference_error(mle.difference_curve(jnp.exp, 1.0), ax=axes())
    plain = [one for one in ax.get_lines() if one.get_linestyle() == "-" and one.get_marker() == "None"]
    slopes = [np.diff(np.log(one.get_ydata()))[0] / np.diff(np.log(one.get_xdata()))[0] for one in plain]
    np.testing.assert_allclose(slopes, [1.0, 2.0, -1.0], rtol=1e-10)  # rounding of two logarithms
    assert [text.get_text() for text in ax.texts] == ["h", "h²", "eps/h"]
    # They lie above the errors that they explain.
    top = max(line(ax, "forward")[:, 1].max(), line(ax, "central")[:, 1].max())
    assert all(np.all(one.get_ydata() < ax.get_ylim()[1]) for one in plain) and top < ax.get_ylim()[1]


def test_exact_quotients_stand_on_the_edge_and_are_counted():
    # x^2 at 1 with steps that are powers of 2: the central quotient ((1 + h)^2 - (1 - h)^2) / 2h = 2 has no error, the
    # forward one has exactly h while (1 + h)^2 fits into 53 bits.
    steps = 2.0 ** -np.arange(1, 21)
    ax = plots.difference_error(mle.difference_curve(lambda x: x**2, 1.0, steps=steps), ax=axes())
    assert labels(ax)[-1] == "central: error exactly 0 at 20 of 20 steps"
    exact = line(ax, "central: ")
    np.testing.assert_array_equal(exact[:, 0], steps)
    np.testing.assert_array_equal(exact[:, 1], np.full(20, ax.get_ylim()[0]))
    np.testing.assert_array_equal(line(ax, "forward"), np.column_stack([steps, steps])[::-1])


def test_errors_that_are_not_finite_are_counted():
    curve = mle.difference_curve(jnp.sqrt, 0.05, steps=[0.2, 0.1, 0.01, 1e-4])  # 0.05 - h < 0 at the first two
    ax = plots.difference_error(curve, ax=axes())
    assert any(label.startswith("central") and label.endswith("not finite at 2 of 4 steps") for label in labels(ax))
    assert len(line(ax, "central")) == 2 and len(line(ax, "forward")) == 4


def test_a_curve_of_exact_zeros_can_be_drawn():
    ax = plots.difference_error(mle.difference_curve(lambda x: 2.0 * x, 0.0, steps=[0.5, 0.25]), ax=axes())
    assert [label for label in labels(ax) if "exactly 0 at 2 of 2" in label] == [
        "forward: error exactly 0 at 2 of 2 steps",
        "central: error exactly 0 at 2 of 2 steps",
    ]


# Surfaces (T6)


def quiver(ax):
    (found,) = [one for one in ax.collections if hasattr(one, "U")]
    return found, np.asarray(found.get_offsets()), np.column_stack([found.U, found.V])


def test_arrows_point_uphill_along_the_gradient():
    ax = plots.surface(bowl, (-2, 2), (-1, 1), arrows=6, ax=axes())
    found, at, along = quiver(ax)
    assert (found.angles, found.pivot, found.scale) == ("xy", "middle", 1.0)
    gradient = np.column_stack([2.0 * at[:, 0], 6.0 * at[:, 1]])
    assert at.shape == (36, 2)
    cosine = np.sum(gradient * along, axis=1) / np.linalg.norm(gradient, axis=1) / np.linalg.norm(along, axis=1)
    np.testing.assert_allclose(cosine, 1.0, rtol=1e-12)  # float64 rounding of a quotient
    # Longer where it is steeper, by the square root; the longest fills nine tenths of the shorter side of a cell.
    lengths, slopes = np.linalg.norm(along, axis=1), np.linalg.norm(gradient, axis=1)
    np.testing.assert_allclose((lengths / lengths.max()) ** 2, slopes / slopes.max(), rtol=1e-12)
    assert lengths.max() == pytest.approx(0.9 * 2 / 6)
    assert ax.get_aspect() == 1.0


def test_arrows_cross_the_contours_at_right_angles_on_the_page():
    # Contours of u^2 + v^2 with u = x / 100 are ellipses in (x, y); the picture is square in (x/100, y), where they are
    # circles and the arrows must be radial.
    def long_bowl(w):
        return (w[0] / 100) ** 2 + w[1] ** 2

    ax = plots.surface(long_bowl, (-100, 100), (-1, 1), arrows=4, ax=axes())
    ax.figure.canvas.draw()
    _, at, along = quiver(ax)
    assert ax.get_box_aspect() == 1.0 and "per length of each axis" in ax.get_title()

    def page(points):
        return ax.transData.transform(points)

    center = page([[0.0, 0.0]])
    radial, drawn = page(at) - center, page(at + along) - page(at)
    cosine = np.sum(radial * drawn, axis=1) / np.linalg.norm(radial, axis=1) / np.linalg.norm(drawn, axis=1)
    np.testing.assert_allclose(cosine, 1.0, rtol=1e-9)  # pixels of size 1e2, box laid out in float64


def test_a_handwritten_gradient_is_the_one_that_is_drawn():
    # The chapter's slip: the sign dropped. The arrows then point downhill.
    ax = plots.surface(bowl, (-2, 2), (-1, 1), gradient=lambda w: -jax.grad(bowl)(w), ax=axes())
    _, at, along = quiver(ax)
    assert np.all(np.sum(np.column_stack([2 * at[:, 0], 6 * at[:, 1]]) * along, axis=1) < 0)


def test_no_arrows_where_none_are_wanted_or_none_has_a_direction():
    def arrows_on(ax):
        return [one for one in ax.collections if hasattr(one, "U")]

    assert arrows_on(plots.surface(bowl, (-2, 2), (-1, 1), arrows=0, ax=axes())) == []
    # The middle one of nine stands on the bottom of the bowl.
    assert len(quiver(plots.surface(bowl, (-2, 2), (-1, 1), arrows=3, ax=axes()))[1]) == 8
    flat = plots.surface(lambda w: jnp.floor(w[0]), (-2, 2), (-1, 1), ax=axes())  # its gradient is 0 everywhere
    assert arrows_on(flat) == []


def test_no_arrows_where_the_function_has_no_value():
    # The logarithm has none left of 0, but its derivative 1 / w0 has one.
    ax = plots.surface(lambda w: jnp.log(w[0]) + w[1], (-1.0, 2.0), (0.0, 3.0), arrows=9, ax=axes())
    (arrows,) = [part for part in ax.collections if hasattr(part, "XY")]
    assert arrows.XY.shape == (54, 2) and arrows.XY[:, 0].min() > 0.0


@pytest.mark.parametrize(("bottom", "scale", "bend"), [(-1411.63, 1e-3, 3.0), (0.0, 1.0, -1.0)])
def test_heights_beside_the_surface_are_told_apart(bottom, scale, bend):
    height = lambda w: bottom + scale * (w[0] ** 2 + bend * w[1] ** 2)  # noqa: E731
    ax = plots.surface(height, (-2.0, 2.0), (-2.0, 2.0), ax=axes())
    ax.figure.draw_without_rendering()
    written = [text.get_text() for text in ax.child_axes[0].get_yticklabels()]
    assert len(set(written)) == len(written) > 4
    assert bend > 0.0 or "0" in written  # the saddle has its middle at 0, up to rounding


def test_the_surface_names_its_parts():
    ax = plots.surface(
        bowl,
        (-2, 2),
        (-1, 1),
        names=("intercept (francs)", "slope"),
        value_label="error",
        marks={"minimum": (0.0, 0.5)},
        ax=axes(),
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("intercept (francs)", "slope")
    assert ax.get_xlim() == (-2.0, 2.0) and ax.get_ylim() == (-1.0, 1.0)
    assert labels(ax) == ["minimum"]
    np.testing.assert_array_equal(line(ax, "minimum"), [[0.0, 0.5]])
    assert [beside.get_ylabel() for beside in ax.child_axes] == ["error"]


def test_the_legend_of_a_surface_stands_below_it():
    ax = plots.surface(bowl, (-2, 2), (-1, 1), marks={"minimum": (0.0, 0.0)}, ax=axes())
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    assert legend.y1 <= ax.xaxis.label.get_window_extent().y0
    assert legend.y0 >= 0.0  # on the page


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["bowl", "hill"])
def test_levels_spread_the_contours_of_bowls_and_hills_evenly(sign):
    side = np.linspace(-1.0, 1.0, 401)
    x, y = np.meshgrid(side, side)
    values = sign * (x**2 + y**2)
    values[x**2 + y**2 > 1.0] = np.nan  # a disk: the radii of the levels are k / LEVELS exactly, up to the grid
    radii = np.sort(np.sqrt(np.abs(levels(values))))
    np.testing.assert_allclose(radii, np.arange(LEVELS + 1) / LEVELS, atol=0.01)  # two grid cells


def test_large_data_are_evaluated_in_blocks_of_memory():
    # 400 points with 100 000 rows each would take 320 MB at once; the answer must not depend on the blocks.
    rows = np.linspace(0.0, 1.0, 100_000)
    points = np.random.default_rng(0).standard_normal((400, 2))
    with jax.enable_x64(True):
        found = evaluate(lambda w, r: jnp.mean((w[0] + w[1] * r) ** 2), points, (jnp.asarray(rows),))
    # mean (a + b r)^2 = a^2 + 2 a b mean r + b^2 mean r^2
    a, b = points.T
    np.testing.assert_allclose(found, a**2 + 2 * a * b * rows.mean() + b**2 * np.mean(rows**2), rtol=1e-9)


# Paths (T11)


def test_the_path_is_drawn_with_start_end_and_direction():
    x, y = mle.text.line_data()
    run = mle.text.descend_line(record=True)
    path = run.history.params["w"]
    best = np.linalg.lstsq(x, y, rcond=None)[0]

    def error(w, x, y):
        return jnp.mean((y - x @ w) ** 2)

    ax = plots.descent_path(error, path, args=(x, y), marks={"least squares": best}, ax=axes())
    assert labels(ax) == ["start", "end, step 100", "least squares"]
    np.testing.assert_array_equal(line(ax, "start"), path[:1])
    np.testing.assert_array_equal(line(ax, "end"), path[-1:])
    (way,) = [np.column_stack(one.get_data()) for one in ax.get_lines() if len(one.get_xdata()) == 101]
    np.testing.assert_array_equal(way, path)
    # An arrowhead at one share of the way after the other, each from one step to the next.
    heads = [(one.xyann, one.xy) for one in ax.texts]
    assert len(heads) >= 3
    for tail, head in heads:
        step = int(np.flatnonzero(np.all(path == tail, axis=1))[0])
        np.testing.assert_array_equal(head, path[step + 1])
    # Everything is inside, with a margin.
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    assert x0 < path[:, 0].min() and path[:, 0].max() < x1 and y0 < path[:, 1].min() and path[:, 1].max() < y1
    assert ax.get_aspect() == 1.0


@pytest.mark.parametrize(
    "path",
    [[[1.0, 2.0]], [[1.0, 2.0]] * 3, [[1.0, 0.0], [0.0, 0.0]], [[1e6, 1.0], [0.0, 1.5]]],
    ids=["one point", "standing still", "along an axis", "different scales"],
)
def test_paths_of_any_shape_have_a_frame(path):
    ax = plots.descent_path(lambda w: w[0] ** 2 + 1e10 * w[1] ** 2, path, ax=axes())
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    assert np.all(low < np.min(path, axis=0)) and np.all(np.max(path, axis=0) < high)
    assert labels(ax) == ["start", f"end, step {len(path) - 1}"]
    ax.figure.canvas.draw()


def test_ranges_may_be_chosen():
    ax = plots.descent_path(bowl, [[1.0, 1.0], [0.0, 0.0]], x_range=(-3, 3), y_range=(-4, 2), ax=axes())
    assert ax.get_xlim() == (-3.0, 3.0) and ax.get_ylim() == (-4.0, 2.0)


def test_scales_are_shared_only_where_that_makes_a_picture():
    assert Frame((0.0, 1.0), (0.0, 3.9)).is_equal and not Frame((0.0, 1.0), (0.0, 4.1)).is_equal


# Data and lines


def test_data_lines_and_outliers():
    x, y = np.array([0.0, 1.0, 2.0, 4.0]), np.array([1.0, 3.0, 5.0, -20.0])
    far = np.array([False, False, False, True])
    lines = {"Gaussian": (4.0, -5.0), "Laplace": np.array([1.0, 2.0]), "curve": lambda at: at**2}
    ax = plots.fitted_lines(x, y, lines, outliers=far, xlabel="x (m)", ylabel="y (kg)", ax=axes())
    data, outliers = ax.collections
    np.testing.assert_array_equal(data.get_offsets(), np.column_stack([x, y])[~far])
    np.testing.assert_array_equal(outliers.get_offsets(), [[4.0, -20.0]])
    np.testing.assert_array_equal(line(ax, "Gaussian"), [[0.0, 4.0], [4.0, -16.0]])
    np.testing.assert_array_equal(line(ax, "Laplace"), [[0.0, 1.0], [4.0, 9.0]])
    curve = line(ax, "curve")
    np.testing.assert_array_equal(curve[:, 1], curve[:, 0] ** 2)
    assert curve[0, 0] == 0.0 and curve[-1, 0] == 4.0
    assert sorted(labels(ax)) == ["Gaussian", "Laplace", "curve", "data", "outliers"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (m)", "y (kg)")


def test_data_alone_and_no_outliers():
    ax = plots.fitted_lines([1, 2], [3, 4], {}, outliers=[False, False], ax=axes())
    assert labels(ax) == ["data"] and not ax.get_lines()


def test_residuals_stand_over_fitted_values_with_a_line_at_zero():
    fitted, left = np.array([1.0, 2.0, 3.0]), np.array([0.5, -0.5, 0.25])
    ax = plots.residuals(fitted, left, xlabel="fitted food (francs)", ax=axes())
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), np.column_stack([fitted, left]))
    assert ax.get_lines()[0].get_ydata() == [0.0, 0.0]
    assert ax.get_xlabel() == "fitted food (francs)" and ax.get_ylabel() == "residual (observed - fitted)"
    assert labels(ax) == [] and ax.get_legend() is None


def test_residuals_out_of_all_proportion_stand_on_the_edge():
    rng = np.random.default_rng(3)
    fitted, left = np.arange(102.0), np.append(rng.standard_normal(100), [1e6, -500.0])
    ax = plots.residuals(fitted, left, ax=axes())
    assert labels(ax) == ["2 of 102 beyond the edge, as far as 1e+06"]
    inside, above, below = ax.collections
    assert len(inside.get_offsets()) == 100
    low, high = ax.get_ylim()
    np.testing.assert_array_equal(above.get_offsets(), [[100.0, high]])
    np.testing.assert_array_equal(below.get_offsets(), [[101.0, low]])
    # The others are still seen: they take most of the axis.
    assert np.abs(left[:100]).max() < high < 2 * np.abs(left[:100]).max()


def test_ordinary_residuals_are_never_cut_off():
    ax = plots.residuals(np.arange(1000.0), np.random.default_rng(1).standard_normal(1000), ax=axes())
    assert len(ax.collections) == 1 and len(ax.collections[0].get_offsets()) == 1000


def test_residuals_most_of_which_are_zero_are_not_cut_off():
    ax = plots.residuals([1.0, 2.0, 3.0], [0.0, 0.0, 5.0], ax=axes())
    assert len(ax.collections[0].get_offsets()) == 3


# Loss curves


def test_one_run_as_array_or_history():
    run = mle.text.descend_features(record=True)
    for values in (run.history, run.history.value):
        ax = plots.loss_curve(values, ylabel="R", ax=axes())
        (drawn,) = ax.get_lines()
        np.testing.assert_array_equal(drawn.get_ydata(), run.history.value)
        np.testing.assert_array_equal(drawn.get_xdata(), np.arange(run.steps + 1))
        assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_legend()) == ("step", "R", None)


def test_runs_that_go_up_and_down_show_the_best_so_far():
    ax = plots.loss_curve({"a": [4.0, 2.0, 3.0, 1.0], "b": [4.0, 3.0, 2.0]}, ax=axes())
    np.testing.assert_array_equal(line(ax, "a")[:, 1], [4.0, 2.0, 2.0, 1.0])
    np.testing.assert_array_equal(line(ax, "b")[:, 1], [4.0, 3.0, 2.0])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "each step", "best so far"]
    assert len(ax.get_lines()) == 3
    plain = plots.loss_curve({"a": [4.0, 2.0, 3.0, 1.0]}, best=False, ax=axes())
    np.testing.assert_array_equal(line(plain, "a")[:, 1], [4.0, 2.0, 3.0, 1.0])


def test_a_rise_of_rounding_size_is_none():
    values = [4.0, 2.0, 1.0, 1.0 + 2e-16, 1.0]
    assert len(plots.loss_curve(values, ax=axes()).get_lines()) == 1


def test_of_a_log_likelihood_the_best_is_the_largest():
    ax = plots.loss_curve({"a": [-4.0, -2.0, -3.0]}, larger_is_better=True, ax=axes())
    np.testing.assert_array_equal(line(ax, "a")[:, 1], [-4.0, -2.0, -2.0])


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["loss", "log-likelihood"])
def test_the_distance_to_the_optimum(sign):
    values = sign * np.array([5.0, 2.0, 3.0, 1.0 - 1e-14])  # the last passes the optimum by rounding: no logarithm
    ax = plots.loss_curve({"a": values}, optimum=sign, larger_is_better=sign < 0, ax=axes())
    np.testing.assert_array_equal(line(ax, "a")[:, 1], [4.0, 1.0, 1.0, np.nan])
    assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "distance to the optimum")


def test_steps_at_the_optimum_are_counted_because_a_logarithmic_axis_cannot_show_them():
    ax = plots.loss_curve({"a = 0.5": [3.0, 2.0, 1.0, 1.0]}, optimum=1.0, ax=axes())
    assert labels(ax) == ["a = 0.5 (at the optimum at 2 of 4 steps)"]
    np.testing.assert_array_equal(line(ax, "a = 0.5")[:, 1], [2.0, 1.0, np.nan, np.nan])
    assert labels(plots.loss_curve([1.0, 1.0], optimum=1.0, ax=axes())) == ["(at the optimum at 2 of 2 steps)"]


def test_a_run_that_left_the_numbers_is_drawn_up_to_there():
    ax = plots.loss_curve({"a = 9": [3.0, 2.0, np.inf, np.nan], "b": [3.0, 1.0]}, ax=axes())
    np.testing.assert_array_equal(line(ax, "a = 9 (not finite at step 2)")[:, 1], [3.0, 2.0])


def test_steps_on_a_logarithmic_axis_show_the_start():
    ax = plots.loss_curve([3.0, 2.0, 1.0], log_steps=True, ax=axes())
    assert ax.get_xscale() == "symlog" and ax.get_xlim()[0] == 0.0


# Color-blind readers, grey paper


def test_lines_differ_in_color_pattern_and_marker():
    looks = [style(number) for number in range(35)]
    assert len(set(looks)) == 35
    for one, next_one in pairwise(looks):
        assert one.color != next_one.color and one.pattern != next_one.pattern and one.marker != next_one.marker
    # On white paper every color keeps a contrast of at least 2 (relative luminance, WCAG 2.2).
    for look in looks:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(look.color)]
        luminance = np.dot([0.2126, 0.7152, 0.0722], linear)
        assert 1.05 / (luminance + 0.05) > 2.0
