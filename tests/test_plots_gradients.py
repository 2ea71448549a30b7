"""The picture of a gradient check: right coordinates fall and rise, wrong ones level off at their error."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import mle_jax as mle
from mle_jax import plots


def function(w):
    return jnp.sum(jnp.exp(w)) + w[0] * w[1]


def by_hand(w):
    return jnp.exp(w) + jnp.zeros_like(w).at[:2].set(w[1::-1])


def off_by(*changes):
    def gradient(w):
        right = by_hand(w)
        for place, change in changes:
            right = right.at[place].multiply(1 + change)
        return right

    return gradient


POINT = np.linspace(0.5, 1.5, 8)


def curves(ax):
    """Return label to steps and errors (m, 2), for the lines with a marker."""
    return {str(one.get_label()): one for one in ax.get_lines() if not str(one.get_label()).startswith("_")}


def test_wrong_coordinates_come_first_and_level_off_where_the_report_says():
    report = mle.check_gradient(function, off_by((3, 1e-3), (6, 1e-6)), POINT)
    ax = plots.gradient_check(report, ax=Figure().subplots())
    assert ax.get_title() == "Gradient check FAILED in 2 of 8 coordinates; the worst 3 of 8"
    labels = list(curves(ax))
    assert [label.partition(":")[0] for label in labels[:2]] == ["params[3]", "params[6]"]
    for label, size in zip(labels[:2], (1e-3, 1e-6), strict=True):
        assert f": wrong, off by {size:.0e}" in label
        steps, errors = curves(ax)[label].get_data()
        flat = errors[(steps > 3e-8) & (steps < 3e-5)]
        # eps/h = 1e-16/3e-8 and h^2 = 1e-9 stay below a hundredth of either error, and so do 1 + size and the pieces.
        np.testing.assert_allclose(flat, size, rtol=0.05)
    steps, errors = curves(ax)[labels[2]].get_data()
    assert labels[2].endswith(": ok") and errors.min() < 1e-9
    side = (steps > 3e-4) & (steps < 0.3)
    np.testing.assert_allclose(np.polyfit(np.log(steps[side]), np.log(errors[side]), 1)[0], 2.0, atol=0.1)  # h^2


def test_wrong_and_right_are_told_apart_without_color():
    ax = plots.gradient_check(mle.check_gradient(function, off_by((3, 1e-3)), POINT), ax=Figure().subplots())
    wrong, right = curves(ax).values()
    assert (wrong.get_linestyle(), right.get_linestyle()) == ("-", "--")
    assert wrong.get_marker() != right.get_marker()
    assert wrong.get_markerfacecolor() != "white" and right.get_markerfacecolor() == "white"


@pytest.mark.parametrize(("gradient", "right", "wrong"), [(by_hand, 6, 0), (lambda w: -by_hand(w), 0, 6)])
def test_at_most_six_curves(gradient, right, wrong):
    ax = plots.gradient_check(mle.check_gradient(function, gradient, POINT), ax=Figure().subplots())
    assert sum(label.endswith(": ok") for label in curves(ax)) == right
    assert sum(": wrong" in label for label in curves(ax)) == wrong
    assert ax.get_title().endswith("the worst 6 of 8")


def test_autodiff_alone_and_other_points():
    alone = mle.check_gradient(function, None, POINT, points=0)
    ax = plots.gradient_check(alone, ax=Figure().subplots())
    assert ax.get_ylabel() == "relative distance to the automatic gradient"
    # Right at the first point, wrong at the second: the picture shows the second, and says so.
    late = mle.check_gradient(
        lambda x: x**2, lambda x: jnp.where(x > 2.0, 2.002 * x, 2 * x), 1.0, others=[3.0], dtype="float32"
    )
    label = next(iter(curves(plots.gradient_check(late, ax=Figure().subplots()))))
    assert label == "params: wrong, off by 1e-03 (point 1)"


def test_exact_quotients_stand_on_the_lower_edge():
    ax = plots.gradient_check(mle.check_gradient(lambda x: 2.0 * x, lambda x: 2.0 + 0 * x, 1.0), ax=Figure().subplots())
    edge = [one for one in ax.get_lines() if one.get_marker() == "v"]
    assert len(edge) == 1 and set(edge[0].get_ydata()) == {ax.get_ylim()[0]}
