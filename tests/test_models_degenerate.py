"""Where there is no maximum, or not one: the ready-made models say so; and names, batches, fixed entries."""

import warnings

import jax
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import Status, models

pytestmark = pytest.mark.slow  # a fit for every model: a minute

RNG = np.random.default_rng(3)
N = 60
X = np.column_stack([np.ones(N), RNG.normal(size=N)])
GEYSER_LIKE = np.concatenate([RNG.normal(54.0, 5.0, 90), RNG.normal(80.0, 7.0, 210)]).round()


def status_of(model, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        return mle.fit(model, data, **options).status


@pytest.mark.parametrize("name", ["weibull_aft", "lognormal_aft", "loglogistic_aft", "censored_gaussian_regression"])
def test_a_perfect_fit_is_a_collapsed_scale(name):
    line = X @ [0.3, 0.5]
    y = line if name == "censored_gaussian_regression" else np.exp(line)
    assert status_of(getattr(models, name)(), {"x": X, "y": y}) == Status.scale_collapsed


@pytest.mark.parametrize("name", ["weibull_aft", "exponential_aft", "censored_gaussian_regression"])
def test_without_any_event_there_is_no_maximum(name):
    data = {"x": X, "y": np.exp(RNG.normal(size=N)), "status": np.zeros(N, int)}
    assert status_of(getattr(models, name)(), data) in (Status.rising, Status.not_identified)


@pytest.mark.parametrize("name", ["ordered_logit", "ordered_probit", "multinomial_logit"])
def test_separated_categories_are_rising(name):
    x = np.linspace(-3.0, 3.0, N)[:, None]
    y = np.digitize(x[:, 0], [-1.0, 1.0])
    x = np.column_stack([np.ones(N), x]) if name == "multinomial_logit" else x
    assert status_of(getattr(models, name)(3), {"x": x, "y": y}) == Status.rising


def test_a_category_that_does_not_occur_is_rising():
    assert status_of(models.ordered_logit(4), {"x": X[:, 1:], "y": np.arange(N) % 3}) == Status.rising


def test_all_zeros_have_no_tobit_maximum():
    assert status_of(models.tobit_regression(), {"x": X, "y": np.zeros(N)}) in (Status.rising, Status.not_identified)


def test_a_mixture_stays_away_from_its_singularities():
    model, y = models.gaussian_mixture(), GEYSER_LIKE
    inside = mle.fit(model, {"y": y})
    assert inside.converged
    assert inside.params["mean"][0] < inside.params["mean"][1]
    assert np.all(inside.params["sd"] > 3.0)
    singular = {"share": [0.05, 0.95], "mean": [y[0], 72.3], "sd": [0.05, 13.9]}
    assert not status_of(model, {"y": y}, start=singular).certified
    assert not status_of(model, {"y": np.full(N, 3.0)}).certified


def test_multinomial_coefficients_have_the_names_of_category_and_column():
    y = np.arange(N) % 3
    table = {"choice": y, "one": np.ones(N), "income": X[:, 1]}
    pandas = pytest.importorskip("pandas")
    fit = mle.fit(
        models.multinomial_logit(3),
        pandas.DataFrame(table),
        columns={"y": "choice", "x": ["one", "income"]},
        fixed={"w.2[income]": 0.0},
    )
    assert fit.names == ("w.1[one]", "w.1[income]", "w.2[one]", "w.2[income]")
    assert fit.converged
    assert float(fit.params["w"]["2"][1]) == 0.0


def test_quantiles_with_fixed_entries_and_offset_are_exact():
    y = X @ [1.0, 2.0] + RNG.standard_t(3, size=N)
    model = models.quantile_regression(0.3)
    held = mle.fit(model, {"x": X, "y": y}, fixed={"w[1]": 2.0})
    shifted = mle.fit(model, {"x": X[:, :1], "y": y, "offset": 2.0 * X[:, 1]})
    assert held.converged and shifted.converged
    # With a constant alone the quantile is an order statistic: 0.3 N = 18 rows lie at or below it.
    sorted_rest = np.sort(y - 2.0 * X[:, 1])
    assert sorted_rest[17] - 1e-9 <= float(held.params["w"][0]) <= sorted_rest[18] + 1e-9
    assert float(shifted.log_likelihood) == pytest.approx(float(held.log_likelihood), rel=1e-12)


def test_peaks_are_found_in_a_batch_of_images():
    """Images of 7 x 7 pixels, every one fitted from its own moments."""
    model, images = models.gaussian_peak(), 200
    v, u = (axis.ravel().astype(float) for axis in np.mgrid[:7, :7])
    rng = np.random.default_rng(8)
    truth = {
        "height": rng.uniform(20, 200, images),
        "u0": rng.uniform(2, 4, images),
        "v0": rng.uniform(2, 4, images),
        "width": rng.uniform(0.8, 1.5, images),
        "background": rng.uniform(1, 10, images),
    }
    means = np.stack([model.predict({k: t[i] for k, t in truth.items()}, {"u": u, "v": v}) for i in range(images)])
    fits = mle.fit_batch(model, {"y": rng.poisson(means), "u": u, "v": v}, shared=("u", "v"))
    assert np.mean(fits.converged) >= 0.99
    with jax.enable_x64(True):
        information = [
            np.asarray(model.expected_information({k: t[i] for k, t in truth.items()}, {"y": u, "u": u, "v": v}))
            for i in range(images)
        ]
    errors = np.sqrt(np.stack([np.diagonal(np.linalg.inv(block)) for block in information]))
    apart = np.stack([np.asarray(fits.params[k]) - truth[k] for k in truth], axis=1) / errors
    good = np.asarray(fits.converged)
    # Mean squares of 200 standardized errors: 1 within 5 sqrt(2/200) = 0.5, and as much for curvature beyond errors.
    assert np.all(np.mean(apart[good] ** 2, axis=0) < 2.0)


@pytest.mark.parametrize(
    ("model", "bad"), [(mle.models.poisson_regression(), -1.0), (mle.models.gamma_regression(), 0.0)]
)
def test_a_response_outside_the_support_is_named_though_it_spoils_the_start(model, bad):
    y = np.array([1.0, 2.0, 4.0, bad, 3.0, 1.0])
    with pytest.warns(UserWarning, match=r"is -inf in row 3 \(counted from 0\)\. .*outside its support"):
        fit = mle.fit(model, {"x": np.ones((6, 1)), "y": y})
    assert fit.status.name == "non_finite"
    assert not np.isnan(fit.log_likelihood)
