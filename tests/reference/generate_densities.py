"""Make the references of tests/test_densities.py: ``python tests/reference/generate_densities.py [family]``.

For every point of the grids the exact log density (mpmath, textbook form) and its first and second derivatives by
central differences at 420 digits: with steps of 1e-30 of each input their error is near 1e-58 of the derivative, as a
second step size confirms. Beside each number stands its conditioning, the sum of |input * d number/d input| over the
inputs that have derivatives: what a relative change of one unit in the inputs does to it. It is left out (0) where a
hundredth of it is below the number. A derivative that is zero is measured by what it is the derivative of, per input.

Writes tests/data/densities/<family>.json, one point per line: inputs, then value, gradient, upper triangle of the
Hessian, then the conditionings in the same order.
"""

import json
import sys
from itertools import combinations_with_replacement
from pathlib import Path

import exact_densities
import mpmath as mp
from density_grids import TABLES, rounded

DIGITS = 420
STEP = mp.mpf(10) ** -30
OUT = Path(__file__).parents[1] / "data" / "densities"


class Differences:
    """Partial derivatives of a function at a point by nested central differences, every value computed once."""

    def __init__(self, function, point, free, step=STEP):
        self.function, self.free = function, free
        self.point = [mp.mpf(x) for x in point]
        self.steps = [step * (abs(self.point[i]) or 1) for i in free]
        self.seen = {}

    def value(self, offset):
        if offset not in self.seen:
            inputs = list(self.point)
            for i, k, step in zip(self.free, offset, self.steps, strict=True):
                inputs[i] += k * step / 2
            self.seen[offset] = self.function(*inputs)
        return self.seen[offset]

    def partial(self, order, offset=None):
        """Return the derivative with respect to the free inputs whose positions stand in `order`."""
        offset = offset or (0,) * len(self.free)
        if not order:
            return self.value(offset)
        i, rest = order[0], order[1:]
        right, left = list(offset), list(offset)
        right[i] += 1
        left[i] -= 1
        return (self.partial(rest, tuple(right)) - self.partial(rest, tuple(left))) / self.steps[i]


def reference(function, point, free):
    """Return the numbers at a point (value, gradient, upper triangle) and their conditionings."""
    found, again = Differences(function, point, free), Differences(function, point, free, 3 * STEP)
    k = range(len(free))
    orders = [(), *((i,) for i in k), *combinations_with_replacement(k, 2)]
    sizes = [abs(found.point[i]) or mp.mpf(1) for i in free]
    numbers, conditionings = [], []
    for order in orders:
        number = found.partial(order)
        # What depends on the step is nothing but the error of the differences: the derivative is zero.
        if abs(number - again.partial(order)) > mp.mpf(10) ** -25 * abs(number):
            number = mp.mpf(0)
        parts = (abs(found.point[free[i]] * found.partial(tuple(sorted((*order, i))))) for i in k)
        conditioning = mp.fsum(parts)
        if not number and order:
            conditioning += max(abs(found.partial(order[:k] + order[k + 1 :])) / sizes[i] for k, i in enumerate(order))
        numbers.append(float(number))
        conditionings.append(float(mp.nstr(conditioning, 2)) if conditioning > 100 * abs(number) else 0.0)
    return numbers, conditionings


def table(family, name):
    inputs, constants, points = TABLES[family][name]
    inputs, constants = inputs.split(), constants.split()
    free = [i for i, one in enumerate(inputs) if one not in constants]
    function = getattr(exact_densities, f"{family}_{name}")
    lines = []
    for point in points:
        point = [rounded(x) for x in point]
        numbers, conditionings = reference(function, point, free)
        lines.append(json.dumps([point, numbers, conditionings], separators=(",", ":")))
    return (
        f'"{name}": {{"inputs": {json.dumps(inputs)}, "free": {json.dumps(free)}, "points": [\n'
        + ",\n".join(lines)
        + "\n]}"
    )


def main(families):
    mp.mp.dps = DIGITS
    OUT.mkdir(parents=True, exist_ok=True)
    for family in families or TABLES:
        text = ",\n".join(table(family, name) for name in TABLES[family])
        (OUT / f"{family}.json").write_text("{\n" + text + "\n}\n")
        print(family, (OUT / f"{family}.json").stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1:])
