"""The mutations: every way of spoiling a right gradient that the suite knows, and what each is rightly called."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.gradient_checks.case import Case
from benchmarks.gradient_checks.view import View

Spoiled = Any
"""A flat gradient (k,), or a pytree where the layout is what is wrong."""

SMALLEST = {"float64": 1e-6, "float32": 1e-3}
"""The smallest relative errors that must be found."""


@dataclass(frozen=True, eq=False)
class Mutation:
    """One way of spoiling the gradient of a case."""

    name: str
    family: str
    """Mutations of one family share a row in the table of failures."""
    spoil: Callable[[View], Spoiled]
    names: frozenset[str] = frozenset()
    """Patterns that describe it; empty where nothing does."""
    layout: bool = False
    """Whether it returns a pytree of its own."""

    def gradient(self, case: Case) -> Callable[..., Any]:
        """Return the spoiled gradient as a function of (params, *args), in NumPy."""

        def spoiled(params: Any, *args: Any) -> Any:
            found = self.spoil(View(case, params, args))
            return found if self.layout else case.tree(found)

        return spoiled


RIGHT = Mutation("right", "right", lambda view: view.gradient)


def catalog(case: Case, dtype: str) -> list[Mutation]:
    """Return all mutations of a case."""
    view = View(case, case.params, case.args)
    makers = (_factors, _transformed, _parts, _orders, _single, _rows, _stale, _layouts, _nameless)
    found = [mutation for maker in makers for mutation in maker(case, view)]
    return [*found, *_small(case, view, SMALLEST[dtype])]


def _mutation(name: str, family: str, spoil: Callable[[View], Spoiled], *names: str) -> Mutation:
    return Mutation(name, family, spoil, frozenset(names))


def _scaled(factor: Callable[[View], float], where: slice = slice(None)) -> Callable[[View], np.ndarray]:
    def spoil(view: View) -> np.ndarray:
        found = view.gradient.copy()
        found[where] *= np.asarray(factor(view), found.dtype)
        return found

    return spoil


def _factors(case: Case, view: View) -> Iterator[Mutation]:
    yield _mutation("sign", "sign", _scaled(lambda v: -1.0), "sign")
    for factor in (2.0, 0.5, -2.0):
        yield _mutation(f"factor {factor:g}", "factor", _scaled(lambda v, f=factor: f), "factor")
    for leaf, piece in case.slices.items():
        yield _mutation(f"sign of {leaf}", "sign of one leaf", _scaled(lambda v: -1.0, piece), "sign")
        yield _mutation(f"factor 2 in {leaf}", "factor in one leaf", _scaled(lambda v: 2.0, piece), "factor")
    if view.has_rows:
        # By numbers alone 1/n times a sum is a mean, and n times a mean is a sum, whatever the function is.
        fewer, more = "mean_instead_of_sum", "sum_instead_of_mean"
        yield _mutation("factor 1/n", "mean instead of sum", _scaled(lambda v: 1 / len(v.terms)), "factor", fewer)
        yield _mutation("factor n", "factor n", _scaled(lambda v: len(v.terms)), "factor", more)
        last = list(case.slices)[-1]
        if len(case.slices) > 1:
            averaged = _scaled(lambda v: 1 / len(v.terms), case.slices[last])
            yield _mutation(f"factor 1/n in {last}", "mean instead of sum", averaged, "factor", fewer)
    if case.scale:
        where = case.slices[case.scale].start
        for power, word in ((1, "sigma"), (2, "sigma^2"), (-1, "1/sigma"), (-2, "1/sigma^2")):
            spoil = _scaled(lambda v, p=power: v.point[where] ** p)
            yield _mutation(f"factor {word}", "factor sigma", spoil, "factor")


def _transformed(case: Case, view: View) -> Iterator[Mutation]:
    for leaf in case.positive:
        piece = case.slices[leaf]
        for word, factor in (
            ("log", lambda v, i=piece: v.point[i]),
            ("square", lambda v, i=piece: 1 / (2 * v.point[i])),
            ("inverse", lambda v, i=piece: -(v.point[i] ** 2)),
        ):
            name = f"{word}_derivative"
            yield _mutation(f"with respect to the {word} of {leaf}", name, _scaled(factor, piece), name)


def _parts(case: Case, view: View) -> Iterator[Mutation]:
    if len(view.parts) < 2:
        return
    for part in view.parts:

        def spoil(v: View, part: str = part) -> np.ndarray:
            kept = {name: terms if name != part else 0 * terms for name, terms in v.parts.items()}
            return v.combined(kept).sum(axis=0)

        yield _mutation(f"without {part}", "missing term", spoil, "missing_term")


def _orders(case: Case, view: View) -> Iterator[Mutation]:
    for leaf, piece in case.slices.items():
        shape, size = case.leaves[leaf].shape, piece.stop - piece.start
        if len(shape) == 1 and size > 1:
            for word, order in (
                ("swapped", np.r_[1, 0, np.arange(2, size)]),
                ("reversed", np.arange(size)[::-1]),
                ("rotated", np.roll(np.arange(size), 1)),
            ):
                everywhere = np.arange(case.size)
                everywhere[piece] = piece.start + order
                spoil = lambda v, order=everywhere: v.gradient[order]  # noqa: E731 - one of many in a loop
                yield _mutation(f"{leaf} {word}", "permuted", spoil, "permuted")
        if len(shape) == 2 and shape[0] == shape[1]:
            everywhere = np.arange(case.size)
            everywhere[piece] = everywhere[piece].reshape(shape).T.ravel()
            spoil = lambda v, order=everywhere: v.gradient[order]  # noqa: E731 - one of many in a loop
            yield _mutation(f"{leaf} transposed", "transposed", spoil, "transposed")
    scalars = [case.slices[name].start for name, leaf in case.leaves.items() if leaf.ndim == 0]
    if len(scalars) > 1:
        order = np.arange(case.size)
        order[scalars] = np.roll(scalars, 1)
        yield _mutation("scalars swapped", "permuted", lambda v: v.gradient[order], "permuted")


def _largest(view: View) -> int:
    """Return the coordinate whose derivative is largest relative to the terms that it is the sum of."""
    return int(np.argmax(np.abs(view.gradient) / np.abs(view.terms).sum(axis=0)))


def _single(case: Case, view: View) -> Iterator[Mutation]:
    single = ("single_coordinate",) if case.size > 1 else ()  # of one coordinate it says nothing
    for i in sorted({0, case.size - 1}):
        name = case.coordinates[i]
        spoil = _scaled(lambda v: 1.37, slice(i, i + 1))
        yield _mutation(f"{name} 37 % too large", "single coordinate", spoil, *single, "factor")

        # The same everywhere: a shift that grows with the terms would be a factor where all terms have one sign.
        shift = 0.11 * np.abs(view.terms[:, i]).sum()

        def shifted(v: View, i: int = i, shift: float = shift) -> np.ndarray:
            found = v.gradient.copy()
            found[i] += np.asarray(shift, found.dtype)
            return found

        yield _mutation(f"{name} shifted", "single coordinate", shifted, *single)


def _small(case: Case, view: View, size: float) -> Iterator[Mutation]:
    i = _largest(view)
    spoil = _scaled(lambda v: 1 + size, slice(i, i + 1))
    name = f"{case.coordinates[i]} wrong by {size:g}"
    single = ("single_coordinate",) if case.size > 1 else ()
    yield _mutation(name, "single coordinate, small error", spoil, *single, "factor")
    yield _mutation(f"all wrong by {size:g}", "all coordinates, small error", _scaled(lambda v: 1 - size), "factor")


def _weighted(weights: Callable[[View], np.ndarray]) -> Callable[[View], np.ndarray]:
    return lambda v: (weights(v)[:, None] * v.terms).sum(axis=0).astype(v.terms.dtype)


def _rows(case: Case, view: View) -> Iterator[Mutation]:
    if not view.has_rows:
        return
    chosen = {
        "the last row left out": lambda v: 1.0 * (np.arange(len(v.terms)) < len(v.terms) - 1),
        "the first row twice": lambda v: 1.0 + (np.arange(len(v.terms)) == 0),
        "the sign of three rows": lambda v: 1.0 - 2.0 * np.isin(np.arange(len(v.terms)), (2, 5, 7)),
    }
    branch = case.branch
    if branch is not None:
        chosen["the branch left out"] = lambda v: 1.0 * ~branch(*v.args)
        chosen["the sign of the branch"] = lambda v: 1.0 - 2.0 * branch(*v.args)
        chosen["twice the branch"] = lambda v: 1.0 + branch(*v.args)
    for name, weights in chosen.items():
        yield _mutation(name, "rows", _weighted(weights), "rows")
    for name, slip in case.slips.items():

        def spoil(v: View, terms: Any = slip.terms) -> np.ndarray:
            return v.combined(v.laid_out(terms(v.params, *v.args))).sum(axis=0)

        yield Mutation(name, "rows", spoil, slip.names)


def _stale(case: Case, view: View) -> Iterator[Mutation]:
    here = case.flat(case.params)
    before = case.points()[1]
    yield _mutation(
        "always at the first point", "stale parameters", lambda v: v.elsewhere(here).gradient, "stale_params"
    )
    yield _mutation(
        "always at another point", "stale parameters", lambda v: v.elsewhere(before).gradient, "stale_params"
    )


def _layouts(case: Case, view: View) -> Iterator[Mutation]:
    first, array = max(case.leaves.items(), key=lambda item: item[1].size)

    def with_leaf(v: View, leaf: np.ndarray) -> Any:
        return {**case.tree(v.gradient), first: leaf} if isinstance(case.params, dict) else leaf

    if view.has_rows:

        def unsummed(v: View) -> Any:
            leaves = {n: v.terms[:, piece].reshape(-1, *case.leaves[n].shape) for n, piece in case.slices.items()}
            return leaves if isinstance(case.params, dict) else leaves["params"]

        yield Mutation("no sum", "dropped sum", unsummed, frozenset({"dropped_sum"}), True)
    if array.ndim == 1:

        def column(v: View) -> Any:
            return with_leaf(v, v.gradient[case.slices[first]][:, None])

        yield Mutation(f"{first} as a column", "shape", column, frozenset({"shape"}), True)
    if array.ndim == 2 and array.shape[0] != array.shape[1]:

        def turned(v: View) -> Any:
            return with_leaf(v, v.gradient[case.slices[first]].reshape(array.shape).T)

        yield Mutation(f"{first} transposed", "transposed", turned, frozenset({"transposed"}), True)
    if len(case.leaves) > 1:

        def forgotten(v: View) -> Any:
            return {name: leaf for name, leaf in case.tree(v.gradient).items() if name != first}

        yield Mutation(f"no {first}", "shape", forgotten, frozenset({"shape"}), True)


def _nameless(case: Case, view: View) -> Iterator[Mutation]:
    """Wrong in ways that are none of the patterns: any name given to them is false."""
    yield _mutation("zero", "nameless", lambda v: 0 * v.gradient, "zero")

    def crooked(v: View) -> np.ndarray:
        """Each coordinate off by an amount of its own that depends on the point in no simple way."""
        spread = np.abs(v.terms).sum(axis=0)
        wave = np.sin(np.arange(1.0, case.size + 1) * 7.7 + 3.1 * np.sum(np.log1p(np.abs(v.point))))
        return (v.gradient + 0.3 * spread * wave).astype(v.gradient.dtype)

    yield _mutation("crooked", "nameless", crooked)
