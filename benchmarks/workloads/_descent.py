"""The loops of gradient descent on the mean squared error that two workloads share. Data: (x (n, p), y (n,))."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import mle_jax as mle
from benchmarks.workloads._device import put
from mle_jax.optimizers.minimizing import _run
from mle_jax.text.squared_error import mean_squared_error

RATE = 0.01  # the text's, T11


def compiled_core(start: Any, x: Any, y: Any, steps: Any, *, whole: bool = True) -> Any:
    """Run what `mle.minimize` compiles, traceable: without its checks and without NumPy in and out.

    `whole`, as one native function, is not for `vmap`.
    """
    descent = mle.optimizers.GradientDescent(RATE)
    run = partial(_run, function=mean_squared_error, room=None, hurried=True, whole=whole)
    return run({"w": start}, (x, y), descent, None, steps).params["w"]


def raw_jax(start: Any, x: Any, y: Any, steps: Any) -> Any:
    """Write the loop with jax.lax, nothing around it: no finite check, no value, no stopping rule."""
    gradient = jax.grad(lambda w: jnp.mean((y - x @ w) ** 2))
    return jax.lax.fori_loop(0, steps, lambda _, w: w - RATE * gradient(w), start)


def resident(function: Callable[..., Any], data: Any) -> Callable[[], Any]:
    """Put the data on the device, and return the call of the compiled function there."""
    x, y, steps = put(data)
    start = put(np.zeros((*np.shape(data[0])[:-2], np.shape(data[0])[-1])))
    return partial(jax.jit(function), start, x, y, steps)


def numpy_loop(x: np.ndarray, y: np.ndarray, steps: int) -> np.ndarray:
    """Run the loop in NumPy with the gradient by hand, constants and the transpose taken out of it."""
    factor, transposed, w = 2.0 * RATE / y.size, x.T, np.zeros(x.shape[1])
    for _ in range(steps):
        w -= factor * (transposed @ (x @ w - y))
    return w
