"""Tables of ragged groups for the tests of `fit_groups`, and what their fits are in closed form."""

import numpy as np
import pandas as pd

import mle_jax as mle

MODEL = mle.models.gaussian()
SIZES = np.array([1] * 3 + [2] * 3 + [7] * 20 + [8] * 14 + [30] * 12 + [25] * 8)
MEMORY = 7680
"""60 rows of a chunk where a row has two columns of 8 bytes: the same shapes for a table and for files."""


def ragged(seed: int = 5) -> pd.DataFrame:
    """Return 60 groups of 1 to 30 rows, scattered over the table, their keys not in the order of their sizes."""
    rng = np.random.default_rng(seed)
    keys = rng.permutation(len(SIZES)) * 3
    person = np.repeat(keys, SIZES)
    rng.shuffle(person)
    return pd.DataFrame({"person": person, "y": rng.normal(person % 11, 1 + person % 4)})


def closed_form(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean and variance of every group by pandas: its maximum for the normal distribution."""
    groups = table.groupby("person")["y"]
    return pd.DataFrame({"mu": groups.mean(), "variance": groups.var(ddof=0), "n": groups.size()})


def assert_closed_form(frame: pd.DataFrame, table: pd.DataFrame) -> None:
    """Hold the frame of a batch against the closed form, and the groups that are too small against their status."""
    truth = closed_form(table)
    assert frame["person"].tolist() == truth.index.tolist()
    many = (truth["n"] > 1).to_numpy()
    assert (frame["status"] == np.where(many, "converged", "scale_collapsed")).all()
    good, truth = frame[many], truth[many]
    np.testing.assert_allclose(good["mu"], truth["mu"], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(good["variance"], truth["variance"], rtol=1e-10)
    # The information of a normal sample is diag(n / v, n / (2 v^2)).
    np.testing.assert_allclose(good["se[mu]"], np.sqrt(truth["variance"] / truth["n"]), rtol=1e-9)
    np.testing.assert_allclose(good["se[variance]"], truth["variance"] * np.sqrt(2 / truth["n"]), rtol=1e-9)
    assert frame[~many][["se[mu]", "se[variance]"]].isna().all(axis=None)
