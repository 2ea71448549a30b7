"""The handwritten gradients of all models at 100 random points, in both precisions, apart from `text.check`."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from mle_jax import models

POINTS, ROWS = 100, 25


def random_problems(seed: int = 31) -> tuple[np.random.Generator, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.concatenate([np.ones((POINTS, ROWS, 1)), rng.normal(size=(POINTS, ROWS, 3))], axis=2)
    w = rng.normal(size=(POINTS, 4))
    y = np.einsum("bij,bj->bi", x, rng.normal(size=(POINTS, 4))) + rng.standard_t(3, size=(POINTS, ROWS))
    return rng, x, w, y


def problem(name: str):
    """Return a model with stacked params and data, and |y| + |X| |w|, the size of what a residual subtracts."""
    rng, x, w, y = random_problems()
    scale = np.exp(rng.uniform(-1, 1, POINTS))
    line = np.abs(y) + np.einsum("bij,bj->bi", np.abs(x), np.abs(w))
    sample = np.abs(y) + np.abs(w[:, :1])
    return {
        "gaussian_mean": (models.gaussian_mean(1.7), {"mu": w[:, 0]}, {"y": y}, sample),
        "gaussian": (models.gaussian(), {"mu": w[:, 0], "variance": scale}, {"y": y}, sample),
        "linear_gaussian": (models.linear_gaussian(), {"w": w, "variance": scale}, {"x": x, "y": y}, line),
        "laplace_regression": (models.laplace_regression(), {"w": w, "scale": scale}, {"x": x, "y": y}, line),
    }[name]


NAMES = ["gaussian_mean", "gaussian", "linear_gaussian", "laplace_regression"]


@jax.enable_x64(True)
@pytest.mark.parametrize("name", NAMES)
def test_float64_against_autodiff(name):
    model, params, data, _ = problem(name)
    by_hand = jax.vmap(model.gradient)(params, data)
    automatic = jax.vmap(jax.grad(model.log_likelihood))(params, data)
    scores = jax.vmap(model.scores)(params, data)
    assert set(by_hand) == set(params)
    for leaf in params:
        apart = np.abs(by_hand[leaf] - automatic[leaf])
        assert by_hand[leaf].shape == params[leaf].shape
        assert np.all(apart <= 1e-12 * np.sum(np.abs(scores[leaf]), axis=1))


@pytest.mark.parametrize("name", NAMES)
def test_float32_against_float64(name):
    model, params, data, residual_size = problem(name)
    params, data = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.float32), (params, data))
    with jax.enable_x64(True):
        wide = jax.tree_util.tree_map(lambda leaf: jnp.asarray(leaf, jnp.float64), (params, data))
        exact = jax.vmap(model.gradient)(*wide)
        exact = jax.tree_util.tree_map(np.asarray, exact)
    single = jax.vmap(model.gradient)(params, data)
    # |computed - exact| <= gamma_m * (the formula on absolute values), Higham (2002) section 3.5, with m roundings: the
    # sum over 25 rows, an inner product of 4, and a dozen operations per row.
    m = (ROWS + 4 + 12) * 2.0**-24
    bound = m / (1 - m)
    spread = next((params[key].astype(float) for key in ("variance", "scale") if key in params), np.full(POINTS, 1.7))
    x = np.abs(data.get("x", np.ones((POINTS, ROWS, 1))).astype(float))
    for leaf, found in single.items():
        assert found.dtype == jnp.float32
        if leaf in ("w", "mu"):
            # Laplace: the sign of a residual is -1, 0 or 1; its largest possible slip is excluded below.
            pieces = np.ones_like(residual_size) if name == "laplace_regression" else residual_size
            size = np.einsum("bij,bi->bj", x, pieces) / spread[:, None]
            size = size[:, 0] if leaf == "mu" else size
        elif leaf == "variance":
            size = ROWS / (2 * spread) + np.sum(residual_size**2, axis=1) / (2 * spread**2)
        else:
            size = ROWS / spread + np.sum(residual_size, axis=1) / spread**2
        assert np.all(np.abs(np.asarray(found, float) - exact[leaf]) <= bound * size)


def test_no_residual_of_the_laplace_problem_is_near_zero():
    # Else its sign might differ between float32 and float64, which the bound above does not allow for.
    _, x, w, y = random_problems()
    residuals = np.abs(y - np.einsum("bij,bj->bi", x, w))
    assert residuals.min() > 1e-5


def student_t_by_df(y, scale, df):
    q = (y / scale) ** 2 / df
    constant = mp.digamma((df + 1) / 2) - mp.digamma(df / 2) - 1 / df
    return (constant - mp.log(1 + q) + (1 + 1 / df) * q / (1 + q)) / 2


def negative_binomial_by_dispersion(y, mean, a):
    rising = mp.fsum(j / (1 + j * a) for j in range(int(y)))
    return rising - y * mean / (1 + a * mean) + (mp.log(1 + a * mean) - a * mean / (1 + a * mean)) / a**2


@jax.enable_x64(True)
def test_gradients_of_a_row_far_from_its_mean_keep_their_digits():
    # x (x - log(1 + x))/x^2 is 1 for a large x: what is left of 1 minus it lost all digits from x = 1e16 on.
    cases = [
        (models.student_t_regression(), "df", student_t_by_df, "scale", [(1e3, 2.0), (1e9, 0.7), (1e30, 12.0)]),
        (
            models.negative_binomial_regression(),
            "dispersion",
            negative_binomial_by_dispersion,
            "mean",
            [(1e3, 2.0), (1e14, 16.0), (1e30, 0.01)],
        ),
    ]
    for model, name, exact, other, places in cases:
        for size, value in places:
            with mp.workdps(100):
                if other == "scale":  # a residual of `size` scales
                    params, y = {"w": np.zeros(1), "scale": np.float64(0.5), name: np.float64(value)}, 0.5 * size
                    expected = float(exact(mp.mpf(y), mp.mpf(0.5), mp.mpf(value)))
                else:
                    params, y = {"w": np.log([size]), name: np.float64(value)}, 30.0
                    expected = float(exact(mp.mpf(y), mp.exp(mp.mpf(params["w"][0])), mp.mpf(value)))
            found = model.gradient(params, {"x": np.ones((1, 1)), "y": np.array([y])})
            # A dozen roundings of terms that cancel by no more than a factor of ten.
            assert float(found[name]) == pytest.approx(expected, rel=1e-13), (name, size, value)
