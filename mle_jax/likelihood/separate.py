"""Small arrays as separate numbers: an array of objects, each a scalar of a program that is being traced.

A log density gets its parameters as one vector and takes the numbers out of it. The derivative of taking out is to put
back among zeros, and to add up vectors that are mostly zeros, which costs more than the density itself. Where the
parameters come as separate numbers, everything that only rearranges is done while the program is traced, and the
derivatives are those of the numbers alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from mle_jax._equations import ELEMENTWISE, apply_equation

MOST = 16
"""Numbers of an array that is kept as such: one operation each."""


def separated(numbers: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """Return scalars as an array of this shape of separate numbers; of the shape () the number itself."""
    found = np.empty(len(numbers), object)
    for i, number in enumerate(numbers):  # one by one: NumPy would ask a traced number for its value
        found[i] = number
    return _unboxed(found.reshape(shape))


def are_numbers(value: Any) -> bool:
    """Say whether a value is an array of separate numbers."""
    return isinstance(value, np.ndarray) and value.dtype == object


def apply_to_numbers(equation: Any, inputs: Sequence[Any]) -> list[Any]:
    """Apply an equation of which some inputs are separate numbers: to each of them, or to all of them put together."""
    name, params = equation.primitive.name, equation.params
    small = all(variable.aval.size <= MOST for variable in (*equation.invars, *equation.outvars))
    if name in REARRANGED and small:
        found = REARRANGED[name](params, [_apart(value) for value in inputs])
        return [_unboxed(one) for one in (found if isinstance(found, list) else [found])]
    if name in ELEMENTWISE and small:
        whole = np.empty(equation.outvars[0].aval.shape, object)
        for place in np.ndindex(whole.shape):
            whole[place] = apply_equation(equation, [_entry(value, place) for value in inputs])[0]
        return [_unboxed(whole)]
    return apply_equation(equation, [put_together(value) for value in inputs])


def _entry(value: Any, place: tuple[int, ...]) -> Any:
    """Return the number at a place; along an axis of length 1 there is one for all."""
    if not np.ndim(value):
        return value
    return value[tuple(min(i, length - 1) for i, length in zip(place, np.shape(value), strict=True))]


def put_together(value: Any) -> Any:
    """Return separate numbers as an array, and anything else as it is."""
    if not are_numbers(value):
        return value
    return jnp.stack([*value.ravel()]).reshape(value.shape) if value.size else jnp.zeros(value.shape)


def _apart(value: Any) -> np.ndarray:
    if are_numbers(value):
        return value
    found = np.empty(np.shape(value), object)
    for place in np.ndindex(found.shape):
        found[place] = value[place] if place else value
    return found


def _unboxed(array: Any) -> Any:
    return array[()] if array.ndim == 0 else array


def _broadcast(params: Any, inputs: list[np.ndarray]) -> np.ndarray:
    shape, kept = params["shape"], params["broadcast_dimensions"]
    sizes = [1] * len(shape)
    for axis, size in zip(kept, inputs[0].shape, strict=True):
        sizes[axis] = size
    return np.broadcast_to(inputs[0].reshape(sizes), shape)


def _slice(params: Any, inputs: list[np.ndarray]) -> np.ndarray:
    strides = params["strides"] or (1,) * inputs[0].ndim
    return inputs[0][tuple(map(slice, params["start_indices"], params["limit_indices"], strides))]


def _unstack(params: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    moved = np.moveaxis(inputs[0], params["axis"], 0)
    return [moved[i : i + 1].reshape(moved.shape[1:]) for i in range(len(moved))]


REARRANGED: dict[str, Callable[[Any, list[np.ndarray]], Any]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda params, inputs: np.concatenate(inputs, axis=params["dimension"]),
    "expand_dims": lambda params, inputs: np.expand_dims(inputs[0], params["dimensions"]),
    "reshape": lambda params, inputs: inputs[0].reshape(params["new_sizes"]),
    "rev": lambda params, inputs: np.flip(inputs[0], params["dimensions"]),
    "slice": _slice,
    "split": lambda params, inputs: np.split(inputs[0], np.cumsum(params["sizes"])[:-1], axis=params["axis"]),
    "squeeze": lambda params, inputs: np.squeeze(inputs[0], axis=tuple(params["dimensions"])),
    "stack": lambda params, inputs: np.stack(inputs, axis=params["axis"]),
    "transpose": lambda params, inputs: np.transpose(inputs[0], params["permutation"]),
    "unstack": _unstack,
}
"""What only moves numbers, by the name of JAX's operation."""
