"""The patterns of wrong gradients, each silent unless the evidence is exact.

A pattern takes the case and returns what it finds. To teach the check another slip, write another function and add it
to `PATTERNS`; the order is that of the report, and a coordinate explained by one pattern is not offered to the next.
"""

from collections.abc import Iterator

import numpy as np

from mle_jax._text import listing
from mle_jax.gradients.patterns_factor import constant_factor, odd_factor, parameter_factor
from mle_jax.gradients.patterns_order import permuted, transposed
from mle_jax.gradients.patterns_point import constant, elsewhere, zero
from mle_jax.gradients.patterns_rows import some_rows
from mle_jax.gradients.patterns_shape import strange_leaves, wrong_shape
from mle_jax.gradients.patterns_terms import some_terms, whole_branches
from mle_jax.gradients.slips import Case, Finding, Mask, Pattern, Slip, describe_worst


def find_patterns(case: Case) -> list[Finding]:
    """Return each slip that the evidence shows beyond doubt, then one about what is left.

    One slip that explains everything is better than several that explain a part each.
    """
    offers: dict[Pattern, list[Slip]] = {}
    for pattern in PATTERNS:
        offers[pattern] = list(pattern(case, case.wrong.copy()))
        alone = offers[pattern][0] if len(offers[pattern]) == 1 else None
        if alone is not None and np.any(case.wrong) and not np.any(case.wrong & ~alone.explained):
            return [_finding(case, alone)]
    left, found = case.wrong.copy(), []
    for pattern in (*PATTERNS, _remaining):
        known = pattern in offers and np.array_equal(left, case.wrong)
        for slip in offers[pattern] if known else pattern(case, left.copy()):
            found.append(_finding(case, slip))
            left &= ~slip.explained
    return found


def _finding(case: Case, slip: Slip) -> Finding:
    names = tuple(case.listed(slip.explained))
    return Finding(pattern=slip.pattern, sentence=slip.sentence, coordinates=names, rows=slip.rows)


def _remaining(case: Case, left: Mask) -> Iterator[Slip]:
    """Name what no pattern explains, and by how much it is off."""
    names = case.listed(left)
    if not names:
        return
    many = f" in {len(names)} of {left.size} coordinates, {listing(names)}; worst" if len(names) > 1 else ":"
    alone = np.array_equal(left, case.wrong) and len(names) == 1 < left.size
    word = "single_coordinate" if alone else "unexplained"
    yield Slip(word, f"The handwritten gradient is wrong{many} {describe_worst(case, left)}.", left)


PATTERNS: tuple[Pattern, ...] = (
    strange_leaves,
    wrong_shape,
    zero,
    transposed,
    permuted,
    constant_factor,
    parameter_factor,
    some_terms,
    constant,
    elsewhere,
    some_rows,
    whole_branches,
    odd_factor,
)
