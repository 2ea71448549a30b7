"""Searches whose declared start is orders of magnitude away from the data: they begin again at a better scale."""

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax.fitting import elsewhere

UNIT = 1e10


def secant(params: Any, row: Any) -> Any:
    """Hyperbolic secant noise: tails as straight as those of Laplace's distribution, so that from afar all is flat."""
    z = jnp.abs(0.5 * jnp.pi * (row["y"] - row["x"] @ params["w"]) / params["scale"])
    return -jnp.log(params["scale"]) - z - jnp.log1p(jnp.exp(-2 * z))


MODEL = mle.Model(secant, {"w": mle.Real(columns="x"), "scale": mle.Positive()}, name="secant")


def data_in_units(lanes: int) -> dict[str, np.ndarray]:
    """Return data around 1 in the units of ordinary life."""
    rng = np.random.default_rng(21)
    x = rng.standard_normal((lanes, 20, 3))
    x[..., 0] = 1.0
    return {"x": x, "y": x @ [1.0, -0.5, 0.3] + np.log(np.tan(0.5 * np.pi * rng.uniform(size=(lanes, 20))))}


def test_a_scale_in_millions_is_found_from_a_declared_start_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimates of data in other units are those in the first units, by the change of units."""
    one = {name: leaf[3] for name, leaf in data_in_units(6).items()}
    usual, far = mle.fit(MODEL, one), {**one, "y": UNIT * one["y"]}
    assert usual.converged
    fit = mle.fit(MODEL, far, max_steps=200)
    assert fit.converged
    # Both to a decrement of 1e-6 standard errors at most.
    apart = np.abs(fit.params["w"] / UNIT - usual.params["w"]) / usual.standard_errors()["w"]
    assert apart.max() < 1e-5
    np.testing.assert_allclose(fit.params["scale"] / UNIT, usual.params["scale"], rtol=1e-5)
    np.testing.assert_allclose(fit.log_likelihood, usual.log_likelihood - 20 * np.log(UNIT), rtol=1e-12)

    monkeypatch.setattr(elsewhere, "MANY_STEPS", 1000)
    with pytest.warns(mle.ConvergenceWarning, match="max_steps"):
        assert mle.fit(MODEL, far, max_steps=200).status is mle.Status.max_steps


def test_a_start_that_somebody_gave_and_few_steps_that_somebody_allowed_are_kept_to() -> None:
    """There the status says what became of it."""
    one = {name: leaf[3] for name, leaf in data_in_units(6).items()}
    far = {**one, "y": UNIT * one["y"]}
    for options in ({"start": {"w": np.zeros(3), "scale": 1.0}, "max_steps": 150}, {"max_steps": 20}):
        with pytest.warns(mle.ConvergenceWarning, match="max_steps"):
            assert mle.fit(MODEL, far, **options).status is mle.Status.max_steps


def test_lanes_of_a_batch_begin_again_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of ordinary size stay as they were; the others are what they are in ordinary units."""
    data = data_in_units(24)
    units = np.where(np.arange(24) % 3 != 2, UNIT, 1.0)
    far = {**data, "y": units[:, None] * data["y"]}
    usual, fits = mle.fit_batch(MODEL, data), mle.fit_batch(MODEL, far)
    assert usual.converged.all()
    assert fits.converged.all()
    assert fits.steps.max() > 200  # some did begin again
    errors = usual.standard_errors()["w"]
    assert (np.abs(fits.params["w"] / units[:, None] - usual.params["w"]) / errors).max() < 1e-5
    np.testing.assert_allclose(fits.params["scale"] / units, usual.params["scale"], rtol=1e-5)
    np.testing.assert_array_equal(fits.steps[units == 1.0], usual.steps[units == 1.0])
    monkeypatch.setattr(elsewhere, "MANY_STEPS", 1000)
    with pytest.warns(mle.ConvergenceWarning, match="not certified"):
        assert not mle.fit_batch(MODEL, far).converged.all()


def test_lanes_begin_again_whatever_the_optimizer() -> None:
    """As a single fit does."""
    data = data_in_units(2)
    far = {**data, "y": 1e4 * data["y"]}
    options: Any = {"optimizer": mle.optimizers.GradientDescent(1e-3), "max_steps": 150}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        fits = mle.fit_batch(MODEL, far, **options)
        alone = [mle.fit(MODEL, {name: leaf[i] for name, leaf in far.items()}, **options) for i in range(2)]
    assert fits.steps.min() > 150
    np.testing.assert_allclose(fits.log_likelihood, [fit.log_likelihood for fit in alone], rtol=1e-6)
