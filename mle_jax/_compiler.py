"""What the compiler can do, which differs from one release of jaxlib to the next."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jaxlib.version import __version__ as jaxlib_version

TRIED = (0, 10), (0, 12)
"""Releases of jaxlib, the first and the last, that everything was tried with."""
GONE = {"xla_cpu_use_fusion_emitters": (0, 11, 1)}
"""Releases of jaxlib from which on there is no such option."""


def is_tried() -> bool:
    """Say whether the compiler is one that everything was tried with."""
    return TRIED[0] <= _release()[:2] <= TRIED[1]


def understood(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options that this compiler has; where it is given one that it has not, it does not compile."""
    return {name: value for name, value in options.items() if _has(name, value)}


@cache
def _release() -> tuple[int, ...]:
    """Return the numbers of the release; what follows them, as in 0.11.0rc1, does not matter."""
    return tuple(map(int, re.findall(r"\d+", jaxlib_version)[:3]))


@cache
def _has(name: str, value: Any) -> bool:
    if is_tried():
        return name not in GONE or _release() < GONE[name]
    try:
        jax.jit(jnp.negative, compiler_options={name: value})(0)
    except Exception:
        return False
    return True
