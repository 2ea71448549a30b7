"""Rows that a ready-made model cannot have produced: minus infinity, and no pull on the parameters."""

import jax
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import models
from mle_jax.models.binomial_linear import LINKS

ROWS = [(2.0, 9.5), (9.5, 9.5), (0.0, 9.5), (-1.0, -1.0), (0.0, -1.0), (1.5, 3.0), (4.0, 3.0)]
"""y and trials."""


@jax.enable_x64(True)
@pytest.mark.parametrize("link", LINKS)
def test_trials_that_are_no_count_are_impossible(link):
    y, trials = map(np.array, zip(*ROWS, strict=True))
    data = {"x": np.ones((len(ROWS), 1)), "y": y, "trials": trials}
    for level in (-0.4, 0.0) if link == "log" else (-0.4,):  # at 0 all trials succeed
        params = {"w": np.array([level])}
        model = models.binomial_regression(link)
        assert np.all(model.contributions(params, data) == -np.inf)
        assert np.all(model.scores(params, data)["w"] == 0)


def test_a_fit_names_the_row_whose_trials_are_no_count():
    data = {"x": np.ones((3, 1)), "y": [1, 2, 3], "trials": [4.0, 9.5, 6.0]}
    with pytest.warns(mle.ConvergenceWarning, match=r"non_finite\. .* The contribution is -inf in row 1 \(counted"):
        mle.fit(models.binomial_regression(), data)
