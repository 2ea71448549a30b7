"""From constraints to the coordinates that are left: the others follow as shift + mixing theta.

Among real entries a constraint is an equation between free coordinates as it stands. Entries of another domain are
tied by equality, which holds for their free coordinates as well; a multiple of a positive entry is a shift of its
logarithm. The equations are solved by elimination in exact fractions: every solved coordinate is written in terms of
those that remain, which keep their names.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mle_jax._text import listing
from mle_jax.parameters.constant import Fixed
from mle_jax.parameters.equations import Equation, read_equations
from mle_jax.parameters.interval import Interval
from mle_jax.parameters.positive import Positive
from mle_jax.parameters.real import Real

if TYPE_CHECKING:
    from mle_jax.parameters.space import ParameterSpace

ALLOWED = (
    "constraints may be any linear equations among Real entries, equalities of entries (or whole parameters) declared "
    "alike, and positive multiples among Positive entries, as in 'a = 2*b'; for anything else write the log density "
    "in the free quantities"
)


class Ties(NamedTuple):
    """Which free coordinates are left, and how the others follow from them."""

    active: tuple[int, ...]  # m positions in the free vector
    dependent: tuple[int, ...]  # p positions in the free vector
    shift: np.ndarray  # (p,)
    mixing: np.ndarray  # (p, m)


class Row(NamedTuple):
    """One scalar equation, between flat entries for looking at values, between free coordinates for solving."""

    text: str
    flat: dict[int, Fraction]
    free: dict[int, Fraction]
    constant: Fraction


class Line(NamedTuple):
    """A combination of rows."""

    coefficients: dict[int, Fraction]
    constant: Fraction
    parts: dict[int, Fraction]  # number of the row -> how many times it is in here

    def minus(self, times: Fraction, other: "Line") -> "Line":
        """Subtract a multiple of another line."""
        return Line(
            _less(self.coefficients, times, other.coefficients),
            self.constant - times * other.constant,
            _less(self.parts, times, other.parts),
        )


def tie(space: "ParameterSpace", constraints: Any, active: Sequence[int]) -> Ties:
    """Solve constraints for as many free coordinates as they determine.

    Args:
        space: the parameters.
        constraints: one string or a sequence of them; see `read_equations`.
        active: positions in the free vector that are not held fixed.

    Raises:
        TypeError: not strings.
        ValueError: not linear, an unknown name, entries whose domains forbid it or that are held fixed, a
            contradiction, or nothing left to estimate.
    """
    rows = constraint_rows(space, constraints)
    for row in rows:
        held = sorted(set(row.free) - set(active))
        if held:
            raise ValueError(
                f"constraint '{row.text}' holds '{space.free_names[held[0]]}', which is also in fixed; leave it out "
                "of one of the two (a value of a Real entry may be a constraint: 'w[0] = 1.5')"
            )
    solved = _solved(rows)
    left = tuple(i for i in active if i not in solved)
    if solved and not left:
        texts = listing(list(dict.fromkeys(row.text for row in rows)))
        raise ValueError(f"constraints {texts} leave no free parameter to estimate; leave out one of them")
    place = {position: i for i, position in enumerate(left)}
    dependent = tuple(sorted(solved))
    shift, mixing = np.zeros(len(dependent)), np.zeros((len(dependent), len(left)))
    for i, position in enumerate(dependent):
        line = solved[position]
        declared = space.declarations[space.free_leaf[position]]
        others = {other: -factor for other, factor in line.coefficients.items() if other != position}
        if not others and not isinstance(declared, Real):  # sigma = 2 tau and sigma = 3 tau leave only 0
            raise _contradiction(rows, line)
        shift[i] = _number(line.constant, rows, line)
        for other, factor in others.items():
            mixing[i, place[other]] = _number(factor, rows, line) if isinstance(declared, Real) else 1.0
            if isinstance(declared, Positive):
                shift[i] = math.log(factor.numerator) - math.log(factor.denominator)
    return Ties(left, dependent, shift, mixing)


def constraint_rows(space: "ParameterSpace", constraints: Any) -> list[Row]:
    """Write constraints as scalar equations; those of whole parameters entry by entry."""
    return [row for equation in read_equations(space, constraints) for row in _rows(space, equation)]


def _rows(space: "ParameterSpace", equation: Equation) -> list[Row]:
    leaf_at = {name: i for i, name in enumerate(space.leaf_names)}
    entry_at = {name: i for i, name in enumerate(space.names)}
    whole = {
        name: leaf_at[name]
        for name in equation.coefficients
        if name in leaf_at and not (_declared(space, leaf_at[name]).elementwise and name in entry_at)
    }
    if not whole:
        flat = {entry_at[name]: factor for name, factor in equation.coefficients.items()}
        _check_domains(space, equation, [_leaf_of(space, i) for i in flat])
        return [Row(equation.text, flat, {_free_position(space, i): f for i, f in flat.items()}, equation.constant)]
    shapes = {name: _declared(space, leaf_at[name]).shape if name in whole else () for name in equation.coefficients}
    if len(set(shapes.values())) > 1:
        given = ", ".join(f"'{name}' {shape}" for name, shape in shapes.items())
        raise ValueError(
            f"constraint '{equation.text}' is between different shapes ({given}); whole parameters are tied entry by "
            "entry, so name parameters of one shape, or single entries"
        )
    leaves = [whole[name] if name in whole else _leaf_of(space, entry_at[name]) for name in equation.coefficients]
    _check_domains(space, equation, leaves)
    flat_starts = {space.flat_slices[whole[name]].start: f for name, f in equation.coefficients.items()}
    free_starts = {space.free_slices[whole[name]].start: f for name, f in equation.coefficients.items()}
    first = _declared(space, next(iter(whole.values())))
    flats = [{start + k: f for start, f in flat_starts.items()} for k in range(first.flat_size)]
    frees = [{start + k: f for start, f in free_starts.items()} for k in range(first.free_size)]
    if first.elementwise:
        return [Row(equation.text, *both, equation.constant) for both in zip(flats, frees, strict=True)]
    # A simplex has an entry more than coordinates.
    return [Row(equation.text, flat, {}, Fraction(0)) for flat in flats] + [
        Row(equation.text, {}, free, Fraction(0)) for free in frees
    ]


def _check_domains(space: "ParameterSpace", equation: Equation, leaves: list[int]) -> None:
    """Raise where the domains do not allow the equation; `leaves` are those of its terms."""
    declared = [_declared(space, leaf) for leaf in leaves]
    if all(isinstance(one, Real) for one in declared):
        return
    names, factors = list(equation.coefficients), list(equation.coefficients.values())
    whole = all(name in space.leaf_names for name in names)
    kinds = [f"'{name}' is {type(one).__name__}" for name, one in zip(names, declared, strict=True)]
    begin = f"constraint '{equation.text}' does not go: {', '.join(dict.fromkeys(kinds))}"
    if any(isinstance(one, Fixed) for one in declared):
        raise ValueError(f"{begin}, a known number; write the number instead of the name")
    if len(names) == 1:
        raise ValueError(f"{begin}; to give it a value, pass fixed={{'{names[0]}': ...}}")
    if not whole and not all(one.elementwise for one in declared):
        raise ValueError(f"{begin}, whose entries move together; {ALLOWED}")
    alike = len(names) == 2 and _domain(declared[0]) == _domain(declared[1])
    if not alike or equation.constant:
        raise ValueError(f"{begin}; {ALLOWED}")
    ratio = -factors[1] / factors[0]
    if ratio != 1 and not (isinstance(declared[0], Positive) and ratio > 0):
        raise ValueError(f"{begin}; {ALLOWED}")


def _domain(declared: Any) -> tuple[Any, ...]:
    """Return what two declarations must have in common for their values to be equal; starts and labels do not count."""
    if isinstance(declared, Positive | Interval):
        return type(declared), declared.closed, getattr(declared, "low", 0.0), getattr(declared, "high", 0.0)
    return type(declared), declared.shape


def _solved(rows: list[Row]) -> dict[int, Line]:
    """Solve by elimination: position -> line in which it has the factor 1 and no other solved position occurs."""
    solved: dict[int, Line] = {}
    for number, row in enumerate(rows):
        if row.flat and not row.free:
            continue
        line = Line(dict(row.free), row.constant, {number: Fraction(1)})
        for known in [position for position in row.free if position in solved]:
            line = line.minus(line.coefficients[known], solved[known])
        if not line.coefficients:
            if line.constant:
                raise _contradiction(rows, line)
            continue  # it follows from those before
        # By the largest factor; of equal ones the last, so that what comes first keeps standing for itself.
        pivot = max(line.coefficients, key=lambda position: (abs(line.coefficients[position]), position))
        line = Line({}, Fraction(0), {}).minus(-1 / line.coefficients[pivot], line)
        for known, other in solved.items():
            if pivot in other.coefficients:
                solved[known] = other.minus(other.coefficients[pivot], line)
        solved[pivot] = line
    return solved


def _less(one: dict[int, Fraction], times: Fraction, other: dict[int, Fraction]) -> dict[int, Fraction]:
    changed = {key: one.get(key, Fraction(0)) - times * factor for key, factor in other.items()}
    return {key: factor for key, factor in {**one, **changed}.items() if factor}


def _contradiction(rows: list[Row], line: Line) -> ValueError:
    texts = list(dict.fromkeys(rows[number].text for number in sorted(line.parts)))
    if len(texts) == 1:
        return ValueError(f"constraint '{texts[0]}' holds for no values; correct it or leave it out")
    return ValueError(f"constraints {listing(texts)} contradict each other; leave one of them out")


def _number(value: Fraction, rows: list[Row], line: Line) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(
            f"constraint '{rows[min(line.parts)].text}' leads to numbers beyond those of float64; rescale it"
        ) from None


def _declared(space: "ParameterSpace", leaf: int) -> Any:
    return space.declarations[leaf]


def _leaf_of(space: "ParameterSpace", flat: int) -> int:
    return next(leaf for leaf, part in enumerate(space.flat_slices) if part.start <= flat < part.stop)


def _free_position(space: "ParameterSpace", flat: int) -> int:
    """Return where the coordinate of an entry is in the free vector, for entries that stand for themselves."""
    leaf = _leaf_of(space, flat)
    return space.free_slices[leaf].start + flat - space.flat_slices[leaf].start
