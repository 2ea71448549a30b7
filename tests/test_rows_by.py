"""`rows_by`: lines of a long table become rows with a mask, and a model of these rows is the model of the lines."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mle_jax as mle

RNG = np.random.default_rng(4)
PERSON = np.repeat([30, 10, 20, 40], [1, 4, 2, 3])[RNG.permutation(10)]
VISITS = pd.DataFrame({"person": PERSON, "y": RNG.normal(size=10), "a": RNG.normal(size=10), "b": np.arange(10)})


def test_lines_are_rows_with_a_mask():
    data = mle.rows_by(VISITS, "person", columns={"y": "y", "x": ["a", "b"]})
    assert {name: leaf.shape for name, leaf in data.items()} == {"y": (4, 4), "x": (4, 4, 2), "mask": (4, 4)}
    for row, (_, lines) in enumerate(VISITS.groupby("person")):  # pandas sorts by key and keeps the order of lines
        mask = data["mask"][row]
        assert mask.tolist() == [True] * len(lines) + [False] * (4 - len(lines))
        np.testing.assert_array_equal(data["y"][row][mask], lines["y"])
        np.testing.assert_array_equal(data["x"][row][mask], lines[["a", "b"]])
        np.testing.assert_array_equal(data["y"][row][~mask], lines["y"].iloc[-1])


def test_every_kind_of_table_gives_the_same_rows():
    expected = mle.rows_by(VISITS, "person")
    assert expected["b"].dtype == np.int64
    for table in (pl.from_pandas(VISITS), pa.Table.from_pandas(VISITS, preserve_index=False)):
        again = mle.rows_by(table, ["person"])
        assert list(again) == ["y", "a", "b", "mask"]
        assert all(np.array_equal(again[name], expected[name]) for name in expected)


def test_scores_of_rows_are_summed_over_their_lines():
    """The sandwich of persons as rows is the clustered one of lines: two ways to the same sum of squares."""
    by_line = mle.models.gaussian_mean(variance=1.0)

    def log_density(params, row):
        return jnp.sum(jnp.where(row["mask"], -0.5 * jnp.square(row["y"] - params["mu"]), 0.0))

    by_person = mle.Model(log_density, {"mu": mle.Real()})
    fit = mle.fit(by_person, mle.rows_by(VISITS, "person", columns={"y": "y"}))
    lines = mle.fit(by_line, {"y": VISITS["y"]}, clusters=VISITS["person"])
    np.testing.assert_allclose(fit.params["mu"], VISITS["y"].mean(), rtol=1e-12)
    np.testing.assert_allclose(fit.covariance("sandwich"), lines.covariance("clustered"), rtol=1e-10)
    assert fit.n_observations == 4


@pytest.mark.parametrize(
    ("table", "by", "message"),
    [
        (VISITS.rename(columns={"y": "mask"}), "person", "a leaf is called 'mask'"),
        (VISITS, "persn", "by names 'persn', but the table has no such column; did you mean 'person'"),
        (VISITS[:0], "person", "the table has 0 rows"),
        (
            VISITS.assign(person=np.nan),
            "person",
            "column 'person', which tells the groups apart, is missing in 10 of 10",
        ),
    ],
)
def test_bad_tables(table, by, message):
    with pytest.raises(ValueError, match=message):
        mle.rows_by(table, by)
