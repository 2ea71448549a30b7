"""The response of a model: which leaf `simulate` draws, of what kind, with which values; and its density in a row."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mle_jax._text import listing
from mle_jax._trees import named_leaves
from mle_jax.inference.charts import Ready
from mle_jax.likelihood.programs import program
from mle_jax.likelihood.rows import RowLayout, row_layout
from mle_jax.likelihood.simulating import simulated, simulated_rows

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

MOST_ROWS = 8
"""Rows whose densities are looked at."""
PILOT, TEST = 1000, 4000
"""Draws per row: to see where they fall, and to compare their frequencies with the density."""
ATOM, MOST_ATOMS = 5, 8
"""A value that comes up so often among the pilot draws of a continuous response has a probability of its own."""
POINTS = 256
"""Intervals per call of the compiled density."""

Vector = NDArray[np.float64]


class Response(NamedTuple):
    """What is simulated in a few rows."""

    leaf: str
    discrete: bool
    rows: NDArray[np.int64]
    """(R,), the rows looked at."""
    pilot: Vector
    """(R, `PILOT`)."""
    draws: Vector
    """(R, `TEST`), others."""
    layout: RowLayout
    """The dataset of these rows alone."""


def simulated_leaves(model: "Model", made: Ready, seed: int) -> tuple[str, ...]:
    """Return the names of the leaves that differ between simulated datasets."""

    def drawn(number: int) -> Any:
        key = jax.random.fold_in(jax.random.key(seed), number)
        return named_leaves(program(model, _dataset)(made.params, made.data, key))

    first = drawn(0)
    changed = np.zeros(len(first.names), bool)
    for number in range(1, 9):
        pairs = zip(first.leaves, drawn(number).leaves, strict=True)
        changed |= [not np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) for a, b in pairs]
    return tuple(name for name, moves in zip(first.names, changed, strict=True) if moves)


def draw_response(model: "Model", made: Ready, leaf: str, *, kind: str | None, seed: int) -> Response:
    """Draw a leaf many times in a few rows, evenly spaced."""
    layout = row_layout(made.data, tuple(model.constants))
    rows = np.unique(np.linspace(0, layout.size - 1, min(MOST_ROWS, layout.size)).round().astype(np.int64))
    few = layout.with_rows([np.asarray(array)[rows] for array in layout.rows])
    key = jax.random.fold_in(jax.random.key(seed), 10**6)
    values = np.asarray(program(model, _draws, leaf=leaf)(made.params, few, key, np.arange(PILOT + TEST))).T
    discrete = kind == "discrete" if kind else not np.issubdtype(values.dtype, np.floating) or _whole(values)
    numbers = values.astype(np.float64)
    alone = row_layout(few, tuple(model.constants))
    return Response(leaf, discrete, rows, numbers[:, :PILOT], numbers[:, PILOT:], alone)


def _whole(values: Vector) -> bool:
    return bool(np.all(values == np.round(values)))


def shape_problem(model: "Model", made: Ready, leaves: tuple[str, ...], response: str | None) -> str | None:
    """Return why the density cannot be added up over the response, None where it can.

    Raises:
        ValueError: `response` names no leaf that is simulated.
    """
    if model.is_joint:
        return "a joint likelihood is no product of densities of rows"
    if response is not None and response not in leaves:
        raise ValueError(
            f"response is {response!r}, but simulate of {model.label} changes {listing(leaves) or 'nothing'}; name one "
            "of these"
        )
    if len(leaves) != 1:
        drawn = listing(leaves) if leaves else "nothing"
        return f"simulate draws {drawn}, and a density is added up over one leaf only"
    named = named_leaves(made.data)
    shape = np.shape(named.leaves[named.names.index(leaves[0])])
    return None if len(shape) == 1 else f"{leaves[0]!r} has shape {shape}, and a density is added up over numbers only"


def atoms_of(response: Response) -> list[Vector]:
    """Return for each row the values that a continuous response takes with a probability above 0."""
    found = []
    for draws in response.pilot:
        values, counts = np.unique(draws, return_counts=True)
        often = np.argsort(-counts)[:MOST_ATOMS]
        found.append(np.sort(values[often][counts[often] >= ATOM]))
    return found


def log_densities(model: "Model", params: Any, response: Response, rows: Any, values: Vector) -> Vector:
    """Return the log density (m, q) with the response of rows (m,) replaced by values (m, q), in blocks of one size."""
    evaluate = program(model, _log_densities, leaf=response.leaf, discrete=response.discrete)
    data, found = response.layout.with_rows(response.layout.rows), np.empty(values.shape)
    for begin in range(0, len(rows), POINTS):
        block = slice(begin, begin + POINTS)
        used = len(rows[block])
        places = np.concatenate([rows[block], np.zeros(POINTS - used, np.int64)])
        padded = np.concatenate([values[block], np.broadcast_to(values[:1], (POINTS - used, values.shape[1]))])
        found[block] = np.asarray(evaluate(params, data, places, padded))[:used]
    return found


def _dataset(model: "Model", params: Any, data: Any, key: Array) -> Any:
    return simulated(model, params, data, key)


def _draws(model: "Model", params: Any, data: Any, key: Array, numbers: Array, *, leaf: str) -> Array:
    """Return a leaf of many datasets, (draws, R)."""
    layout = row_layout(data, tuple(model.constants))

    def single(number: Array) -> Array:
        base = jax.random.fold_in(key, number)
        keys = jax.vmap(lambda row: jax.random.fold_in(base, row))(jnp.arange(layout.size))
        named = named_leaves(simulated_rows(model, params, layout, keys))
        return jnp.asarray(named.leaves[named.names.index(leaf)])

    return jax.lax.map(single, numbers, batch_size=PILOT)


def _log_densities(
    model: "Model", params: Any, data: Any, rows: Array, values: Array, *, leaf: str, discrete: bool
) -> Array:
    layout = row_layout(data, tuple(model.constants))

    def single(row: Array, value: Array) -> Array:
        named = named_leaves(layout.with_rows([jnp.asarray(array)[row] for array in layout.rows]))
        kind = jnp.result_type(named.leaves[named.names.index(leaf)])
        # A response given in whole numbers may be continuous all the same: then the values are fractions.
        replaced = value.astype(kind) if discrete else value
        pairs = zip(named.names, named.leaves, strict=True)
        return model.log_density(params, named.rebuild([replaced if name == leaf else array for name, array in pairs]))

    return jax.vmap(jax.vmap(single, in_axes=(None, 0)))(rows, values)
