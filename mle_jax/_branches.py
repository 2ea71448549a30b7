"""A branch that many lanes may need and few do."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_batching import custom_vmap

R = TypeVar("R")


def cond_any(needed: Array, function: Callable[..., R], usual: R, *operands: Any) -> R:
    """Return ``function(*operands)`` where it is needed, else `usual`; under `vmap`, leave it out if no lane needs it.

    `jax.lax.cond` under `vmap` evaluates both branches for all lanes. This one does so only where at least one lane
    needs the function.

    Args:
        needed: bool, a scalar.
        function: of the operands alone: it must not close over traced values.
        usual: a pytree of arrays like what the function returns.
        operands: pytrees of arrays.
    """

    @custom_vmap
    def choose(needed: Array, usual: R, operands: tuple[Any, ...]) -> R:
        chosen: R = jax.lax.cond(needed, lambda: function(*operands), lambda: usual)
        return chosen

    @choose.def_vmap
    def of_lanes(size: int, batched: Any, needed: Array, usual: R, operands: tuple[Any, ...]) -> tuple[R, Any]:
        def everywhere(tree: Any, own: Any) -> Any:
            give = lambda leaf, has: leaf if has else jnp.broadcast_to(leaf, (size, *jnp.shape(leaf)))  # noqa: E731
            return jax.tree_util.tree_map(give, tree, own)

        def evaluate(needed: Array, usual: R, operands: tuple[Any, ...]) -> R:
            axes = jax.tree_util.tree_map(lambda own: 0 if own else None, batched[2])
            found = jax.vmap(function, in_axes=axes, axis_size=size)(*operands)
            put = lambda new, old: jnp.where(needed.reshape(size, *(1,) * (new.ndim - 1)), new, old)  # noqa: E731
            return jax.tree_util.tree_map(put, found, usual)

        needed, usual = everywhere((needed, usual), tuple(batched[:2]))
        # By the same means, so that a map of maps still looks at all of its lanes.
        chosen = cond_any(jnp.any(needed), evaluate, usual, needed, usual, operands)
        return chosen, jax.tree_util.tree_map(lambda _: True, usual)

    return choose(needed, usual, operands)
