"""`resolve`: shapes and names from the data, and what it says when they do not fit."""

import re
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from mle_jax.parameters import Covariance, Fixed, Interval, Ordered, Positive, Real, Simplex, resolve


def shape(*sizes: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sizes, np.float64)


DATA = {"x": shape(235, 2), "y": shape(235), "panel": {"z": shape(235, 8, 3)}, "limit": shape()}


def test_names_keep_the_order_of_declaration() -> None:
    space = resolve({"w": Real(2), "sigma": Positive(), "a": {"z": Real(), "b": Simplex(2)}}, DATA)
    assert space.leaf_names == ("w", "sigma", "a.z", "a.b")
    assert space.names == ("w[0]", "w[1]", "sigma", "a.z", "a.b[0]", "a.b[1]")
    assert (space.n_flat, space.n_free) == (6, 5)
    assert space.free_names == ("w[0]", "w[1]", "sigma", "a.z", "a.b~0")
    assert space.free_leaf == (0, 0, 1, 2, 3)


def test_columns_give_size_and_names() -> None:
    declared = {"w": Real(columns="x"), "s": Positive(columns="panel.z"), "p": Interval(0, 1, columns="x", start=0.25)}
    space = resolve(declared, DATA, column_names={"x": ("intercept", "income"), "y": None})
    assert space.names == ("w[intercept]", "w[income]", "s[0]", "s[1]", "s[2]", "p[intercept]", "p[income]")
    assert space.declarations[0] == Real(labels=("intercept", "income"))
    assert space.default_start()["p"].tolist() == [0.25, 0.25]


def test_a_function_of_the_shapes() -> None:
    space = resolve(lambda data: {"w": Real(data["x"].shape[1]), "sigma": Positive()}, DATA)
    assert space.names == ("w[0]", "w[1]", "sigma")


def test_a_single_declaration_is_called_params() -> None:
    assert resolve(Real(), None).names == ("params",)
    assert resolve(Covariance(2), None).names == ("params[0,0]", "params[1,0]", "params[1,1]")
    assert resolve(Real(columns="data"), shape(9, 2)).names == ("params[0]", "params[1]")


def test_other_containers() -> None:
    class Pair(NamedTuple):
        slope: Any
        noise: Any

    assert resolve(Pair(Real(), Positive()), None).names == ("slope", "noise")
    assert resolve((Real(), [Positive(), Real(2)]), None).names == ("0", "1.0", "1.1[0]", "1.1[1]")
    ordered = OrderedDict(z=Real(), a=Positive())
    space = resolve(ordered, None)
    assert space.names == ("z", "a") and isinstance(space.default_start(), OrderedDict)
    assert [float(v) for v in space.flatten(space.default_start())] == [0.0, 1.0]


def test_spaces_are_equal_by_value_and_differ_by_order() -> None:
    one = resolve({"w": Real(columns="x"), "s": Positive()}, DATA)
    same = resolve({"w": Real(2), "s": Positive()}, None)
    assert one == same and hash(one) == hash(same)
    assert one != resolve({"s": Positive(), "w": Real(2)}, None)
    assert one != resolve({"w": Real(2), "s": Positive(start=2.0)}, None)
    assert one != resolve({"w": Real(labels=("a", "b")), "s": Positive()}, None)


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        (
            {"w": Real(columns="y")},
            ValueError,
            "'w' is declared with columns='y', but data leaf 'y' has shape (235,)",
        ),
        ({"w": Real(columns="y")}, ValueError, "reshape it to (235, 1)"),
        ({"w": Real(columns="limit")}, ValueError, "data leaf 'limit' has shape () and thus no columns"),
        ({"w": Real(columns="X")}, ValueError, "columns='X', but the data leaves are 'x', 'y', 'panel.z' and 'limit'"),
        (
            {"w": Real(columns="x", start=(1, 2, 3))},
            ValueError,
            "'w', declared with columns='x' of shape (235, 2): ",
        ),
        ({"sigma": 1.0}, TypeError, "'sigma' is 1.0, but must be a declaration; declare it as Real(), Positive(), "),
        ({"sigma": 1.0}, TypeError, "or Fixed(1.0)"),
        ({"a": {"b": "x"}}, TypeError, "'a.b' is 'x', but must be a declaration"),
        ({"sigma": Positive}, TypeError, "'sigma' is the class Positive, but must be a declaration; write Positive()"),
        ({"p": Simplex}, TypeError, "write Simplex(size)"),
        ({"p": Interval}, TypeError, "write Interval(low, high)"),
        (Positive, TypeError, "'params' is the class Positive"),
        ({}, ValueError, "the parameters are {}; declare at least one, such as {'mu': Real()}"),
        ({"a.b": Real(), "a": {"b": Real()}}, ValueError, "two parameters or entries are called 'a.b'; rename one"),
        ({"w[0]": Real(), "w": Real(2)}, ValueError, "two parameters or entries are called 'w[0]'; rename one"),
    ],
)
def test_what_does_not_fit(parameters: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        resolve(parameters, DATA)


def test_columns_without_data() -> None:
    with pytest.raises(ValueError, match="columns='x', but there are no data leaves"):
        resolve({"w": Real(columns="x")}, None)


def test_column_names_must_fit() -> None:
    declared = {"w": Real(columns="x")}
    with pytest.raises(ValueError, match="data leaf 'x' has 2 columns and 3 column names"):
        resolve(declared, DATA, column_names={"x": ("a", "b", "c")})
    with pytest.raises(ValueError, match=r"'w', declared with columns='x' of shape \(235, 2\): .*'a' is there twice"):
        resolve(declared, DATA, column_names={"x": ("a", "a")})


def test_every_kind_resolves_without_data() -> None:
    declared = {"c": Ordered(2), "k": Fixed([1.0, 2.0]), "S": Covariance(2, labels=("a", "b"))}
    assert resolve(declared, None).names == ("c[0]", "c[1]", "k[0]", "k[1]", "S[a,a]", "S[b,a]", "S[b,b]")
