"""What the device of this run can do at most, measured here and now: bytes, multiplications and exponentials a second.

roofline time = max(bytes / bandwidth, operations / peak, exponentials / their rate)

No method can take less than the longest of the three. Operations and exponentials are counted apart, and each against a
rate that is measured for it alone, so that the time is a lower bound also where a device does both at once.

Source: Williams, Waterman and Patterson (2009), Roofline, Communications of the ACM 52(4), 65-76; the triad is that of
McCalpin's STREAM.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.frame.measuring import timed
from benchmarks.frame.workload import Counts

RUNS = 5  # the best of them counts
CHAIN = 32  # exponentials of every number, one after the other, so that reading and writing it does not count


@dataclass(frozen=True)
class Sizes:
    """How large the measurements are.

    Args:
        triad: numbers in each of its arrays; more than any cache holds.
        matrix: rows and columns of the matrices that are multiplied.
        exponentials: numbers, few enough for the cache of a CPU and enough to fill a GPU.
    """

    triad: int
    matrix: int
    exponentials: int


CPU = Sizes(triad=1 << 24, matrix=2048, exponentials=1 << 16)
GPU = Sizes(triad=1 << 27, matrix=8192, exponentials=1 << 24)
QUICK = Sizes(triad=1 << 10, matrix=16, exponentials=1 << 8)


def triad(b: Any, c: Any) -> Any:
    """Compute ``b/2 + c``, which reads two arrays and writes one."""
    return 0.5 * b + c


def product(a: Any) -> Any:
    """Multiply a matrix by itself: 2 m^3 operations."""
    return jnp.matmul(a, a, precision=jax.lax.Precision.HIGHEST)


def exponentials(x: Any) -> Any:
    """Replace x by exp(-x), again and again: it settles at 0.567, so that nothing overflows."""
    for _ in range(CHAIN):
        x = jnp.exp(-x)
    return x


def measure_ceilings(sizes: Sizes) -> dict[str, float]:
    """Return bytes, operations and exponentials a second of JAX's device, in float64."""
    matrix = jnp.linspace(0.0, 1.0, sizes.matrix**2).reshape(sizes.matrix, sizes.matrix)
    few = jnp.linspace(0.0, 1.0, sizes.exponentials)
    return {
        "bytes_per_s": 3 * 8 * sizes.triad / _best_of_triad(sizes.triad),
        "flops_per_s": 2 * sizes.matrix**3 / _best(product, matrix),
        "exps_per_s": CHAIN * sizes.exponentials / _best(exponentials, few),
    }


def sizes_here(*, quick: bool) -> Sizes:
    """Return the sizes for JAX's first device."""
    if quick:
        return QUICK
    return CPU if jax.devices()[0].platform == "cpu" else GPU


def roofline(counts: Counts, ceilings: dict[str, float]) -> dict[str, Any]:
    """Return the seconds that the counts need at least, each against its ceiling, and the longest of them."""
    needed = {
        "bytes": counts.bytes / ceilings["bytes_per_s"],
        "flops": counts.flops / ceilings["flops_per_s"],
        "exps": counts.exps / ceilings["exps_per_s"],
    }
    limit = max(needed, key=lambda name: needed[name])
    return {**{f"{name}_s": seconds for name, seconds in needed.items()}, "limit": limit, "least_s": needed[limit]}


def _best_of_triad(size: int) -> float:
    """Return the seconds of a triad that writes where it has read: new memory would first have to be mapped."""
    in_place = jax.jit(triad, donate_argnums=0)
    c, state = jnp.ones(size), [jnp.ones(size)]

    def call() -> Any:
        state[0] = in_place(state[0], c)
        return state[0]

    timed(call)  # compiles
    return min(timed(call)[0] for _ in range(RUNS))


def _best(function: Callable[..., Any], *arrays: Any) -> float:
    call = partial(jax.jit(function), *jax.block_until_ready(arrays))
    timed(call)  # compiles
    return min(timed(call)[0] for _ in range(RUNS))
