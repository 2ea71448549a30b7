"""Loops over small data as one native function each.

XLA's CPU runtime runs the operations of a loop's body one by one, and to start one takes as long as arithmetic on a few
hundred numbers. For the smallest loops the compiler therefore makes one function of the whole loop by itself; where it
draws the line can only be moved for a whole process. The attributes below ask for the same, of one computation.

What that emitter cannot do ends in an error of the compiler (sorting, scattering, LAPACK, sums and products that go to
a library), so only operations and sizes that it can are let in. The numbers are the same, to the last bit as a rule,
but for functions that the compiler has no good vector operations for: `only_in_one_kernel` puts others in their place
(`likelihood.vector_functions`).

Source: `SmallWhileLoopHoistingPass` and `ThunkEmitter::EmitCallThunk` in the CPU compiler of XLA.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from mle_jax._compiler import is_tried
from mle_jax._equations import ELEMENTWISE, inner_programs
from mle_jax._side_by_side import never_true
from mle_jax.likelihood.vector_functions import count_added, run_with_vector_functions

R = TypeVar("R")

MOST = 8192  # numbers in one array, or one product: beyond, the loop gains little
MOST_SUMMED = 2048  # numbers that are summed up: from 4097 on the compiler calls a library
MOST_CAPTURED = 1000  # numbers of an array that is known while compiling: of large ones the compiler makes no input
LONGEST = 9000  # operations: that many take half a minute to compile
TYPES = ("bool", "int32", "int64", "uint32", "float32", "float64")
LAID_OUT = (
    "broadcast_in_dim concatenate dynamic_slice iota optimization_barrier pad reshape rev slice split squeeze stack "
    "stop_gradient transpose unstack"
)
NESTED = ("closed_call", "cond", "custom_jvp_call", "custom_vjp_call", "jit", "pjit", "while")
SUMS = ("reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_sum")
PLAIN = ELEMENTWISE.union(LAID_OUT.split())


@cache
def is_known() -> bool:
    """Say whether the compiler is one that this was tried with: these versions, and no flags that change how it emits.

    Another one may end the process where it cannot do what is asked. Flags count as they were when this was first
    asked; JAX reads them only once, too.
    """
    return is_tried() and not os.environ.get("XLA_FLAGS")


def in_one_kernel(function: Callable[..., R], *args: Any) -> R:
    """Call a function such that the CPU compiler makes one native function of it, where that is known to work.

    Not under `vmap`, which changes the sizes only after they were looked at.

    Args:
        function: takes and returns pytrees of arrays.
        args: for the function, pytrees of tracers.
    """
    from jax.experimental.xla_metadata import set_xla_metadata  # experimental: there may be a JAX without it

    program, outputs = jax.make_jaxpr(function, return_shape=True)(*args)
    if not _is_small(program.jaxpr) or _captures_much(program):
        return function(*args)
    compiled = jax.jit(_of_all_that_is_read(program, outputs, _run))

    def alone(*args: Any) -> tuple[Any, R]:
        return set_xla_metadata(compiled(*args), xla_cpu_small_call="true", inlineable="false")

    return _unless(*jax.lax.platform_dependent(program.consts, *args, cpu=alone, default=compiled))


def only_in_one_kernel(function: Callable[..., R], *args: Any, most: int = MOST) -> R:
    """Do the same, on a CPU and not elsewhere, or raise.

    Args:
        function: as above.
        args: as above.
        most: numbers in one array.

    Raises:
        NotOneKernelError: an operation, or the size of an array, is not one that is known to work, or there are so
            many that they take minutes to compile, or a large array is captured.
    """
    from jax.experimental.xla_metadata import set_xla_metadata

    if not is_known() or jax.default_backend() != "cpu":
        raise NotOneKernelError("another platform or version")
    program, outputs = jax.make_jaxpr(function, return_shape=True)(*args)
    steps = list(_steps(program.jaxpr))
    unknown = {step.primitive.name for step in steps if not _is_small_step(step, most)}
    added = count_added(steps)
    operations = len(steps) + added
    if _captures_much(program):
        raise NotOneKernelError(f"an array of more than {MOST_CAPTURED} numbers that is no argument")
    if unknown or operations > LONGEST:
        raise NotOneKernelError(f"{operations} operations, among them {sorted(unknown)}")
    whole = jax.jit(_of_all_that_is_read(program, outputs, run_with_vector_functions if added else _run))
    found: R = _unless(*set_xla_metadata(whole(program.consts, *args), xla_cpu_small_call="true", inlineable="false"))
    return found


class NotOneKernelError(Exception):
    """What was to be one native function cannot be one."""


def _of_all_that_is_read(
    program: ClosedJaxpr, outputs: Any, run: Callable[[ClosedJaxpr, Sequence[Any]], Sequence[Any]]
) -> Callable[..., tuple[Any, Any]]:
    """Return a traced function as one of what it captured, a list, and its arguments; see `_reading_all`.

    Args:
        program: the traced function.
        outputs: describes its results.
        run: evaluates a program.
    """
    tree = jax.tree_util.tree_structure(outputs)

    def function(captured: list[Any], *args: Any) -> Any:
        found = run(ClosedJaxpr(program.jaxpr, captured), jax.tree_util.tree_leaves(args))
        return jax.tree_util.tree_unflatten(tree, found)

    return _reading_all(function)


def _run(program: ClosedJaxpr, values: Sequence[Any]) -> list[Any]:
    """Evaluate a program as it is."""
    found: list[Any] = jaxpr_as_fun(program)(*values)
    return found


def _reading_all(function: Callable[..., R]) -> Callable[..., tuple[Any, R]]:
    """Return the function with False before its result, which depends on every input; the compiler cannot tell.

    Where it finds that an input is not needed, such as an integer times 0, it leaves it out, and then ends the process
    (jaxlib 0.10 to 0.12): "All or none of the slices should have an explicit index". And where the only result is an
    array, and is worked out from a large one, it wants to share this work among threads, and fails: "Incorrect number
    of arguments passed to called function".
    """

    def reading(*args: Any) -> tuple[Any, R]:
        never = jnp.asarray(False)
        for leaf in map(jnp.asarray, jax.tree_util.tree_leaves(args)):
            if leaf.size == 0 or leaf.dtype.name not in TYPES:
                continue
            never |= never_true(leaf)
        return never, function(*args)

    return reading


def _unless(never: Any, found: R) -> R:
    """Return what was found, such that False is needed for it."""
    leaves, tree = jax.tree_util.tree_flatten(found)
    leaves[:1] = [jnp.where(never, jnp.zeros_like(leaf), leaf) for leaf in leaves[:1]]
    needing: R = jax.tree_util.tree_unflatten(tree, leaves)
    return needing


def _captures_much(program: ClosedJaxpr) -> bool:
    """Say whether the function captured a large array whose numbers are known while it is compiled.

    That becomes a constant, and the compiler ends the process where a kernel reads a large one (as in `_reading_all`).
    """
    found = [*program.consts]
    for step in _steps(program.jaxpr):
        found += [variable.val for variable in step.invars if isinstance(variable, Literal)]
        found += [const for inner in inner_programs(step) for const in getattr(inner, "consts", ())]
    return any(not isinstance(const, jax.core.Tracer) and jnp.size(const) > MOST_CAPTURED for const in found)


def _is_small(jaxpr: Any) -> bool:
    """Say whether all operations are of those that work, and their arrays small."""
    return all(_is_small_step(step) for step in _steps(jaxpr))


def _steps(jaxpr: Any) -> Iterator[Any]:
    """Go through the operations of a program, those of its loops, branches and functions included."""
    for step in jaxpr.eqns:
        yield step
        for inner in inner_programs(step):
            yield from _steps(inner)


def _is_small_step(step: Any, most: int = MOST) -> bool:
    name = step.primitive.name
    if name == "while" and step.params["cond_jaxpr"].out_avals[0].shape:
        return False  # batched: it goes on as long as one of them does
    if name in NESTED:
        return True  # what is inside is looked at
    # Of a large array a piece may be taken.
    read = () if name in ("dynamic_slice", "slice") else step.invars
    shapes = [variable.aval for variable in (*read, *step.outvars)]
    if any(shape.size > most or shape.dtype.name not in TYPES for shape in shapes):
        return False
    if name == "dot_general":
        return _is_small_product(step)
    return name in PLAIN or (name in SUMS and shapes[0].size <= MOST_SUMMED)


def _is_small_product(step: Any) -> bool:
    """Say whether it is a product of a matrix and a vector, or of two short vectors: others go to a library."""
    left, right = (variable.aval.shape for variable in step.invars)
    _, batch = step.params["dimension_numbers"]
    most = MOST if max(len(left), len(right)) == 2 else MOST_SUMMED
    return not any(batch) and min(len(left), len(right)) == 1 and max(math.prod(left), math.prod(right)) <= most
