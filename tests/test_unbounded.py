"""Log-likelihoods that grow without bound, as those do whose log density has a flipped sign or lacks a term."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import gammaln
from jax.scipy.stats import norm, t

import mle_jax as mle
from mle_jax.fitting.unbounded import DISTANCES, sustained

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
    assert "The log-likelihood grows without bound along" in fit.message
    along = fit.message.split("along ")[1]
    assert along.startswith("+s:") if scale else "w[" in along


def test_a_flipped_sign_with_a_scale_is_not_called_a_perfect_fit():
    """Both ends of the scale are without bound: -log p = r^2/(2 s^2) + log s."""
    fit = fitted(negative(gaussian), scale=True)
    assert fit.status in (mle.Status.rising, mle.Status.non_finite)


POSITIVE = RNG.gamma(2.0, 3.0, 200)
SHARES = RNG.beta(2.0, 3.0, 200)


def gamma(p, row):
    return (p["a"] - 1) * jnp.log(row["y"]) - row["y"] / p["s"] - p["a"] * jnp.log(p["s"]) - gammaln(p["a"])


def beta(p, row):
    of_both = gammaln(p["a"] + p["b"]) - gammaln(p["a"]) - gammaln(p["b"])
    return (p["a"] - 1) * jnp.log(row["y"]) + (p["b"] - 1) * jnp.log1p(-row["y"]) + of_both


def student(p, row):
    return t.logpdf(row["y"], p["nu"], p["m"], p["s"])


def mixture(p, row):
    first = jnp.log(p["q"]) + norm.logpdf(row["y"], p["m1"], 1.0)
    return jnp.logaddexp(first, jnp.log1p(-p["q"]) + norm.logpdf(row["y"], p["m2"], 2.0))


def bernoulli(p, row):
    return row["y"] * jnp.log(p["q"]) + (1 - row["y"]) * jnp.log1p(-p["q"])


def one_of_many_runs_away(p, row):
    """All are pinned but one, whose contribution has no curvature: the information knows nothing of it."""
    others = jnp.sum(jnp.delete(p["w"], 57) ** 2)
    return row["u"] * p["w"][57] - others + norm.logpdf(row["y"], p["m"], 0.01)


REAL, POS = mle.Real, mle.Positive


@pytest.mark.parametrize(
    ("density", "parameters", "data", "said"),
    [
        (negative(gamma), {"a": POS(), "s": POS()}, {"y": POSITIVE}, "is the sign of the log density right?"),
        (negative(beta), {"a": POS(), "b": POS()}, {"y": SHARES}, "is the sign of the log density right?"),
        (negative(student), {"nu": POS(), "m": REAL(), "s": POS()}, {"y": Y}, "is the sign of the log density right?"),
        (
            negative(mixture),
            {"q": mle.Interval(0, 1), "m1": REAL(), "m2": REAL()},
            {"y": Y},
            "m2: there is no maximum. It even bends upward",
        ),
        (negative(bernoulli), {"q": mle.Interval(0, 1)}, {"y": DATA["one"]}, "q: there is no maximum. Is a sign wrong"),
        (
            lambda p, row: -row["y"] @ jnp.log(p["q"]),
            {"q": mle.Simplex(3)},
            {"y": np.eye(3)[RNG.integers(0, 3, 200)]},
            "there is no maximum. Is a sign wrong",
        ),
        # A straight line bends upward in the logarithm of the parameter.
        (lambda p, row: row["y"] * p["s"], {"s": POS()}, {"y": POSITIVE}, "along +s: there is no maximum. Is a sign"),
        (
            one_of_many_runs_away,
            {"m": REAL(), "w": REAL(60)},
            {"u": SHARES, "y": Y},
            "along +w[57]: there is no maximum",
        ),
        (
            lambda p, row: -0.5 * ((row["y"] - p["m"]) / p["s"]) ** 2,
            {"m": REAL(), "s": POS()},
            {"y": Y},
            "is a term missing from the log density?",
        ),
    ],
    ids=["gamma", "beta", "student", "mixture", "bernoulli", "multinomial", "linear", "many", "no logarithm"],
)
def test_what_is_likely_to_be_wrong_is_asked(density, parameters, data, said):
    with pytest.warns(mle.ConvergenceWarning) as warned:
        fit = mle.fit(mle.Model(density, parameters), data)
    assert fit.status in (mle.Status.rising, mle.Status.scale_collapsed)
    assert said in fit.message
    assert all(one.category is mle.ConvergenceWarning for one in warned)


def test_a_perfect_fit_is_still_called_so():
    data = {"x": X, "y": X @ [1.0, 2.0]}
    with pytest.warns(mle.ConvergenceWarning, match="fits these data perfectly"):
        fit = mle.fit(mle.Model(gaussian, {"w": mle.Real(2), "s": mle.Positive()}), data)
    assert fit.status == mle.Status.scale_collapsed and "sign" not in fit.message


@pytest.mark.parametrize(
    ("density", "parameters", "y"),
    [
        # A Weibull whose shape grows: all observations are 1, as the scale is where the ways begin.
        (
            lambda p, row: (
                jnp.log(p["k"] / p["l"]) + (p["k"] - 1) * jnp.log(row["y"] / p["l"]) - (row["y"] / p["l"]) ** p["k"]
            ),
            {"k": POS(), "l": POS()},
            1.0,
        ),
        (
            lambda p, row: 0.5 * jnp.log(p["t"]) - 0.5 * p["t"] * (row["y"] - p["m"]) ** 2,
            {"t": POS(), "m": REAL()},
            3.0,
        ),
    ],
    ids=["shape", "precision"],
)
def test_a_perfect_fit_by_what_grows_is_no_question_of_signs(density, parameters, y):
    with pytest.warns(mle.ConvergenceWarning, match="fits these data perfectly"):
        assert mle.fit(mle.Model(density, parameters), {"y": np.full(100, y)}).status == mle.Status.scale_collapsed


@pytest.mark.parametrize("by_row", [False, True])
def test_a_scale_whose_logarithm_is_a_parameter_may_shrink(by_row):
    """All observations are 0: the log-likelihood grows as the logarithm goes to minus infinity, where it is NaN."""

    def density(p, row):
        return norm.logpdf(row["y"], row["x"] @ p["w"] if by_row else p["m"], jnp.exp(p["log_s"]))

    location = {"w": REAL(2)} if by_row else {"m": REAL()}
    with pytest.warns(mle.ConvergenceWarning, match="without bound along -log_s: there is no maximum"):
        fit = mle.fit(mle.Model(density, location | {"log_s": REAL()}), {"y": np.zeros(200), "x": X})
    assert fit.status == mle.Status.rising and "fits some of the data perfectly" in fit.message


def test_a_normal_density_without_its_determinant_is_asked_about():
    model = mle.Model(lambda p, row: -0.5 * row["z"] @ jnp.linalg.solve(p["S"], row["z"]), {"S": mle.Covariance(2)})
    with pytest.warns(mle.ConvergenceWarning, match="is a term missing from the log density"):
        assert mle.fit(model, {"z": X}).status == mle.Status.rising


def test_small_units_leak_no_warnings():
    model = mle.Model(negative(known_scale), {"w": mle.Real(2)})
    with pytest.warns(mle.ConvergenceWarning) as warned:
        mle.fit(model, DATA | {"x": 1e-12 * X})
    assert all(one.category is mle.ConvergenceWarning for one in warned)


def test_a_maximum_near_the_end_of_the_numbers_is_none_of_them():
    """The maximum of log r - r y is 1 / y, here 1e250: beyond the last doubling of log r, but not beyond all."""
    model = mle.Model(lambda p, row: jnp.log(p["r"]) - p["r"] * row["y"], {"r": mle.Positive()})
    with pytest.warns(mle.ConvergenceWarning):
        fit = mle.fit(model, {"y": np.array([0.9e-250, 1e-250, 1.1e-250])})
    assert "without bound" not in fit.message
    np.testing.assert_allclose(fit.params["r"], 1e250, rtol=1e-3)


def test_a_bounded_log_likelihood_whose_probes_overflow_is_none_of_them():
    """-z' S^-1 z / 2 is below 0 for all S."""
    model = mle.Model(lambda p, row: -0.5 * row["z"] @ jnp.linalg.solve(p["S"], row["z"]), {"S": mle.Covariance(2)})
    with pytest.warns(mle.ConvergenceWarning, match="It rises along"):
        fit = mle.fit(model, {"z": X})
    assert fit.status == mle.Status.rising and "without bound" not in fit.message


@pytest.mark.parametrize("rows", [3, 200, 1000])
def test_a_response_that_is_always_the_same_is_rising(rows):
    """log sigmoid(w) rounds to 0 before the decrement is small if there are many rows."""
    model = mle.Model(lambda p, row: row["y"] * p["w"] - jnp.logaddexp(0.0, p["w"]), {"w": mle.Real()})
    with pytest.warns(mle.ConvergenceWarning, match="rows are separated"):
        assert mle.fit(model, {"y": np.ones(rows)}).status == mle.Status.rising


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
        lambda t: np.log(1.0 + np.log(t)),
        lambda t: t**0.1,
        lambda t: -5.0 * t + np.where(t < 700, np.exp(np.minimum(t, 700.0)), np.inf),
    ],
)
def test_growth_at_all_distances_is_without_bound(grows):
    assert sustained(grows(DISTANCES)) is not None


@pytest.mark.parametrize(
    ("grows", "ratio"),
    [(lambda t: np.log(t), 1.0), (lambda t: 3.0 * t - 1e6, 2.0), (lambda t: 0.5 * (t - 1e9) ** 2, 4.0)],
)
def test_growth_tells_a_square_from_a_line(grows, ratio):
    assert sustained(grows(DISTANCES)).ratio == pytest.approx(ratio)


def test_the_way_to_the_end_counts():
    """An end that is less than a doubling away: growth goes on to it, a maximum on the way does not."""
    distances = np.append(2.0 ** np.arange(10), 691.0)
    assert sustained(distances.copy(), distances) is not None
    assert sustained(np.log(distances), distances) is not None
    assert sustained(-np.abs(distances - 600.0), distances) is None


@pytest.mark.parametrize(
    "bounded",
    [
        lambda t: -1.0 / t,
        lambda t: -(t**-0.5),
        lambda t: -(t**-0.1),
        lambda t: -1.0 / np.log(2.0 + t),
        lambda t: np.arctan(np.log1p(t) / 50.0),
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
    assert sustained(bounded(DISTANCES)) is None
