"""The exact solver of quantile regression, held against linear programming (SciPy's HiGHS) and exact fractions."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog

from mle_jax.optimizers import solve_least_absolute_deviations

ENGEL = Path(__file__).resolve().parents[1] / "examples" / "data" / "engel.csv"

# Brownlee (1965), Statistical Theory and Methodology, p. 454: air flow, water temperature, acid, stack loss.
STACKLOSS = np.array(
    [
        *([80, 27, 89, 42], [80, 27, 88, 37], [75, 25, 90, 37], [62, 24, 87, 28], [62, 22, 87, 18], [62, 23, 87, 18]),
        *([62, 24, 93, 19], [62, 24, 93, 20], [58, 23, 87, 15], [58, 18, 80, 14], [58, 18, 89, 14], [58, 17, 88, 13]),
        *([58, 18, 82, 11], [58, 19, 93, 12], [50, 18, 89, 8], [50, 18, 86, 7], [50, 19, 72, 8], [50, 19, 79, 8]),
        *([50, 20, 80, 9], [56, 20, 82, 15], [70, 20, 91, 15]),
    ],
    float,
)

# Both are minima of the same sum: each is off by rounding errors of about n eps, so 1e-13 with room to spare.
RELATIVE = 1e-12


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def solve():
    """Share compilations: one per shape."""
    return jax.jit(
        lambda x, y, weights, quantile: solve_least_absolute_deviations(x, y, weights, quantile=quantile),
    )


def padded(x, y, n=60):
    """Return x, y and weights with rows of weight zero, up to a shape that is compiled already."""
    rest = (0, n - len(y))
    return np.pad(x, (rest, (0, 0))), np.pad(y, rest), np.pad(np.ones(len(y)), rest)


def objective(x, y, b, weights, quantile):
    r = y - x @ b
    return np.sum(weights * r * (quantile - (r < 0)))


def dual_program(x, y):
    """Return the least sum of |residuals| / 2 by the dual in HiGHS: one constraint per column, not per row."""
    options, free = {"presolve": False}, np.zeros(x.shape[1])
    found = linprog(-y, A_eq=x.T, b_eq=free, bounds=(-0.5, 0.5), method="highs-ipm", options=options)
    assert found.status == 0, found.message
    return math.fsum(0.5 * np.abs(y + x @ np.asarray(found.eqlin.marginals)))


def linear_program(x, y, weights, quantile):
    """Return the minimum by SciPy's HiGHS: residuals split into positive and negative parts."""
    n, p = x.shape
    design = sparse.hstack([sparse.csr_matrix(x), sparse.eye(n), -sparse.eye(n)]).tocsc()
    cost = np.concatenate([np.zeros(p), weights * quantile, weights * (1 - quantile)])
    bounds = [(None, None)] * p + [(0, None)] * (2 * n)
    found = linprog(cost, A_eq=design, b_eq=y, bounds=bounds, method="highs")
    assert found.status == 0, found.message
    return objective(x, y, found.x[:p], weights, quantile)


def assert_exact(solution, x, y, weights=None, quantile=0.5):
    """Check the value against the linear program, and that the solver proved it."""
    weights = np.ones(len(y)) if weights is None else weights
    b = np.asarray(solution.coefficients)
    least = linear_program(x, y, weights, quantile)
    value = objective(x, y, b, weights, quantile)
    assert value <= least * (1 + RELATIVE) + RELATIVE * np.sum(weights * np.abs(y))
    assert float(solution.gap) == 0
    assert float(solution.objective) == pytest.approx(value, rel=RELATIVE, abs=RELATIVE * np.sum(weights * np.abs(y)))


def with_intercept(columns):
    return np.column_stack([np.ones(len(columns)), columns])


def draw(kind, seed, n, p):
    """Return (x, y) of a random problem of a kind that trips solvers up."""
    rng = np.random.default_rng(seed)
    x = with_intercept(rng.normal(size=(n, p - 1)))
    y = x.sum(axis=1) + rng.standard_t(2, size=n)
    if kind == "integers":  # ties everywhere: many residuals are 0 at the solution
        x = with_intercept(rng.integers(0, 3, size=(n, p - 1)))
        y = rng.poisson(2, size=n).astype(float)
    elif kind == "rounded":
        y = np.round(y)
    elif kind == "duplicated rows":
        half = n // 2
        x, y = np.concatenate([x[:half], x[:half]]), np.concatenate([y[:half], y[:half]])
    elif kind == "collinear columns":
        x[:, -1] = 2 * x[:, 1] - x[:, 0]
    elif kind == "heavy tails":
        x[:, 1:], y = x[:, 1:] ** 5, rng.standard_cauchy(n) ** 3
    elif kind == "mostly exact":  # more than half of the rows lie on a plane
        y = x @ np.arange(1.0, p + 1) + (rng.random(n) < 0.4) * rng.normal(size=n)
    return x, y


KINDS = ["plain", "integers", "rounded", "duplicated rows", "collinear columns", "heavy tails", "mostly exact"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_worse_than_linear_programming(solve, kind):
    """15 problems of each kind, 105 in all: 3 shapes, 5 quantiles, with and without weights (of which some are 0)."""
    for seed, (n, p) in enumerate([(8, 3), (60, 4), (250, 6)]):
        for quantile in (0.5, 0.1, 0.25, 0.8, 0.97):
            x, y = draw(kind, 100 * seed + int(100 * quantile), n, p)
            rng = np.random.default_rng(seed)
            weights = np.ones(n) if quantile == 0.5 else rng.integers(0, 4, size=n).astype(float)
            assert_exact(solve(x, y, weights, quantile), x, y, weights, quantile)


def test_engel_is_the_exact_vertex():
    income, food = np.loadtxt(ENGEL, delimiter=",", skiprows=1, unpack=True)
    x = with_intercept(income)
    solution = solve_least_absolute_deviations(x, food)
    # By exact rational arithmetic: the line through households 75 and 219 (counted from 0).
    intercept = 1784909194846269296811843031 / 21905497840690050000000000
    slope = 245420677098290 / 438109956813801
    # The slope is a ratio of two differences of numbers of 6 digits: rounding costs about condition x eps.
    np.testing.assert_allclose(solution.coefficients, [intercept, slope], rtol=1e-12)
    assert float(solution.gap) == 0 and not np.any(solution.edge) and int(solution.rank) == 2
    assert_exact(solution, x, food)


def test_stackloss_is_the_exact_vertex(solve):
    x = with_intercept(STACKLOSS[:, :3])
    solution = solve(*padded(x, STACKLOSS[:, 3]), 0.5)
    exact = [-13693 / 345, 287 / 345, 66 / 115, -7 / 115]  # exact rational arithmetic, rows 1, 7, 15, 17
    np.testing.assert_allclose(solution.coefficients, exact, rtol=1e-12)
    assert_exact(solution, x, STACKLOSS[:, 3])


def test_non_uniqueness_is_said():
    x, y = np.ones((5, 1)), np.array([1.0, 2.0, 5.0, 9.0, 4.0])
    solution = solve_least_absolute_deviations(x, y, np.array([1.0, 1.0, 1.0, 1.0, 0.0]))
    ends = sorted([float(solution.coefficients[0]), float(solution.coefficients[0] + solution.edge[0])])
    assert ends == pytest.approx([2.0, 5.0], rel=1e-14)  # every median of an even number
    odd = solve_least_absolute_deviations(x, y, np.ones(5))
    assert float(odd.coefficients[0]) == 4.0 and not np.any(odd.edge)


def test_an_edge_keeps_the_objective():
    rng = np.random.default_rng(3)
    x = with_intercept(rng.integers(0, 2, size=40))  # two groups of even size or not: medians of each
    x[:20, 1], x[20:, 1] = 0.0, 1.0
    y = rng.normal(size=40)
    solution = solve_least_absolute_deviations(x, y)
    assert np.any(solution.edge)
    ends = [np.asarray(solution.coefficients) + t * np.asarray(solution.edge) for t in (0.0, 0.5, 1.0)]
    values = [objective(x, y, b, np.ones(40), 0.5) for b in ends]
    np.testing.assert_allclose(values, values[0], rtol=1e-13)


def test_an_edge_ends_at_the_first_of_all_rows():
    rng = np.random.default_rng(0)
    x = np.zeros((2000, 2))
    x[:, 0], x[:4] = 1, [0, 1]  # a group of four, whose median is free between 0 and 100
    y = 3 * rng.normal(size=2000)
    y[:4] = [-100, 0, 100, 300]
    solution = solve_least_absolute_deviations(x, y)
    ends = np.asarray(solution.coefficients)[1] + np.array([0, np.asarray(solution.edge)[1]])
    assert sorted(ends) == pytest.approx([0, 100], abs=1e-9)


@pytest.mark.parametrize("kind", ["zeros", "binary", "half on a plane"])
def test_thousands_of_ties_are_proved(kind):
    rng = np.random.default_rng(1)
    n = 4000
    x = with_intercept(rng.normal(size=(n, 3)))
    y = {
        "zeros": (rng.random(n) < 0.3) * np.exp(rng.normal(size=n)),
        "binary": (rng.random(n) < 0.4).astype(float),
        "half on a plane": x.sum(axis=1) + rng.laplace(size=n) * (rng.random(n) < 0.4),
    }[kind]
    solution = jax.jit(solve_least_absolute_deviations)(x, y)
    # More than half of the rows lie on one plane, so it is the solution.
    np.testing.assert_allclose(solution.coefficients, np.full(4, float(kind == "half on a plane")), atol=1e-13)
    assert float(solution.gap) == 0


def test_heavy_tails_do_not_hide_the_middle():
    y = np.random.default_rng(1).standard_cauchy(8001) ** 3  # residuals from 1e-6 to 1e12
    solution = jax.jit(solve_least_absolute_deviations)(np.ones((8001, 1)), y)
    assert float(solution.coefficients[0]) == np.median(y) and float(solution.gap) == 0


def test_collinear_columns_give_the_shortest_coefficients(solve):
    rng = np.random.default_rng(4)
    x = with_intercept(rng.normal(size=(8, 2)))
    y = x.sum(axis=1) + rng.laplace(size=8)
    one, two = solve(x, y, np.ones(8), 0.5), solve(*padded(np.column_stack([x, x[:, 2]]), y), 0.5)
    assert int(two.rank) == 3
    # The two equal columns share the coefficient; 1e-12: condition of a few times eps.
    half = float(one.coefficients[2]) / 2
    np.testing.assert_allclose(two.coefficients, [*one.coefficients[:2], half, half], rtol=1e-12)


def test_rows_of_weight_zero_are_left_out_whatever_they_contain(solve):
    x, y = draw("plain", 5, 60, 4)
    weights = np.ones(60)
    weights[[3, 17]] = 0
    clean = solve(x, y, weights, 0.5)
    x[3], y[17] = np.nan, np.inf
    np.testing.assert_array_equal(solve(x, y, weights, 0.5).coefficients, clean.coefficients)


def test_frequency_weights_repeat_rows(solve):
    x, y = draw("plain", 6, 60, 4)
    weights = np.random.default_rng(6).multinomial(60, np.full(60, 1 / 60))  # 0 to 4, and 60 rows again
    repeated = solve(np.repeat(x, weights, axis=0), np.repeat(y, weights), np.ones(60), 0.5)
    weighted = solve(x, y, weights.astype(float), 0.5)
    np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, rtol=1e-12)


def test_a_perfect_fit(solve):
    x, _ = draw("plain", 7, 60, 4)
    y = x @ [1.0, 2.0, -1.0, 0.5]
    solution = solve(x, y, np.ones(60), 0.5)
    np.testing.assert_allclose(solution.coefficients, [1.0, 2.0, -1.0, 0.5], rtol=1e-13)
    assert float(solution.objective) < 1e-12 * np.abs(y).sum()


@pytest.mark.parametrize(("n", "p"), [(1, 1), (3, 3), (2, 4)])
def test_as_many_columns_as_rows_or_more(n, p):
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(n, p)), rng.normal(size=n)
    solution = solve_least_absolute_deviations(x, y)
    np.testing.assert_allclose(x @ np.asarray(solution.coefficients), y, rtol=1e-11)
    assert int(solution.rank) == min(n, p)


def test_units_do_not_matter(solve):
    x, y = draw("plain", 9, 60, 4)
    units = np.array([1.0, 1e-8, 1e6, 1e3])
    plain, scaled = solve(x, y, np.ones(60), 0.3), solve(x * units, y * 1e9, np.ones(60), 0.3)
    np.testing.assert_allclose(scaled.coefficients * units / 1e9, plain.coefficients, rtol=1e-11)
    assert float(scaled.gap) == 0


def test_batches_agree_with_single_solutions(solve):
    problems = [draw(kind, 10 + i, 60, 4) for i, kind in enumerate(KINDS)]
    x, y = (np.stack(parts) for parts in zip(*problems, strict=True))
    many = jax.jit(jax.vmap(lambda x, y: solve_least_absolute_deviations(x, y)))(x, y)
    assert not np.any(many.gap)
    for lane, (one_x, one_y) in enumerate(problems):
        alone = solve(one_x, one_y, np.ones(60), 0.5)
        assert float(many.objective[lane]) == pytest.approx(float(alone.objective), rel=1e-13)


def test_single_precision(solve):
    x, y = draw("plain", 20, 250, 6)
    with jax.enable_x64(False):
        solution = jax.jit(solve_least_absolute_deviations)(x, y)
        assert solution.coefficients.dtype == jnp.float32
    exact = solve(x, y, np.ones(250), 0.5)
    # A vertex of the rounded data: a few units of float32 rounding times the condition, about 10.
    np.testing.assert_allclose(solution.coefficients, exact.coefficients, rtol=1e-5)
    assert float(solution.gap) <= 1e-5 * float(exact.objective)


@pytest.fixture(scope="module")
def both_ways():
    """Solve with and without preprocessing, compiled once."""
    return tuple(
        jax.jit(
            lambda x, y, quantile, way=way: solve_least_absolute_deviations(x, y, quantile=quantile, preprocess=way)
        )
        for way in (True, False)
    )


def many_rows(kind, n=12_000):
    rng = np.random.default_rng(30)
    x = with_intercept(rng.normal(size=(n, 2)))
    y = x.sum(axis=1) + rng.laplace(size=n)
    if kind == "rare category":  # hardly present in the sample, far from the center
        x[:, 2] = 0
        x[rng.choice(n, 40, replace=False), 2] = 1
    elif kind == "absent from the sample":
        x[:, 2] = 0
        x[17, 2] = 1
    elif kind == "sorted":
        order = np.argsort(y)
        x, y = x[order], y[order]
    elif kind == "counts":  # thousands of ties: the certain rows cannot be told from the others
        x[:, 1:] = rng.integers(0, 2, size=(n, 2))
        y = rng.poisson(3, size=n).astype(float)
    elif kind == "heteroscedastic":
        y = x.sum(axis=1) + rng.laplace(size=n) * np.exp(x[:, 1])
    return x, y


@pytest.mark.parametrize(
    "kind", ["plain", "rare category", "absent from the sample", "sorted", "counts", "heteroscedastic"]
)
@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_preprocessing_changes_nothing(both_ways, kind, quantile):
    x, y = many_rows(kind)
    quick, whole = (way(x, y, quantile) for way in both_ways)
    # Sums of 12 000 terms: rounding about sqrt(n) eps.
    assert float(quick.objective) == pytest.approx(float(whole.objective), rel=1e-13)
    assert float(quick.gap) <= 1e-12 * float(quick.objective) and float(whole.gap) <= 1e-12 * float(whole.objective)
    if kind != "counts":
        assert float(quick.gap) == 0 == float(whole.gap)


@pytest.mark.slow
def test_linear_programming_agrees_on_many_rows(both_ways):
    for kind in ("plain", "counts", "rare category"):
        x, y = many_rows(kind)
        least = dual_program(x, y)
        for way in both_ways:
            assert float(way(x, y, 0.5).objective) <= least * (1 + RELATIVE)


@pytest.mark.slow
@pytest.mark.parametrize("preprocess", [True, False])
def test_linear_programming_agrees_on_a_quarter_of_a_million_rows(preprocess, many):
    x, y, least = many
    solution = jax.jit(lambda x, y: solve_least_absolute_deviations(x, y, preprocess=preprocess))(x, y)
    assert float(solution.gap) == 0
    b = np.asarray(solution.coefficients)
    assert math.fsum(0.5 * np.abs(y - x @ b)) <= least * (1 + RELATIVE)


@pytest.fixture(scope="module")
def many():
    """250 000 rows of 20 columns and the least objective; `python -m benchmarks --suite lad` solves a million."""
    rng = np.random.default_rng(7)
    x = with_intercept(rng.normal(size=(250_000, 19)))
    y = x.sum(axis=1) + rng.laplace(size=len(x))
    return x, y, dual_program(x, y)


@pytest.mark.parametrize(
    ("x", "y", "quantile", "message"),
    [
        (np.ones(3), np.ones(3), 0.5, r"x has shape \(3,\) and y \(3,\)"),
        (np.ones((3, 1)), np.ones(4), 0.5, r"x has shape \(3, 1\) and y \(4,\)"),
        (np.ones((0, 1)), np.ones(0), 0.5, "at least one row and column"),
        (np.ones((3, 1)), np.ones(3), 1.0, "strictly between 0 and 1"),
    ],
)
def test_wrong_input(x, y, quantile, message):
    with pytest.raises(ValueError, match=message):
        solve_least_absolute_deviations(x, y, quantile=quantile)


def test_wrong_weights():
    with pytest.raises(ValueError, match=r"weights have shape \(2,\), but y has \(3,\)"):
        solve_least_absolute_deviations(np.ones((3, 1)), np.ones(3), np.ones(2))
    assert np.isnan(solve_least_absolute_deviations(np.ones((3, 1)), np.ones(3), np.array([1.0, -1.0, 2.0])).gap)


def test_integers_are_numbers_too():
    solution = solve_least_absolute_deviations(np.ones((3, 1), int), np.array([1, 2, 6]))
    assert float(solution.coefficients[0]) == 2.0
