"""Passes over the pieces of a dataset: threads sum them side by side, a core each."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax.data.pieces import Fetch
from mle_jax.likelihood.loss import part_derivatives, part_values
from mle_jax.likelihood.programs import native_program, program
from mle_jax.optimizers._one_kernel import NotOneKernelError, only_in_one_kernel

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

T = TypeVar("T")


class Sums(NamedTuple):
    """What a pass finds at a point: the loss and its derivatives, times the total weight."""

    value: np.ndarray  # ()
    magnitude: np.ndarray  # ()
    gradient: np.ndarray  # (k,)
    hessian: np.ndarray  # (k, k); of no use where it is not `curved`
    curved: np.ndarray  # () above 0 where the Hessian is one


class Passes:
    """Passes over the pieces of a dataset.

    Args:
        model: the model.
        place: the free coordinates.
        pieces: functions that fetch the pieces.
        pool: the threads that do so and sum them.
        native: try native loops. All pieces are summed by one program, those of a sample included.
    """

    def __init__(
        self, model: "Model", place: Any, pieces: Sequence[Fetch], pool: ThreadPoolExecutor, *, native: bool
    ) -> None:
        self.pieces = pieces
        self.total_weight = 0.0
        self._place = place
        self._pool = pool
        compiled = native_program if native else program
        self._derivatives = compiled(model, _part_derivatives, native=native)
        self._values = compiled(model, _part_values, native=native)

    def derivatives(self, point: Array, *, curved: bool = True) -> Sums:
        """Return the sums at a point, over all rows; not `curved`, the Hessian is left out if that saves time."""
        return Sums(*self._summed(partial(self._derivatives, np.bool_(curved)), point))

    def losses(self, points: Array) -> Array:
        """Return the loss at several points (m, k), times the total weight, (m,)."""
        return jnp.asarray(self._summed(self._values, points)[0])

    def _summed(self, function: Callable[..., Any], at: Array) -> Any:
        def one(fetch: Fetch) -> Any:
            with jax.enable_x64(True):  # threads do not inherit it
                data, weights, part, valid, weight = fetch()
                return *jax.device_get(function(self._place, at, data, weights, part, valid)), weight

        # In extended precision where the machine has it, so that the number of pieces does not matter.
        total: Any = None
        for part in map(one, self.pieces) if len(self.pieces) == 1 else self._pool.map(one, self.pieces):
            wide = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.longdouble), part)
            total = wide if total is None else jax.tree_util.tree_map(np.add, total, wide)
        *sums, weight = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.float64), total)
        self.total_weight = float(weight)
        return sums


def _part_derivatives(
    model: "Model", curved: Array, place: Any, theta: Array, *piece: Any, native: bool
) -> tuple[Array, ...]:
    return _natively_if(partial(part_derivatives, model, place, theta, *piece, curved=curved), native)


def _part_values(model: "Model", place: Any, thetas: Array, *piece: Any, native: bool) -> tuple[Array]:
    return (_natively_if(partial(part_values, model, place, thetas, *piece), native),)


def _natively_if(sums: Callable[..., T], native: bool) -> T:
    """Sum by native loops over the rows, on a CPU and where the log density can be part of one, or as usual."""
    try:
        return sums(call=only_in_one_kernel if native else None)
    except NotOneKernelError:
        return sums()
