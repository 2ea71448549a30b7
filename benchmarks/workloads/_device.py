"""Data on the device before anything is timed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

_latest: list[tuple[Any, Any]] = []  # the data that were asked for last, and their copy; one of each


def put(data: Any) -> Any:
    """Copy a pytree of arrays to the device of the run, and wait until it is there."""
    return jax.block_until_ready(jax.device_put(data))


def resident(data: Any) -> Any:
    """Return the copy on the device, one for all contenders that ask for the same data."""
    if not _latest or _latest[0][0] is not data:
        _latest[:] = [(data, put(data))]
    return _latest[0][1]


def on_device(function: Callable[[Any], Any], lanes: int | None, data: Any) -> Callable[[], Any]:
    """Compile a function of all datasets, or of the first ones, which stay on the device."""
    return partial(jax.jit(function), jax.tree_util.tree_map(lambda leaf: leaf[:lanes], resident(data)))
