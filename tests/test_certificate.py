"""Statuses: what is certified, and the right name for everything that is not."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from jax.scipy.special import gammaln
from jax.scipy.stats import norm

import mle_jax as mle
from mle_jax import Status

RNG = np.random.default_rng(11)
N = 50
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])


def logistic(params, row):
    return -jnp.logaddexp(0.0, jnp.where(row["y"] > 0, -1.0, 1.0) * (row["x"] @ params["b"]))


def poisson(params, row):
    eta = row["x"] @ params["b"]
    return row["y"] * eta - jnp.exp(eta) - gammaln(row["y"] + 1.0)


def gaussian(params, row):
    return norm.logpdf(row["y"], row["x"] @ params["w"], params["sigma"])


LOGISTIC = mle.Model(logistic, {"b": mle.Real(columns="x")}, name="logistic")
POISSON = mle.Model(poisson, {"b": mle.Real(columns="x")}, name="poisson")
GAUSSIAN = mle.Model(gaussian, {"w": mle.Real(columns="x"), "sigma": mle.Positive()}, name="gaussian")


def fit_with_warning(model, data, **options):
    with pytest.warns(mle.ConvergenceWarning) as caught:
        fit = mle.fit(model, data, **options)
    assert len(caught) == 1 and not fit.converged
    return fit


def test_complete_separation_is_rising_with_direction_and_rows():
    fit = fit_with_warning(LOGISTIC, {"x": X, "y": (X[:, 1] > 0.3) * 1.0})
    assert fit.status is Status.rising
    assert "+b[1]" in fit.message and "no finite maximum" in fit.message and "row" in fit.message
    assert not fit.reliable["b"].any() and np.isnan(fit.standard_errors()["b"]).all()


def test_quasi_separation_keeps_what_holds():
    group = np.arange(N) < 6
    y = np.where(group, 1.0, (RNG.uniform(size=N) < 0.5) * 1.0)
    x = np.column_stack([X[:, :2], group])
    fit = fit_with_warning(LOGISTIC, {"x": x, "y": y})
    rest = mle.fit(LOGISTIC, {"x": x[~group, :2], "y": y[~group]})
    assert rest.converged and fit.status is Status.rising and "+b[2]" in fit.message
    assert fit.reliable["b"].tolist() == [True, True, False]
    # The six rows of the group leave the likelihood of the others as exp(-b[2]) goes to zero, here about 1e-12.
    np.testing.assert_allclose(fit.params["b"][:2], rest.params["b"], rtol=1e-6)
    np.testing.assert_allclose(fit.standard_errors()["b"][:2], rest.standard_errors()["b"], rtol=1e-4)
    assert np.isnan(fit.standard_errors()["b"][2])


def test_what_only_separated_rows_tell_apart_does_not_hold():
    """b[1] and b[2] occur together where anything was counted, and alone only where b[3] makes every count zero."""
    plain, together, separated = [1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]
    x = np.array([plain, plain, plain, together, [1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0], separated])
    fit = fit_with_warning(POISSON, {"x": x, "y": np.array([1.0, 2.0, 3.0, 1.0, 0.0, 0.0, 0.0])})
    assert fit.status is Status.rising and "-b[3]" in fit.message
    assert fit.reliable["b"].tolist() == [True, False, False, False]
    assert np.isnan(fit.standard_errors()["b"][1:]).all()
    # The mean of 1, 2 and 3 is 2, with the information 3 * 2; the separated rows leave about 1e-12.
    assert fit.params["b"][0] == pytest.approx(np.log(2.0), abs=1e-9)
    assert fit.standard_errors()["b"][0] == pytest.approx(1 / np.sqrt(6.0), rel=1e-6)
    assert fit.params["b"][1] + fit.params["b"][2] == pytest.approx(-np.log(2.0), abs=1e-9)


@pytest.mark.parametrize(("value", "sign"), [(0.0, "-"), (1.0, "+")])
def test_constant_binaries_and_zero_counts_have_no_finite_maximum(value, sign):
    ones = np.ones((N, 1))
    assert f"{sign}b[0]" in fit_with_warning(LOGISTIC, {"x": ones, "y": np.full(N, value)}).message
    assert fit_with_warning(POISSON, {"x": ones, "y": np.zeros(N)}).status is Status.rising


def test_exact_collinearity_is_not_identified_and_names_the_combination():
    x = np.column_stack([X, X[:, 1] + X[:, 2]])
    y = X @ [1.0, 2.0, 3.0] + RNG.normal(size=N)
    fit = fit_with_warning(GAUSSIAN, {"x": x, "y": y})
    full = mle.fit(GAUSSIAN, {"x": X, "y": y})
    assert fit.status is Status.not_identified
    assert "+w[1] +w[2] -w[3]" in fit.message or "-w[1] -w[2] +w[3]" in fit.message
    assert fit.reliable["w"].tolist() == [True, False, False, False] and fit.reliable["sigma"]
    np.testing.assert_allclose(fit.log_likelihood, full.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(fit.params["w"][0], full.params["w"][0], rtol=1e-7)
    np.testing.assert_allclose(fit.standard_errors()["w"][0], full.standard_errors()["w"][0], rtol=1e-6)
    identified = fit.params["w"][1:3] + fit.params["w"][3]
    np.testing.assert_allclose(identified, full.params["w"][1:], rtol=1e-7)


def test_more_parameters_than_rows_and_a_parameter_without_effect():
    assert fit_with_warning(POISSON, {"x": X[:2], "y": np.array([1.0, 2.0])}).status is Status.not_identified
    idle = mle.Model(lambda p, r: -0.5 * (r["y"] - p["a"]) ** 2 + 0.0 * p["b"], {"a": mle.Real(), "b": mle.Real()})
    fit = fit_with_warning(idle, {"y": np.array([1.0, 3.0])})
    assert fit.status is Status.not_identified and "+b" in fit.message.replace("-b", "+b")
    assert fit.reliable["a"] and not fit.reliable["b"] and fit.params["a"] == pytest.approx(2.0, rel=1e-12)


def test_a_product_of_two_parameters_is_not_identified():
    model = mle.Model(
        lambda p, r: -0.5 * (r["y"] - p["a"] * p["b"]) ** 2,
        {
            "a": mle.Real(start=1.0),
            "b": mle.Real(start=2.0),
        },
    )
    fit = fit_with_warning(model, {"y": np.array([1.0, 2.0, 6.0])})
    assert fit.status is Status.not_identified
    np.testing.assert_allclose(fit.params["a"] * fit.params["b"], 3.0, rtol=1e-9)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e6])
def test_a_perfect_fit_is_a_collapsed_scale(level):
    fit = fit_with_warning(GAUSSIAN, {"x": X, "y": np.full(N, level)})
    assert fit.status is Status.scale_collapsed and "'sigma'" in fit.message


def test_a_perfect_line_is_a_collapsed_scale_with_the_right_coefficients():
    fit = fit_with_warning(GAUSSIAN, {"x": X, "y": X @ [1.0, 2.0, -3.0]})
    assert fit.status is Status.scale_collapsed
    np.testing.assert_allclose(fit.params["w"], [1, 2, -3], rtol=1e-10)


def test_tiny_units_are_no_collapse():
    y = 1e-28 * (X @ [1.0, 2.0, -3.0] + 0.1 * RNG.normal(size=N))
    fit = mle.fit(GAUSSIAN, {"x": X, "y": y}, start={"sigma": 1e-28})
    assert fit.converged
    np.testing.assert_allclose(fit.params["w"], np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-8)


def test_non_finite_start_names_rows_and_parameters():
    model = mle.Model(lambda p, r: jnp.log(r["y"] - p["shift"]) - r["y"] + p["shift"], {"shift": mle.Real()})
    fit = fit_with_warning(model, {"y": np.array([3.0, 1.0, 0.5])}, start={"shift": 0.75})
    assert fit.status is Status.non_finite
    assert "row 2 (counted from 0)" in fit.message and "shift = 0.75" in fit.message


def test_non_finite_gradient_names_the_parameter():
    model = mle.Model(  # sqrt has an infinite slope at 0
        lambda p, r: -0.5 * (r["y"] - p["a"] - jnp.sqrt(jnp.abs(p["b"]))) ** 2, {"a": mle.Real(), "b": mle.Real()}
    )
    fit = fit_with_warning(model, {"y": np.array([3.0, 1.0])}, start={"b": 0.0})
    assert fit.status is Status.non_finite and "derivative is not finite for 'b'" in fit.message


def test_a_saddle_is_left_or_named():
    model = mle.Model(lambda p, r: -((p["a"] ** 2 - r["y"]) ** 2), {"a": mle.Real()})
    fit = mle.fit(model, {"y": np.array([1.0, 4.0])})  # the start a = 0 is a minimum of the log-likelihood
    assert fit.converged and abs(fit.params["a"]) == pytest.approx(np.sqrt(2.5), rel=1e-10)
    descent = mle.fit(model, {"y": np.array([1.0, 4.0])}, optimizer=mle.optimizers.GradientDescent(0.01), max_steps=20)
    assert descent.converged and abs(descent.params["a"]) == pytest.approx(np.sqrt(2.5), rel=1e-10)
    at = mle.evaluate(model, {"y": np.array([1.0, 4.0])}, {"a": 0.0})
    assert at.status is Status.saddle


def test_the_boundary_of_a_closed_domain():
    model = mle.Model(
        lambda p, r: norm.logpdf(r["y"], p["mu"], jnp.sqrt(1 + p["tau2"])),
        {"mu": mle.Real(), "tau2": mle.Positive(closed=True)},
    )
    y = np.array([0.1, -0.3, 0.5, 0.2])
    fit = fit_with_warning(model, {"y": y})
    assert fit.status is Status.at_boundary and "'tau2'" in fit.message
    assert fit.params["tau2"] == 0.0 and fit.params["mu"] == pytest.approx(y.mean(), rel=1e-10)
    assert fit.reliable["mu"] and not fit.reliable["tau2"]
    assert fit.standard_errors()["mu"] == pytest.approx(0.5, rel=1e-10) and np.isnan(fit.standard_errors()["tau2"])
    assert fit.n_parameters == 2
    inside = mle.fit(model, {"y": 10 * y})
    assert inside.converged and inside.params["tau2"] == pytest.approx(100 * y.var() - 1, rel=1e-9)
    opened = mle.Model(model.log_density, {"mu": mle.Real(), "tau2": mle.Positive()})
    rising = fit_with_warning(opened, {"y": y})
    assert rising.status is Status.rising and "declare it with closed=True" in rising.message


def test_no_certificate_without_smoothness():
    model = mle.Model(
        lambda p, r: -jnp.abs(r["y"] - p["m"]),
        {"m": mle.Real()},
        smooth=False,
        expected_information=lambda p, d: jnp.full((1, 1), d["y"].size * 1.0),
    )
    fit = fit_with_warning(model, {"y": np.array([1.0, 2.0, 9.0])})
    assert fit.status is Status.uncertified and np.isnan(fit.decrement)
    assert fit.params["m"] == pytest.approx(2.0, abs=0.05)
    assert fit.standard_errors()["m"] == pytest.approx(1 / np.sqrt(3), rel=1e-12)  # from the expected information
    with pytest.raises(ValueError, match="declared smooth=False"):
        mle.fit(model, {"y": np.ones(3)}, optimizer=mle.optimizers.Newton())
    with pytest.raises(ValueError, match="needs second derivatives"):
        fit.covariance("observed")


def test_ill_conditioned_designs_keep_their_digits_by_rotation():
    # A polynomial whose scaled information is singular to rounding: exact rational arithmetic gives 1 everywhere.
    x = np.linspace(0, 10, 40)
    design = np.column_stack([x**k for k in range(9)])
    noise = np.random.default_rng(2).normal(size=40)
    q, _ = np.linalg.qr(design)
    noise -= q @ (q.T @ noise)  # orthogonal to the design, so the least-squares solution stays 1
    y = design @ np.ones(9) + noise
    fit = mle.fit(GAUSSIAN, {"x": design, "y": y}, start={"w": np.linalg.lstsq(design, y, rcond=None)[0]})
    assert fit.converged
    # y is about 1e8, so rounding the data alone moves the coefficients by about 1e-7 relative.
    np.testing.assert_allclose(fit.params["w"], 1.0, rtol=1e-4)
    _, r = np.linalg.qr(design / np.linalg.norm(design, axis=0))
    inverse = np.linalg.inv(r) / np.linalg.norm(design, axis=0)[:, None]
    expected = fit.params["sigma"] * np.sqrt((inverse**2).sum(axis=1))
    np.testing.assert_allclose(fit.standard_errors()["w"], expected, rtol=1e-5)


def test_converged_means_within_the_tolerance_also_where_rounding_hides_it():
    # Two columns that differ by 1e-10: exact least squares (60 digits) are up to 3e-6 standard errors away from where
    # sums in float64 see no slope any more.
    rng, gap = np.random.default_rng(1), 3e-11
    first = rng.normal(size=(40, 20))
    x = np.stack([np.ones_like(first), first, first + gap * rng.normal(size=(40, 20))], axis=-1)
    y = x @ [1.0, 2.0, -1.0] + rng.normal(size=(40, 20))
    fits = mle.fit_batch(mle.models.linear_gaussian(), {"x": x, "y": y})
    with mp.workdps(60):
        for i in range(40):
            rows, response = mp.matrix(x[i].tolist()), mp.matrix(y[i].tolist())
            gram = rows.T * rows
            best = mp.lu_solve(gram, rows.T * response)
            variance = mp.fsum(e**2 for e in response - rows * best) / 20
            off = mp.matrix(fits.params["w"][i].tolist()) - best
            away = float(mp.sqrt((off.T * gram * off)[0] / variance))
            assert fits.converged[i] and away < 2 * max(fits.decrement[i], 1e-6)
            assert away <= 1.001e-6 or fits.status[i] == Status.converged_to_rounding


def test_the_certificate_holds_in_float32_traces_too():
    y = X @ [1.0, 2.0, 3.0] + np.random.default_rng(5).normal(size=N)
    solution = mle.maximize(GAUSSIAN, {"x": X, "y": y}, tolerance=1e-3)
    assert solution.log_likelihood.dtype == jnp.float32
    assert Status(int(solution.status)).certified and 0.3 < float(solution.certificate.drop) < 0.7


def test_status_words_are_stable():
    # Integers are stored in files and batches: they must not move.
    assert [status.name for status in Status] == [
        "converged",
        "converged_to_rounding",
        "precision_lost",
        "max_steps",
        "stopped_by_rule",
        "uncertified",
        "non_finite",
        "rising",
        "not_identified",
        "saddle",
        "at_boundary",
        "scale_collapsed",
    ]
    assert all(status.text.endswith(".") for status in Status)
    assert [status for status in Status if status.certified] == [Status.converged, Status.converged_to_rounding]


def test_finite_controls_are_not_called_separated():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x = np.column_stack([np.ones(40), rng.normal(size=(40, 2))])
        y = rng.poisson(np.exp(x @ [0.2, 0.5, -0.5]))
        fit = mle.fit(POISSON, {"x": x, "y": y})
        assert fit.converged
        with jax.enable_x64(True):
            slope = x.T @ (y - np.exp(x @ fit.params["b"]))  # the score of a Poisson regression
        np.testing.assert_allclose(slope, 0, atol=1e-10 * np.abs(x.T @ y).max())


def student_t(params, row):
    nu, z = params["nu"], (row["y"] - params["mu"]) / params["s"]
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * jnp.log(nu * jnp.pi) - jnp.log(params["s"])
    return constant - (nu + 1) / 2 * jnp.log1p(z * z / nu)


def test_curvature_that_is_rounding_noise_certifies_nothing():
    # Uniform data have lighter tails than any t: the maximum is at nu = infinity, where the second derivative in nu
    # is a difference of large numbers. Used to be called converged in 43 of 60 samples.
    model = mle.Model(student_t, {"mu": mle.Real(), "s": mle.Positive(), "nu": mle.Positive()})
    for seed in range(12):
        fit = fit_with_warning(model, {"y": np.random.default_rng(seed).uniform(size=100)})
        assert "nu" in fit.message and not fit.reliable["nu"]
    heavy = np.random.default_rng(0).standard_t(4, size=100)
    assert mle.fit(model, {"y": heavy}).converged  # where nu is finite, it is found


def test_a_support_written_with_minus_infinity_does_not_stop_the_search():
    def log_density(params, row):  # generalized Pareto
        z = 1 + params["xi"] * row["y"] / params["s"]
        inside = z > 0
        value = -jnp.log(params["s"]) - (1 / params["xi"] + 1) * jnp.log(jnp.where(inside, z, 1.0))
        return jnp.where(inside, value, -jnp.inf)

    u = (np.arange(400) + 0.5) / 400
    y = 2.0 * ((1 - u) ** 0.2 - 1) / -0.2  # quantiles for s = 2, xi = -0.2
    model = mle.Model(log_density, {"s": mle.Positive(), "xi": mle.Real(start=0.1)})
    far = mle.fit(model, {"y": y}, start={"s": 3.0, "xi": -0.3})
    near = mle.fit(model, {"y": y}, start={"s": 2.0, "xi": -0.1})
    assert far.converged and near.converged
    np.testing.assert_allclose([far.params["s"], far.params["xi"]], [near.params["s"], near.params["xi"]], rtol=1e-8)
    np.testing.assert_allclose([far.params["s"], far.params["xi"]], [2.0, -0.2], atol=0.15)  # quantiles, not a sample


def test_a_lost_search_is_no_perfect_fit():
    def weibull(p, r):
        return (
            jnp.log(p["k"])
            - p["k"] * jnp.log(p["scale"])
            + (p["k"] - 1) * jnp.log(r["y"])
            - (r["y"] / p["scale"]) ** p["k"]
        )

    model = mle.Model(weibull, {"k": mle.Positive(), "scale": mle.Positive()})
    y = np.random.default_rng(2).weibull(1.5, size=100)
    far = {"k": 30.0, "scale": 1e-3}  # y / scale to the power of k is about 1e90
    lost = fit_with_warning(model, {"y": y}, start=far, max_steps=20)
    assert lost.status is Status.max_steps
    found, usual = mle.fit(model, {"y": y}, start=far), mle.fit(model, {"y": y})
    assert found.converged and usual.converged
    np.testing.assert_allclose(
        [found.params["k"], found.params["scale"]], [usual.params["k"], usual.params["scale"]], rtol=1e-8
    )


def test_which_ends_the_maximum_is_on_does_not_depend_on_units():
    # Balanced one-way layout: five groups of four with equal group means, so the variance between groups is zero.
    def log_density(params, row):
        within = jnp.sum((row["y"] - row["y"].mean()) ** 2)
        total = params["se2"] + 4 * params["sa2"]
        between = 4 * (row["y"].mean() - params["mu"]) ** 2
        return -0.5 * (3 * jnp.log(params["se2"]) + jnp.log(total) + within / params["se2"] + between / total)

    parts = {"mu": mle.Real(), "se2": mle.Positive(closed=True), "sa2": mle.Positive(closed=True)}
    model = mle.Model(log_density, parts)
    y = np.random.default_rng(3).normal(size=(5, 4))
    y -= 0.99 * y.mean(axis=1, keepdims=True)
    for unit in (1.0, 0.05):
        fit = fit_with_warning(model, {"y": unit * y})
        assert fit.status is Status.at_boundary and fit.params["sa2"] == 0.0
        assert fit.params["se2"] == pytest.approx(unit**2 * y.var(), rel=1e-7)


def test_higher_ground_beside_a_local_maximum_is_climbed():
    """A broad peak with one at 1 standard error that is higher: the certificate comes upon it, and the fit goes on."""

    def log_likelihood(params, data):
        t = params["t"]
        return jnp.logaddexp(-(t**2) / 2, data["height"] - 200 * (t - 1) ** 2)

    model = mle.Model.joint(log_likelihood, {"t": mle.Real()}, n_observations=1)
    # By bisection: between 0.9 and 1.1 the narrow peak, height 2, has its root of the derivative.
    low, high = 0.9, 1.1
    for _ in range(60):
        t = (low + high) / 2
        broad, narrow = np.exp(-(t**2) / 2), np.exp(2 - 200 * (t - 1) ** 2)
        low, high = (t, high) if -t * broad - 400 * (t - 1) * narrow > 0 else (low, t)
    fit = mle.fit(model, {"height": np.array(2.0)}, start={"t": 0.0})
    assert fit.converged
    np.testing.assert_allclose(fit.params["t"], low, rtol=1e-10)
    fits = mle.fit_batch(model, {"height": np.array([2.0, -2.0])}, start={"t": 0.0})
    np.testing.assert_allclose(fits.params["t"], [low, 0.0], atol=1e-10)  # too low to be worth the way
    assert fits.converged.all()
