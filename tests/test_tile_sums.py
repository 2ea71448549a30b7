"""Sums by native loops over tiles of rows, against NumPy's sums of derivatives written down by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from scipy import stats

import mle_jax as mle
from mle_jax.fitting import many_rows, passes
from mle_jax.likelihood.affine import split_always
from mle_jax.likelihood.loss import part_derivatives, part_values
from mle_jax.likelihood.parts import Part, every_row
from mle_jax.likelihood.stages import values_by_row
from mle_jax.likelihood.tile_sums import Tiles
from mle_jax.optimizers._one_kernel import is_known, only_in_one_kernel

N, P = 5000, 11  # columns: products of rows in whole groups, and a rest
SHARES = np.linspace(1.0, 0.5, 11)  # points: a whole group, and a rest
EVERY = every_row(0, N)
PARTS = [  # the stretches are longer and shorter than blocks, and cut off at the end
    EVERY,
    *(every_row(*edges) for edges in [(7, 4101), (4990, N), (12, 12)]),
    *(Part(5, 4700, length, 450) for length in (1, 100, 450)),
    Part(0, N, 4600, 4800),
]
# Sums of 5000 terms of size 1 to 10, in another order: some hundred rounding units of the sum of their sizes.
CLOSE = {"rtol": 1e-12, "atol": 1e-9}


def call(loop, *args):
    """Make a native function of a loop, where that is known to work."""
    return only_in_one_kernel(loop, *args) if is_known() else loop(*args)


class Flat:
    """Coordinates that are a vector, and parameters that read it."""

    def __init__(self, read):
        self.params = read


def logistic(params, row):
    z = row["x"] @ params
    return row["y"] * z - jnp.logaddexp(0.0, z)


def two_predictors(params, row):
    return norm.logpdf(row["y"], row["x"] @ params[:P], jnp.exp(row["x"][:2] @ params[P:]))


def scale_in_common(params, row):
    return norm.logpdf(row["y"], row["x"] @ params[:P], jnp.exp(params[P]))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((N, P))
    return {"x": x, "y": (rng.random(N) < 0.4).astype(float)}


def by_native_loops(density, theta, data, weights, part, call=call):
    with jax.enable_x64(True):
        model, flat = mle.Model(density, {"w": mle.Real(theta.size)}), Flat(lambda at: at)
        run = partial(
            jax.jit(partial(part_derivatives, model, flat, call=call)), jnp.asarray(theta), data, weights, part
        )
        points = jnp.asarray(SHARES[:, None] * theta)
        values = part_values(model, flat, points, data, weights, part, call=call)
        *sums, curved = run()
        assert curved
        return [np.asarray(leaf) for leaf in (*sums, values)]


def weights_of(kind):
    if kind is None:
        return None
    weights = np.random.default_rng(5).integers(0, 3, N).astype(float)
    return weights


@pytest.mark.smoke
@pytest.mark.parametrize("kind", [None, "weights"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("natively", [True, False])
def test_logistic_sums(data, kind, part, natively):
    theta, weights = np.linspace(-0.5, 0.8, P), weights_of(kind)
    how = call if natively else None
    value, magnitude, gradient, hessian, values = by_native_loops(logistic, theta, data, weights, part, call=how)
    begin, end, length, step = part
    rows = np.array([row for at in range(begin, end, step) for row in range(at, min(at + length, end))], int)
    assert part.count == len(rows)
    x, y = data["x"][rows], data["y"][rows]
    w = np.ones(len(rows)) if weights is None else weights[rows]

    def total(at):
        return w * (y * (x @ at) - np.logaddexp(0.0, x @ at))

    p = 1 / (1 + np.exp(-x @ theta))
    np.testing.assert_allclose(value, -total(theta).sum(), **CLOSE)
    np.testing.assert_allclose(magnitude, np.abs(total(theta)).sum(), **CLOSE)
    np.testing.assert_allclose(gradient, -x.T @ (w * (y - p)), **CLOSE)
    np.testing.assert_allclose(hessian, (x.T * (w * p * (1 - p))) @ x, **CLOSE)
    np.testing.assert_allclose(values, [-total(share * theta).sum() for share in SHARES], **CLOSE)


@pytest.mark.smoke
@pytest.mark.parametrize("density", [logistic, two_predictors, scale_in_common])
def test_the_hessian_may_be_left_out(data, density):
    size = {logistic: P, two_predictors: P + 2, scale_in_common: P + 1}[density]
    theta, part, weights = np.linspace(-0.5, 0.8, size), PARTS[1], weights_of("weights")
    with jax.enable_x64(True):
        model, flat = mle.Model(density, {"w": mle.Real(size)}), Flat(lambda at: at)

        @jax.jit
        def sums(curved, *args):
            return part_derivatives(model, flat, *args, curved=curved, call=call)

        args = jnp.asarray(theta), data, weights, part
        (*whole, hessian, curved), (*some, left_out, less) = sums(True, *args), sums(False, *args)
    assert curved and not less
    for leaf, other in zip(whole, some, strict=True):
        np.testing.assert_allclose(leaf, other, **CLOSE)
    assert not np.asarray(left_out)[:P, :P].any() and np.asarray(hessian)[:P, :P].all()  # it was not summed


def test_two_predictors_of_a_row(data):
    theta = np.append(np.linspace(-0.5, 0.8, P), [0.2, -0.1])
    value, _, gradient, hessian, _ = by_native_loops(two_predictors, theta, data, None, EVERY)
    x, z = data["x"], data["x"][:, :2]
    s = np.exp(z @ theta[P:])
    r = (data["y"] - x @ theta[:P]) / s
    np.testing.assert_allclose(value, -np.sum(-0.5 * r**2 - np.log(s) - 0.5 * np.log(2 * np.pi)), **CLOSE)
    np.testing.assert_allclose(gradient, -np.append(x.T @ (r / s), z.T @ (r**2 - 1)), **CLOSE)
    top = np.hstack([(x.T / s**2) @ x, (x.T * (2 * r / s)) @ z])
    bottom = np.hstack([(z.T * (2 * r / s)) @ x, (z.T * (2 * r**2)) @ z])
    np.testing.assert_allclose(hessian, np.vstack([top, bottom]), **CLOSE)


@pytest.mark.smoke
def test_a_scale_in_common(data):
    theta = np.append(np.linspace(-0.5, 0.8, P), 0.3)
    weights = weights_of("weights")
    value, _, gradient, hessian, _ = by_native_loops(scale_in_common, theta, data, weights, EVERY)
    x, s = data["x"], np.exp(0.3)
    r = (data["y"] - x @ theta[:P]) / s
    np.testing.assert_allclose(value, weights @ (0.5 * r**2 + 0.3 + 0.5 * np.log(2 * np.pi)), **CLOSE)
    np.testing.assert_allclose(gradient, -np.append(x.T @ (weights * r / s), weights @ (r**2 - 1)), **CLOSE)
    cross = x.T @ (weights * 2 * r / s)
    top = np.hstack([(x.T * (weights / s**2)) @ x, cross[:, None]])
    np.testing.assert_allclose(hessian, np.vstack([top, np.append(cross, weights @ (2 * r**2))]), **CLOSE)


@pytest.mark.smoke
@pytest.mark.parametrize("places", [(0, 2), (0, 2, 3), (1, 2, 4, 5, 6), tuple(range(1, 1 + P))])
def test_coordinates_that_predictors_depend_on_may_be_any(data, places):
    """Two to P of them, side by side or not; the others are a scale and one that nothing depends on."""
    columns, scale = np.array(places), max(places) + 1

    def density(params, row):
        return norm.logpdf(row["y"], sum(row["x"][i] * params[at] for i, at in enumerate(places)), params[scale])

    theta = np.linspace(0.9, 0.3, scale + 2)
    with jax.enable_x64(True):
        row = [jax.ShapeDtypeStruct((P,), float), jax.ShapeDtypeStruct((), float)]
        split = split_always(lambda at, x, y: density(at, {"x": x, "y": y}), jnp.zeros(scale + 2), row)
    assert split.active == places and split.sizes == (1, 1)
    value, _, gradient, hessian, _ = by_native_loops(density, theta, data, None, PARTS[1])
    x, y, s = data["x"][7:4101, : len(places)], data["y"][7:4101], theta[scale]
    r = (y - x @ theta[columns]) / s
    np.testing.assert_allclose(value, np.sum(0.5 * r**2 + np.log(s) + 0.5 * np.log(2 * np.pi)), **CLOSE)
    slopes, bends = np.zeros(scale + 2), np.zeros((scale + 2, scale + 2))
    slopes[columns], slopes[scale] = -x.T @ r / s, np.sum(1 - r**2) / s
    bends[np.ix_(columns, columns)], bends[scale, scale] = x.T @ x / s**2, np.sum(3 * r**2 - 1) / s**2
    bends[columns, scale] = bends[scale, columns] = 2 * x.T @ r / s**2
    np.testing.assert_allclose(gradient, slopes, **CLOSE)
    np.testing.assert_allclose(hessian, bends, **CLOSE)


@pytest.mark.smoke
def test_a_density_whose_value_alone_keeps_something_for_several_uses(data):
    """Negative binomial: the mean goes into quotients that are worked out by themselves. Values against SciPy."""

    def density(params, row):
        return mle.densities.negative_binomial.log_density(row["y"], jnp.exp(row["x"] @ params[:P]), jnp.exp(params[P]))

    theta = np.append(np.linspace(-0.5, 0.8, P), -0.3)
    counts = {"x": data["x"], "y": np.random.default_rng(8).poisson(3.0, N).astype(float)}
    with jax.enable_x64(True):
        row = [jax.ShapeDtypeStruct((P,), float), jax.ShapeDtypeStruct((), float)]
        split = split_always(
            lambda at, *leaves: density(at, dict(zip("xy", leaves, strict=True))), jnp.zeros(P + 1), row
        )
        number = jax.ShapeDtypeStruct((), float)
        by_row = [number], row, jax.eval_shape(split.of_data, row)
        assert values_by_row(split, [number], by_row).between  # or this tests nothing
    value, _, _, _, values = by_native_loops(density, theta, counts, None, EVERY)

    def total(at):
        size, mean = np.exp(-at[P]), np.exp(counts["x"] @ at[:P])
        return stats.nbinom.logpmf(counts["y"], size, size / (size + mean)).sum()

    # SciPy's logarithm of a probability loses some digits by its gamma functions.
    np.testing.assert_allclose(values, [-total(share * theta) for share in SHARES], rtol=1e-11)
    np.testing.assert_allclose(value, values[0], **CLOSE)


def test_rows_of_weight_zero_may_hold_anything(data):
    weights = weights_of("weights")
    x, y = data["x"].copy(), data["y"].copy()
    x[weights == 0], y[weights == 0] = np.nan, np.inf
    theta = np.linspace(-0.5, 0.8, P)
    clean = by_native_loops(logistic, theta, data, weights, EVERY)
    dirty = by_native_loops(logistic, theta, {"x": x, "y": y}, weights, EVERY)
    for one, other in zip(clean, dirty, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-15)


@pytest.mark.smoke
@pytest.mark.skipif(not is_known(), reason="native loops are not known to work here")
def test_a_fit_of_many_rows_goes_through_them(monkeypatch):
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(120_000), rng.standard_normal((120_000, 2))])
    data = {"x": x, "y": (rng.random(120_000) < 0.3).astype(float)}
    called = []

    def counted(*args):
        called.append(1)
        return only_in_one_kernel(*args)

    monkeypatch.setattr(passes, "only_in_one_kernel", counted)
    fit = mle.fit(mle.models.logistic_regression(), data)
    assert called and fit.converged
    p = 1 / (1 + np.exp(-x @ fit.params["w"]))
    information = (x.T * (p * (1 - p))) @ x
    step = np.linalg.solve(information, x.T @ (data["y"] - p))
    assert np.sqrt(step @ information @ step) < 1e-6
    np.testing.assert_allclose(fit.standard_errors()["w"], np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-9)


@pytest.mark.smoke
@pytest.mark.skipif(not is_known(), reason="native loops are not known to work here")
def test_a_last_piece_of_fewer_rows_is_summed_by_the_same_program(monkeypatch):
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(120_000), rng.standard_normal(120_000)])
    calls = set()

    def seen(*args, call=None, **kwargs):
        calls.add(call)
        return part_derivatives(*args, call=call, **kwargs)

    monkeypatch.setattr(passes, "part_derivatives", seen)
    assert mle.fit(mle.models.poisson_regression(), {"x": x, "y": rng.poisson(1.0, 120_000).astype(float)}).converged
    assert calls == {only_in_one_kernel}


ANYTHING = jnp.arange(3)


@jax.custom_vjp
def softplus(z):
    return jnp.logaddexp(0.0, z)


softplus.defvjp(lambda z: (softplus(z), z), lambda z, pulled: (pulled * jax.nn.sigmoid(z),))


def binary(params, row):
    return logistic(params["w"], row)


def with_a_rule_backward(params, row):
    z = row["x"] @ params["w"]
    return row["y"] * z - softplus(z)


def with_a_loop_as_long_as_the_row_says(params, row):
    return binary(params, row) - jax.lax.while_loop(lambda at: at < 3 * row["y"], lambda at: at + 1.0, 0.0)


def by_products(product):
    """A density that has its linear predictor from another kind of product than a scalar one of one type."""

    def density(params, row):
        z = product(row["x"], params["w"])
        return row["y"] * z - jnp.logaddexp(0.0, z)

    return density


def by_whole_numbers(x, w):
    """<x, w> times 1, worked out from whole numbers whose product does not fit into their own type."""
    large = jnp.where(x > 100.0, 0, 100_000).astype(jnp.int32)
    return (x * (jnp.dot(large, large, preferred_element_type=jnp.int64) / (P * 1e10))) @ w


PECULIAR = {
    "a product in a wider type": (
        by_products(lambda x, w: jnp.dot(x.astype(jnp.float32), w.astype(jnp.float32), preferred_element_type=float)),
        {},
    ),
    "an outer product": (by_products(lambda x, w: jnp.trace(jnp.einsum("i,j->ij", x, w))), {}),
    "a product entry by entry": (by_products(lambda x, w: jnp.sum(jnp.einsum("i,i->i", x, w))), {}),
    "products of whole numbers": (by_products(by_whole_numbers), {}),
    "a number in common that is not needed": (lambda p, row: binary(p, row) + 0 * row["k"], {"k": 2}),
    "a truth in common that makes no difference": (
        lambda p, row: binary(p, row) + jnp.where(row["flag"], 1.0, 1.0),
        {"flag": True},
    ),
    "a captured array that is not needed": (
        lambda p, row: binary(p, row) + row["y"] * jnp.sum(ANYTHING * 0),
        {},
    ),
    "columns of no width": (binary, {"a": np.zeros((N, 0))}),
    "a column of another type that is not read": (binary, {"kind": np.ones(N, np.int8)}),
    "a derivative by a rule that knows one way": (with_a_rule_backward, {}),
    "a loop as long as the row says": (with_a_loop_as_long_as_the_row_says, {}),
}


@pytest.mark.smoke
@pytest.mark.parametrize("case", PECULIAR)
def test_what_a_native_loop_might_stumble_over_is_fitted_all_the_same(data, case, monkeypatch):
    density, more = PECULIAR[case]
    model = mle.Model(density, {"w": mle.Real(P)}, constants=tuple(set(more) & {"k", "flag"}))
    monkeypatch.setattr(many_rows, "MANY_ROWS", 1000)
    fits = []
    for natively in (is_known(), False):
        monkeypatch.setattr(many_rows, "is_known", lambda natively=natively: natively)
        fits.append(mle.fit(model, {**data, **more}))
    one, other = fits
    assert one.converged and other.converged
    # Both have the maximum to a decrement far below 1e-6; values there differ by rounding only.
    np.testing.assert_allclose(one.log_likelihood, other.log_likelihood, rtol=1e-13)
    np.testing.assert_allclose(one.params["w"], other.params["w"], atol=1e-7 * np.max(one.standard_errors()["w"]))


def test_rows_without_any_number_are_fitted(monkeypatch):
    monkeypatch.setattr(many_rows, "MANY_ROWS", 1000)
    model = mle.Model(lambda params, row: -0.5 * (1 - params["m"] - jnp.sum(row["e"])) ** 2, {"m": mle.Real()})
    assert mle.fit(model, {"e": np.zeros((N, 0))}).params["m"] == pytest.approx(1.0)


def test_a_sample_and_all_rows_are_summed_by_one_compiled_program():
    """That a model's programs are called `precise` is how they are told from those of the search."""
    rng = np.random.default_rng(4)
    # Each of 16 pieces has as many rows as the sixteenth that is the sample.
    x = np.column_stack([np.ones(131_072), rng.standard_normal(131_072)])
    compiled = []

    def note(event, _, fun_name="", **__):
        if event.endswith("backend_compile_duration") and "precise" in fun_name:
            compiled.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        model = mle.Model(binary, {"w": mle.Real(2)})
        assert mle.fit(model, {"x": x, "y": (rng.random(131_072) < 0.3).astype(float)}).converged
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
    assert len(compiled) == 3  # for the start, the derivatives, and the values


def test_long_densities_are_refused_before_their_derivatives_are_traced(data):
    def with_many_in_common(params, row):
        return logistic(params["w"], row) + row["x"] @ jnp.tanh(params["c"])

    def long(params, row):
        z = row["x"] @ params["w"]
        for power in range(2000):
            z = jnp.sin(z + power)
        return z

    rows = data["x"], data["y"]
    with jax.enable_x64(True):
        tiles = Tiles(rows, None, None, N, every_row(0, N), call)
        for density, names, short in (
            (lambda p, row: logistic(p["w"], row), ["w"], True),
            (with_many_in_common, ["w", "c"], False),
            (long, ["w"], False),
        ):
            theta = jnp.zeros(P * len(names))

            def of_row(at, x, y, density=density, names=names):
                params = {name: at[P * i : P * (i + 1)] for i, name in enumerate(names)}
                return density(params, {"x": x, "y": y})

            one = [jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in rows]
            assert tiles.suits(split_always(of_row, theta, one), theta) is short
