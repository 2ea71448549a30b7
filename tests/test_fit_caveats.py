"""What is printed with estimates that are no maximum says so; what holds all the same keeps its meaning."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import Status, models

N = 30
X = np.column_stack([np.ones(N), np.linspace(-1.0, 1.0, N)])
NO_MAXIMUM = "are where the search ended, not a maximum."
NOT_CERTIFIED = "The estimates are where the search ended, not a certified maximum."


def fitted(model, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        return mle.fit(model, data, **options)


def printed(fit):
    """Return everything that shows the estimates, in one line each."""
    texts = (fit.summary(), str(fit), str(fit.tidy()), str(fit.confidence_intervals()), fit.tidy().to_markdown())
    return [" ".join(text.split()) for text in texts]


def test_counts_of_zero_have_no_maximum():
    fit = fitted(models.poisson_regression(), {"x": X[:, :1], "y": np.zeros(N)})
    assert fit.status is Status.rising
    assert all(f"The estimates {NO_MAXIMUM}" in text for text in printed(fit))


def test_what_holds_beside_a_direction_to_infinity_is_not_meant():
    group = np.arange(N) < 6
    y = np.where(group, 1.0, np.arange(N) % 2)
    x = np.column_stack([X, group])
    fit = fitted(models.logistic_regression(), {"x": x, "y": y})
    assert fit.status is Status.rising and fit.reliable["w"].tolist() == [True, True, False]
    assert all(f"Estimates without a standard error {NO_MAXIMUM}" in text for text in printed(fit))


def test_parameters_that_are_not_identified_are_one_choice_of_many():
    x = np.column_stack([X, 2 * X[:, 1]])
    fit = fitted(models.linear_gaussian(), {"x": x, "y": np.arange(N) % 3 + X[:, 1]})
    assert fit.status is Status.not_identified
    expected = "Estimates without a standard error are one choice of many that fit equally well."
    assert all(expected in text for text in printed(fit))


def test_a_search_that_was_stopped_is_not_certified():
    data = {"x": X, "y": np.arange(N) % 4}
    fit = fitted(models.poisson_regression(), data, max_steps=1)
    assert fit.status is Status.max_steps and all(NOT_CERTIFIED in text for text in printed(fit))
    given = mle.evaluate(models.poisson_regression(), data, {"w": np.zeros(2)})  # nobody searched
    assert given.status is Status.max_steps and not any("search ended" in text for text in printed(given))


def test_a_maximum_has_no_caveat():
    y = np.arange(N) % 4
    certified = fitted(models.poisson_regression(), {"x": X, "y": y})
    assert certified.status is Status.converged
    rounded = fitted(models.poisson_regression(), {"x": X, "y": y}, dtype="float32")
    assert rounded.status is Status.converged_to_rounding
    closed = mle.Model(
        lambda p, row: -0.5 * (row["y"] + p["m"]) ** 2 - 0.5 * jnp.log(2 * jnp.pi), {"m": mle.Positive(closed=True)}
    )
    at_end = fitted(closed, {"y": y + 1.0})  # the mean is -m: the best m is 0, the end of its domain
    assert at_end.status is Status.at_boundary
    for fit in (certified, rounded, at_end):
        assert not any("search ended" in text or "one choice" in text for text in printed(fit))


def test_a_batch_counts_what_is_not_certified():
    many = {"x": np.stack([X] * 3), "y": np.stack([np.arange(N) % 4, np.zeros(N), np.arange(N) % 3])}
    with pytest.warns(mle.ConvergenceWarning):
        fits = mle.fit_batch(models.poisson_regression(), many)
    note = "1 of 3 fits were not certified; failed() says which and why."
    assert note in str(fits.tidy()) and note in str(fits.confidence_intervals())
    assert "search ended" in fits[1].summary() and "search ended" not in fits[0].summary()
    assert "certified" not in str(
        mle.fit_batch(models.poisson_regression(), {n: v[::2] for n, v in many.items()}).tidy()
    )
