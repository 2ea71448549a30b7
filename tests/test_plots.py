"""What all pictures have in common: where they are drawn, what they leave alone, and what they refuse."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import mle_jax as mle
from mle_jax import plots

CURVE = mle.difference_curve(jnp.exp, 1.0, steps=[1e-2, 1e-4, 1e-6, 1e-9, 1e-12])
REPORT = mle.check_gradient(lambda w: w[0] ** 2 + jnp.exp(w[1]), lambda w: jnp.stack([w[0], jnp.exp(w[1])]), np.ones(2))


def bowl(w, center=0.0):
    return (w[0] - center) ** 2 + 3.0 * w[1] ** 2


PICTURES = {
    "difference_error": lambda **ax: plots.difference_error(CURVE, **ax),
    "gradient_check": lambda **ax: plots.gradient_check(REPORT, **ax),
    "surface": lambda **ax: plots.surface(bowl, (-2, 2), (-1, 1), marks={"minimum": (0, 0)}, **ax),
    "descent_path": lambda **ax: plots.descent_path(bowl, [[1.0, 1.0], [0.5, 0.1], [0.2, 0.0]], **ax),
    "fitted_lines": lambda **ax: plots.fitted_lines([0.0, 1.0], [0.0, 2.0], {"line": (0.0, 2.0)}, **ax),
    "residuals": lambda **ax: plots.residuals([0.0, 1.0, 2.0], [0.1, -0.1, 0.2], **ax),
    "loss_curve": lambda **ax: plots.loss_curve({"run": [3.0, 1.0, 2.0]}, **ax),
}


@pytest.fixture(autouse=True)
def without_windows():
    matplotlib.use("Agg", force=True)
    yield
    plt.close("all")


def test_the_table_has_every_picture():
    assert sorted(PICTURES) == sorted(plots.__all__)


@pytest.mark.parametrize("name", PICTURES)
def test_a_new_figure_where_no_axes_are_given(name):
    ax = PICTURES[name]()
    assert plt.get_fignums() == [ax.figure.number]
    assert isinstance(ax, matplotlib.axes.Axes) and ax.has_data()
    ax.figure.canvas.draw()  # what is laid out only when it is drawn


@pytest.mark.parametrize("name", PICTURES)
def test_axes_that_are_given_are_used_and_pyplot_is_left_alone(name):
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)  # a canvas that lays out when it draws
    left, right = figure.subplots(1, 2)
    with plt.rc_context():
        before = dict(plt.rcParams)
        assert PICTURES[name](ax=right) is right
        assert dict(plt.rcParams) == before
    figure.canvas.draw()
    assert right.has_data() and not left.has_data()
    assert right.get_xlabel() and right.get_ylabel()
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("kind", ["figure", "array"])
def test_something_else_than_axes_is_refused(name, kind):
    given = Figure() if kind == "figure" else Figure().subplots(1, 2)
    with pytest.raises(
        TypeError, match=r"ax is a (Figure|ndarray), but .* one matplotlib Axes; pass .*figure\.subplots"
    ):
        PICTURES[name](ax=given)


class NotInstalled:
    """Finds no matplotlib, as on a machine that lacks it."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


@pytest.mark.parametrize("name", PICTURES)
def test_without_matplotlib_one_sentence_says_what_to_install(name, monkeypatch):
    for module in [module for module in sys.modules if module.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [NotInstalled, *sys.meta_path])
    said = rf"^mle_jax\.plots\.{name}\(\) needs matplotlib: pip install 'mle-jax\[plot\]'$"
    with pytest.raises(ImportError, match=said):
        PICTURES[name]()


@pytest.mark.smoke
def test_importing_the_pictures_does_not_import_matplotlib():
    code = "import sys, mle_jax, mle_jax.plots; assert not any(m.startswith('matplotlib') for m in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert finished.returncode == 0, finished.stderr


def test_the_flag_of_jax_is_left_alone_and_computations_are_in_float64():
    before = jax.config.jax_enable_x64
    seen = []

    def watching(w, data):
        seen.append((w.dtype, data.dtype))
        return jnp.sum((w - data) ** 2)

    plots.surface(watching, (-1, 1), (-1, 1), args=(np.zeros(2),), ax=Figure().subplots())
    assert jax.config.jax_enable_x64 == before
    assert set(seen) == {(jnp.dtype("float64"), jnp.dtype("float64"))}


NAN = float("nan")
BAD = {
    "a curve that is none": (
        lambda: plots.difference_error([1.0, 2.0]),
        TypeError,
        r"curve is a list, but it must be a DifferenceCurve; pass mle_jax\.difference_curve",
    ),
    "a curve without finite errors": (
        lambda: plots.difference_error(mle.difference_curve(lambda x: jnp.log(x - 2.0), 1.0)),
        ValueError,
        r"no error of the curve of 'params' is finite, .* take steps",
    ),
    "a report that is none": (
        lambda: plots.gradient_check(CURVE),
        TypeError,
        r"report is a DifferenceCurve, but it must be a GradientReport; pass mle_jax\.check_gradient",
    ),
    "a report that was pickled": (
        lambda: plots.gradient_check(pickle.loads(pickle.dumps(REPORT))),
        ValueError,
        r"the report has lost its function .* check the gradient again",
    ),
    "a report without finite errors": (
        lambda: plots.gradient_check(mle.check_gradient(lambda x: jnp.log(x), lambda x: 1 / x, -1.0)),
        ValueError,
        r"no error is finite in 'params', .* print the report",
    ),
    "a function that returns a vector": (
        lambda: plots.surface(lambda w: w, (-1, 1), (-1, 1)),
        TypeError,
        r"function returned an array of shape \(2,\), but it must return one number",
    ),
    "no function": (
        lambda: plots.surface(3.0, (-1, 1), (-1, 1)),
        TypeError,
        r"function is a float, but it must be a function of a vector of two parameters",
    ),
    "a gradient of the wrong shape": (
        lambda: plots.surface(bowl, (-1, 1), (-1, 1), gradient=bowl),
        TypeError,
        r"gradient returned an array of shape \(\), but it must return an array of shape \(2,\)",
    ),
    "a gradient that is a dict": (
        lambda: plots.surface(bowl, (-1, 1), (-1, 1), gradient=lambda w: {"w": w}),
        TypeError,
        r"gradient returned a dict, but it must return an array of shape \(2,\)",
    ),
    "a range upside down": (
        lambda: plots.surface(bowl, (1, -1), (-1, 1)),
        ValueError,
        r"x_range is \(1, -1\), but .* the smaller first",
    ),
    "a range that is not finite": (lambda: plots.surface(bowl, (0, 1), (0, NAN)), ValueError, r"y_range is .*finite"),
    "half an arrow": (
        lambda: plots.surface(bowl, (0, 1), (0, 1), arrows=2.5),
        ValueError,
        r"arrows is 2\.5, but it must be a whole number of at least 0",
    ),
    "three names": (
        lambda: plots.surface(bowl, (0, 1), (0, 1), names=("a", "b", "c")),
        ValueError,
        r"names is \('a', 'b', 'c'\), but a surface has two parameters",
    ),
    "marks that are no dict": (
        lambda: plots.surface(bowl, (0, 1), (0, 1), marks=(0.0, 1.0)),
        TypeError,
        r"marks is a tuple, but it must map labels to points",
    ),
    "a mark of three parameters": (
        lambda: plots.surface(bowl, (0, 1), (0, 1), marks={"here": (0.0, 1.0, 2.0)}),
        ValueError,
        r"marks\['here'\] has 3 entries, but a surface has two parameters",
    ),
    "bare data": (
        lambda: plots.surface(bowl, (0, 1), (0, 1), args=1.0),
        TypeError,
        r"args is a float, but it must be a tuple of data",
    ),
    "a flat function": (
        lambda: plots.surface(lambda w: 0.0 * w[0], (0, 1), (0, 1)),
        ValueError,
        r"the function is 0\.0 everywhere on this rectangle, .* pass other ranges",
    ),
    "a function without finite values": (
        lambda: plots.surface(lambda w: jnp.log(w[0]), (-2, -1), (0, 1)),
        ValueError,
        r"has no finite value on this rectangle",
    ),
    "a path of three parameters": (
        lambda: plots.descent_path(bowl, np.zeros((4, 3))),
        ValueError,
        r"path has shape \(4, 3\), but it must be \(steps \+ 1, 2\)",
    ),
    "an empty path": (lambda: plots.descent_path(bowl, np.zeros((0, 2))), ValueError, r"path has shape \(0, 2\)"),
    "a path that leaves the numbers": (
        lambda: plots.descent_path(bowl, [[1.0, 1.0], [9.0, 9.0], [NAN, 1.0]]),
        ValueError,
        r"path is \[nan, 1\.0\] at step 2, but what is drawn must be finite; pass path\[:2\]",
    ),
    "x and y of different lengths": (
        lambda: plots.fitted_lines([1.0, 2.0], [1.0], {}),
        ValueError,
        r"y has 1 entries, but x has 2; pass one for each",
    ),
    "no data": (lambda: plots.fitted_lines([], [], {}), ValueError, r"x has shape \(0,\), but .* at least one entry"),
    "a missing value": (
        lambda: plots.fitted_lines([1.0, 2.0], [1.0, NAN], {}),
        ValueError,
        r"y is nan at entry 1, but what is drawn must be finite; leave out that entry",
    ),
    "words": (lambda: plots.fitted_lines(["a"], [1.0], {}), TypeError, r"x is of type <U1, but real numbers are drawn"),
    "lines in a list": (
        lambda: plots.fitted_lines([1.0], [1.0], [(0.0, 1.0)]),
        TypeError,
        r"lines is a list, but it must map labels to lines",
    ),
    "a line of three numbers": (
        lambda: plots.fitted_lines([1.0], [1.0], {"cubic": (0.0, 1.0, 2.0)}),
        ValueError,
        r"lines\['cubic'\] has 3 entries, but a line has two, \(intercept, slope\)",
    ),
    "a curve of another length": (
        lambda: plots.fitted_lines([1.0, 2.0], [1.0, 2.0], {"mean": lambda x: x[:3]}),
        ValueError,
        r"lines\['mean'\]\(x\) has 3 entries, but x has 300",
    ),
    "outliers by number": (
        lambda: plots.fitted_lines([1.0, 2.0], [1.0, 2.0], {}, outliers=[1]),
        ValueError,
        r"outliers is an array of int64 of shape \(1,\), but it must say True or False for each of the 2 points",
    ),
    "residuals of another length": (
        lambda: plots.residuals([1.0, 2.0], [1.0, 2.0, 3.0]),
        ValueError,
        r"residual has 3 entries, but fitted has 2",
    ),
    "no runs": (lambda: plots.loss_curve({}), ValueError, r"values is an empty dict, but .* pass \{'a = 0\.1'"),
    "a run of no steps": (lambda: plots.loss_curve([]), ValueError, r"values has shape \(0,\)"),
    "a matrix of runs": (lambda: plots.loss_curve(np.zeros((2, 3))), ValueError, r"values has shape \(2, 3\)"),
    "a run that never was finite": (
        lambda: plots.loss_curve({"a": [NAN, 1.0]}),
        ValueError,
        r"values\['a'\] starts with nan, but a run must start at a finite value",
    ),
    "an optimum that is none": (
        lambda: plots.loss_curve({"a": [3.0, 1.0]}, optimum=2.0),
        ValueError,
        r"values\['a'\] is 1\.0+ at step 1, better than optimum = 2\.0+; pass the best value",
    ),
    "an optimum from the wrong side": (
        lambda: plots.loss_curve([-3.0, -1.0], optimum=-0.5),
        ValueError,
        r"larger_is_better=True for a log-likelihood",
    ),
    "an optimum that is not finite": (
        lambda: plots.loss_curve([1.0], optimum=NAN),
        ValueError,
        r"optimum is nan, but it must be one finite number",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_and_leaves_no_figure(case):
    call, error, said = BAD[case]
    with pytest.raises(error, match=said):
        call()
    assert plt.get_fignums() == []
