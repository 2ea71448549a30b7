"""Data on the device before anything is timed."""

from typing import Any

import jax


def put(data: Any) -> Any:
    """Copy a pytree of arrays to the device of the run, and wait until it is there."""
    return jax.block_until_ready(jax.device_put(data))
