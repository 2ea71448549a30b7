"""Declarations as objects: equality, repr, labels, starts, complaints, and what malformed ones say."""

import re
from typing import Any

import jax
import numpy as np
import pytest

from mle_jax.parameters import Covariance, Fixed, Interval, Ordered, Positive, Real, Simplex


def test_equal_declarations_are_equal_and_hash_equal() -> None:
    pairs = [
        (Real(3), Real((3,))),
        (Real(np.int64(3), start=[1, 2, 3]), Real(3, start=np.array([1.0, 2.0, 3.0]))),
        (Real(labels=["a", "b"]), Real(2, labels=("a", "b"))),
        (Positive(start=1), Positive(start=1.0)),
        (Interval(0, 1), Interval(0.0, np.float32(1.0))),
        (Simplex(2, start=[0.5, 0.5]), Simplex(2, start=(0.5, 0.5))),
        (Covariance(2, start=np.eye(2)), Covariance(2, start=[[1, 0], [0, 1]])),
        (Fixed(np.array([[1, 2]])), Fixed(((1.0, 2.0),))),
    ]
    for one, other in pairs:
        assert one == other and hash(one) == hash(other)


def test_different_declarations_differ() -> None:
    declarations = [
        Real(),
        Real(1),
        Real(start=1.0),
        Real(columns="x"),
        Real(labels=("a",)),
        Positive(),
        Positive(closed=True),
        Interval(0, 1),
        Interval(0, 2),
        Interval(0, 1, closed=True),
        Simplex(2),
        Ordered(2),
        Covariance(2),
        Fixed(0.0),
        Fixed([0.0]),
    ]
    assert len(set(declarations)) == len(declarations)


def test_declarations_are_frozen_leaves() -> None:
    with pytest.raises(AttributeError):
        Positive().closed = True  # type: ignore[misc]
    assert jax.tree_util.tree_leaves({"a": Positive(), "b": [Fixed(1.0)]}) == [Positive(), Fixed(1.0)]


def test_repr_shows_what_was_declared() -> None:
    assert repr(Real()) == "Real()"
    assert repr(Positive(2, start=3, closed=True)) == "Positive(shape=(2,), start=3.0, closed=True)"
    assert repr(Interval(0, 1)) == "Interval(low=0.0, high=1.0)"
    assert repr(Covariance(2, labels=("a", "b"))) == "Covariance(size=2, labels=('a', 'b'))"
    assert repr(Fixed([1, 2])) == "Fixed(value=(1.0, 2.0))"


def test_sizes() -> None:
    sizes = {
        Real((2, 3)): ((2, 3), 6, 6),
        Positive(): ((), 1, 1),
        Interval(0, 1, 4): ((4,), 4, 4),
        Simplex(4): ((4,), 3, 4),
        Ordered(4): ((4,), 4, 4),
        Covariance(3): ((3, 3), 6, 6),
        Fixed([[1.0, 2.0]]): ((1, 2), 0, 2),
    }
    for declared, expected in sizes.items():
        assert (declared.shape, declared.free_size, declared.flat_size) == expected
        assert declared.elementwise == isinstance(declared, Real | Positive | Interval)


def test_entry_labels() -> None:
    assert Positive().entry_labels("sigma") == ("sigma",)
    assert Real((2, 2)).entry_labels("B") == ("B[0,0]", "B[0,1]", "B[1,0]", "B[1,1]")
    assert Interval(0, 1, labels=("a", "b")).entry_labels("p") == ("p[a]", "p[b]")
    assert Simplex(2, labels=("rail", "road")).entry_labels("p") == ("p[rail]", "p[road]")
    assert Ordered(2).entry_labels("c") == ("c[0]", "c[1]")
    assert Covariance(2).entry_labels("S") == ("S[0,0]", "S[1,0]", "S[1,1]")
    assert Covariance(2, labels=("a", "b")).entry_labels("S") == ("S[a,a]", "S[b,a]", "S[b,b]")
    assert Fixed([1.0, 2.0]).entry_labels("k") == ("k[0]", "k[1]")


def test_default_starts() -> None:
    starts = {
        Real(2): [0.0, 0.0],
        Real(2, start=3): [3.0, 3.0],
        Positive(): 1.0,
        Interval(2, 5): 3.5,
        Simplex(4): [0.25] * 4,
        Simplex(2, start=(0.75, 0.25)): [0.75, 0.25],
        Ordered(4): [-1.5, -0.5, 0.5, 1.5],
        Covariance(2): [[1.0, 0.0], [0.0, 1.0]],
        Fixed(7): 7.0,
    }
    for declared, expected in starts.items():
        start = declared.default_start()
        assert start.dtype == np.float64 and start.shape == declared.shape and start.tolist() == expected
        assert declared.complaint(start) is None


def test_default_starts_are_fresh_arrays() -> None:
    declared = Real(2, start=(1.0, 2.0))
    declared.default_start()[0] = 99.0
    assert declared.default_start().tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("declared", "value", "words"),
    [
        (Real(), np.nan, "is nan, but must be finite"),
        (Real(2), [1.0, -np.inf], "is -inf at entry 1, but must be finite"),
        (Real(2), [1.0, 2.0, 3.0], "has shape (3,), but must have shape (2,)"),
        (Positive(), -1.0, "is -1.0, but must be above 0"),
        (Positive(), 0.0, "is 0.0, but must be above 0"),
        (Positive(3), [1.0, 2.0, -3.0], "is -3.0 at entry 2, but must be above 0"),
        (Positive(closed=True), -1.0, "is -1.0, but must be 0 or above"),
        (Positive(closed=True), np.inf, "is inf, but must be finite"),
        (Interval(0, 1), 1.0, "is 1.0, but must be above 0.0 and below 1.0"),
        (Interval(0, 1, closed=True), 1.5, "is 1.5, but must be from 0.0 to 1.0"),
        (Interval(0, 1, closed=True), np.nan, "is nan, but must be finite"),
        (Simplex(2), [0.5, 0.25], "sums to 0.75, but must sum to 1"),
        (Simplex(2), [1.5, -0.5], "is -0.5 at entry 1, but must be above 0"),
        (Simplex(2), [np.nan, 0.5], "is nan at entry 0, but must be finite"),
        (Ordered(3), [0.0, 2.0, 2.0], "is 2.0 at entry 2, but must be above the entry before it, 2.0"),
        (Ordered(2), [0.0, np.inf], "is inf at entry 1, but must be finite"),
        (Covariance(2), np.eye(3), "has shape (3, 3), but must have shape (2, 2)"),
        (Covariance(2), [[1.0, np.inf], [np.inf, 1.0]], "is inf at entry 1, but must be finite"),
        (Covariance(2), [[1.0, 0.0], [0.0, 0.0]], "is 0.0 at entry 2, but must be above 0, being a variance"),
        (Covariance(2), [[1.0, 0.5], [0.4, 1.0]], "is 0.4 at entry 1, but must equal its mirror entry"),
        (Fixed(2.0), 3.0, "is 3.0, but must stay 2.0"),
        (Fixed(2.0), [2.0], "has shape (1,), but must have shape ()"),
    ],
)
def test_complaints(declared: Any, value: Any, words: str) -> None:
    assert declared.complaint(np.asarray(value)) == words


def test_an_indefinite_matrix_is_refused() -> None:
    # The eigenvalues of [[1, 2], [2, 1]] are 3 and -1; dividing by the scales first changes nothing here.
    expected = "has correlations whose smallest eigenvalue is -1, but must be positive definite"
    assert Covariance(2).complaint([[1.0, 2.0], [2.0, 1.0]]) == expected


def test_valid_values_get_no_complaint() -> None:
    assert Positive(closed=True).complaint(0.0) is None
    assert Interval(0, 1, closed=True).complaint(0) is None
    assert Interval(0, 1, 2, closed=True).complaint([0, 1]) is None
    assert Simplex(3).complaint(np.full(3, 1 / 3, np.float32)) is None
    assert Covariance(2).complaint([[4.0, 1.0], [1.0, 1.0]]) is None
    assert Fixed(0.1).complaint(np.float32(0.1)) is None


@pytest.mark.parametrize(
    ("declare", "error", "words"),
    [
        (lambda: Real(0), ValueError, "Real(shape=0): a parameter needs at least one entry"),
        (lambda: Positive((2, -1)), ValueError, "Positive(shape=(2, -1)): a parameter needs at least one entry"),
        (lambda: Real(2.0), TypeError, "Real(shape=2.0): shape must be an int or a tuple of ints"),
        (lambda: Real("x"), TypeError, "Real(shape='x'): shape must be an int or a tuple of ints"),
        (lambda: Real(True), TypeError, "Real(shape=True): shape must be an int or a tuple of ints"),
        (lambda: Real(columns=1), TypeError, "Real(columns=1): columns must name one leaf of the data"),
        (lambda: Real(columns="x", labels=("a",)), ValueError, "give columns or labels, not both"),
        (lambda: Real(2, columns="x"), ValueError, "columns sets the shape; give one of the two"),
        (lambda: Real(labels=("a", "b", "a")), ValueError, "'a' is there twice; labels must be distinct"),
        (lambda: Real(labels="ab"), TypeError, "labels must be a tuple of names"),
        (lambda: Real(labels=("a", 1)), TypeError, "labels must be a tuple of names"),
        (lambda: Real(labels=()), ValueError, "there are 0 labels for no entries"),
        (lambda: Real(3, labels=("a", "b")), ValueError, "2 labels need shape (2,)"),
        (
            lambda: Real(2, start=(1, 2, 3)),
            ValueError,
            "Real(start=...): start has shape (3,), but must have shape",
        ),
        (lambda: Real(start=np.nan), ValueError, "Real(start=...): start is nan, but must be finite"),
        (lambda: Real(start="1"), TypeError, "Real(start=...): start is '1', but must be a real number"),
        (lambda: Real(start=True), TypeError, "Real(start=...): start is True, but must be a real number"),
        (lambda: Real(start=1j), TypeError, "Real(start=...): start is 1j, but must be a real number"),
        (lambda: Real(start=[[1], [1, 2]]), TypeError, "but must be a real number or an array of them"),
        (lambda: Positive(start=-1), ValueError, "Positive(start=...): start is -1.0, but must be above 0"),
        (lambda: Positive(start=0), ValueError, "Positive(start=...): start is 0.0, but must be above 0"),
        (lambda: Positive(columns="x", start=(1, -2)), ValueError, "start is -2.0 at entry 1, but must be above 0"),
        (lambda: Interval(2, 1), ValueError, "Interval(2, 1): low must be below high"),
        (lambda: Interval(1, 1), ValueError, "Interval(1, 1): low must be below high"),
        (lambda: Interval(0, np.inf), ValueError, "Interval(..., high): high is inf, but must be finite"),
        (lambda: Interval([0, 0], 1), TypeError, "the ends must be two numbers, the same for all entries"),
        (lambda: Interval(1, np.nextafter(1, 2)), ValueError, "float64 cannot resolve an interval so narrow"),
        (lambda: Interval(-1.7e308, 1.7e308), ValueError, "float64 cannot resolve an interval so narrow or so wide"),
        (lambda: Interval(0, 1, start=1), ValueError, "start is 1.0, but must be above 0.0 and below 1.0"),
        (lambda: Simplex(0), ValueError, "Simplex(0): size must be 1 or more"),
        (lambda: Simplex(2.0), TypeError, "Simplex(2.0): size must be an int, such as Simplex(3)"),
        (lambda: Simplex(True), TypeError, "Simplex(True): size must be an int"),
        (lambda: Simplex(2, labels=("a",)), ValueError, "there are 1 labels for 2 entries"),
        (lambda: Simplex(2, start=(0.5, 0.6)), ValueError, "Simplex(start=...): start sums to 1.1, but must sum to 1"),
        (lambda: Simplex(2, start=0.5), ValueError, "start has shape (), but must have shape (2,)"),
        (lambda: Ordered(2, start=(1, 0)), ValueError, "is 0.0 at entry 1, but must be above the entry before it, 1.0"),
        (lambda: Covariance(2, start=np.ones((2, 2))), ValueError, "must be positive definite"),
        (lambda: Fixed(np.nan), ValueError, "Fixed(value): value is nan, but must be finite"),
        (lambda: Fixed("a"), TypeError, "Fixed(value): value is 'a', but must be a real number"),
        (lambda: Fixed([]), ValueError, "Fixed(value): value has shape (0,) and holds no number"),
        (lambda: jax.jit(lambda v: Fixed(v).value)(1.0), TypeError, "value is traced by jax"),
    ],
)
def test_malformed_declarations(declare: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        declare()


def test_closed_domains_accept_a_start_at_the_end() -> None:
    assert Positive(start=0, closed=True).default_start() == 0.0
    assert Interval(0, 1, start=1, closed=True).default_start() == 1.0
