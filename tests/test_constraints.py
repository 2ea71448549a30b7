"""Linear equality constraints: fits against closed forms, the algebra against NumPy, the errors."""

import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from scipy import stats

import mle_jax as mle
from mle_jax.parameters import coordinates, hold_more, nearest_theta, resolve

RNG = np.random.default_rng(11)
N = 50
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
BATCH = X @ [0.5, 0.4, 0.1] + RNG.normal(size=(3, N))
EQUATIONS = ("w[0] + 2*w[1] = 1", "w[1] = w[2]")
R, Q = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]), np.array([1.0, 0.0])

SPACE = resolve(
    {
        "w": mle.Real(labels=("intercept", "income", "age = old + 1")),
        "v": mle.Real(3),
        "mu": mle.Real(),
        "sigma": mle.Positive(2),
        "tau": mle.Positive(2),
        "open": mle.Positive(),
        "rate": mle.Interval(0, 1),
        "odds": mle.Interval(0, 1),
        "p": mle.Simplex(3),
        "q": mle.Simplex(3),
        "S": mle.Covariance(2),
        "T": mle.Covariance(2),
        "k": mle.Fixed(2.0),
        "a": {"b": mle.Real()},
    },
    None,
)
START = SPACE.default_start()


def restricted_least_squares(y, equations=R, values=Q):
    """Greene (2012), Econometric Analysis, 7th edition, equations 5-23 and 5-24, with the variance estimated by ML."""
    inverse = np.linalg.inv(X.T @ X)
    free = inverse @ X.T @ y
    gain = inverse @ equations.T @ np.linalg.inv(equations @ inverse @ equations.T)
    w = free - gain @ (equations @ free - values)
    variance = np.mean((y - X @ w) ** 2)
    covariance = variance * (inverse - gain @ equations @ inverse)
    height = -N / 2 * (np.log(2 * np.pi * variance) + 1)
    return SimpleNamespace(w=w, variance=variance, covariance=covariance, log_likelihood=height)


@pytest.fixture(scope="module")
def line():
    """One compilation for all constraints of this pattern."""
    return mle.models.linear_gaussian(), {"x": X, "y": BATCH[0]}


@pytest.fixture(scope="module")
def restricted(line):
    return mle.fit(*line, constraints=EQUATIONS)


def assert_is(fit, expected):
    # One Newton step beyond the certificate leaves rounding errors, times the condition of X'X (about 2).
    np.testing.assert_allclose(fit.params["w"], expected.w, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(fit.params["variance"], expected.variance, rtol=1e-10)
    np.testing.assert_allclose(fit.log_likelihood, expected.log_likelihood, rtol=1e-12)


def test_restricted_least_squares(restricted):
    expected = restricted_least_squares(BATCH[0])
    assert restricted.status is mle.Status.converged
    assert_is(restricted, expected)
    np.testing.assert_allclose(restricted.covariance()[:3, :3], expected.covariance, rtol=1e-9)
    np.testing.assert_allclose(restricted.covariance()[3, 3], 2 * expected.variance**2 / N, rtol=1e-9)
    assert restricted.n_parameters == 2  # four entries, two equations
    assert restricted.aic == pytest.approx(4 - 2 * expected.log_likelihood, rel=1e-12)


def test_tied_entries_move_as_one(restricted):
    w, errors = restricted.params["w"], restricted.standard_errors()["w"]
    assert w[1] == w[2] and errors[1] == errors[2]  # to the last bit
    covariance = restricted.covariance()
    assert covariance[1, 2] / (errors[1] * errors[2]) == pytest.approx(1.0, abs=1e-15)
    np.testing.assert_allclose(R @ covariance[:3, :3], 0.0, atol=1e-16)  # singular along the constraints


def test_the_summary_says_what_was_imposed(restricted):
    assert "Constraints: w[0] + 2*w[1] = 1; w[1] = w[2]." in restricted.summary()


def test_other_numbers_in_the_same_equations_do_not_compile_again(line, restricted):
    compiled = line[0]._programs.copy()
    sizes = {key: run._cache_size() for key, run in compiled.items()}
    fit = mle.fit(*line, constraints=("w[1] - w[2] = -0.25", "3 + w[0] + 2.5*w[1] = 0.5*w[0] + 7"))
    assert_is(fit, restricted_least_squares(BATCH[0], np.array([[0, 1, -1], [0.5, 2.5, 0]]), np.array([-0.25, 4.0])))
    assert {key: run._cache_size() for key, run in line[0]._programs.items()} == sizes


def test_evaluate_at_the_restricted_maximum(line, restricted):
    point = mle.evaluate(*line, restricted.params, constraints=EQUATIONS)
    assert point.converged and point.n_parameters == 2 and "Constraints" in point.summary()
    np.testing.assert_allclose(point.covariance(), restricted.covariance(), rtol=1e-9, atol=1e-17)
    with pytest.raises(ValueError, match=re.escape("params misses the constraint 'w[1] = w[2]' by 0.5")):
        mle.evaluate(*line, {"w": [0.0, 0.5, 1.0], "variance": 1.0}, constraints=EQUATIONS)


def test_a_batch(line):
    fits = mle.fit_batch(
        line[0],
        {"x": X, "y": BATCH},
        shared="x",
        constraints=EQUATIONS,
        start={"w": np.array([[1.0, 0.0, 0.0], [3.0, -1.0, -1.0], [0.0, 0.5, 0.5]])},
    )
    assert fits.converged.all() and fits.n_parameters == 2
    for lane, y in enumerate(BATCH):
        expected = restricted_least_squares(y)
        np.testing.assert_allclose(fits.params["w"][lane], expected.w, rtol=1e-9)
        np.testing.assert_allclose(fits.covariance()[lane, :3, :3], expected.covariance, rtol=1e-8)
        np.testing.assert_allclose(fits.log_likelihood[lane], expected.log_likelihood, rtol=1e-12)
    assert "Constraints: w[0] + 2*w[1] = 1; w[1] = w[2]." in fits[1].summary()
    bad = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.5], [1.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match=re.escape("start misses the constraint 'w[1] = w[2]' by 0.5")):
        mle.fit_batch(line[0], {"x": X, "y": BATCH}, shared="x", constraints=EQUATIONS, start={"w": bad})


def test_derivatives_through_maximize(line):
    """W is linear in y: its Jacobian is (I - G R) (X'X)^-1 X' by Greene's formula."""

    def w(y):
        return mle.maximize(line[0], {"x": X, "y": y}, constraints=EQUATIONS).params["w"]

    with jax.enable_x64(True):
        found = jax.jacfwd(w)(jnp.asarray(BATCH[0]))
    inverse = np.linalg.inv(X.T @ X)
    gain = inverse @ R.T @ np.linalg.inv(R @ inverse @ R.T)
    np.testing.assert_allclose(found, (np.eye(3) - gain @ R) @ inverse @ X.T, atol=1e-11)


def scored(x, y, mean_and_variance, offset=0.0):
    """Return the estimate and covariance of a regression with canonical link, by Newton's method in NumPy."""
    w = np.zeros(x.shape[1])
    for _ in range(50):
        mean, variance = mean_and_variance(x @ w + offset)
        information = (x * variance[:, None]).T @ x
        w = w + np.linalg.solve(information, x.T @ (y - mean))
    return w, np.linalg.inv(information)


@pytest.mark.slow
def test_poisson_regression_with_one_coefficient_put_in_terms_of_the_others():
    """With w0 = 1 - w1 - 2 w2 the predictor is 1 + w1 (x1 - 1) + w2 (x2 - 2): a regression with an offset."""
    y = np.random.default_rng(3).poisson(np.exp(X @ [0.3, 0.2, 0.4])).astype(float)
    free, covariance = scored(X[:, 1:] - [1.0, 2.0], y, lambda eta: (np.exp(eta), np.exp(eta)), offset=1.0)
    fit = mle.fit(mle.models.poisson_regression(), {"x": X, "y": y}, constraints="w[0] + w[1] + 2*w[2] = 1")
    whole = np.array([[-1.0, -2.0], [1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(fit.params["w"], whole @ free + [1.0, 0.0, 0.0], rtol=1e-10)
    np.testing.assert_allclose(fit.covariance(), whole @ covariance @ whole.T, rtol=1e-9)


def test_logistic_regression_with_equal_slopes_is_that_on_the_sum():
    y = (np.random.default_rng(4).random(N) < 1 / (1 + np.exp(-X @ [0.2, 0.9, 0.6]))).astype(float)
    both = np.column_stack([X[:, 0], X[:, 1] + X[:, 2]])
    expected, covariance = scored(both, y, lambda eta: (1 / (1 + np.exp(-eta)), 1 / (2 + 2 * np.cosh(eta))))
    fit = mle.fit(mle.models.logistic_regression(), {"x": X, "y": y}, constraints=("w[1] = w[2]",))
    np.testing.assert_allclose(fit.params["w"], expected[[0, 1, 1]], rtol=1e-8)
    np.testing.assert_allclose(fit.standard_errors()["w"], np.sqrt(np.diag(covariance))[[0, 1, 1]], rtol=1e-7)


def test_two_samples_with_a_common_or_proportional_scale():
    """Closed form: with sigma_0 = c sigma_1 the variance of sample 1 is (S_0 / c^2 + S_1) / n."""

    def log_density(params, row):
        return norm.logpdf(row["y"], params["mu"][row["group"]], params["sigma"][row["group"]])

    model = mle.Model(log_density, {"mu": mle.Real(2), "sigma": mle.Positive(2)})
    group = np.repeat([0, 1], [20, 30])
    y = RNG.normal(size=N) * np.where(group == 0, 2.0, 1.0) + group
    squares = np.array([np.sum((y[group == g] - y[group == g].mean()) ** 2) for g in (0, 1)])
    for equation, c in (("sigma[0] = sigma[1]", 1.0), ("sigma[0] / 2 = sigma[1] * 0.75", 1.5)):
        fit = mle.fit(model, {"y": y, "group": group}, constraints=equation)
        sigma = np.sqrt((squares[0] / c**2 + squares[1]) / N) * np.array([c, 1.0])
        assert fit.converged and fit.n_parameters == 3
        np.testing.assert_allclose(fit.params["mu"], [y[:20].mean(), y[20:].mean()], rtol=1e-10)
        np.testing.assert_allclose(fit.params["sigma"], sigma, rtol=1e-10)
        errors = fit.standard_errors()  # sigma / sqrt(2 n), of all observations; sigma_g / sqrt(n_g)
        np.testing.assert_allclose(errors["sigma"], sigma / np.sqrt(2 * N), rtol=1e-9)
        np.testing.assert_allclose(errors["mu"], sigma / np.sqrt([20, 30]), rtol=1e-9)
        assert fit.covariance()[2, 3] == pytest.approx(errors["sigma"].prod(), rel=1e-12)  # correlation 1


@pytest.mark.slow
def test_other_precisions_and_many_starts_keep_the_constraints(line):
    expected = restricted_least_squares(BATCH[0])
    for options in ({"dtype": "float32"}, {"dtype": "mixed"}, {"starts": 4}):
        fit = mle.fit(*line, constraints=EQUATIONS, **options)
        assert fit.converged and fit.n_parameters == 2
        np.testing.assert_allclose(fit.params["w"], expected.w, rtol=1e-3 if "float32" in options.values() else 1e-9)
        np.testing.assert_allclose(R @ fit.params["w"], Q, atol=1e-15)


@pytest.mark.slow
def test_a_maximum_on_the_boundary_keeps_the_constraints():
    """The variance beyond 1 is estimated as 0; what is left is restricted least squares with variance 1."""

    def log_density(params, row):
        return norm.logpdf(row["y"], row["x"] @ params["w"], jnp.sqrt(1.0 + params["extra"]))

    model = mle.Model(log_density, {"w": mle.Real(columns="x"), "extra": mle.Positive(closed=True)})
    y = 0.5 * BATCH[0]
    expected = restricted_least_squares(y)
    with pytest.warns(mle.ConvergenceWarning, match="at_boundary"):
        fit = mle.fit(model, {"x": X, "y": y}, constraints=EQUATIONS)
    assert fit.status is mle.Status.at_boundary and fit.params["extra"] == 0.0 and fit.n_parameters == 2
    np.testing.assert_allclose(fit.params["w"], expected.w, rtol=1e-9)
    found = fit.covariance()[:3, :3]
    np.testing.assert_allclose(found, expected.covariance / expected.variance, rtol=1e-8)


@pytest.mark.slow
def test_tied_entries_reach_the_boundary_together():
    """One group is more variable than its known variance of 1, which alone would move it inward; both are less."""

    def log_density(params, row):
        return norm.logpdf(row["y"], params["mu"], jnp.sqrt(1.0 + params["extra"][row["group"]]))

    model = mle.Model(log_density, {"mu": mle.Real(), "extra": mle.Positive(2, closed=True)})
    group = np.repeat([0, 1], 25)
    y = stats.zscore(RNG.normal(size=(2, 25)), axis=1).ravel() * np.where(group == 0, 1.05, 0.6)
    with pytest.warns(mle.ConvergenceWarning, match="at_boundary"):
        fit = mle.fit(model, {"y": y, "group": group}, constraints="extra[0] = extra[1]")
    assert fit.status is mle.Status.at_boundary and fit.params["extra"].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(fit.params["mu"], 0.0, atol=1e-12)
    np.testing.assert_allclose(fit.standard_errors()["mu"], 1 / np.sqrt(N), rtol=1e-9)
    np.testing.assert_allclose(fit.log_likelihood, stats.norm.logpdf(y).sum(), rtol=1e-12)
    assert fit.n_parameters == 2
    # With 9 times the weight on the first group the common slope points inward; 1 + extra is then the mean square.
    weights = np.where(group == 0, 9.0, 1.0)
    inside = mle.fit(model, {"y": y, "group": group}, constraints="extra[0] = extra[1]", weights=weights)
    assert inside.converged and inside.n_parameters == 2
    np.testing.assert_allclose(inside.params["extra"], np.average(y**2, weights=weights) - 1, rtol=1e-8)


def flat(place, theta):
    with jax.enable_x64(True):
        return dict(zip(place.space.names, np.asarray(place.flat(theta)).tolist(), strict=True))


def test_the_algebra_against_numpy():
    """Random equations in few integers are often redundant or contradictory: NumPy's ranks know which."""
    rng, space = np.random.default_rng(0), resolve({"w": mle.Real(3)}, None)
    outcomes = set()
    for _ in range(40):
        matrix, values = rng.integers(-1, 2, size=(2, 3)), rng.integers(0, 2, size=2)
        matrix[:, 0] += np.all(matrix == 0, axis=1)  # an equation names something
        texts = [
            " ".join(f"{f:+d}*w[{i}]" for i, f in enumerate(row) if f) + f" = {value}"
            for row, value in zip(matrix, values, strict=True)
        ]
        rank = np.linalg.matrix_rank(matrix)
        if np.linalg.matrix_rank(np.column_stack([matrix, values])) > rank:
            with pytest.raises(ValueError, match="contradict each other"):
                coordinates(space, constraints=texts)
            outcomes.add("contradiction")
            continue
        place = coordinates(space, constraints=texts)
        outcomes.add("redundant" if rank < 2 else "independent")
        assert place.size == 3 - rank and len(place.dependent) == rank
        found = np.array(list(flat(place, rng.normal(size=place.size)).values()))
        np.testing.assert_allclose(matrix @ found, values, atol=1e-14)
        far = rng.normal(size=3)
        with jax.enable_x64(True):  # the nearest point is NumPy's projection
            nearest = np.asarray(place.flat(nearest_theta(place, {"w": far}, None)))
        np.testing.assert_allclose(nearest, far - np.linalg.pinv(matrix) @ (matrix @ far - values), atol=1e-13)
    assert outcomes == {"contradiction", "redundant", "independent"}


def test_what_is_given_stays_where_it_is_and_the_rest_follows():
    place = coordinates(SPACE, constraints=("w[intercept] + w[income] = 1", "sigma[0] = 2*tau[1]"))
    given = {"w[income]": 0.25, "sigma": [3.0, 1.0]}
    with jax.enable_x64(True):
        found = flat(place, nearest_theta(place, SPACE.merge(START, given), given))
    assert found["w[income]"] == 0.25 and found["w[intercept]"] == 0.75
    assert found["sigma[0]"] == pytest.approx(3.0, rel=1e-15) and found["tau[1]"] == pytest.approx(1.5, rel=1e-15)


def test_names_are_read_as_the_library_shows_them():
    texts = (
        "w[age = old + 1] = 2 * w[income] - .5",
        "a.b = - mu / 4 + 1e1",
        "S = T",
        "v[0]=3*mu-1.5e0*v[ 1 ]+2",
        "rate = odds",
        "q = p",
    )
    place = coordinates(SPACE, constraints=texts)
    theta = np.random.default_rng(1).normal(size=place.size)
    at = flat(place, theta)
    assert at["w[age = old + 1]"] == pytest.approx(2 * at["w[income]"] - 0.5, rel=1e-14)
    assert at["a.b"] == pytest.approx(10 - at["mu"] / 4, rel=1e-14)
    assert at["v[0]"] == pytest.approx(3 * at["mu"] - 1.5 * at["v[1]"] + 2, rel=1e-14)
    assert at["rate"] == at["odds"]
    for one, other in (("S[0,0]", "T[0,0]"), ("S[1,0]", "T[1,0]"), ("S[1,1]", "T[1,1]"), ("p[2]", "q[2]")):
        assert at[one] == at[other]
    assert place.size == SPACE.n_free - 4 - 3 - 2  # four equations of numbers, a covariance, a simplex


def test_whole_parameters_are_tied_entry_by_entry():
    place = coordinates(SPACE, constraints=("v = 2*w - 1", "tau = 3*sigma"))
    at = flat(place, np.random.default_rng(2).normal(size=place.size))
    for i, label in enumerate(("intercept", "income", "age = old + 1")):
        assert at[f"v[{i}]"] == pytest.approx(2 * at[f"w[{label}]"] - 1, rel=1e-14)
    assert [at[f"tau[{i}]"] for i in (0, 1)] == pytest.approx([3 * at[f"sigma[{i}]"] for i in (0, 1)], rel=1e-14)


def test_more_entries_are_held_and_the_rest_stays_tied():
    """What a maximum on the boundary needs."""
    place = coordinates(SPACE, {"open": 2.0}, ("sigma[0] = 3*sigma[1]", "v[0] = 2*mu + 1", "tau[0] = tau[1]"))
    bound = hold_more(place, {"sigma[0]": 0.5, "sigma[1]": 0.25})
    assert place.size == SPACE.n_free - 1 - 3 and bound.size == place.size - 1
    assert not {"sigma[0]", "sigma[1]", "open"} & set(bound.names)
    at = flat(bound, np.random.default_rng(3).normal(size=bound.size))
    assert (at["open"], at["sigma[0]"], at["sigma[1]"], at["k"]) == (2.0, 0.5, 0.25, 2.0)
    assert at["v[0]"] == pytest.approx(2 * at["mu"] + 1, rel=1e-14) and at["tau[0]"] == at["tau[1]"]


ERRORS = {
    "unknown entry": ("w[incom] = 1", "names 'w[incom]', which is no parameter", "'w[income]'"),
    "unknown leaf": ("sigm = 1", "did you mean 'sigma'"),
    "product": ("v[0]*mu = 1", "multiplies 'v[0]' by 'mu'", "one linear equation"),
    "quotient": ("1/mu = 2", "divides by 'mu'", "log density in the free quantities"),
    "power": ("mu^2 = 1", "holds '^'"),
    "function": ("exp(mu) = 1", "calls exp(...)"),
    "parentheses": ("2*(mu - a.b) = 1", "holds '('"),
    "no sign": ("mu", "has no '=' sign"),
    "two signs": ("mu = a.b = 1", "has 2 '=' signs"),
    "inequality": ("mu <= 1", "holds '<='", "Interval(low, high)"),
    "double": ("mu == 1", "write a single '='"),
    "no operator": ("2 mu = 1", "write '2*mu'"),
    "empty side": ("mu = ", "nothing on one side"),
    "dangling": ("mu + = 1", "the end of a side"),
    "no name": ("1 = 2", "names no parameter"),
    "zero divisor": ("mu/0 = 1", "divides by 0"),
    "stranger": ("mu = 1 @ 2", "holds '@'"),
    "too large": ("mu = 1e400", "beyond those of float64"),
    "other domain": ("sigma[0] = mu", "'sigma[0]' is Positive, 'mu' is Real", "positive multiples"),
    "other interval": ("sigma[0] = rate", "'rate' is Interval", "declared alike"),
    "negative multiple": ("sigma[0] = -2*sigma[1]", "positive multiples"),
    "affine positive": ("sigma[0] = sigma[1] + 1", "positive multiples"),
    "multiple of an interval": ("rate = 2*odds", "declared alike"),
    "value of a positive": ("sigma[0] = 2", "pass fixed={'sigma[0]': ...}"),
    "entry of a simplex": ("p[0] = p[1]", "whose entries move together"),
    "known number": ("mu = k", "'k' is Fixed, a known number"),
    "shapes": ("v = sigma", "different shapes", "'v' (3,), 'sigma' (2,)"),
    "leaf and entry": ("v = mu", "different shapes"),
    "itself": ("mu = mu + 1", "holds for no values"),
    "contradiction": (
        ("v[0] = v[1]", "mu = 3", "v[1] = v[2]", "v[0] - v[2] = 1e-300"),
        "constraints 'v[0] = v[1]', 'v[1] = v[2]' and 'v[0] - v[2] = 1e-300' contradict each other",
    ),
    "two ratios": (
        ("open = 2*sigma[0]", "sigma[0] = 3*open"),
        "constraints 'open = 2*sigma[0]' and 'sigma[0] = 3*open' contradict each other",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_is_said_in_the_names_of_the_user(name):
    constraints, *messages = ERRORS[name]
    with pytest.raises(ValueError, match="constraint") as error:
        coordinates(SPACE, constraints=constraints)
    for message in messages:
        assert message in str(error.value)


def test_fixed_entries_and_the_last_free_one_cannot_be_constrained():
    with pytest.raises(ValueError, match=re.escape("holds 'v[1]', which is also in fixed")):
        coordinates(SPACE, {"v[1]": 2.0}, ("v[0] = v[1]",))
    small = resolve({"w": mle.Real(2)}, None)
    with pytest.raises(ValueError, match="leave no free parameter"):
        coordinates(small, constraints=("w[0] = w[1]", "w[0] + w[1] = 1"))
    for constraints in (3, ("w[0] = 1", 2)):
        with pytest.raises(TypeError, match="sequence of strings"):
            coordinates(small, constraints=constraints)
    with pytest.raises(ValueError, match="declare the parameters in a dict"):
        coordinates(resolve([mle.Real(), mle.Real()], None), constraints="0 = 1")


def test_a_start_that_misses_a_constraint(line):
    with pytest.raises(ValueError, match=re.escape("start misses the constraint 'w[1] = w[2]' by 0.25")):
        mle.fit(*line, constraints=EQUATIONS, start={"w[1]": 0.5, "w[2]": 0.25})
