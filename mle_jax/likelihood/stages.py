"""The log density of a row with its first and second derivatives in the predictors, number by number, in two stages.

The first works out what all rows have in common, the gamma function of a dispersion for example; the second the rest.
Between them is what several derivatives need. All are programs of scalars, for loops that have vectors over rows or
over datasets in the place of every number.

Source: Jones, Gomard and Sestoft (1993), Partial Evaluation and Automatic Program Generation, section 1.2, for what is
known early.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.likelihood.affine import Split
from mle_jax.likelihood.reciprocals import with_reciprocals
from mle_jax.likelihood.sharing import worth_keeping
from mle_jax.likelihood.traced import Program, Step, depends, numbers, steps_to, trace, without_repetitions, work_out

ByRow = tuple[Sequence[Array], Any, Any]
"""The predictors of a row's own, its leaves, and what was worked out from these alone."""
Keep = Callable[[Callable[[], list[Array]]], list[Array]]
"""Works something out such that it is written to memory."""
Slopes = Callable[[Callable[[list[Array]], Array], list[Array], int], list[Array]]
Choose = Callable[[Sequence[Step], Sequence[Any]], list[list[int]]]


class Stages(NamedTuple):
    """``f(early, late) = second(known, late)``, and only what depends on `late` is worked out in `second`.

    At first, known is ``first(early)``. For every level between, known += level(known, late); what is not known after
    all, `second` works out.
    """

    first: Callable[[Any], list[Array]]
    between: tuple[Callable[[list[Array], Any], list[Array]], ...]
    second: Callable[..., Any]  # (known, late, only=None); `only` says which leaves of the result are wanted, in a list
    length: int  # the number of steps that depend on `late`


def values_by_row(split: Split, common: Sequence[Any], by_row: Any) -> Stages:
    """Take the log density of a row apart.

    Args:
        split: the log density by its predictors.
        common: descriptions of the predictors in common.
        by_row: descriptions of what is a row's own (`ByRow`).
    """
    return in_stages(partial(_density, split), common, by_row, keep=worth_keeping)


def derivatives_by_row(split: Split, common: Sequence[Any], by_row: Any) -> Stages:
    """Do the same with all derivatives: value, slopes, and the lower triangle of the second derivatives.

    The predictors of a row's own come first. Which way of differentiating makes the shorter program depends on the
    density; the numbers are the same. One with a rule of its own (`jax.custom_vjp`) may know only one way.
    """
    ways, errors = [], []
    for slopes in (_backward, _forward):
        try:
            ways.append(in_stages(partial(_row, split, slopes), common, by_row, keep=worth_keeping))
        except (TypeError, ValueError, NotImplementedError) as error:
            errors.append(error)
    if not ways:
        raise errors[0]
    return min(ways, key=lambda stages: stages.length)


def work_out_between(
    stages: Stages, evaluate: Callable[[Callable[..., list[Array]], list[Array]], list[Array]], keep: Keep
) -> list[Array]:
    """Work out level by level what several results need, written to memory.

    Args:
        stages: of a row.
        evaluate: ``(level, what the levels before found) -> its values``, for the rows at hand.
        keep: with what.
    """
    known: list[Array] = []
    for level in stages.between:
        known += keep(partial(evaluate, level, known))
    return known


def _density(split: Split, common: Sequence[Array], by_row: ByRow) -> Array:
    own, leaves, computed = by_row
    return split.outer(list(own), list(common), leaves, computed)


def _row(
    split: Split, slopes: Slopes, common: Sequence[Array], by_row: ByRow
) -> tuple[Array, list[Array], list[Array]]:
    own, leaves, computed = by_row
    at = [*own, *common]

    def density(z: list[Array]) -> Array:
        return _density(split, z[len(own) :], (z[: len(own)], leaves, computed))

    def along(i: int) -> list[Array]:
        # In one predictor, the others being constants: no product with the zeros of a direction.
        place = lambda z: slopes(density, [*at[:i], z, *at[i + 1 :]], i + 1)  # noqa: E731 - differentiated below
        return _push(place, at[i])

    bends = [entry for i in range(len(at)) for entry in along(i)]
    return density(at), slopes(density, at, len(at)), bends


def _backward(function: Callable[[list[Array]], Array], at: list[Array], count: int) -> list[Array]:
    """Return the first of the partial derivatives, all from one pass backward."""
    return jax.grad(function)(at)[:count]


def _forward(function: Callable[[list[Array]], Array], at: list[Array], count: int) -> list[Array]:
    """Return the first of the partial derivatives, each from a pass forward."""

    def along(i: int, z: Array) -> Array:
        return function([*at[:i], z, *at[i + 1 :]])

    return [_push(partial(along, i), at[i]) for i in range(count)]


def _push(function: Callable[[Array], Any], at: Array) -> Any:
    """Return the derivative in one number."""
    return jax.jvp(function, [at], [jnp.ones_like(at)])[1]


def in_stages(function: Callable[[Any, Any], Any], early: Any, late: Any, keep: Choose = lambda *_: []) -> Stages:
    """Take a function apart into what depends on its first argument alone, and the rest; everything worked out once.

    The stages are not differentiated any more: derivatives belong into the function.

    Args:
        function: of two pytrees of arrays, which returns a pytree of arrays.
        early: the first, or its description.
        late: the second.
        keep: which values that depend on `late` to work out before the rest, level by level, given the steps that do
            and the results.
    """
    before, tree = jax.tree_util.tree_flatten(early)
    after, other_tree = jax.tree_util.tree_flatten(late)
    count = len(before)
    result_trees: list[Any] = []

    def flat(*leaves: Any) -> tuple[Any, ...]:
        found = function(
            jax.tree_util.tree_unflatten(tree, leaves[:count]), jax.tree_util.tree_unflatten(other_tree, leaves[count:])
        )
        leaves_of_result, result_tree = jax.tree_util.tree_flatten(found)
        result_trees.append(result_tree)
        return tuple(leaves_of_result)

    program = _short(trace(flat, *before, *after, differentiable=False), range(count, count + len(after)))
    from_early = depends(program, range(count))
    from_late = depends(program, range(count, count + len(after)))
    rest = [step for step in steps_to(program, (), program.results) if any(from_late[o] for o in step.outputs)]
    read = numbers([*(atom for step in rest for atom in step.inputs), *program.results])
    kept = sorted(value for value in read if from_early[value] and not from_late[value])

    def first(early: Any) -> list[Array]:
        return work_out(program, dict(enumerate(jax.tree_util.tree_leaves(early))), kept)

    levels = keep(rest, program.results)
    names = [sum(levels[:i], kept) for i in range(len(levels) + 1)]

    def later(names: Sequence[int], wanted: Sequence[Any], values: list[Array], late: Any) -> list[Any]:
        known = dict(zip(names, values, strict=True)) | dict(enumerate(jax.tree_util.tree_leaves(late), count))
        return work_out(program, known, wanted)

    def second(values: list[Array], late: Any, only: Sequence[int] | None = None) -> Any:
        known = names[-1][: len(values)]
        if only is not None:
            return later(known, [program.results[i] for i in only], values, late)
        return jax.tree_util.tree_unflatten(result_trees[0], later(known, program.results, values, late))

    between = tuple(partial(later, *pair) for pair in zip(names, levels, strict=False))
    return Stages(first, between, second, len(rest))


def _short(program: Program, late: Sequence[int]) -> Program:
    """Return the program with everything worked out once, and few divisions, given which arguments are late."""
    once = without_repetitions(program)
    early = {value for value, is_late in enumerate(depends(once, late)) if not is_late}
    return without_repetitions(with_reciprocals(once, early))
