"""T4, T5, T7, T12: log-likelihoods. Functions, gradients and closed forms are those of `mle_jax.models`, unchanged.

Here are added the points to try them at, and the size of what their gradients add up (`magnitude`): the formula of the
gradient with absolute values, n / (2 s2) - ... turned into n / (2 s2) + ... and so on.
"""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from mle_jax.likelihood import Model
from mle_jax.models import gaussian, gaussian_mean, laplace_regression, linear_gaussian
from mle_jax.text.example import Example, Function, answer

ROWS, COLUMNS = 30, 3
VARIANCE = 2.25  # the known one of T4
OPERATIONS = 16  # roundings besides those of the sums, e.g. r^2 / (2 s2^2) and its derivative by reverse mode

Case = tuple[Any, tuple[Any, ...]]


def design(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Return a random design whose first column is 1, shape (rows, columns)."""
    return np.column_stack([np.ones(rows), rng.standard_normal((rows, columns - 1))])


def absolute_residuals(w: Any, x: Any, y: Any) -> Any:
    """Return |y| + |X| |w|: the size of what y - X w subtracts, shape (n,)."""
    return jnp.abs(y) + jnp.abs(x) @ jnp.abs(w)


def _samples(seed: int, count: int) -> Iterator[Case]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        mean, spread = 3.0 * rng.standard_normal(), rng.uniform(0.5, 3.0)
        params = {"mu": mean + spread * rng.standard_normal(), "variance": np.exp(rng.uniform(-1.5, 1.5))}
        yield params, ({"y": mean + spread * rng.standard_normal(ROWS)},)


def _known_variance_cases(seed: int, count: int) -> Iterator[Case]:
    for params, args in _samples(seed, count):
        yield {"mu": params["mu"]}, args


def lines(seed: int, count: int) -> Iterator[Case]:
    """Yield random w, variance and datasets of ROWS observations of COLUMNS features (with intercept)."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x = design(rng, ROWS, COLUMNS)
        y = x @ (2.0 * rng.standard_normal(COLUMNS)) + rng.uniform(0.5, 2.0) * rng.standard_normal(ROWS)
        params = {"w": 2.0 * rng.standard_normal(COLUMNS), "variance": np.exp(rng.uniform(-1.5, 1.5))}
        yield params, ({"x": x, "y": y},)


def _lines_with_clear_residuals(seed: int, count: int) -> Iterator[Case]:
    """Yield points at which every |residual| is at least 0.1: the gradient of T12 exists only where none is 0."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x, w = design(rng, ROWS, COLUMNS), 2.0 * rng.standard_normal(COLUMNS)
        residuals = rng.choice([-1.0, 1.0], ROWS) * (0.1 + rng.exponential(1.5, ROWS))
        yield {"w": w, "scale": np.exp(rng.uniform(-1.0, 1.0))}, ({"x": x, "y": x @ w + residuals},)


def _mean_magnitude(params: Any, data: Any) -> Any:
    return {"mu": jnp.sum(jnp.abs(data["y"]) + jnp.abs(params["mu"])) / VARIANCE}


def _sample_magnitude(params: Any, data: Any) -> Any:
    r, variance = jnp.abs(data["y"]) + jnp.abs(params["mu"]), params["variance"]
    return {"mu": jnp.sum(r) / variance, "variance": (ROWS + jnp.sum(r**2) / variance) / (2 * variance)}


def _linear_magnitude(params: Any, data: Any) -> Any:
    r, variance = absolute_residuals(params["w"], data["x"], data["y"]), params["variance"]
    return {
        "w": jnp.abs(data["x"]).T @ r / variance,
        "variance": (ROWS + jnp.sum(r**2) / variance) / (2 * variance),
    }


def _laplace_magnitude(params: Any, data: Any) -> Any:
    r, scale = absolute_residuals(params["w"], data["x"], data["y"]), params["scale"]
    return {"w": jnp.sum(jnp.abs(data["x"]), axis=0) / scale, "scale": (ROWS + jnp.sum(r) / scale) / scale}


def _maximizer(model: Model) -> Function:
    solve = model.closed_form
    assert solve is not None
    return answer(lambda data: solve(data, None))


_mean, _sample = gaussian_mean(VARIANCE), gaussian()
_line, _laplace = linear_gaussian(), laplace_regression()

T4 = Example(
    id="T4",
    title="Examples 2 and 4: Gaussian mean, known variance",
    statement=f"L(mu) = -(n/2) log(2 pi s2) - sum (x_i - mu)^2 / (2 s2), s2 = {VARIANCE}: L' = sum (x_i - mu) / s2, so "
    "mu_hat = mean(x); L'' = -n / s2 < 0, a maximum; standard error sqrt(s2 / n)",
    function=_mean.log_likelihood,
    gradient=_mean.gradient,
    cases=_known_variance_cases,
    terms=_mean.contributions,
    magnitude=_mean_magnitude,
    roundings=ROWS + OPERATIONS,
    closed_form=_maximizer(_mean),
)

T5 = Example(
    id="T5",
    title="Example 4, carried on: Gaussian mean and variance",
    statement="L(mu, s2) as T4: dL/dmu as T4, dL/ds2 = -n / (2 s2) + sum (x_i - mu)^2 / (2 s2^2), so "
    "s2_hat = mean((x_i - mean)^2)",
    function=_sample.log_likelihood,
    gradient=_sample.gradient,
    cases=_samples,
    terms=_sample.contributions,
    magnitude=_sample_magnitude,
    roundings=ROWS + OPERATIONS,
    closed_form=_maximizer(_sample),
)

T7 = Example(
    id="T7",
    title="Gradient of the Linear-Gaussian Log-Likelihood",
    statement="L(w, s2) = -(n/2) log(2 pi s2) - norm(y - X w)^2 / (2 s2): dL/dw = X' (y - X w) / s2, "
    "dL/ds2 = -n / (2 s2) + norm(y - X w)^2 / (2 s2^2), so X' X w_hat = X' y and s2_hat = norm(y - X w_hat)^2 / n",
    function=_line.log_likelihood,
    gradient=_line.gradient,
    cases=lines,
    terms=_line.contributions,
    magnitude=_linear_magnitude,
    roundings=ROWS + 2 * COLUMNS + OPERATIONS,
    closed_form=_maximizer(_line),
)

T12 = Example(
    id="T12",
    title="A Complete Example: Gradient Descent for Laplace Regression",
    statement="L(w, b) = -n log(2 b) - sum |r_i| / b: dL/dw = X' sign(r) / b where no r_i is 0, "
    "dL/db = -n / b + sum |r_i| / b^2, so b_hat = mean |r|; at the maximum p residuals usually are 0",
    function=_laplace.log_likelihood,
    gradient=_laplace.gradient,
    cases=_lines_with_clear_residuals,
    terms=_laplace.contributions,
    magnitude=_laplace_magnitude,
    roundings=ROWS + 2 * COLUMNS + OPERATIONS,
)
