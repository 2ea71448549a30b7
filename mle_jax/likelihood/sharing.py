"""What a loop over rows works out once for all of its results.

A compiler that makes a loop of its own for every result, as XLA's does on a CPU, works out in each of them all that it
needs, the exponential in a value and all of its derivatives for example. What is written to memory before is not worked
out again. Here those values are chosen for which that pays.
"""

from collections.abc import Sequence
from typing import Any

from mle_jax.likelihood.traced import Step, numbers
from mle_jax.likelihood.vector_functions import operations

IN_MEMORY = 20  # operations: what it costs to write a number to memory, beside the rest of a loop, and
READ = 4  # to read it for one result
ENOUGH = IN_MEMORY + 2 * READ  # to work out again what costs more than that never pays
MANY = 64  # readers: how many more there are does not matter

APART = frozenset(("div", "rem", "rsqrt", "sqrt"))
"""Operations that the compiler does not repeat: where several others need the result, it is in memory anyway."""


def worth_keeping(steps: Sequence[Step], results: Sequence[Any]) -> list[list[int]]:
    """Return which values to write to memory, in levels: those of a level need no others than those of levels before.

    Args:
        steps: the program, in order.
        results: the numbers of its results, or Literals.
    """
    costs, uses = [operations(step.equation) for step in steps], _uses(steps, results)
    apart = {
        output
        for step in steps
        if step.equation.primitive.name in APART
        for output in step.outputs
        if uses.get(output, 0) > 1
    }
    chosen = _chosen(steps, costs, _readers(steps, results, apart), uses)
    readers = _readers(steps, results, chosen | apart)
    return _levels(steps, {value for value in chosen if len(readers[value]) > 1})


def _uses(steps: Sequence[Step], results: Sequence[Any]) -> dict[int, int]:
    """Return how often every value is used directly."""
    uses: dict[int, int] = {}
    for value in [value for step in steps for value in numbers(step.inputs)] + sorted(numbers(results)):
        uses[value] = uses.get(value, 0) + 1
    return uses


def _readers(steps: Sequence[Step], results: Sequence[Any], kept: set[int]) -> dict[int, set[int]]:
    """Return in the loops for which results, or values kept, every value is worked out."""
    readers: dict[int, set[int]] = {value: {value} for value in numbers(results)}
    for step in reversed(steps):
        there: set[int] = set()
        for output in step.outputs:
            own = readers.setdefault(output, set())
            there |= {output} if output in kept else own
        for value in numbers(step.inputs):
            known = readers.setdefault(value, set())
            if len(known) < MANY:  # of a long program, all of them would take time by the square of its length
                known |= there
    return readers


def _chosen(
    steps: Sequence[Step],
    costs: Sequence[int],
    readers: dict[int, set[int]],
    uses: dict[int, int],
) -> set[int]:
    """Choose, in order, what costs more to work out again for every reader than to keep."""
    chosen: set[int] = set()
    needed: dict[int, frozenset[int]] = {}  # for a value: steps since those chosen, as many as cost enough
    for i, step in enumerate(steps):
        before = [needed.get(value, frozenset()) for value in numbers(step.inputs)]
        own, cost = _enough(frozenset({i}).union(*before), costs)
        for output in step.outputs:
            many = len(readers.get(output, ()))
            # What is used once is as well kept a step later.
            pays = uses.get(output, 0) > 1 and (many - 1) * cost > IN_MEMORY + READ * many
            if pays:
                chosen.add(output)
            needed[output] = frozenset() if pays else own
    return chosen


def _enough(needed: frozenset[int], costs: Sequence[int]) -> tuple[frozenset[int], int]:
    """Return steps and what they cost: all of them, or some that cost enough."""
    some: list[int] = []
    cost = 0
    for step in needed:
        some.append(step)
        cost += costs[step]
        if cost > ENOUGH:
            break
    return frozenset(some), cost


def _levels(steps: Sequence[Step], kept: set[int]) -> list[list[int]]:
    """Put values in levels by what they need."""
    level: dict[int, int] = {}
    levels: list[list[int]] = []
    for step in steps:
        deepest = max((level.get(value, 0) for value in numbers(step.inputs)), default=0)
        for output in step.outputs:
            if output in kept:
                levels += [[]] if deepest == len(levels) else []
                levels[deepest].append(output)
                level[output] = deepest + 1
            else:
                level[output] = deepest
    return levels
