"""Log-likelihoods that grow without bound, as those do whose log density has a flipped sign or lacks a term."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import gammaln
from jax.scipy.stats import norm

import mle_jax as mle
from mle_jax.fitting.unbounded import DISTANCES, sustained_from

RNG = np.random.default_rng(0)
X = RNG.standard_normal((200, 2)) + 0.3
Y = X @ [1.0, 2.0] + RNG.standard_normal(200)
DATA = {"x": X, "y": Y, "count": RNG.poisson(2.0, 200).astype(float), "one": (Y > 0).astype(float)}


def gaussian(params, row):
    return norm.logpdf(row["y"], row["x"] @ params["w"], params["s"])


def known_scale(params, row):
    return norm.logpdf(row["y"], row["x"] @ params["w"], 1.0)


def poisson(params, row):
    eta = row["x"] @ params["w"]
    return row["count"] * eta - jnp.exp(eta) - gammaln(row["count"] + 1.0)


def logistic(params, row):
    eta = row["x"] @ params["w"]
    return row["one"] * eta - jnp.logaddexp(0.0, eta)


def linear(params, row):
    return row["x"] @ params["w"]


def wrong_sign_of_a_logarithm(params, row):
    return -0.5 * ((row["y"] - row["x"] @ params["w"]) / params["s"]) ** 2 + jnp.log(params["s"])


def negative(density):
    return lambda params, row: -density(params, row)


def fitted(density, *, scale=False, **options):
    model = mle.Model(density, {"w": mle.Real(2)} | ({"s": mle.Positive()} if scale else {}))
    with pytest.warns(mle.ConvergenceWarning) as warned:
        fit = mle.fit(model, DATA, **options)
    assert all(one.category is mle.ConvergenceWarning for one in warned)  # nothing of NumPy's
    return fit


@pytest.mark.parametrize("density", [known_scale, poisson])
def test_a_flipped_sign_is_asked_about(density):
    fit = fitted(negative(density))
    assert fit.status == mle.Status.rising
    assert "without bound" in fit.message and "is its sign right?" in fit.message
    assert not fit.reliable["w"].any()


@pytest.mark.parametrize(
    ("density", "scale"), [(negative(logistic), False), (linear, False), (wrong_sign_of_a_logarithm, True)]
)
def test_growth_without_bound_is_named(density, scale):
    fit = fitted(density, scale=scale)
    assert fit.status == mle.Status.rising
    assert "It grows without bound along" in fit.message
    along = fit.message.split("along ")[1]
    assert along.startswith("+s.") if scale else "w[" in along


def test_a_flipped_sign_with_a_scale_is_not_called_a_perfect_fit():
    """Both ends of the scale are without bound: -log p = r^2/(2 s^2) + log s."""
    fit = fitted(negative(gaussian), scale=True)
    assert fit.status in (mle.Status.rising, mle.Status.non_finite)


def test_a_joint_log_likelihood():
    model = mle.Model.joint(lambda p, data: 0.5 * jnp.sum((data["y"] - data["x"] @ p["w"]) ** 2), {"w": mle.Real(2)})
    with pytest.warns(mle.ConvergenceWarning, match="is its sign right"):
        assert mle.fit(model, DATA).status == mle.Status.rising


def test_lanes_of_a_batch_say_the_same():
    data = {name: np.stack([leaf, leaf[::-1]]) for name, leaf in DATA.items()}
    with pytest.warns(mle.ConvergenceWarning):
        fits = mle.fit_batch(mle.Model(negative(known_scale), {"w": mle.Real(2)}), data)
    assert list(fits.status) == [mle.Status.rising] * 2
    assert "without bound" in fits[1].message


def test_a_search_that_was_cut_short_is_not_taken_for_one():
    fit = fitted(poisson, max_steps=1)
    assert fit.status == mle.Status.max_steps
    far = mle.Model(known_scale, {"w": mle.Real(2)})
    with pytest.warns(mle.ConvergenceWarning):
        fit = mle.fit(far, DATA | {"y": 1e30 * Y}, max_steps=3)
    assert fit.status != mle.Status.rising


@pytest.mark.parametrize(
    "grows",
    [
        lambda t: 3.0 * t - 1e6,
        lambda t: 0.5 * (t - 1e9) ** 2,
        lambda t: np.log(t),
        lambda t: t**0.1,
        lambda t: -5.0 * t + np.where(t < 700, np.exp(np.minimum(t, 700.0)), np.inf),
    ],
)
def test_growth_at_all_distances_is_without_bound(grows):
    assert sustained_from(grows(DISTANCES)) is not None


@pytest.mark.parametrize(
    "bounded",
    [
        lambda t: -1.0 / t,
        lambda t: -(t**-0.5),
        lambda t: -np.exp(-np.minimum(t, 700.0)),
        lambda t: -np.abs(t - 1e100),
        lambda t: 1e20 * np.minimum(t, 1e60),
        lambda t: np.where(t < 1e50, t, np.nan),
        lambda t: np.where(t < 1e50, t, -np.inf),
        lambda t: np.full_like(t, 2.0),
        lambda t: np.full_like(t, np.inf),
        lambda t: 1e8 + np.sin(t),
    ],
)
def test_a_limit_or_a_maximum_far_away_is_none(bounded):
    assert sustained_from(bounded(DISTANCES)) is None
