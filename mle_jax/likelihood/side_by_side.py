"""A function of one dataset, evaluated for L of them side by side, such that a native loop can be made of it.

Under `vmap` products go to a library, and so do sums of many numbers, where datasets are small and a call costs more
than the arithmetic. Here every number is a vector over the datasets (lanes), which are the last axis of all arrays;
products, and sums over many rows, are loops.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Literal

from mle_jax._equations import ELEMENTWISE, apply_equation
from mle_jax._lapack import native_form
from mle_jax._side_by_side import FEW, TOGETHER, height_of_block, repeat, total
from mle_jax.likelihood.traced import Program, numbers, steps_to, work_out

COMBINED = {
    "reduce_sum": jnp.add,
    "reduce_max": jnp.maximum,
    "reduce_min": jnp.minimum,
    "reduce_and": jnp.logical_and,
    "reduce_or": jnp.logical_or,
}
"""What makes one of two numbers that are summed up, by the name of JAX's operation."""


def read_by(program: Program, arguments: Iterable[int]) -> list[int]:
    """Return which of its arguments a traced function reads, by number."""
    read = numbers(
        [*(atom for step in steps_to(program, (), program.results) for atom in step.inputs), *program.results]
    )
    return sorted(read.intersection(arguments))


def lanes_last(program: Program, values: Mapping[int, Array]) -> tuple[list[Array], Array]:
    """Evaluate a traced function of arrays for L lanes.

    Args:
        program: the function, traced with arrays of one lane, and without the derivatives that parts of it may have.
        values: those of its arguments that it reads, (..., L).

    Returns:
        The results, (..., L), and which of the lanes they hold for, (L,): others need what a native loop cannot call.
    """
    lanes = next(iter(values.values())).shape[-1]
    sound = [jnp.ones(lanes, bool)]
    found = work_out(program, dict(values), program.results, partial(_apply, lanes, sound))
    pairs = zip(found, _shapes(program), strict=True)
    return [_with_lanes(jnp.asarray(value), shape, lanes) for value, shape in pairs], reduce(jnp.logical_and, sound)


def _shapes(program: Program) -> list[tuple[int, ...]]:
    """Return the shapes of the results."""
    return [np.shape(r.val) if isinstance(r, Literal) else program.shapes[r] for r in program.results]


def _with_lanes(value: Array, shape: tuple[int, ...], lanes: int) -> Array:
    """Return a value for every lane, also where it is the same for all."""
    return value if value.ndim > len(shape) else jnp.broadcast_to(value[..., None], (*shape, lanes))


def _apply(lanes: int, sound: list[Array], equation: Any, values: Sequence[Any]) -> list[Any]:
    """Apply an equation to values of which some have one axis more than it was traced with, that of the lanes.

    Args:
        lanes: L.
        sound: where to add which of the lanes the result holds for.
        equation: the equation.
        values: what it is applied to.
    """
    pairs = list(zip(values, equation.invars, strict=True))
    own = [jnp.ndim(value) > len(one.aval.shape) for value, one in pairs]
    if not any(own):
        return apply_equation(equation, values)
    name, params, native = equation.primitive.name, equation.params, native_form(equation)
    plain = name == "dot_general" and _is_plain_product(params, equation.invars[0].aval.dtype)
    if native is not None or plain:
        every = [_with_lanes(jnp.asarray(value), one.aval.shape, lanes) for value, one in pairs]
        if native is None:
            return [_product(params, *every)]
        found, good = native(*every)
        sound.append(good)
        return jax.tree_util.tree_leaves(found)
    if name in COMBINED and len(params["axes"]) == 1 and values[0].shape[params["axes"][0]] > FEW:
        return [_summed(COMBINED[name], jnp.moveaxis(values[0], params["axes"][0], 0))]
    if name in ELEMENTWISE:
        # Under `vmap` lanes would come first where operands differ in shape, and be laid out anew.
        shape = equation.outvars[0].aval.shape
        every = [_with_lanes(jnp.asarray(value), one.aval.shape, lanes) for value, one in pairs]
        return apply_equation(equation, [jnp.broadcast_to(value, (*shape, lanes)) for value in every])
    if name == "broadcast_in_dim":
        shape, places = params["shape"], params["broadcast_dimensions"]
        return [jax.lax.broadcast_in_dim(values[0], (*shape, lanes), (*places, len(shape)))]
    axes = tuple(-1 if differs else None for differs in own)
    outputs = len(equation.outvars)
    found = jax.vmap(lambda *one: tuple(apply_equation(equation, one)), in_axes=axes, out_axes=(-1,) * outputs)(*values)
    return list(found)


def _summed(combine: Callable[[Array, Array], Array], rows: Array) -> Array:
    """Sum over the first axis (or take the maximum)."""
    height = height_of_block(len(rows), rows[0].size, TOGETHER)
    blocks = len(rows) // height
    block = lambda i: jax.lax.dynamic_slice_in_dim(rows, i * height, height)  # noqa: E731
    whole = repeat(blocks - 1, lambda i, so_far: combine(so_far, block(i + 1)), rows[:height])
    return reduce(combine, [*(whole[i] for i in range(height)), *(rows[i] for i in range(blocks * height, len(rows)))])


def _is_plain_product(params: Any, dtype: Any) -> bool:
    """Say whether it sums over one axis of each factor, and in their own type."""
    summed, batch = params["dimension_numbers"]
    return not any(batch) and len(summed[0]) == 1 and params["preferred_element_type"] in (None, dtype)


def _product(params: Any, left: Array, right: Array) -> Array:
    """Return the sums of products over one axis of each factor, lane by lane."""
    ((left_axis,), (right_axis,)), _ = params["dimension_numbers"]
    left, right = jnp.moveaxis(left, left_axis, 0), jnp.moveaxis(right, right_axis, 0)
    fill = (..., *(None,) * (right.ndim - 2), slice(None))
    of = lambda one, other: one[fill] * other  # noqa: E731 - for two ways to sum it
    nothing = jnp.zeros((*left.shape[1:-1], *right.shape[1:]), left.dtype)
    if len(left) <= FEW:
        return total(of(left[i], right[i]) for i in range(len(left))) if len(left) else nothing
    at = lambda rows, i: jax.lax.dynamic_index_in_dim(rows, i, keepdims=False)  # noqa: E731 - of both
    return repeat(len(left), lambda i, so_far: so_far + of(at(left, i), at(right, i)), nothing)
