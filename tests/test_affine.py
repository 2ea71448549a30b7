"""The affine predictors that a log density's program shows, and derivatives through them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

import mle_jax as mle
from mle_jax.likelihood import row_sums
from mle_jax.likelihood.affine import split_affine, split_always
from mle_jax.likelihood.layout import model_space
from mle_jax.likelihood.row_sums import RowSums
from mle_jax.parameters import coordinates

ROW = {"x": np.array([1.0, -0.5, 2.0, 0.25]), "y": np.array(1.0), "g": np.array(2)}


def bernoulli(params, row):
    eta = row["x"] @ params["w"]
    return row["y"] * eta - jnp.logaddexp(0.0, eta)  # two uses of one predictor


def written_twice(params, row):  # the same predictor, as users write it
    return row["y"] * (row["x"] @ params["w"]) - jnp.exp(row["x"] @ params["w"])


def gaussian(params, row):
    return norm.logpdf(row["y"], row["x"] @ params["w"] + 1.0, params["s"])


def two_lines(params, row):
    return norm.logpdf(row["y"], row["x"] @ params["w"], jnp.exp(row["x"][:2] @ params["v"]))


def nothing_read(params, row):  # one of the predictors is an array without entries
    return norm.logpdf(row["y"], row["x"] @ params["w"], params["s"]) + jnp.sum(
        jnp.tanh(params["v"][:0] * row["x"][:0])
    )


def groups(params, row):
    return norm.logpdf(row["y"], params["a"][row["g"]] + row["x"] @ params["w"], params["s"])


def piecewise(params, row):  # which branch is taken depends on the parameters, so the choice itself is not affine
    return -((row["y"] - jnp.where(params["w"][0] > 0, params["w"].sum(), 0.0)) ** 2)


def quadratic(params, row):
    return -(params["w"] @ params["w"]) * row["y"]


def looped(params, row):  # a loop is opaque, whatever is inside
    return -jax.lax.fori_loop(0, 3, lambda i, total: total + params["w"][i] ** 2, 0.0)


def flat_line(params, row):
    return row["x"] @ params["w"]


W = {"w": mle.Real(4)}
SPLITS = [  # log density, declaration, entries of the predictors of the row and in common; None where it does not pay
    (bernoulli, W, (1, 0)),
    (written_twice, W, (1, 0)),
    (gaussian, W | {"s": mle.Positive()}, (1, 1)),
    (two_lines, W | {"v": mle.Real(2)}, (2, 0)),
    (nothing_read, W | {"v": mle.Real(4), "s": mle.Positive()}, (1, 1)),
    (groups, W | {"a": mle.Real(9), "s": mle.Positive()}, (1, 1)),
    (flat_line, W, (1, 0)),
    (piecewise, W, (0, 2)),
    (quadratic, W, None),
    (looped, W, None),
    (lambda params, row: norm.logpdf(row["y"], params["m"], params["s"]), {"m": mle.Real(), "s": mle.Positive()}, None),
]


def traced(log_density, declaration):
    model = mle.Model(log_density, declaration)
    data = {name: leaf[None] for name, leaf in ROW.items()}
    place = coordinates(model_space(model, data), None)
    names = list(ROW)

    def function(theta, *leaves):
        return jnp.asarray(log_density(place.params(theta), dict(zip(names, leaves, strict=True))))

    theta = jnp.linspace(-0.7, 0.9, place.size)
    return function, theta, [ROW[name] for name in names]


@pytest.mark.parametrize(("log_density", "declaration", "sizes"), SPLITS)
def test_the_fewest_affine_predictors_are_found(log_density, declaration, sizes):
    with jax.enable_x64(True):
        function, theta, leaves = traced(log_density, declaration)
        split = split_affine(function, theta, leaves)
        assert (None if split is None else split.sizes) == sizes
        if split is None:
            return
        value = split.outer(split.of_row(theta, leaves), split.shared(theta), leaves)
        np.testing.assert_allclose(value, function(theta, *leaves), rtol=1e-15)
        # Affine: the second difference along any line vanishes.
        step = jnp.cos(jnp.arange(theta.size, dtype=theta.dtype))
        for predictors in (lambda at: split.of_row(at, leaves), split.shared):
            ends = predictors(theta + step) + predictors(theta - step)
            np.testing.assert_allclose(ends, 2 * predictors(theta), rtol=1e-14, atol=1e-14)


ADDED = [  # a predictor of the row, and whether nothing is added to what is linear in w
    (lambda w, x: x @ w, True),
    (lambda w, x: -(x @ w) / 2 + 3 * w[1], True),
    (lambda w, x: jnp.concatenate([w[:2], x[0] * w[2:]]).sum(), True),
    (lambda w, x: jnp.where(x[0] > 0, x @ w, 2 * w[0]), True),
    (lambda w, x: x @ w + x[0], True),  # what is added last is left to the rest
    (lambda w, x: jnp.where(x[0] < 0, x @ w, 1.0), True),
    (lambda w, x: (x @ w + 1.0) + w[0], False),
    (lambda w, x: w[0] - (x[0] - x @ w), False),
    (lambda w, x: x @ (w - x), False),
    (lambda w, x: w[0] + jnp.where(x[0] < 0, x @ w, 1.0), False),
    (lambda w, x: jnp.concatenate([w, x[:1]]) @ jnp.append(x, 1.0), False),
    (lambda w, x: jax.lax.pad(x[0] * w, 1.0, [(0, 1, 0)]).sum(), False),
    (lambda w, x: x @ jnp.append(w[:3], 0.3), False),
    (lambda w, x: w[0] + w.at[jnp.int32(8 * x[2])].get(mode="fill", fill_value=1.0), False),  # 16 is none of them
    (lambda w, x: w[0] + w.at[jnp.int32(8 * x[2])].get(mode="clip"), True),
]


@pytest.mark.parametrize(("predictor", "linear"), ADDED)
def test_predictors_to_which_nothing_is_added_are_linear(predictor, linear):
    """And 0 at 0, so that whoever knows their slopes knows them."""
    with jax.enable_x64(True):
        x = jnp.array([0.5, -0.25, 2.0, 0.75])
        split = split_always(lambda w, x: -jnp.exp(predictor(w, x)), jnp.ones(4), [x])
        assert split.sizes == (1, 0) and split.linear is linear
        assert (split.of_row(jnp.zeros(4), [x])[0] == 0) == linear


@pytest.mark.parametrize(("log_density", "declaration", "sizes"), SPLITS)
def test_what_is_not_active_has_nothing_but_zeros_in_the_jacobian(log_density, declaration, sizes):
    with jax.enable_x64(True):
        function, theta, leaves = traced(log_density, declaration)
        split = split_always(function, theta, leaves)
        moved = np.any(jax.jacfwd(lambda at: split.of_row(at, leaves))(theta) != 0, axis=0)
        assert set(np.flatnonzero(moved)) <= set(split.active)
        if log_density is not groups:  # which of its numbers is taken is not known before
            assert len(split.active) == moved.sum()


def test_many_coordinates_are_not_told_apart():
    with jax.enable_x64(True):
        x = jnp.ones(20)
        split = split_always(lambda w, x: -jnp.exp(x @ w[:20] - w[20]) * jnp.exp(w[20]), jnp.ones(21), [x])
        assert split.sizes == (1, 1) and split.active == tuple(range(21))


def test_derivatives_by_blocks_are_those_of_the_plain_sum(monkeypatch):
    """Several uneven blocks, weights of zero on rows of NaN, predictors of the row and in common."""
    monkeypatch.setattr(row_sums, "MANY", 50)
    monkeypatch.setattr(row_sums, "LEAST", 16)
    monkeypatch.setattr(row_sums, "BLOCK", 1)
    rng = np.random.default_rng(0)
    n = 133
    data = {"x": rng.normal(size=(n, 4)), "y": rng.normal(size=n), "g": rng.integers(0, 9, n)}
    weights = rng.integers(0, 3, n).astype(float)
    spoiled = {**data, "y": np.where(weights == 0, np.nan, data["y"])}
    with jax.enable_x64(True):
        for log_density, declaration, _ in (SPLITS[3], SPLITS[7]):
            model = mle.Model(log_density, declaration)
            place = coordinates(model_space(model, data), None)
            theta = jnp.linspace(-0.7, 0.9, place.size)

            def plain(at, model=model, place=place):
                rows = jax.vmap(lambda row: model.log_density(place.params(at), row))(data)
                return jnp.sum(weights * rows)

            sums = RowSums(model, place, spoiled, jnp.asarray(weights))
            (value, magnitude), gradient, hessian = jax.jit(sums.with_hessian)(theta)
            close = {"rtol": 1e-12, "atol": 1e-12 * float(magnitude)}  # rounding of sums of n terms
            np.testing.assert_allclose(value, plain(theta), **close)
            np.testing.assert_allclose(gradient, jax.grad(plain)(theta), **close)
            np.testing.assert_allclose(hessian, jax.hessian(plain)(theta), **close)
            np.testing.assert_allclose(jax.jit(sums.with_gradient)(theta)[1], gradient, **close)
            points = jnp.stack([theta, theta + 0.1])
            np.testing.assert_allclose(jax.jit(sums.values)(points), [plain(at) for at in points], **close)


def test_a_density_that_computes_in_another_precision_is_summed(monkeypatch):
    """The predictors, the contributions and the weights have types of their own, and none is that of theta."""
    monkeypatch.setattr(row_sums, "MANY", 10)
    monkeypatch.setattr(row_sums, "LEAST", 16)
    monkeypatch.setattr(row_sums, "BLOCK", 1)

    def log_density(params, row):
        narrow = jnp.float32
        line = row["x"].astype(narrow) @ params["w"].astype(narrow)
        return norm.logpdf(row["y"].astype(narrow), line, params["s"].astype(narrow))

    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(50, 4)), "y": rng.normal(size=50)}
    weights = rng.integers(1, 3, 50).astype(float)
    with jax.enable_x64(True):
        model = mle.Model(log_density, W | {"s": mle.Positive()})
        place = coordinates(model_space(model, data), None)
        theta = jnp.linspace(-0.7, 0.9, place.size)

        def plain(at):
            return jnp.sum(weights * jax.vmap(lambda row: log_density(place.params(at), row))(data))

        sums = RowSums(model, place, data, jnp.asarray(weights))
        (value, magnitude), gradient, hessian = sums.with_hessian(theta)
        close = {"rtol": 1e-5, "atol": 1e-6 * float(magnitude)}  # float32 has 7 digits
        np.testing.assert_allclose(value, plain(theta), **close)
        np.testing.assert_allclose(gradient, jax.grad(plain)(theta), **close)
        np.testing.assert_allclose(hessian, jax.hessian(plain)(theta), **close)
        assert gradient.dtype == hessian.dtype == theta.dtype
