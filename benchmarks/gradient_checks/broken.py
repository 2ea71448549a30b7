"""Functions whose value is right and whose automatic derivative is broken; the gradient by hand is right."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.gradient_checks.case import Case

Function = Callable[..., Any]


def broken_functions(case: Case) -> Iterator[tuple[str, Function]]:
    """Yield the function of a case with its autodiff broken, in three ways."""
    yield "stop_gradient", _stopped(case)
    yield "custom_jvp 1 % off", _rule_off(case)
    yield "where that leaks NaN", _leaking(case)


def _stopped(case: Case) -> Function:
    """Hide the first leaf from autodiff."""
    first = next(iter(case.leaves))

    def function(params: Any, *args: Any) -> Any:
        if isinstance(params, dict):
            return case.value({**params, first: jax.lax.stop_gradient(params[first])}, *args)
        return case.value(jax.lax.stop_gradient(params), *args)

    return function


def _rule_off(case: Case) -> Function:
    """Give the function a derivative rule of its own that is 1 % too large."""

    def function(params: Any, *args: Any) -> Any:
        @jax.custom_jvp
        def inner(p: Any) -> Any:
            return case.value(p, *args)

        @inner.defjvp
        def rule(primals: Any, tangents: Any) -> Any:
            value, slope = jax.jvp(lambda p: case.value(p, *args), primals, tangents)
            return value, 1.01 * slope

        return inner(params)

    return function


def _leaking(case: Case) -> Function:
    """Add zero, in a way whose unused branch has a derivative that is not finite."""

    def function(params: Any, *args: Any) -> Any:
        first = jnp.ravel(jax.tree_util.tree_leaves(params)[0])[0]
        nothing = jnp.where(first**2 >= 0.0, 0.0, jnp.sqrt(-1.0 - first**2))
        return case.value(params, *args) + nothing

    return function
