"""The few affine functions of the parameters through which a log density sees them, found in its program.

The log density of a row depends on k free coordinates, but mostly through few numbers: a regression sees ``<x, w>`` and
the logarithm of a scale. Where f(theta, row) = h(u, row) and u = J theta + c is affine, with r < k entries, the
derivatives of the row are J' h' and J' h'' J: exact, and for a regression of 20 coefficients much less work than twenty
directional derivatives. Nobody has to declare anything: the traced program (jaxpr) of the log density tells which of
its intermediate values are affine, and the smallest set of those that everything else passes through is a minimum cut
of that graph, the sizes of the values being the capacities.

Source: Ford and Fulkerson (1962), Flows in Networks, section I.5, for the cut; Griewank and Walther (2008), Evaluating
Derivatives, section 10.3, for partially separable functions.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Literal

from mle_jax.likelihood.separate import MOST, put_together, separated
from mle_jax.likelihood.traced import Program, Step, depends, numbers, steps_to, trace, without_repetitions, work_out

# Outputs are affine (or linear) where one operand is and the others do not depend on the parameters.
OF_ONE = {"mul", "dot_general"}
OF_FIRST = {"div", "gather", "dynamic_slice"}
# Outputs are affine where all operands are, and linear where all of them are.
OF_ALL = {
    "add",
    "add_any",
    "broadcast_in_dim",
    "concatenate",
    "convert_element_type",
    "copy",
    "dynamic_update_slice",
    "expand_dims",
    "neg",
    "pad",
    "reduce_sum",
    "reshape",
    "rev",
    "slice",
    "split",
    "squeeze",
    "stack",
    "sub",
    "transpose",
}

CONSTANT, LINEAR, AFFINE, BENT = 0, 1, 2, 3
MOST_WORKED_OUT = 16  # numbers of a value per row that is kept and not computed again


Predictors = Array | list[Array] | None
"""Predictors of one kind: joined, one by one, or none."""


class Split(NamedTuple):
    """``f(theta, row) = outer(*predictors(theta, row), row)``, the predictors affine in theta.

    Attributes:
        of_row: predictors that differ between rows: ``(theta, leaves) -> (a,)``.
        shared: predictors that are the same for all rows: ``theta -> (c,)``.
        outer: ``(of_row (a,) or None, shared (c,) or None, leaves) -> scalar``; a fourth argument may be what
            `of_data` returned, and then only the leaves that `reads` numbers are looked at. Predictors may come as
            lists of scalars: their derivatives are shorter programs.
        sizes: a and c.
        of_data: what the log density computes from the row alone, log(y!) say: ``leaves -> arrays``.
        reads: the leaves that `outer` needs beside that.
        linear: whether `of_row` is linear in theta: nothing is added that theta does not change.
        active: coordinates, among them all that `of_row` depends on; the others have nothing but zeros in its Jacobian.
    """

    of_row: Callable[[Array, Sequence[Array]], Array]
    shared: Callable[[Array], Array]
    outer: Callable[..., Array]
    sizes: tuple[int, int]
    of_data: Callable[[Sequence[Array]], list[Array]]
    reads: tuple[int, ...]
    linear: bool
    active: tuple[int, ...]


def split_affine(function: Callable[..., Array], theta: Array, leaves: Sequence[Any]) -> Split | None:
    """Find the affine predictors of ``function(theta, *leaves)``; None where they are not fewer than the coordinates.

    Args:
        function: scalar, traceable.
        theta: (k,), an array or its description.
        leaves: of one row: arrays or their descriptions.
    """
    split = split_always(function, theta, leaves)
    return split if sum(split.sizes) < theta.size else None


def split_always(function: Callable[..., Array], theta: Array, leaves: Sequence[Any]) -> Split:
    """Do the same; where the predictors are not fewer than the coordinates, these are the predictors, all in common."""
    # Users write x @ w twice: one predictor, with one second derivative instead of three.
    program = without_repetitions(trace(function, theta, *leaves))
    kinds, by_row = _classify(program, len(leaves))
    cut = _smallest_cut(program, kinds)
    if sum(program.size(value) for value in cut) >= program.shapes[0][0]:
        cut = [0]
    empty = {value: np.zeros(program.shapes[value], program.types[value]) for value in cut if not program.size(value)}
    cut = [value for value in cut if value not in empty]
    own = [value for value in cut if by_row[value]]
    common = [value for value in cut if not by_row[value]]
    done, reads = _of_data(program, kinds, by_row, cut, len(leaves))

    def of_row(theta: Array, leaves: Sequence[Array]) -> Array:
        return _joined(work_out(program, {0: theta, **dict(enumerate(leaves, 1))}, own), theta.dtype)

    def shared(theta: Array) -> Array:
        return _joined(work_out(program, {0: theta}, common), theta.dtype)

    def outer(
        row: Predictors, common_row: Predictors, leaves: Sequence[Array], computed: Sequence[Array] = ()
    ) -> Array:
        known = empty | dict(enumerate(leaves, 1)) | dict(zip(done, computed, strict=False))
        known |= _taken_apart(program, own, row) | _taken_apart(program, common, common_row)
        return jnp.asarray(work_out(program, known, program.results)[0])

    def of_data(leaves: Sequence[Array]) -> list[Array]:
        return work_out(program, dict(enumerate(leaves, 1)), done)

    count = lambda values: sum(program.size(value) for value in values)  # noqa: E731 - a sum, used twice
    linear = all(kinds[value] == LINEAR for value in own)
    active = _active(program, own, theta, leaves)
    return Split(of_row, shared, outer, (count(own), count(common)), of_data, reads, linear, active)


def _active(program: Program, own: Sequence[int], theta: Array, leaves: Sequence[Any]) -> tuple[int, ...]:
    """Return the coordinates on which values depend: of many, which are not told apart, all."""
    size = theta.size
    if size > MOST:
        return tuple(range(size)) if own else ()

    def of_numbers(*at: Any) -> tuple[Array, ...]:
        found = work_out(program, dict(enumerate([separated(at[:size], (size,)), *at[size:]])), own)
        return tuple(map(put_together, found))

    apart = trace(of_numbers, *[jax.ShapeDtypeStruct((), theta.dtype)] * size, *leaves)
    results = numbers(apart.results)
    depending = [depends(apart, [i]) for i in range(size)]
    return tuple(i for i in range(size) if any(depending[i][value] for value in results))


def _of_data(
    program: Program, kinds: list[int], by_row: list[bool], cut: Sequence[int], leaves: int
) -> tuple[list[int], tuple[int, ...]]:
    """Return the values that the rest computes from the row alone, if small, and the leaves that it reads beside."""
    bent = [
        step
        for step in steps_to(program, {*cut, *range(1, 1 + leaves)}, program.results)
        if any(kinds[output] != CONSTANT for output in step.outputs)
    ]
    values = {value for value in _read(bent, program) if kinds[value] == CONSTANT and by_row[value]}
    done = sorted(value for value in values if value > leaves and program.size(value) <= MOST_WORKED_OUT)
    read = _read(steps_to(program, {*cut, *done}, program.results), program)
    return done, tuple(value - 1 for value in range(1, 1 + leaves) if value in read)


def _read(steps: Iterable[Step], program: Program) -> set[int]:
    """Return the values that some steps take, and the result."""
    return numbers([*(atom for step in steps for atom in step.inputs), *program.results])


def _joined(values: list[Array], dtype: Any) -> Array:
    return jnp.concatenate([jnp.ravel(value) for value in values]) if values else jnp.zeros(0, dtype)


def _taken_apart(program: Program, values: list[int], joined: Predictors) -> dict[int, Any]:
    if joined is None:
        return {}
    ends = np.cumsum([program.size(value) for value in values])
    if isinstance(joined, list):
        return {
            value: separated(
                [number.astype(program.types[value]) for number in joined[end - program.size(value) : end]],
                program.shapes[value],
            )
            for value, end in zip(values, ends, strict=True)
        }
    pieces = jnp.split(joined, ends[:-1]) if values else []
    # Back in its own type: joined, a float32 next to a float64 is one as well.
    return {
        value: piece.reshape(program.shapes[value]).astype(program.types[value])
        for value, piece in zip(values, pieces, strict=True)
    }


def _classify(program: Program, leaves: int) -> tuple[list[int], list[bool]]:
    """Return of every value how it depends on theta, and whether it depends on the row."""
    kinds = [CONSTANT] * len(program.shapes)
    kinds[0] = LINEAR
    for step in program.steps:
        inputs = [CONSTANT if isinstance(value, Literal) else kinds[value] for value in step.inputs]
        kind = _kind(step.equation, inputs)
        for output in step.outputs:
            kinds[output] = kind
    return kinds, depends(program, range(1, 1 + leaves))


def _kind(equation: Any, inputs: list[int]) -> int:
    """Return how the outputs of an equation depend on theta, given how its inputs do."""
    if all(kind == CONSTANT for kind in inputs):
        return CONSTANT
    name = equation.primitive.name
    floating = all(jnp.issubdtype(variable.aval.dtype, jnp.floating) for variable in equation.outvars)
    if any(kind == BENT for kind in inputs) or not floating:
        return BENT
    most, others = max(inputs), inputs[1:]
    if name in OF_ALL:
        return LINEAR if min(inputs) == LINEAR == most else AFFINE
    if name in OF_ONE:
        return most if inputs.count(CONSTANT) == len(inputs) - 1 else BENT
    if name == "select_n":  # which case is taken must not depend on theta
        return BENT if inputs[0] != CONSTANT else most if min(others) == most else AFFINE
    if name not in OF_FIRST or inputs[0] != most or max(others, default=CONSTANT) != CONSTANT:
        return BENT
    # What is put in place of entries that are not there is no operand.
    filled = name == "gather" and equation.params["mode"] == jax.lax.GatherScatterMode.FILL_OR_DROP
    return AFFINE if filled else most


def _smallest_cut(program: Program, kinds: list[int]) -> list[int]:
    """Return the affine values, fewest numbers in all, through which theta acts on everything that is not affine.

    The maximum flow from theta to the steps that are not affine, a value letting through as much as it has entries, by
    shortest augmenting paths; the cut nearest to theta is where what can still be reached ends.
    """
    sink = -1
    after: dict[int, set[int]] = {}
    for step in program.steps:
        bent = any(kinds[output] == BENT for output in step.outputs)
        for value in step.inputs:
            if not isinstance(value, Literal) and kinds[value] in (LINEAR, AFFINE):
                after.setdefault(value, set()).update({sink} if bent else step.outputs)
    (result,) = program.results
    if not isinstance(result, Literal) and kinds[result] in (LINEAR, AFFINE):
        after.setdefault(result, set()).add(sink)
    left = _flow_left(program, after, sink)
    reached = _reachable(left, (0, False))
    return sorted(value for value, inside in reached if not inside and (value, True) not in reached)


Edges = dict[tuple[int, bool], dict[tuple[int, bool], float]]


def _flow_left(program: Program, after: dict[int, set[int]], sink: int) -> Edges:
    """Return the residual capacities of a maximum flow; every value is two nodes, its entry False and its exit True."""
    left: Edges = {}

    def edge(one: tuple[int, bool], other: tuple[int, bool], capacity: float) -> None:
        left.setdefault(one, {})[other] = capacity
        left.setdefault(other, {}).setdefault(one, 0.0)

    for value, outputs in after.items():
        edge((value, False), (value, True), program.size(value))
        for output in outputs:
            edge((value, True), (output, False), np.inf)
    while (path := _path(left, (0, False), (sink, False))) is not None:
        room = min(left[one][other] for one, other in path)
        for one, other in path:
            left[one][other] -= room
            left[other][one] += room
    return left


def _path(left: Edges, begin: tuple[int, bool], end: tuple[int, bool]) -> list[Any] | None:
    """Return the edges of a shortest path on which there is room, or None."""
    came: dict[Any, Any] = {begin: None}
    queue = deque([begin])
    while queue and end not in came:
        node = queue.popleft()
        for other, room in left.get(node, {}).items():
            if room > 0 and other not in came:
                came[other] = node
                queue.append(other)
    if end not in came:
        return None
    path = []
    node = end
    while came[node] is not None:
        path.append((came[node], node))
        node = came[node]
    return path


def _reachable(left: Edges, begin: tuple[int, bool]) -> set[tuple[int, bool]]:
    """Return the nodes that can still be reached."""
    found, queue = {begin}, deque([begin])
    while queue:
        node = queue.popleft()
        for other, room in left.get(node, {}).items():
            if room > 0 and other not in found:
                found.add(other)
                queue.append(other)
    return found
