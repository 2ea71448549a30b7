"""Maxima in the interior of a closed domain, less than a standard error from its end."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from scipy import stats

import mle_jax as mle

N = 50
Z = stats.zscore(np.random.default_rng(1).normal(size=N))


def more_variance(params, row):
    return norm.logpdf(row["y"], params["mu"], jnp.sqrt(1.0 + params["extra"]))


MODEL = mle.Model(more_variance, {"mu": mle.Real(), "extra": mle.Positive(closed=True)})


@pytest.mark.parametrize("extra", [0.05, 0.028, 1e-3, 1e-4])
def test_a_variance_that_is_hardly_there_is_found(extra):
    fit = mle.fit(MODEL, {"y": Z * np.sqrt(1 + extra)})
    assert fit.converged and fit.reliable["extra"]
    # In closed form: the mean square less 1, and the variance of a variance, 2 v^2/n.
    np.testing.assert_allclose(fit.params["extra"], extra, rtol=0, atol=1e-9)
    np.testing.assert_allclose(fit.standard_errors()["extra"], (1 + extra) * np.sqrt(2 / N), rtol=1e-6)
    np.testing.assert_allclose(fit.standard_errors()["mu"], np.sqrt((1 + extra) / N), rtol=1e-6)


def test_lanes_say_the_same_as_single_fits():
    y = Z * np.sqrt(1 + np.array([0.5, 0.01, -0.01]))[:, None]
    with pytest.warns(mle.ConvergenceWarning):
        fits = mle.fit_batch(MODEL, {"y": y})
    assert [mle.Status(code).name for code in fits.status] == ["converged", "converged", "at_boundary"]


def test_tied_entries_are_near_it_together():
    def log_density(params, row):
        return norm.logpdf(row["y"], params["mu"], jnp.sqrt(1.0 + params["extra"][row["group"]]))

    model = mle.Model(log_density, {"mu": mle.Real(), "extra": mle.Positive(2, closed=True)})
    data = {"y": Z * np.sqrt(1.02), "group": np.arange(N) % 2}
    fit = mle.fit(model, data, constraints="extra[0] = extra[1]")
    assert fit.converged
    np.testing.assert_allclose(fit.params["extra"], [0.02, 0.02], atol=1e-9)


def test_both_ends_of_an_interval():
    """Of so few observations the standard error of a share is about as long as the way to the nearer end."""
    model = mle.Model(
        lambda p, row: jnp.where(row["y"] > 0, jnp.log(p["q"]), jnp.log1p(-p["q"])),
        {"q": mle.Interval(0.0, 1.0, closed=True)},
    )
    for y, q in (([1.0, 0.0], 0.5), ([1.0, 0.0, 0.0, 0.0, 0.0], 0.2), ([1.0] * 6 + [0.0], 6 / 7)):
        fit = mle.fit(model, {"y": np.array(y)})
        assert fit.converged
        np.testing.assert_allclose(fit.params["q"], q, atol=1e-9)


def test_another_parameter_that_rises_to_infinity_is_still_named():
    def log_density(params, row):
        eta = params["b"] * row["x"]
        return more_variance(params, row) + row["one"] * eta - jnp.logaddexp(0.0, eta)

    model = mle.Model(log_density, {"mu": mle.Real(), "extra": mle.Positive(closed=True), "b": mle.Real()})
    x = np.linspace(-1.0, 1.0, N)
    with pytest.warns(mle.ConvergenceWarning, match="rising"):
        fit = mle.fit(model, {"y": Z * np.sqrt(1.01), "x": x, "one": (x > 0).astype(float)})
    assert fit.status == mle.Status.rising


def test_an_open_end_is_no_value():
    model = mle.Model(more_variance, {"mu": mle.Real(), "extra": mle.Positive()})
    with pytest.warns(mle.ConvergenceWarning, match="closed=True"):
        assert mle.fit(model, {"y": Z * np.sqrt(1.01)}).status == mle.Status.rising
