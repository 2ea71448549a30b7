"""Compiled programs of a model: one per function, static options and shapes, kept as long as the model lives."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax

from mle_jax._precision import at_highest_precision

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model


def program(model: "Model", function: Callable[..., Any], **static: Any) -> Callable[..., Any]:
    """Return ``jit(function(model, ..., **static))``, made once.

    The programs are kept by the model and not by a cache of JAX's, so that they go when the model goes.
    """
    key = function, tuple(sorted(static.items()))
    if key not in model._programs:
        model._programs[key] = jax.jit(at_highest_precision(partial(function, model, **static)))
    return model._programs[key]
