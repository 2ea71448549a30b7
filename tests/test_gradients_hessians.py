"""Right second derivatives pass, wrong ones do not: a table of functions times a table of slips, in both precisions."""

import hessian_cases as cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hessian_cases import CASES, SLIPS, N, right

import mle_jax as mle
from mle_jax import check_hessian, check_hessian_product

FAST = {"linear-gaussian at its maximum", "logistic + 1e9", "poisson, scales 1e-8 to 1e8"}
EVERY = [
    pytest.param(name, dtype, marks=() if name in FAST and dtype == "float64" else pytest.mark.slow)
    for name in CASES
    for dtype in ("float64", "float32")
]
HARD = {"linear-gaussian at its maximum", "logistic + 1e9", "poisson, scales 1e-8 to 1e8", "1e8 sines", "weibull"}
SLIPPED = [param for param in EVERY if param.values[0] in HARD or param.values[1] == "float64"]
SMALLEST = {"float64": 1e-6, "float32": 1e-3}


def checked(case, mutant, **options):
    return check_hessian(case.function, lambda p, *args: mutant(case, p, *args), case.params, *case.args, **options)


@pytest.mark.parametrize(("name", "dtype"), EVERY)
def test_right_hessians_pass(name, dtype):
    case = CASES[name]
    report = checked(case, right, dtype=dtype, seed=1)
    assert report.passed, str(report)
    assert report.diagnosis == ""


def equal(a, b):
    """Say whether two matrices are the same but for rounding, on the scale of their diagonals."""
    return a.shape == b.shape and np.all(np.abs(a - b) <= 1e-9 * np.maximum(np.abs(a), np.abs(b)))


@pytest.mark.parametrize(("name", "dtype"), SLIPPED)
def test_slips_are_found_and_named(name, dtype):
    case = CASES[name]
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, case.params)
        wrong = {words: np.asarray(mutant(case, params, *case.args)) for words, mutant in SLIPS.items()}
        truth = right(case, params, *case.args)
    # A slip that changes nothing here is none (the sign of cross-terms of a single leaf, say).
    wrong = {words: matrix for words, matrix in wrong.items() if not equal(matrix, truth)}
    assert len(wrong) >= 10
    for words, matrix in wrong.items():
        report = checked(case, SLIPS[words], dtype=dtype)
        assert not report.passed, f"{words}: accepted\n{report}"
        # Two slips may give one matrix: the blocks of scalars on the diagonal are the diagonal.
        names = [other for other, same in wrong.items() if equal(matrix, same)]
        assert any(known in report.diagnosis for known in names), f"{words}: {report.diagnosis}"
        others = [known for known in SLIPS if known in report.diagnosis and known not in names]
        assert all(any(known in name for name in names) for known in others), f"{words}: {report.diagnosis}"


@pytest.mark.parametrize(("name", "dtype"), EVERY)
def test_small_errors_are_found_and_located(name, dtype):
    case, size = CASES[name], SMALLEST[dtype]

    def one_entry(case, p, *args):
        matrix = right(case, p, *args).copy()
        matrix[0, -1] *= 1 + size
        matrix[-1, 0] = matrix[0, -1]
        return matrix

    report = checked(case, one_entry, dtype=dtype)
    failed = [row for row in report.rows if not row.verdict.passes]
    assert [row.name for row in failed] == [report.rows[0].name.split(", ")[0] + ", " + last_name(report)], str(report)
    assert failed[0].difference == pytest.approx(size * failed[0].autodiff, rel=0.05)
    everywhere = checked(case, cases.times(1 - size), dtype=dtype)
    assert not everywhere.passed, str(everywhere)


def last_name(report):
    return report.rows[-1].name.split(", ")[-1]


@pytest.mark.parametrize("name", ["linear-gaussian", "product of matrices", "poisson, scales 1e-8 to 1e8"])
def test_products_of_hessians_and_vectors_are_checked_entry_by_entry(name):
    case = CASES[name]

    def product(p, vector, *args):
        leaves = [vector[key] for key in p] if isinstance(p, dict) else [vector]
        flat = jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])
        found = case.terms(p, *args).sum(axis=0) @ flat
        if not isinstance(p, dict):
            return found
        pieces = zip(p.items(), cases.slices(p), strict=True)
        return {key: found[piece].reshape(jnp.shape(leaf)) for (key, leaf), piece in pieces}

    report = check_hessian_product(case.function, product, case.params, *case.args)
    assert report.passed, str(report)

    def doubled(p, vector, *args):
        return jax.tree.map(lambda leaf: 2 * leaf, product(p, vector, *args))

    report = check_hessian_product(case.function, doubled, case.params, *case.args)
    assert report.diagnosis == "The Hessian of the handwritten product is 2 times the right one."

    def in_numpy(p, vector, *args):  # cannot be traced
        return jax.tree.map(np.array, product(p, jax.tree.map(np.array, vector), *args))

    assert check_hessian_product(case.function, in_numpy, case.params, *case.args).passed

    def bent(p, vector, *args):  # right for every unit vector, and yet not linear
        size = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(vector))
        return jax.tree.map(lambda leaf: leaf * jnp.sqrt(size), product(p, vector, *args))

    report = check_hessian_product(case.function, bent, case.params, *case.args)
    assert not report.passed
    assert all("random vector" in row.name for row in report.rows if not row.verdict.passes)


def test_many_coordinates_are_checked_along_random_vectors():
    weights = jnp.linspace(0.5, 1.5, 300)

    def function(p):
        return jnp.sum(weights * jnp.cos(p)) + jnp.sum(p[1:] * p[:-1]) ** 2 / 600

    def product(p, v):
        inner = jnp.sum(p[1:] * p[:-1])
        first = jnp.pad(p[1:], (0, 1)) + jnp.pad(p[:-1], (1, 0))
        second = jnp.pad(v[1:], (0, 1)) + jnp.pad(v[:-1], (1, 0))
        return -weights * jnp.cos(p) * v + (first * (first @ v) + inner * second) / 300

    point = np.linspace(0.1, 2.0, 300)
    report = check_hessian_product(function, product, point)
    assert report.passed, str(report)
    assert len(report.rows) == 3 * 300
    one = check_hessian_product(function, lambda p, v: product(p, v).at[17].multiply(1 + 1e-6), point)
    assert {row.name.split(", ")[0] for row in one.rows if not row.verdict.passes} == {"params[17]"}
    half = check_hessian_product(function, lambda p, v: product(p, v) / 2, point)
    assert half.diagnosis == "The Hessian of the handwritten product is 1/2 of the right one."

    def matrix(p):
        return jax.vmap(lambda v: product(p, v))(jnp.eye(300))

    assert check_hessian(function, matrix, point, points=1).passed
    entry = check_hessian(function, lambda p: matrix(p).at[3, 200].add(1e-4).at[200, 3].add(1e-4), point, points=1)
    assert [row.name for row in entry.rows if not row.verdict.passes] == ["params[3], params[200]"]


def test_both_layouts_are_accepted_and_misfits_are_named():
    case = CASES["linear-gaussian"]

    def nested(p, *args):
        matrix = case.terms(p, *args).sum(axis=0)
        return {"v": {"w": matrix[3, :3], "v": matrix[3, 3]}, "w": {"w": matrix[:3, :3], "v": matrix[:3, 3]}}

    def check(hessian):
        return check_hessian(case.function, hessian, case.params, *case.args)

    assert check(nested).passed
    assert check(jax.hessian(case.function)).passed
    missing = check(lambda p, *args: {"w": nested(p, *args)["w"], "v": {"v": nested(p, *args)["v"]["v"]}})
    assert not missing.passed
    assert "has no 'v, w'" in missing.diagnosis
    assert {row.name for row in missing.rows if row.verdict == "wrong shape"} == {"v, w[0]", "v, w[1]", "v, w[2]"}
    diagonal = check(lambda p, *args: np.diagonal(right(case, p, *args)))
    assert "it is the diagonal alone" in diagonal.diagnosis
    unsummed = check(lambda p, *args: case.terms(p, *args))
    assert f"the sum over observations is missing (its axis 0 has length {N})" in unsummed.diagnosis
    with pytest.raises(TypeError, match="consists of real numbers"):
        check(lambda p, *args: 1j * right(case, p, *args))


def test_a_block_of_two_leaves_that_is_transposed_is_named():
    mixing = jnp.array([[1.0, 2.0, -1.0], [0.5, 1.5, 0.3], [0.1, -0.7, 2.0]])

    def function(p):
        return jnp.exp(p["u"] / 3) @ mixing @ jnp.exp(p["v"] / 2)

    def hessian(p, turned):
        u, v = jnp.exp(p["u"] / 3), jnp.exp(p["v"] / 2)
        cross = u[:, None] * mixing * v / 6
        wrong = cross.T if turned else cross
        corner = jnp.diag(u * (mixing @ v)) / 9, jnp.diag(v * (mixing.T @ u)) / 4
        return jnp.block([[corner[0], wrong], [wrong.T, corner[1]]])

    point = {"u": np.array([0.3, 0.6, -0.4]), "v": np.array([0.2, -0.5, 0.9])}
    assert check_hessian(function, lambda p: hessian(p, False), point).passed
    report = check_hessian(function, lambda p: hessian(p, True), point)
    assert report.diagnosis == "The handwritten Hessian is transposed in the block 'u, v'."


def test_a_matrix_in_column_major_order_is_named():
    case = CASES["product of matrices"]
    order = np.concatenate([np.arange(4).reshape(2, 2).ravel("F"), 4 + np.arange(6).reshape(2, 3).ravel("F")])
    report = checked(case, lambda case, p, *args: right(case, p, *args)[np.ix_(order, order)])
    assert "in column-major order" in report.diagnosis


@jax.custom_jvp
def rough_cube(x):
    return x**3


@rough_cube.defjvp
def _(primals, tangents):
    return primals[0] ** 3, 3 * jax.lax.stop_gradient(primals[0]) ** 2 * tangents[0]


def test_broken_second_derivatives_of_the_function_are_not_blamed_on_the_hand():
    """The gradient of the cube is right here, but autodiff takes its derivative for zero."""
    report = check_hessian(lambda p: rough_cube(p["x"]) + p["y"] ** 2, lambda p: [[6 * p["x"], 0], [0, 2]], POINT)
    assert [str(row.verdict) for row in report.rows] == ["autodiff wrong", "ok", "ok"]
    assert report.diagnosis.startswith("The Hessian by autodiff is wrong for 'x, x'")
    agreeing = check_hessian(lambda p: rough_cube(p["x"]) + p["y"] ** 2, lambda p: [[0, 0], [0, 2]], POINT)
    assert not agreeing.passed


POINT = {"x": 1.5, "y": 0.7}


def test_a_broken_gradient_of_the_function_does_not_accuse_a_right_hessian():
    """Differences of a wrong gradient agree with autodiff; only the values of the function know better."""

    def function(p):
        return jax.lax.stop_gradient(p["x"]) ** 2 * p["y"] ** 2

    def hessian(p):
        return [[2 * p["y"] ** 2, 4 * p["x"] * p["y"]], [4 * p["x"] * p["y"], 2 * p["x"] ** 2]]

    report = check_hessian(function, hessian, POINT)
    verdicts = {row.name: str(row.verdict) for row in report.rows}
    assert verdicts["x, x"] == "autodiff wrong"
    assert "wrong" not in verdicts.values()
    assert "Autodiff's gradient of the function is wrong for 'x'" in report.diagnosis
    copied = check_hessian(function, lambda p: [[0, 0], [4 * p["x"] * p["y"], 2 * p["x"] ** 2]], POINT)
    assert not copied.passed


def test_where_the_gradient_has_a_kink_one_sided_values_are_accepted():
    def function(x):
        return jnp.sum(jnp.maximum(x, 0.0) ** 2)

    at_kink = np.array([0.0, 1.0])
    report = check_hessian(function, lambda x: [[0.0, 0.0], [0.0, 2.0]], at_kink, points=0)
    assert report.passed
    assert str(report.rows[0].verdict) == "not differentiable here"
    assert not check_hessian(function, lambda x: [[4.0, 0.0], [0.0, 2.0]], at_kink, points=0).passed


def test_the_report_is_one_screen_worst_first_and_fails_a_test_suite():
    case = CASES["product of matrices"]
    report = checked(case, cases.times(2.0))
    lines = str(report).splitlines()
    assert len(lines) <= 18
    assert lines[0].startswith("Hessian check FAILED (wrong) in")
    with pytest.raises(AssertionError, match="2 times the right one"):
        report.assert_passed()
    frame = report.to_pandas()
    assert len(frame) == 10 * 11 // 2
    assert set(frame["verdict"]) == {"wrong", "ok"}


def test_values_that_are_not_finite_do_not_pass():
    report = mle.check_hessian(lambda x: jnp.log(x), lambda x: jnp.nan * x, 2.0)
    assert not report.passed
    assert report.diagnosis == "The handwritten Hessian is nan for 'params, params'."
    outside = mle.check_hessian(lambda x: jnp.log(x), lambda x: -1 / x**2, -2.0)
    assert not outside.passed
    assert "check at a point of its domain" in outside.diagnosis
