"""`minimize`: the library's loop on a plain function."""

import contextlib
import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from mle_jax._objective import Objective
from mle_jax._precision import at_highest_precision, in_float64, to_numpy
from mle_jax._status import Status
from mle_jax._tracing_errors import advice_on
from mle_jax._trees import lists_to_arrays, named_leaves
from mle_jax._whole import is_whole
from mle_jax.optimizers._loop import NON_FINITE, STOPPED, Trace, begin, hurry, proceed
from mle_jax.optimizers._one_kernel import in_one_kernel, is_known
from mle_jax.optimizers._protocol import Optimizer, Stop
from mle_jax.optimizers.newton import Newton

_FEW_COLUMNS, _FEW_ROWS = 8, 1000
_refused: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()


@dataclass(frozen=True, kw_only=True)
class History:
    """What happened step by step; entry 0 is the start.

    Attributes:
        value: the function (`minimize`) or the total log-likelihood (`fit`), shape (steps + 1,).
        gradient_norm: Euclidean norm of its gradient in the coordinates of the search, shape (steps + 1,).
        params: pytree like the parameters, each leaf with a leading axis of steps + 1.

    Example:
        >>> import mle_jax as mle
        >>> descent = mle.optimizers.GradientDescent(0.25)
        >>> run = mle.minimize(lambda w: w**2, 4.0, optimizer=descent, max_steps=2, record=True)
        >>> run.history.params.tolist(), run.history.value.tolist()
        ([4.0, 2.0, 1.0], [16.0, 4.0, 1.0])
    """

    value: np.ndarray
    gradient_norm: np.ndarray
    params: Any


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """Where `minimize` arrived.

    Attributes:
        params: pytree laid out like the start, NumPy float64.
        value: the function there.
        steps: steps taken.
        status: `stopped_by_rule`, `max_steps` or `non_finite`; a plain function gets no certificate.
        history: a `History` where it was asked for, else None.

    Example:
        >>> import mle_jax as mle
        >>> run = mle.minimize(lambda w: w**2, 4.0, optimizer=mle.optimizers.GradientDescent(0.25), max_steps=2)
        >>> float(run.params), run.steps
        (1.0, 2)
    """

    params: Any
    value: float
    steps: int
    status: Status
    history: History | None


@in_float64
def minimize(
    function: Callable[..., Any],
    start: Any,
    *,
    args: Sequence[Any] = (),
    optimizer: Optimizer[Any],
    max_steps: int,
    stop: Stop | None = None,
    record: bool = False,
) -> Minimum:
    """Minimize a plain scalar function with one of the library's optimizers.

    The loop is compiled once for a function and the shapes of `start` and `args`; other data, another start, another
    learning rate do not recompile. Without `stop` exactly `max_steps` steps are taken.

    Args:
        function: ``function(params, *args) -> scalar``, written with jax.numpy.
        start: pytree of numbers or arrays; integers are taken as floats, lists of numbers as arrays.
        args: data of the function, pytrees of arrays: passed as arguments, never compiled in.
        optimizer: from ``mle_jax.optimizers``.
        max_steps: the most steps.
        stop: a rule from ``mle_jax.stops``.
        record: keep value, gradient norm and parameters of every step.

    Returns:
        A `Minimum` with params, value, steps, status, history.

    Raises:
        TypeError: the optimizer is not one, or the function has no hash or does not return one real number.
        ValueError: max_steps is negative, or the optimizer's configuration is out of range.

    Example:
        >>> import numpy as np
        >>> import mle_jax as mle
        >>> bowl = lambda w, center: ((w - center) ** 2).sum()
        >>> descent = mle.optimizers.GradientDescent(0.25)
        >>> run = mle.minimize(bowl, np.zeros(2), args=(3.0,), optimizer=descent, max_steps=60)
        >>> [round(float(value), 6) for value in run.params], run.status.name
        ([3.0, 3.0], 'max_steps')
    """
    check_optimizer(optimizer)
    if isinstance(optimizer, Newton) and optimizer.curvature != "observed":
        raise ValueError(
            f"optimizer is Newton(curvature='{optimizer.curvature}'), but a plain function has no rows and no expected "
            "information; leave curvature out, or declare a Model and use fit"
        )
    most = check_steps(max_steps)
    _check_hashable(function)
    first = jax.tree_util.tree_map(_floating, lists_to_arrays(start))
    args = _checked_args(args)
    if stop is not None and not callable(stop):
        raise TypeError(f"stop is {stop!r}, but it must be a rule; write stop=mle_jax.stops.value_change(1e-6)")
    run = functools.partial(_run, first, args, optimizer, stop, most, function=function, room=most if record else None)
    ended = run() if record else _hurried(run, function)
    outcome = int(ended.outcome)
    if not record and outcome == NON_FINITE:
        ended = run()  # once more, with what it takes to return to the last finite point
    status = {STOPPED: Status.stopped_by_rule, NON_FINITE: Status.non_finite}.get(outcome, Status.max_steps)
    return Minimum(
        params=to_numpy(ended.params),
        value=float(ended.value),
        steps=int(ended.steps),
        status=status,
        history=_history(ended, first) if record else None,
    )


class _End(NamedTuple):
    """What `minimize` reports of a run, and no more: what the loop carries for nobody, the compiler leaves out."""

    params: Any
    value: Array
    steps: Array
    outcome: Array
    trace: Trace | None


def _hurried(run: Callable[..., _End], function: Callable[..., Any]) -> _End:
    """Run without a record, as one native function unless the compiler refused that once."""
    if is_known() and function not in _refused:
        try:
            return run(hurried=True, whole=True)
        except jax.errors.JaxRuntimeError:  # what is let in was tried, but with one compiler and its usual flags
            with contextlib.suppress(TypeError):  # not everything that can be called has weak references
                _refused.add(function)
    return run(hurried=True)


@functools.partial(jax.jit, static_argnames=("function", "room", "hurried", "whole"))
@at_highest_precision
def _run(
    start: Any,
    args: tuple[Any, ...],
    optimizer: Optimizer[Any],
    stop: Stop | None,
    max_steps: Any,
    *,
    function: Callable[..., Any],
    room: int | None,
    hurried: bool = False,
    whole: bool = False,
) -> _End:
    """Run the loop: `hurried` without a way back from where it is not finite, `whole` as one native function."""
    _check_scalar(function, start, args)  # while tracing: a call that is compiled already has passed

    def loop(start: Any, args: tuple[Any, ...], optimizer: Optimizer[Any], stop: Stop | None, max_steps: Any) -> _End:
        point, unravel = ravel_pytree(start)
        as_given = _hold_by_columns(args)

        def evaluate(at: Array) -> tuple[Array, Array]:
            value = jnp.asarray(function(unravel(at), *as_given())).astype(at.dtype)
            return value, jnp.abs(value)

        objective, trace = Objective(evaluate), None
        if hurried:
            state, steps, outcome = hurry(objective, optimizer, point, max_steps=max_steps, stop=stop)
        else:
            first = begin(objective, optimizer, point, record=room)
            state, steps, outcome, *_, trace = proceed(objective, optimizer, first, max_steps=max_steps, stop=stop)
        here = state.evaluation
        return _End(unravel(here.point), here.value, steps, outcome, trace)

    problem = (start, args, optimizer, stop, max_steps)
    return in_one_kernel(loop, *problem) if whole else loop(*problem)


def _hold_by_columns(args: tuple[Any, ...]) -> Callable[[], tuple[Any, ...]]:
    """Store small tall matrices column by column; return the function that gives the data back in their own shapes.

    A CPU has little to gain from rows of a few numbers: products of an (n, p) matrix with a vector are 1.3 to 2.5 times
    as fast by columns for p up to 8 and n up to 1000. Beyond that rows are faster, for the compiler then calls a
    library. The barrier keeps the compiler from undoing the transposition.
    """
    leaves, structure = jax.tree_util.tree_flatten(args)
    tall = [leaf.ndim == 2 and leaf.shape[1] <= _FEW_COLUMNS < leaf.shape[0] <= _FEW_ROWS for leaf in leaves]
    held = [jax.lax.optimization_barrier(leaf.T) if flip else leaf for leaf, flip in zip(leaves, tall, strict=True)]

    def as_given() -> tuple[Any, ...]:
        seen = [leaf.T if flip else leaf for leaf, flip in zip(held, tall, strict=True)]
        return tuple(jax.tree_util.tree_unflatten(structure, seen))

    return as_given


def _history(ended: _End, start: Any) -> History:
    _, unravel = ravel_pytree(start)
    trace, cut = ended.trace, slice(0, int(ended.steps) + 1)
    assert trace is not None
    params = to_numpy(jax.vmap(unravel)(trace.point[cut]))
    return History(
        value=np.asarray(trace.value)[cut], gradient_norm=np.asarray(trace.gradient_norm)[cut], params=params
    )


def _floating(leaf: Any) -> np.ndarray:
    """Return numbers as floats; on the host, for the compiled loop takes them from there at less cost."""
    array = np.asarray(leaf)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(float)


def _checked_args(args: Any) -> tuple[Any, ...]:
    if not isinstance(args, tuple | list):
        raise TypeError(f"args is a {type(args).__name__}, but it must be a tuple of data; write args=(y,)")
    return tuple(lists_to_arrays(arg) for arg in args)


def _check_hashable(function: Any) -> None:
    try:
        hash(function)
    except TypeError as error:
        raise TypeError(
            f"the function is a {type(function).__name__}, which has no hash, so what is compiled for it could not be "
            "found again; pass a plain function, or make its class a dataclass with frozen=True"
        ) from error


def _check_scalar(function: Callable[..., Any], start: Any, args: tuple[Any, ...]) -> None:
    try:
        result = jax.eval_shape(function, start, *args)
    except Exception as error:
        advice = advice_on(function, error, f"the function ({getattr(function, '__name__', 'without a name')})")
        if advice is None:
            raise
        raise TypeError(advice) from error
    is_array = isinstance(result, jax.ShapeDtypeStruct)
    if not is_array or result.shape != () or not jnp.issubdtype(result.dtype, jnp.floating):
        what = f"an array of shape {result.shape} and type {result.dtype}" if is_array else f"a {type(result).__name__}"
        names = ", ".join(named_leaves(start, root="params").names)
        raise TypeError(
            f"the function returned {what}, but minimize needs one real number for its params ({names}); "
            "sum over the data inside the function"
        )


def check_optimizer(optimizer: Any) -> None:
    """Raise where the optimizer is not one, or its configuration is out of range."""
    if isinstance(optimizer, type):
        raise TypeError(
            f"the optimizer is the class {optimizer.__name__}, but an object is needed; "
            f"write {optimizer.__name__}(...) with its options"
        )
    if not all(hasattr(optimizer, word) for word in ("init", "step", "complaint")):
        bare = hasattr(optimizer, "init") and hasattr(optimizer, "update")
        advice = "wrap an optax optimizer as Optax(...)" if bare else "such as Newton() or GradientDescent(0.05)"
        raise TypeError(
            f"the optimizer is of type {type(optimizer).__name__}, but it must come from mle_jax.optimizers; {advice}"
        )
    complaint = optimizer.complaint()
    if complaint:
        raise ValueError(complaint)


def check_steps(max_steps: Any) -> int:
    """Return the number of steps, or raise where it is no whole number of at least 0."""
    if not is_whole(max_steps, least=0):
        raise ValueError(f"max_steps is {max_steps!r}, but it must be a whole number of at least 0; pass e.g. 1000")
    return int(max_steps)
