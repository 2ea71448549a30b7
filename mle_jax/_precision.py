"""One place for the float64 policy: verbs compute in float64 and hand out NumPy, whatever the caller's JAX flag."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


def in_float64(function: Callable[P, R]) -> Callable[P, R]:
    """Run a verb with 64-bit types enabled for its own duration and thread (threads do not inherit the setting)."""

    @functools.wraps(function)
    def verb(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return verb


def at_highest_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Trace a function with matrix products at full precision (on a GPU the silent default is TF32)."""

    @functools.wraps(function)
    def precise(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.default_matmul_precision("highest"):
            return function(*args, **kwargs)

    return precise


def to_numpy(tree: Any) -> Any:
    """Bring a pytree to the host: floats as float64, 0-d arrays as NumPy scalars."""

    def convert(leaf: Any) -> Any:
        array = np.asarray(leaf)
        # What nobody can write to needs no copy: an array repeated over all lanes would take up its room then.
        if np.issubdtype(array.dtype, np.floating) and (array.flags.writeable or array.dtype != np.float64):
            array = array.astype(np.float64)
        if array.flags.writeable and array.ndim:
            array.flags.writeable = False  # results are immutable
        return array[()]

    return jax.tree_util.tree_map(convert, tree)


def is_traced(tree: Any) -> bool:
    """Say whether any leaf is a tracer, in which case values cannot be looked at."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves(tree))
