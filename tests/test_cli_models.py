"""`mle-jax models`: one row per ready-made model, and each row true. A new model needs no line here."""

import inspect
import re

import jax
import jax.numpy as jnp
import pytest

import mle_jax as mle
from mle_jax import models
from mle_jax.cli import main
from mle_jax.cli.choosing import choose
from mle_jax.cli.columns import select
from mle_jax.cli.leaves import leaves_read, level_of, matrices_of, optional_leaves
from mle_jax.cli.ready_made import NAMES, Description, build_model, describe, example_of, nearest
from mle_jax.data.files import read_file
from mle_jax.data.tables import read_table
from mle_jax.parameters import resolve

REQUIRED = {"variance": 2.0, "levels": 3}
"""A value for every option without a default that some model has."""


def built(name):
    needed = [p.name for p in inspect.signature(getattr(models, name)).parameters.values() if p.default is p.empty]
    return build_model(name, {option: REQUIRED[option] for option in needed})


@pytest.mark.parametrize("name", models.__all__)
def test_file_of_a_model_opens_with_its_log_density(name):
    row = describe(name)
    assert row.formula, f"the docstring of the module of {name} has no line 'log f(y; parameters | x) = ...'"
    model = built(name)
    declared = resolve(model.parameters, {"x": jax.ShapeDtypeStruct((2, 2), float)}).leaf_names
    declared = {leaf.partition(".")[0] for leaf in declared}  # w.1 and w.2 are parts of w
    assert sorted(row.parameters) == sorted(declared), f"the formula of {name} names other parameters"
    assert sorted(row.data) == sorted(leaves_read(model)), f"the formula of {name} names other data"
    for word in (*row.parameters, *row.data):
        assert re.search(rf"\b{re.escape(word)}\b", row.formula), f"'{word}' of {name} does not occur in its formula"


@pytest.mark.parametrize("name", models.__all__)
def test_every_model_has_a_response_for_the_command(name):
    assert "y" in leaves_read(built(name))


def test_table_has_a_row_per_model(capsys):
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[2 : 2 + len(NAMES)]] == sorted(models.__all__)
    # Gaussian density with mean <x, w>: any textbook.
    row = next(line for line in printed.splitlines() if line.startswith("linear_gaussian "))
    assert re.search(
        r" y, x, \[offset\] +w, variance .*-\(1/2\) log\(2 pi variance\) - \(y - <x, w>\)\^2 / \(2 variance\)$", row
    )
    assert "variance=..." in printed and "mle-jax fit MODEL" in printed
    rows = {line.split()[0]: line for line in printed.splitlines() if line and not line.startswith(" ")}
    assert " y, x, [offset], [status], [upper]  " in rows["weibull_aft"]
    assert " y, x, [offset], [z]  " in rows["zero_inflated_poisson_regression"]
    assert " y, x  " in rows["multinomial_logit"] and "[brackets] may be left out" in printed


def test_description_without_docstrings_is_empty(monkeypatch):
    module = inspect.getmodule(models.gaussian)
    monkeypatch.setattr(module, "__doc__", None)  # as under python -OO
    assert describe("gaussian") == Description("gaussian", (), (), (), "")


def test_formula_may_run_over_lines(monkeypatch):
    module = inspect.getmodule(models.gaussian)
    monkeypatch.setattr(module, "__doc__", "Title.\n\nlog f(y; mu | x, exposure) = mu\n    + y\n\nSource: none.")
    assert describe("gaussian") == Description("gaussian", ("y", "x", "exposure"), ("mu",), (), "mu + y")


def test_models_are_the_library_s_own():
    assert build_model("linear_gaussian", {}) is models.linear_gaussian()
    assert build_model("gaussian_mean", {"variance": 2}) is models.gaussian_mean(variance=2.0)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("linear_gausian", {}, "there is no model 'linear_gausian'; did you mean 'linear_gaussian'?"),
        ("Laplace_Regresion", {}, "did you mean 'laplace_regression'?"),
        ("xyz", {}, "there is no model 'xyz'; 'mle-jax models' lists them all"),
        ("gaussian_mean", {}, "gaussian_mean needs a value for 'variance'; pass --option variance=VALUE"),
        ("gaussian_mean", {"varianz": 1.0}, "--option names 'varianz', but gaussian_mean has no such option; its opt"),
        ("gaussian", {"variance": 1.0}, "has no such option; it has none; leave --option out"),
        ("gaussian_mean", {"variance": -1.0}, "variance=-1.0, but it must be finite and above 0"),
        ("gaussian_mean", {"variance": "much"}, "variance='much', but it must be a real number"),
    ],
)
def test_model_that_cannot_be_built(name, options, told):
    with pytest.raises((ValueError, TypeError)) as caught:
        build_model(name, options)
    assert told in str(caught.value)


def counts_and_categories(params, row):
    """A log density with further data: an exposure, and a category that is an index."""
    return row["y"] * params["level"][row["group"]] + row["x"] @ params["w"] - row["exposure"]


def test_further_data_are_found_and_asked_for(tmp_path):
    model = mle.Model(counts_and_categories, {"w": mle.Real(columns="x"), "level": mle.Real(2)})
    read = leaves_read(model)
    assert sorted(read) == ["exposure", "group", "x", "y"]
    wishes = {"response": "deaths", "features": ["age"], "intercept": True, "weights": None}
    with pytest.raises(ValueError, match=r"counts also reads 'group' and 'exposure'; pass --leaf group=COLUMN"):
        choose("counts", ("y", "group", "x", "exposure"), **wishes, leaves={})
    with pytest.raises(ValueError, match=r"--leaf names 'y', but counts reads .*; its further data are"):
        choose("counts", read, **wishes, leaves={"y": "deaths"})
    choice = choose("counts", read, **wishes, leaves={"group": "region", "exposure": "years"})
    (tmp_path / "data.csv").write_text("region,years,deaths,age\n1,2.5,3,40\n0,,1,50\n1,0.5,0,60\n")
    selection = select(read_file(tmp_path / "data.csv"), choice, drop_missing=True)
    data, names = read_table(selection.table, selection.columns)
    assert {leaf: array.tolist() for leaf, array in data.items()} == {
        **{"y": [3, 0], "group": [1, 1], "exposure": [2.5, 0.5]},
        "x": [[1.0, 40.0], [1.0, 60.0]],
    }
    assert names == {"x": ("intercept", "age")} and data["group"].dtype == "int64"
    assert (selection.n_read, selection.n_dropped) == (3, 1)


def test_nearest_overlooks_case():
    assert nearest("INCOME", ["food", "income"]) == "income"
    assert nearest("zzz", ["food", "income"]) is None


def test_nearest_knows_a_part_of_a_name_and_its_words_in_another_order():
    known = ["gaussian", "gaussian_mean", "linear_gaussian", "laplace_regression"]
    words = ("gausian", "gaussian_linear", "laplace", "lapace", "Linear", "mean")
    found = {word: nearest(word, known) for word in words}
    assert found == {
        **{"gausian": "gaussian", "gaussian_linear": "linear_gaussian", "laplace": "laplace_regression"},
        **{"lapace": "laplace_regression", "Linear": "linear_gaussian", "mean": "gaussian_mean"},
    }
    assert nearest("poisson", known) is None


@pytest.mark.parametrize("name", models.__all__)
def test_every_regression_but_one_takes_an_offset(name):
    optional = optional_leaves(example_of(name))
    assert ("offset" in optional) == ("x" in describe(name).data and name != "multinomial_logit")


def test_leaves_behind_other_leaves_are_found():
    def log_density(params, row):
        late = row.get("late", 0.0)
        if "start" in row:
            late = late + row["start"] * row.get("end", 1.0)
        return -((row["y"] - params["m"] - late) ** 2)

    model = mle.Model(log_density, {"m": mle.Real()})
    assert leaves_read(model) == ("y",) and optional_leaves(model) == ("end", "late", "start")


@pytest.mark.parametrize("name", models.__all__)
def test_only_cutpoints_have_the_place_of_an_intercept(name):
    assert level_of(example_of(name)) == ("cutpoints" if name.startswith("ordered_") else None)


@pytest.mark.parametrize(
    ("residual", "found"),
    [
        (lambda p, row: row["y"] - p["a"] - row["x"] @ p["w"], "a"),
        (lambda p, row: row["y"] + p["a"] - row["x"] @ p["w"], "a"),
        (lambda p, row: row["y"] - p["a"] * (2 + row["x"] @ p["w"]), None),
        (lambda p, row: row["y"] - p["a"] - 2 * row["x"] @ p["w"], None),
        (lambda p, row: row["y"] - p["a"], None),
    ],
    ids=["sum", "difference", "product", "another factor", "without x"],
)
def test_a_parameter_has_the_place_of_an_intercept_if_both_can_move_together(residual, found):
    model = mle.Model(
        lambda p, row: -(residual(p, row) ** 2) - jnp.log(p["s"]),
        {"w": mle.Real(columns="x"), "s": mle.Positive(), "a": mle.Real()},
    )
    assert level_of(model) == found


def test_matrices_are_told_from_columns():
    model = models.zero_inflated_poisson_regression()
    assert matrices_of(model) == {"x"} and matrices_of(model, ["z", "offset"]) == {"x", "z"}
    assert matrices_of(models.gaussian_peak()) == frozenset()


def test_optional_leaves_are_read_where_they_are_present():
    model = models.weibull_aft()
    assert sorted(leaves_read(model)) == ["x", "y"]
    assert sorted(leaves_read(model, ["status"])) == ["status", "x", "y"]
    assert sorted(leaves_read(model, ["status", "upper", "offset"])) == ["offset", "status", "upper", "x", "y"]
    assert sorted(leaves_read(model, ["exposure"])) == ["x", "y"]  # given, but no business of the model
