"""Many datasets as rows of numbers, and how many of them are worked on together."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax.data.lane_arrays import Beside, Padded
from mle_jax.fitting.batch_engine import decided_on_native_loops
from mle_jax.fitting.lanes import FlatLanes
from mle_jax.fitting.streams import LEAST_PIECE, Batch, Streams
from mle_jax.likelihood.layout import model_space
from mle_jax.parameters import coordinates

RNG = np.random.default_rng(21)


@pytest.mark.parametrize("columns", [0, 3])
def test_some_rows_of_some_lanes_are_those_of_the_whole(columns: int) -> None:
    """Lane after lane, or column after column."""
    x, y = RNG.standard_normal((6, 10, 3)), RNG.standard_normal((6, 10))
    numbers = np.moveaxis(x, -1, 0).ravel() if columns else x.ravel()
    shapes = (10, 3), (10,)
    lanes = FlatLanes({"x": numbers, "y": y.ravel()}, (True, True), (0, 0), shapes, (columns, 0), 6)
    found = lanes.rows(2, 3, 4, 5)
    np.testing.assert_array_equal(found["x"], np.float32(x[2:5, 4:9]))
    np.testing.assert_array_equal(found["y"], np.float32(y[2:5, 4:9]))


def sizes_of_pieces(sizes: np.ndarray, height: int, *, flat: bool, memory: int | None = None) -> list[int]:
    """Return how many lanes of groups the pieces have, and check that together they are all."""
    starts = np.cumsum(sizes) - sizes
    columns = tuple(RNG.standard_normal((3, sizes.sum())))
    filled: dict[str, Any] = {"order": np.arange(sizes.sum()), "starts": starts, "sizes": sizes, "height": height}
    data = {"x": Padded(Beside(columns[:2]), **filled), "y": Padded(columns[2], **filled)}
    batch = Batch(data, (True, True), Padded(None, **filled), ({}, {}), len(sizes))
    model = mle.Model(lambda params, row: -((row["y"] - row["x"] @ params["w"]) ** 2), {"w": mle.Real(columns="x")})
    one = {"x": np.zeros((4, 2)), "y": np.zeros(4)}
    streams = Streams(model, coordinates(model_space(model, one), None), batch, memory=memory)
    pieces: list[int] = []

    def look(piece: Batch, lanes: np.ndarray) -> np.ndarray:
        pieces.append(piece.size)
        return lanes

    found = streams.run(look, np.arange(len(sizes)), name="look", flat=flat)
    np.testing.assert_array_equal(np.sort(np.concatenate([lanes for lanes, _ in found])), np.arange(len(sizes)))
    streams.close()
    return pieces


def test_pieces_of_groups_are_sized_by_the_rows_there_are() -> None:
    """Not by what they are filled up to, where that is not laid out; but the largest group may come many times."""
    few, many = np.full(4096, 10), np.full(4096, 4000)
    assert max(sizes_of_pieces(few, 5000, flat=True)) >= 4 * max(sizes_of_pieces(few, 5000, flat=False))
    one = np.full(4096, 10)
    one[0] = 5000
    assert max(sizes_of_pieces(one, 5000, flat=True)) <= 4 * max(sizes_of_pieces(many[:512], 5000, flat=True))
    budget = 2**24
    pieces = sizes_of_pieces(few, 5000, flat=True, memory=budget)
    assert (
        max(pieces) * 10 * 4 * 8 <= budget and max(sizes_of_pieces(few, 5000, flat=False, memory=budget)) <= LEAST_PIECE
    )


def test_a_baseline_that_is_filled_in_counts() -> None:
    """The last of four groups has the effect 1, which no parameter is; a predictor is more than its slopes then."""

    def log_density(params: Any, row: Any) -> Any:
        eta = params["w"].at[row["g"]].get(mode="fill", fill_value=1.0) + params["b"] * row["x"]
        return row["y"] * eta - jnp.exp(eta)

    model = mle.Model(log_density, {"w": mle.Real(shape=3), "b": mle.Real()})
    data = {
        "g": np.tile(np.arange(27) % 4, (40, 1)),
        "x": RNG.standard_normal((40, 27)),
        "y": RNG.poisson(2.0, (40, 27)),
    }
    with decided_on_native_loops(True):
        fits = mle.fit_batch(model, data)
    assert np.all(fits.converged)
    for lane in (0, 39):
        one = mle.fit(model, {name: leaf[lane] for name, leaf in data.items()})
        np.testing.assert_allclose(fits.log_likelihood[lane], one.log_likelihood, rtol=1e-12)
        np.testing.assert_allclose(fits.params["b"][lane], one.params["b"], rtol=0, atol=1e-9)
