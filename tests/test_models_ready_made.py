"""The contract of every ready-made model: gradient by hand, start, recovery of simulated parameters, identity."""

import functools
import inspect
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ready_made_models import READY, N, quick
from scipy.stats import chi2

import mle_jax as mle
from mle_jax import models
from mle_jax.cli.ready_made import describe
from mle_jax.parameters import coordinates, resolve

POINTS = 6
REPEATS = 50  # of the covariates, in the data that are simulated and fitted: 2000 rows
X_EXTREMES = {
    "columns that repeat each other": lambda x: np.repeat(x[:, :1], x.shape[1], axis=1),
    "columns of very different size": lambda x: x * np.geomspace(1e-8, 1e8, x.shape[1]),
    "a column of zeros": lambda x: np.where(np.arange(x.shape[1]) == x.shape[1] - 1, 0.0, x),
    "a row that is far away": lambda x: np.where(np.arange(N)[:, None] == 1, 1.0, x * [1.0, *[1e3] * (x.shape[1] - 1)]),
}
NAMES = list(READY)


def with_options(name):
    """Return the models of a constructor, one for each of its links where it has any."""
    constructor = getattr(models, name)
    if "link" not in inspect.signature(constructor).parameters:
        return []
    return [functools.partial(constructor, link) for link in sys.modules[constructor.__module__].LINKS]


def arrays(tree, dtype=None):
    return jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, dtype), tree)


def single(tree):
    """Return a pytree with its floats in single precision; whole numbers stay whole."""
    return jax.tree_util.tree_map(
        lambda leaf: leaf.astype(np.float32) if leaf.dtype.kind == "f" else leaf, arrays(tree)
    )


@functools.cache
def points(name):
    """Return random parameters around those of the row, stacked."""
    row = READY[name]
    place = coordinates(resolve(row.model.parameters, row.data), {})
    theta = place.theta(arrays(row.params, float))
    noise = np.random.default_rng(5).normal(size=(POINTS, theta.size))
    return arrays(jax.vmap(place.params)(theta + 0.15 * noise))


def compared(model):
    """Return the compiled function that gives the value, the gradient by hand, and the scores of all rows."""

    def at(params, data):
        return model.log_likelihood(params, data), model.gradient(params, data), model.scores(params, data)

    return jax.jit(jax.vmap(at, in_axes=(0, None)))


@pytest.mark.parametrize("name", models.__all__)
def test_every_model_has_rows_with_all_its_links(name):
    rows = [row.model for key, row in READY.items() if key.partition("(")[0] == name]
    assert rows, f"READY of tests/ready_made_models.py has no row for {name}"
    for make in with_options(name):
        assert any(make() is model for model in rows), f"READY has no row for {make.func.__name__}{make.args}"
    assert describe(name).formula


@pytest.mark.parametrize("name", models.__all__)
def test_same_arguments_return_the_same_object(name):
    for make in with_options(name):
        assert make() is make()
        assert getattr(models, name)(link=make.args[0]) is make()
    if with_options(name):
        assert getattr(models, name)() is with_options(name)[0]()
        with pytest.raises(ValueError, match=f"{name} was given link='square', but its link.*; pass link='"):
            getattr(models, name)("square")
        with pytest.raises(TypeError, match=f"{name} was given link=3, but"):
            getattr(models, name)(3)
    else:
        required = [p for p in inspect.signature(getattr(models, name)).parameters.values() if p.default is p.empty]
        assert required or getattr(models, name)() is getattr(models, name)()


@pytest.mark.parametrize("name", quick(NAMES))
def test_gradient_by_hand_in_both_precisions(name):
    row = READY[name]
    with jax.enable_x64(True):
        value, by_hand, scores = arrays(compared(row.model)(points(name), arrays(row.data)))
    assert np.all(np.isfinite(value))
    assert jax.tree_util.tree_structure(by_hand) == jax.tree_util.tree_structure(points(name))
    with jax.enable_x64(False):
        both = jax.jit(jax.vmap(lambda *at: (row.model.log_likelihood(*at), row.model.gradient(*at)), (0, None)))
        single_value, single_by_hand = both(single(points(name)), single(row.data))
    assert single_value.dtype == jnp.float32
    # 40 scores, each a few dozen operations: 1e-12 allows a thousand roundings of the sum of their sizes, and as many
    # in float32 are 1e-4.
    columns = map(jax.tree_util.tree_leaves, (by_hand, points(name), scores, single_by_hand))
    for found, params, automatic, rough in zip(*columns, strict=True):
        size = np.abs(automatic).sum(axis=1)
        assert found.shape == params.shape
        assert np.all(np.abs(found - automatic.sum(axis=1)) <= 1e-12 * size)
        assert rough.dtype == jnp.float32
        assert np.all(np.abs(np.asarray(rough, float) - found) <= 1e-4 * size)
    assert np.allclose(single_value, value, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", quick(NAMES))
def test_functions_of_a_row_take_lists(name):
    row = READY[name]
    params, first = arrays(row.params, np.float32), {leaf: np.asarray(values)[0] for leaf, values in row.data.items()}
    as_lists = [jax.tree_util.tree_map(lambda leaf: leaf.tolist(), tree) for tree in (params, first)]
    for function in (row.model.log_density, row.model.predict):
        expected, found = function(params, single(first)), function(*as_lists)
        # Equal but for rounding in float32, in which both are computed.
        jax.tree_util.tree_map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), expected, found)


@jax.enable_x64(True)
@pytest.mark.parametrize("name", quick(name for name in NAMES if READY[name].extremes))
def test_start_of_extreme_data_is_finite(name):
    row = READY[name]
    datasets = [{**row.data, **extreme} for extreme in row.extremes]
    if "x" in row.data:
        datasets = [{**data, "x": make(data["x"])} for data in datasets for make in X_EXTREMES.values()]
    stacked = jax.tree_util.tree_map(lambda *leaves: np.stack(leaves).astype(float), *map(arrays, datasets))

    def begin(data):
        start = row.model.start(data)
        return start, row.model.log_likelihood(start, data)

    start, value = jax.jit(jax.vmap(begin))(stacked)
    finite = np.isfinite(value)
    assert finite.all(), f"{np.flatnonzero(~finite)} of {len(datasets)}"
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree_util.tree_leaves(start))
    space = resolve(row.model.parameters, row.data)
    for i in range(len(datasets)):
        space.check(jax.tree_util.tree_map(lambda leaf, i=i: np.asarray(leaf[i]), start))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_simulated_parameters_are_recovered(name):
    row = READY[name]
    covariates = jax.tree_util.tree_map(lambda leaf: np.tile(leaf, (REPEATS, *[1] * (np.ndim(leaf) - 1))), row.data)
    data = mle.simulate(row.model, covariates, row.params, seed=1)
    fit = mle.fit(row.model, data)
    assert fit.converged, fit.message
    space = resolve(row.model.parameters, row.data)
    truth, found = (np.asarray(space.flatten(arrays(params, float))) for params in (row.params, fit.params))
    covariance = np.asarray(fit.covariance())
    apart = found - truth
    # A right model fails with a chance of 7e-6 for every parameter, and of 1e-5 for all together.
    assert np.all(np.abs(apart) <= 4.5 * np.sqrt(np.diagonal(covariance)))
    rank = np.linalg.matrix_rank(covariance, hermitian=True)
    assert apart @ np.linalg.pinv(covariance, hermitian=True) @ apart <= chi2.ppf(1 - 1e-5, rank)


@pytest.mark.slow
@jax.enable_x64(True)
@pytest.mark.parametrize("name", NAMES)
def test_start_of_one_row_is_finite(name):
    row = READY[name]
    data = jax.tree_util.tree_map(lambda leaf: leaf[:1], arrays(row.data))
    start = row.model.start(data)
    # One residual is 0, and so is a variance or scale: the likelihood of the older models has no maximum then.
    assert np.isfinite(row.model.log_likelihood(start, data)) or row.model.closed_form is not None
