"""Compiled programs of a model: one per function, static options and shapes, kept as long as the model lives."""

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mle_jax._compiler import understood
from mle_jax._precision import at_highest_precision

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model

QUICK = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""What is asked of XLA's CPU compiler to be ready in a quarter of the time (in two thirds from jaxlib 0.11.1 on, which
has no choice of emitters), with code that is up to 4 times as slow."""
SMALL = 10_000
"""Numbers in the arguments up to which the code makes up for that only after some hundred calls."""
NATIVE = {"xla_backend_optimization_level": 2, "xla_cpu_prefer_vector_width": 512}
"""The same for native loops, whose operations are vectors already: in half to three quarters of the time, as fast. And
by the longest vectors that there are, which pay where hardly anything else is done: 3 to 8 % with AVX-512."""


def program(model: "Model", function: Callable[..., Any], **static: Any) -> Callable[..., Any]:
    """Return ``jit(function(model, ..., **static))``, made once; for use inside other compiled functions, too.

    The programs are kept by the model and not by a cache of JAX's, so that they go when the model goes.
    """
    return _kept(model, function, static, {})


def native_program(model: "Model", function: Callable[..., Any], **static: Any) -> Callable[..., Any]:
    """Return the same for native loops on a CPU (`optimizers._one_kernel`), never inside other compiled functions."""
    return _kept(model, function, static, understood(NATIVE) if jax.default_backend() == "cpu" else {})


def verb_program(
    model: "Model", function: Callable[..., Any], *, hurry: bool = False, **static: Any
) -> Callable[..., Any]:
    """Return the same for the verbs, which are never traced: on a CPU compiled in a hurry where the data are small.

    A fit of some hundred rows takes milliseconds and its compilation seconds, so a new model is ready sooner by code
    that is not polished. The numbers are the same but for rounding. Not for what does much more work than the numbers
    in its arguments tell, such as thousands of simulated datasets: there polished code pays at once. With `hurry` that
    is done however large the data are: for what is done once, or soon done (`likelihood.workload`).
    """
    usual = _kept(model, function, static, {})
    if jax.default_backend() != "cpu":
        return usual
    quick = _kept(model, function, static, understood(QUICK))

    def run(*args: Any, **kwargs: Any) -> Any:
        return (quick if hurry or numbers_in((args, kwargs)) <= SMALL else usual)(*args, **kwargs)

    return run


def quick_program(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Return ``jit(function, **options)`` for small arrays and no model: compiled in a hurry on a CPU."""

    @cache
    def compiled() -> Callable[..., Any]:
        quick = understood(QUICK) if jax.default_backend() == "cpu" else None
        return jax.jit(at_highest_precision(function), compiler_options=quick, **options)

    return lambda *args, **kwargs: compiled()(*args, **kwargs)


def _kept(
    model: "Model", function: Callable[..., Any], static: dict[str, Any], options: dict[str, Any]
) -> Callable[..., Any]:
    key = function, tuple(sorted(static.items())), tuple(sorted(options.items()))
    if key not in model._programs:
        whole = at_highest_precision(partial(function, model, **static))
        model._programs[key] = jax.jit(whole, compiler_options=options or None)
    return model._programs[key]


def numbers_in(args: Any) -> int:
    """Return of how many numbers the leaves of a pytree consist."""
    return sum(np.size(leaf) for leaf in jax.tree_util.tree_leaves(args))
