"""The densities against committed references (50 digits and more), outside the support, and as JAX functions."""

import inspect
import re

import densities_digits as digits
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from mle_jax import densities
from mle_jax.densities import normal
from mle_jax.densities._elementary import logsumexp
from mle_jax.densities._gamma_functions import digamma, log_gamma, tetragamma, trigamma
from mle_jax.densities._rising import log_rising

TOLERANCE = {"float64": 1e-12, "float32": 1e-12 * 2.0**29}
"""Some 9000 units in the last place of either type; float64 has 29 bits more than float32."""

TINY_MEAN = "a mean of 0.02 with zero taken out: the positive counts are almost certainly 1"
HEAVY = "0.3 degrees of freedom: the nodes end at exp(170), and a little is left beyond"
FAR = "20 standard deviations out the two Mills ratios nearly cancel"
EXCEPTIONS: dict[tuple[str, str, str], tuple[float, str]] = {
    ("zero_inflated", "log_density_hurdle", "Hessian"): (1e-11, TINY_MEAN),
    ("inverse_gaussian", "log_survival", "Hessian"): (5e-11, FAR),
    ("student_t", "log_cdf", "Hessian"): (5e-12, HEAVY),
    ("student_t", "log_survival", "Hessian"): (5e-12, HEAVY),
}
"""Largest error in float64 where it is above 1e-12, with the reason."""

NO_MATTER = "an end so far out that the derivative in it is below the smallest number"
CANCELS = "what cancels in float64 leaves fewer digits here"
EXCEPTIONS_FLOAT32: dict[tuple[str, str, str], tuple[float, str]] = {
    ("beta", "log_cdf", "Hessian"): (2e-3, "a precision of 0.2"),
    ("beta", "log_survival", "Hessian"): (2e-3, "a precision of 0.2"),
    ("gumbel", "log_survival", "Hessian"): (5e-3, "a scale of 0.01 beside a location of 2.5"),
    ("inverse_gaussian", "log_survival", "Hessian"): (5e-3, CANCELS),
    ("logistic", "log_density", "gradient"): (0.03, "1e-6 from the mode, where it is nearly 0"),
    ("lognormal", "log_interval", "Hessian"): (1.0, NO_MATTER),
    ("student_t", "log_cdf", "Hessian"): (0.1, "one degree of freedom"),
    ("student_t", "log_survival", "Hessian"): (0.1, "one degree of freedom"),
    ("weibull", "log_interval", "gradient"): (1.0, NO_MATTER),
    ("weibull", "log_interval", "Hessian"): (1.0, NO_MATTER),
    ("zero_inflated", "log_density_hurdle", "Hessian"): (0.02, CANCELS),
}
RANGE_FLOAT32 = 1e7
"""In float32 inputs beyond this, or nearer 0 than its inverse, are left out: squares and fourth powers of them, which
second derivatives are made of, leave its range."""
LEAST_DF_FLOAT32 = 1.0
"""In float32 smaller degrees of freedom are left out: the nodes in the tails end where it does, and too early."""


def families():
    return [name for name in densities.__all__ if name in digits.FAMILIES]


def in_range(inputs, points):
    """Say which points float32 can be asked about, (n,)."""
    sizes = np.abs(np.asarray(points, float))
    fits = ((sizes == 0) | ((sizes <= RANGE_FLOAT32) & (sizes >= 1 / RANGE_FLOAT32))).all(axis=1)
    return fits & (sizes[:, list(inputs).index("df")] >= LEAST_DF_FLOAT32) if "df" in inputs else fits


def assert_digits(family, dtype, exceptions):
    for (name, kind), error in digits.errors(family, dtype).items():
        allowed, _ = exceptions.get((family, name, kind), (TOLERANCE[dtype], ""))
        inputs, _, points, *_ = digits.references(family)[name]
        if dtype == "float32":
            kept = in_range(inputs, points)
            assert kept.mean() >= 0.5, f"{family}.{name}: {kept.sum()} of {kept.size} points are left"
            error, points = error[kept], np.asarray(points)[kept]
        worst = np.unravel_index(error.argmax(), error.shape)
        at = dict(zip(inputs, points[worst[0]], strict=True))
        assert error.max() <= allowed, f"{family}.{name}: {kind} {worst[1]} is off by {error.max():.2g} at {at}"


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_float64_has_twelve_digits(family):
    assert_digits(family, "float64", EXCEPTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_float32_has_its_own_digits(family):
    assert_digits(family, "float32", EXCEPTIONS_FLOAT32)


@pytest.mark.parametrize("family", ["poisson", "exponential"])
def test_digits_of_two_families_in_the_quick_suite(family):
    assert_digits(family, "float64", EXCEPTIONS)


def test_every_public_density_has_references():
    for family in densities.__all__:
        module = getattr(densities, family)
        public = {name for name, value in vars(module).items() if name.startswith("log_") and callable(value)}
        own = {name for name in public if getattr(module, name).__module__ == module.__name__}
        known = set(digits.references(family)) if family in digits.FAMILIES else set()
        assert own == known, f"{family}: references for {known}, but the functions are {own}"


def test_exceptions_are_needed():
    for key, (error, reason) in EXCEPTIONS.items():
        assert error > TOLERANCE["float64"] and reason, f"{key} is no exception, or has no reason"


def test_references_measure_errors():
    # A relative error of 1e-9 put into the numbers must come out as such.
    inputs, _, points, numbers, _ = digits.references("exponential")["log_density"]
    y, mean = points[:, inputs.index("y")], points[:, inputs.index("mean")]
    assert np.allclose(numbers[:, 0], stats.expon.logpdf(y, scale=mean), rtol=1e-13, atol=0)
    assert digits.digits(1e-9) == pytest.approx(9.0)


SCIPY = {
    "gamma": (lambda y, mean, shape: stats.gamma.logpdf(y, shape, scale=mean / shape), (2.0, 3.0, 1.7)),
    "beta": (lambda y, m, p: stats.beta.logpdf(y, m * p, (1 - m) * p), (0.2, 0.4, 5.0)),
    "inverse_gaussian": (lambda y, m, s: stats.invgauss.logpdf(y, m / s, scale=s), (2.0, 3.0, 1.7)),
    "negative_binomial": (lambda y, m, a: stats.nbinom.logpmf(y, 1 / a, 1 / (1 + a * m)), (4.0, 3.0, 0.5)),
    "weibull": (lambda y, scale, shape: stats.weibull_min.logpdf(y, shape, scale=scale), (2.0, 3.0, 1.7)),
    "lognormal": (lambda y, m, s: stats.lognorm.logpdf(y, s, scale=np.exp(m)), (2.0, 0.3, 1.7)),
    "pareto": (lambda y, minimum, shape: stats.pareto.logpdf(y, shape, scale=minimum), (2.0, 1.5, 1.7)),
    "gpd": (lambda y, scale, shape: stats.genpareto.logpdf(y, shape, scale=scale), (2.0, 3.0, 0.4)),
    "geometric": (lambda y, p: stats.geom.logpmf(y + 1, p), (4.0, 0.3)),
    "gumbel": (stats.gumbel_r.logpdf, (2.0, 0.3, 1.7)),
    "von_mises": (lambda y, location, k: stats.vonmises.logpdf(y, k, loc=location), (2.0, 0.3, 1.7)),
}


@pytest.mark.parametrize("family", SCIPY)
def test_parametrization_against_scipy(family):
    function, point = SCIPY[family]
    with jax.enable_x64(True):
        found = float(getattr(densities, family).log_density(*point))
    assert found == pytest.approx(function(*point), rel=1e-9)  # SciPy's own accuracy


def test_parametrization_of_the_rest_against_scipy():
    with jax.enable_x64(True):
        gev = densities.gev.log_density(2.0, 0.3, 1.7, shape=0.2)
        t = densities.student_t.log_density(2.0, 0.3, 1.7, df=3.5)
        # mean a/(a + b), correlation 1/(a + b + 1) with a = 2, b = 3
        mixed = densities.beta_binomial.log_density(4, 9, mean=0.4, correlation=1 / 6)
    assert float(gev) == pytest.approx(stats.genextreme.logpdf(2.0, -0.2, loc=0.3, scale=1.7), rel=1e-9)
    assert float(t) == pytest.approx(stats.t.logpdf(2.0, 3.5, loc=0.3, scale=1.7), rel=1e-9)
    assert float(mixed) == pytest.approx(stats.betabinom.logpmf(4, 9, 2.0, 3.0), rel=1e-9)


OUTSIDE = [
    ("poisson", "log_density", {"y": -1.0, "mean": 2.0}),
    ("poisson", "log_density", {"y": 1.5, "mean": 2.0}),
    ("poisson", "log_density_log_mean", {"y": 1.5, "log_mean": 2.0}),
    ("binomial", "log_density", {"y": 4.0, "trials": 3.0, "probability": 0.5}),
    ("binomial", "log_density_logit", {"y": 4.0, "trials": 3.0, "logit": 0.5}),
    *(
        ("binomial", name, {"y": y, "trials": trials, **at})
        for name, at in (("log_density", {"probability": 0.3}), ("log_density_logit", {"logit": 0.3}))
        for y, trials in ((2.0, 9.5), (9.5, 9.5), (0.0, 9.5), (0.0, -1.0), (-2.0, -1.0), (1.0, jnp.inf), (0.0, jnp.nan))
    ),
    ("binomial", "log_density_logit", {"y": 2.0, "trials": 9.5, "logit": 40.0}),
    ("binomial", "log_density", {"y": 4.0, "trials": 3.0, "probability": 1.0}),
    ("negative_binomial", "log_density", {"y": -2.0, "mean": 2.0, "dispersion": 0.0}),
    ("beta_binomial", "log_density", {"y": 4.0, "trials": 3.0, "mean": 0.5, "correlation": 0.0}),
    *(
        ("beta_binomial", "log_density", {"y": y, "trials": trials, "mean": 0.5, "correlation": 0.2})
        for y, trials in ((2.0, 9.5), (9.5, 9.5), (0.0, -1.0), (1.0, jnp.inf), (0.0, jnp.nan))
    ),
    ("geometric", "log_density", {"y": 0.5, "probability": 0.5}),
    ("gamma", "log_density", {"y": 0.0, "mean": 2.0, "shape": 0.5}),
    ("gamma", "log_cdf", {"y": -1.0, "mean": 2.0, "shape": 0.5}),
    ("beta", "log_density", {"y": 1.0, "mean": 0.5, "precision": 2.0}),
    ("beta", "log_survival", {"y": 1.5, "mean": 0.5, "precision": 2.0}),
    ("exponential", "log_density", {"y": -1.0, "mean": 2.0}),
    ("exponential", "log_cdf", {"y": -1.0, "mean": 2.0}),
    ("lognormal", "log_density", {"y": -1.0, "location": 0.0, "scale": 1.0}),
    ("weibull", "log_density", {"y": -1.0, "scale": 2.0, "shape": 0.5}),
    ("inverse_gaussian", "log_density", {"y": -1.0, "mean": 2.0, "shape": 0.5}),
    ("pareto", "log_density", {"y": 1.0, "minimum": 2.0, "shape": 0.5}),
    ("gev", "log_density", {"y": -9.0, "location": 0.0, "scale": 1.0, "shape": 0.5}),
    ("gev", "log_survival", {"y": 9.0, "location": 0.0, "scale": 1.0, "shape": -0.5}),
    ("gpd", "log_density", {"y": 9.0, "scale": 1.0, "shape": -0.5}),
    ("gpd", "log_density", {"y": -1.0, "scale": 1.0, "shape": 0.0}),
    ("normal", "log_interval", {"low": 2.0, "high": 1.0, "mean": 0.0, "sd": 1.0}),
    ("weibull", "log_interval", {"low": -2.0, "high": -1.0, "scale": 1.0, "shape": 0.5}),
    ("gev", "log_interval", {"low": 3.0, "high": 5.0, "location": 0.0, "scale": 1.0, "shape": -0.5}),
]


def test_outside_the_support_minus_infinity_and_a_zero_gradient():
    functions = {}  # by name and inputs, with all the points of each: one trace for them
    for family, name, at in OUTSIDE:
        functions.setdefault((family, name, tuple(at)), []).append(list(at.values()))

    def all_of_them(points):
        found = {}
        for family, name, inputs in points:
            function = getattr(getattr(densities, family), name)
            both = jax.value_and_grad(lambda at, f=function, inputs=inputs: f(**dict(zip(inputs, at, strict=True))))
            found[family, name, inputs] = jax.vmap(both)(points[family, name, inputs])
        return found

    found = jax.jit(all_of_them)({key: jnp.array(points) for key, points in functions.items()})
    for key, (values, slopes) in found.items():
        for at, value, slope in zip(functions[key], values, slopes, strict=True):
            assert value == -jnp.inf, f"{key} is {value} at {at}"
            assert np.all(slope == 0), f"{key} at {at}: {slope}"


INTERVALS = {
    "normal": {"mean": 0.3, "sd": 1.2},
    "logistic": {"location": 0.3, "scale": 1.2},
    "laplace": {"location": 0.3, "scale": 1.2},
    "cauchy": {"location": 0.3, "scale": 1.2},
    "student_t": {"location": 0.3, "scale": 1.2, "df": 3.0},
    "gumbel": {"location": 0.3, "scale": 1.2},
    "gev": {"location": 0.3, "scale": 1.2, "shape": 0.1},
    "gpd": {"scale": 1.2, "shape": -0.1},
    "exponential": {"mean": 1.2},
    "gamma": {"mean": 1.2, "shape": 0.7},
    "inverse_gaussian": {"mean": 1.2, "shape": 0.7},
    "lognormal": {"location": 0.3, "scale": 1.2},
    "weibull": {"scale": 0.3, "shape": 1.2},
    "pareto": {"minimum": 0.1, "shape": 1.2},
    "beta": {"mean": 0.3, "precision": 4.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("family", INTERVALS)
def test_open_intervals_are_the_tails(family):
    module, parameters = getattr(densities, family), INTERVALS[family]

    def all_three(parameters):
        cdf, survival = module.log_cdf(0.5, **parameters), module.log_survival(0.5, **parameters)
        everything = module.log_interval(-jnp.inf, jnp.inf, **parameters)
        below = module.log_interval(-jnp.inf, 0.5, **parameters) - cdf
        above = module.log_interval(0.5, jnp.inf, **parameters) - survival
        return jnp.stack([below, above, everything, jnp.exp(cdf) + jnp.exp(survival)])

    with jax.enable_x64(True):
        values, slopes = jax.jit(lambda at: (all_three(at), jax.jacfwd(all_three)(at)))(parameters)
    assert np.allclose(values, [0.0, 0.0, 0.0, 1.0], rtol=0, atol=1e-14)  # the same numbers, and rounding of the sum
    assert all(np.allclose(slope, 0.0, rtol=0, atol=1e-13) for slope in slopes.values()), slopes


def test_special_functions_against_mpmath():
    places = [1e-100, 1e-5, 0.3, 1.0, 1.7, 2.0, 4.5, 7.9999, 8.0, 31.0, 1e8, 1e100]
    functions = (log_gamma, digamma, trigamma, tetragamma)
    with mp.workdps(40), jax.enable_x64(True):
        found = np.array(jax.jit(lambda x: [function(x) for function in functions])(jnp.array(places)))
        exact = np.array([[float(mp.loggamma(x)), *(float(mp.psi(k, x)) for k in range(3))] for x in places]).T
    # Near the zeros of log(Gamma), at 1 and 2, the error is that of the terms, which are below 20.
    assert np.all(np.abs(found - exact) <= 2e-15 * np.maximum(np.abs(exact), [[20.0], [1.0], [0.0], [0.0]]))


def test_counts_are_constants_for_derivatives():
    def beta_binomial(y, trials, mean, correlation):
        return densities.beta_binomial.log_density(y, trials, mean=mean, correlation=correlation)

    shares = {
        densities.binomial.log_density: (40.0, 0.3),
        densities.binomial.log_density_logit: (40.0, 0.3),
        beta_binomial: (40.0, 0.3, 0.2),
    }
    counts = {
        densities.negative_binomial.log_density: (2.0, 0.5),
        densities.negative_binomial.log_density_linear: (2.0, 0.5),
        densities.poisson.log_density: (2.0,),
        densities.poisson.log_density_log_mean: (2.0,),
        densities.geometric.log_density: (0.3,),
        **shares,
    }
    with jax.enable_x64(True):
        for log_density, rest in counts.items():
            assert [float(jax.grad(log_density)(y, *rest)) for y in (3.0, 30.0)] == [0.0, 0.0], log_density
        for log_density, rest in shares.items():
            assert float(jax.grad(log_density, argnums=1)(3.0, *rest)) == 0.0, log_density


def test_poisson_densities_that_are_no_number_are_minus_infinity():
    with jax.enable_x64(True):
        for y, log_mean in ((3.0, np.inf), (3.0, -np.inf), (1.7e308, 712.0), (3.0, 800.0), (0.0, np.inf)):
            assert float(densities.poisson.log_density_log_mean(y, log_mean)) == -np.inf, (y, log_mean)
        assert float(densities.poisson.log_density_log_mean(0.0, -np.inf)) == 0.0
        assert np.isnan(float(densities.poisson.log_density_log_mean(3.0, np.nan)))
    # The mean, exp(90.5), is infinite in float32.
    assert float(densities.poisson.log_density_log_mean(np.float32(2e38), np.float32(90.5))) < -1e38


def test_rising_factorials_against_mpmath():
    pairs = [(count, a) for count in (0, 1, 2, 8, 9, 50, 1000, 10**9) for a in (0.0, 1e-12, 0.01, 0.3, 30.0, 1e8)]
    with mp.workdps(60), jax.enable_x64(True):
        counts, places = (np.array(column, float) for column in zip(*pairs, strict=True))
        values, slopes = jax.jit(jax.vmap(jax.value_and_grad(log_rising, argnums=1)))(counts, places)
        for (count, a), value, slope in zip(pairs, values, slopes, strict=True):
            a = mp.mpf(a)
            if count <= 1000 or a == 0:
                exact = mp.fsum(mp.log(1 + j * a) for j in range(count)) if a else mp.mpf(0)
                slope_there = mp.fsum(j / (1 + j * a) for j in range(count)) if a else mp.mpf(count * (count - 1) // 2)
            else:  # the sums by Gamma functions
                r = 1 / a
                exact = mp.loggamma(count + r) - mp.loggamma(r) + count * mp.log(a)
                slope_there = (count - r * (mp.digamma(count + r) - mp.digamma(r))) / a
            assert abs(float(value) - exact) <= 1e-14 * exact
            assert abs(float(slope) - slope_there) <= 1e-14 * slope_there


def test_dtypes_and_shapes_follow_the_inputs():
    normal = densities.normal.log_density
    with jax.enable_x64(True):
        assert normal(jnp.float32(1), jnp.float32(0), jnp.float32(1)).dtype == jnp.float32
        assert densities.poisson.log_density(np.arange(3), 2.0).dtype == jnp.float64
        assert densities.gamma.log_density(np.ones((4, 1)), np.ones(3), 2.0).shape == (4, 3)
        many = densities.normal.log_interval(np.zeros((4, 1)), np.ones(3), mean=0.0, sd=1.0)
        assert many.shape == (4, 3)
    assert densities.poisson.log_density([1, 2], 2.0).dtype == jnp.float32
    assert densities.categorical.log_density(np.array([0, 1]), np.zeros((2, 3))).shape == (2,)
    identity = np.broadcast_to(np.eye(2), (5, 2, 2))
    assert densities.multivariate_normal.log_density(np.zeros((5, 2)), np.zeros(2), identity).shape == (5,)


def test_truncation_limits():
    with jax.enable_x64(True):
        for low, high, y in ((0.0, 1.0, 1.5), (0.0, 1.0, -0.5), (1.0, 0.0, 0.5)):
            at = {"mean": 0.2, "sd": 1.3}
            value, slope = jax.value_and_grad(
                lambda at, y=y, low=low, high=high: densities.truncated.log_density(
                    y, densities.normal, low=low, high=high, **at
                )
            )(at)
            assert value == -jnp.inf and slope == {"mean": 0.0, "sd": 0.0}


@pytest.mark.parametrize("family", densities.__all__)
def test_modules_state_formula_and_source(family):
    document = getattr(densities, family).__doc__
    assert re.search(r"f\(.*\) = ", document) and "Source: " in document


def test_public_functions_have_an_example_and_at_most_three_positional_arguments():
    for family in densities.__all__:
        module = getattr(densities, family)
        for name in digits.references(family):
            function = getattr(module, name)
            parameters = inspect.signature(function).parameters.values()
            positional = [p.name for p in parameters if p.kind.name == "POSITIONAL_OR_KEYWORD"]
            assert ">>> " in function.__doc__ and len(positional) <= 3, f"{family}.{name}"


def test_second_derivatives_of_a_sum_of_exponentials_follow_no_maximum():
    # log(exp(c q) + exp(c q + q)) has the second derivative p (1 - p) = 1/4 at q = 0, whatever c. Autodiff through the
    # largest term, which cancels, asks which term equals it: if the compiler has the terms computed twice and rounds
    # them differently, none does, and 0/0 is NaN (seen without optimization, in a third of the rows).
    def common(q):
        return logsumexp(jnp.asarray([1e8 * q, 1e8 * q + q]))

    def mixture(means, y):
        return logsumexp(normal.log_density(y, means, 1.0))

    with jax.enable_x64(True):
        # Means of 1e8 are known to 1e-8, and so are the deviations from them; their rounded sum is multiplied by 1e8.
        assert float(jax.hessian(common)(0.0)) == pytest.approx(0.25, abs=1e-6)
        rows = np.random.default_rng(0).normal(size=150)
        found = jax.jit(jax.vmap(jax.hessian(mixture), in_axes=(None, 0)))(jnp.asarray([0.5, 0.3]), rows)
    means = np.array([0.5, 0.3])
    d = rows[:, None] - means
    p = stats.norm.pdf(d) / stats.norm.pdf(d).sum(axis=1, keepdims=True)
    # p_j (d_j^2 - 1) on the diagonal, less the products of the gradients p_j d_j.
    expected = -(p * d)[:, :, None] * (p * d)[:, None, :]
    expected[:, [0, 1], [0, 1]] += p * (d**2 - 1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
