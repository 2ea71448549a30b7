"""Take a function apart into the terms that it adds up, from its traced program.

``-n log(s) - sum(r^2) / (2 s^2)`` has two terms. Sums are followed from where they are made to the result: through
negations, sums over axes, changes of shape, products with and quotients by something that is no sum, selections and
concatenations, whose branches and pieces become terms of their own. Anything else (a logarithm of a sum, a square) is
one term.
"""

import functools
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Literal

from mle_jax._equations import apply_equation
from mle_jax._precision import at_highest_precision
from mle_jax._trees import named_leaves
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.evaluation import Function, Probe

MOST = 24
"""More terms than this are not told apart."""
_LINEAR = frozenset(
    ("broadcast_in_dim", "convert_element_type", "copy", "expand_dims", "neg", "reduce_sum", "reshape", "rev")
) | frozenset(("slice", "squeeze", "transpose"))


_BRANCHES = itertools.count(1)


class Term(NamedTuple):
    """One summand with what it depends on."""

    value: Any
    leaves: frozenset[str]
    """Names of inputs: leaves of the parameters, or of the data with a leading "data:"."""
    branch: int = 0
    """The branch of a selection between functions of the parameters that it belongs to: above 0, or 0 for none."""


class Sum(NamedTuple):
    """A number or array, as the summands that it consists of."""

    terms: tuple[Term, ...]

    @property
    def whole(self) -> Term:
        """All summands added up."""
        values = [term.value for term in self.terms]
        return Term(functools.reduce(jnp.add, values), frozenset().union(*(term.leaves for term in self.terms)))

    def each(self, operation: Callable[[Any], Any], more: frozenset[str] = frozenset()) -> "Sum":
        """Apply a linear operation, which may bring in further inputs, to every summand."""
        return Sum(tuple(Term(operation(term.value), term.leaves | more, term.branch) for term in self.terms))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Terms:
    """The terms that depend on the parameters, at one point."""

    values: Array
    """(m,)"""
    gradients: Array
    """(m, k)"""
    leaves: tuple[frozenset[str], ...] = field(metadata={"static": True})
    """What each of them depends on."""
    branches: tuple[int, ...] = field(metadata={"static": True})
    """As in `Term`."""

    def is_whole_branch(self, chosen: Collection[int]) -> bool:
        """Whether these are all the terms of a branch."""
        own = {self.branches[i] for i in chosen}
        return own != {0} and len(own) == 1 and len(chosen) == self.branches.count(own.pop())


def split(probe: Probe, leaf_names: tuple[str, ...], points: Vector) -> list[Terms]:
    """Split the function of a probe into the terms that depend on its parameters.

    Args:
        probe: the function and its data.
        leaf_names: the names of the leaves of the parameters, in the order of declaration.
        points: (P, k).

    Returns:
        The terms at each point; nothing where there are none, or too many to be told apart.
    """
    declared = named_leaves(probe.positions).leaves
    name_of = {id(place): name for name, place in zip(leaf_names, declared, strict=True)}
    names = tuple(name_of[id(place)] for place in jax.tree_util.tree_leaves(probe.positions))
    try:
        found = [_terms(probe.function, jnp.asarray(at), probe.positions, probe.args, names=names) for at in points]
    except (KeyError, NotImplementedError, TypeError, ValueError):
        return []  # an operation that can be traced but not taken apart: there is nothing to say
    return found if 0 < len(found[0].leaves) <= MOST else []


@functools.partial(jax.jit, static_argnames=("function", "names"))
def _terms(function: Function, point: Array, positions: Any, args: Any, *, names: tuple[str, ...]) -> Terms:
    kinds: list[tuple[frozenset[str], int]] = []

    def values(at: Array) -> Array:
        found = [term for term in _terms_of(function, at, positions, args, names=names) if _has_parameters(term)]
        kinds[:] = [(term.leaves, term.branch) for term in found]
        few = found if len(found) <= MOST else found[:1]
        return jnp.stack([jnp.asarray(term.value) for term in few]) if few else jnp.zeros(0, at.dtype)

    numbers, gradients = values(point), jax.jacrev(values)(point)
    return Terms(numbers, gradients, tuple(leaves for leaves, _ in kinds), tuple(branch for _, branch in kinds))


def _has_parameters(term: Term) -> bool:
    return any(not name.startswith("data:") for name in term.leaves)


def _terms_of(
    function: Function, point: Array, positions: Any, args: Any, *, names: tuple[str, ...]
) -> tuple[Term, ...]:
    """Trace the function of the leaves of the parameters and the data, and follow its sums."""
    places, layout = jax.tree_util.tree_flatten(positions)
    data, structure = jax.tree_util.tree_flatten(args)

    def flat_function(*flat: Any) -> Array:
        params = jax.tree_util.tree_unflatten(layout, flat[: len(places)])
        given = jax.tree_util.tree_unflatten(structure, flat[len(places) :])
        return jnp.asarray(at_highest_precision(function)(params, *given))

    inputs = [*(point[place] for place in places), *data]
    program = jax.make_jaxpr(flat_function)(*inputs)
    named = zip(inputs, [*names, *data_names(args)], strict=True)
    (result,) = _follow(
        program.jaxpr, program.consts, [Sum((Term(value, frozenset([name])),)) for value, name in named]
    )
    return result.terms


def data_names(args: Any) -> list[str]:
    """Name the leaves of the data as the user knows them: by their keys, or by the number of the argument."""
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(args)[0]]
    keys = [jax.tree_util.keystr(path[1:], simple=True, separator=".") for path in paths]
    return [f"data:{key or f'argument {path[0].idx + 1}'}" for key, path in zip(keys, paths, strict=True)]


def _follow(program: Any, constants: Any, inputs: list[Sum]) -> list[Sum]:
    """Evaluate a program on sums."""
    known: dict[Any, Sum] = {}
    for variable, value in zip(program.constvars, constants, strict=True):
        known[variable] = Sum((Term(value, frozenset()),))
    known.update(zip(program.invars, inputs, strict=True))

    def read(variable: Any) -> Sum:
        return Sum((Term(variable.val, frozenset()),)) if isinstance(variable, Literal) else known[variable]

    for equation in program.eqns:
        results = _apply(equation, [read(variable) for variable in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in program.outvars]


def _apply(equation: Any, operands: list[Sum]) -> list[Sum]:
    name = equation.primitive.name
    if name in ("jit", "pjit", "closed_call", "remat2", "checkpoint"):
        inner = equation.params.get("jaxpr") or equation.params["call_jaxpr"]
        return _follow(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), operands)
    if not operands:
        return [Sum((Term(value, frozenset()),)) for value in apply_equation(equation, [])]
    first = operands[0]
    if name in ("add", "add_any", "sub"):
        second = operands[1].each(jnp.negative) if name == "sub" else operands[1]
        whole_shape = equation.outvars[0].aval.shape  # a number may be added to an array
        return [Sum(first.terms + second.terms).each(lambda value: jnp.broadcast_to(value, whole_shape))]
    if name in _LINEAR:
        return [first.each(lambda value: apply_equation(equation, [value])[0])]
    if name == "select_n":
        return [_side_by_side(equation, operands[1:], which=operands[0].whole)]
    if name in ("concatenate", "stack"):
        return [_side_by_side(equation, operands)]
    if name in ("mul", "div", "dot_general"):
        return [_product(equation, *operands)]
    whole = [operand.whole for operand in operands]
    leaves = frozenset().union(*(term.leaves for term in whole))
    return [Sum((Term(value, leaves),)) for value in apply_equation(equation, [term.value for term in whole])]


def _product(equation: Any, left: Sum, right: Sum) -> Sum:
    """Multiply (or divide) term by term where one side alone is a sum."""
    if equation.primitive.name != "div" and len(right.terms) > 1 and len(left.terms) == 1:
        factor = left.whole
        return right.each(lambda value: apply_equation(equation, [factor.value, value])[0], factor.leaves)
    factor = right.whole
    summed = left if len(right.terms) == 1 or equation.primitive.name == "div" else Sum((left.whole,))
    return summed.each(lambda value: apply_equation(equation, [value, factor.value])[0], factor.leaves)


def _side_by_side(equation: Any, operands: list[Sum], which: Term | None = None) -> Sum:
    """Make terms of branches or pieces: each with zeros in the place of the others."""
    first = [] if which is None else [which.value]
    more = frozenset() if which is None else which.leaves
    zeros = [jnp.zeros_like(operand.terms[0].value) for operand in operands]
    is_choice = which is not None and sum(_has_parameters(operand.whole) for operand in operands) > 1
    terms = []
    for place, operand in enumerate(operands):
        number = next(_BRANCHES) if is_choice else 0
        for term in operand.terms:
            cases = [*zeros[:place], term.value, *zeros[place + 1 :]]
            terms.append(Term(apply_equation(equation, [*first, *cases])[0], term.leaves | more, number or term.branch))
    return Sum(tuple(terms))
