"""Which mutations count, and what each may rightly be called: two stated rules instead of judgment case by case.

*Excluded* is a mutation that changes no coordinate, at any of the three points of its case, by more than a tenth of the
smallest relative error that must be found (1e-6 in double precision, 1e-3 in single), relative to the sum of the
absolute terms: the derivative with respect to the log of a parameter that is 1, a reordering of equal entries, a
missing constant. A mutation that is numerically the same as an earlier one at all points is not run twice.

*Right names* of a mutation are its own and those of every other mutation in the catalog that agrees with it at all
points: on one parameter a flipped sign is a factor of -1, a mean over n is a factor of 1/n, the derivative with respect
to log(sigma) is a factor of sigma. A finding that names its coordinates is judged on these alone, so that two slips in
two places may each be named.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.gradient_checks.case import Case
from benchmarks.gradient_checks.mutations import SMALLEST, Mutation, catalog
from benchmarks.gradient_checks.view import View

SAME = 1e-9
"""Two mutations that differ by less, relative to the sum of the absolute terms, are the same."""


@dataclass(frozen=True, eq=False)
class Mutant:
    """A mutation of a case that counts."""

    case: Case
    mutation: Mutation
    found: np.ndarray | None
    """Its gradient relative to the terms, at the points, (P, k); None where the layout is wrong."""
    known: "Catalog"

    @property
    def wrong(self) -> np.ndarray:
        """The coordinates that it changes, (k,); all where the layout is wrong."""
        if self.found is None:
            return np.ones(self.case.size, bool)
        return np.any(np.abs(self.found - self.known.right) > SAME, axis=0)

    @property
    def nameable(self) -> bool:
        """Whether a pattern describes it."""
        return bool(self.mutation.names - {"zero"})

    def right_names(self, coordinates: Iterable[str] | None = None) -> frozenset[str]:
        """Return the patterns that describe it, on all it changes or on some coordinates only."""
        if self.found is None:
            return self.mutation.names
        chosen = self.wrong if coordinates is None else np.isin(self.case.coordinates, list(coordinates))
        same = [
            other.names
            for other, found in self.known.flat
            if np.all(np.abs(found - self.found)[:, chosen] <= SAME)
            and np.any(np.abs(found - self.known.right)[:, chosen] > SAME)
        ]
        return frozenset().union(self.mutation.names, *same)

    def true_names(self, coordinates: Iterable[str] | None = None) -> frozenset[str]:
        """Return what may be said of it without being false: "a single coordinate is wrong" where one is."""
        alone = self.wrong.sum() == 1 < self.case.size
        return self.right_names(coordinates) | (frozenset({"single_coordinate"}) if alone else frozenset())


@dataclass(frozen=True, eq=False)
class Catalog:
    """The mutations of a case with a flat gradient, evaluated at its points."""

    right: np.ndarray
    """(P, k), relative to the terms."""
    flat: tuple[tuple[Mutation, np.ndarray], ...]


def mutants(case: Case, dtype: str) -> tuple[list[Mutant], list[Mutation]]:
    """Return the mutants of a case that count, each once, and the mutations that are excluded.

    All is evaluated in float64, at the points rounded to the precision in question.
    """
    views = [View(case, case.tree(point.astype(dtype).astype(np.float64)), case.args) for point in case.points()]
    sizes = np.maximum([np.abs(view.terms).sum(axis=0) for view in views], np.finfo(float).tiny)
    right = np.array([view.gradient for view in views]) / sizes
    mutations = catalog(case, dtype)
    flat = tuple((m, np.array([m.spoil(v) for v in views]) / sizes) for m in mutations if not m.layout)
    known = Catalog(right, flat)
    kept: list[Mutant] = []
    excluded: list[Mutation] = []
    for mutation, found in flat:
        if np.max(np.abs(found - right)) <= SMALLEST[dtype] / 10.0:
            excluded.append(mutation)
        elif not any(np.all(np.abs(found - other.found) <= SAME) for other in kept):
            kept.append(Mutant(case, mutation, found, known))
    kept += [Mutant(case, mutation, None, known) for mutation in mutations if mutation.layout]
    return kept, excluded
