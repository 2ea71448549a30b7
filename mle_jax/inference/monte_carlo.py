"""Means of statistics over simulated datasets, with standard errors: blocks of draws, vectorised inside bounds."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mle_jax.gradients.footprint import batch_size
from mle_jax.inference.charts import Chart, Ready
from mle_jax.likelihood.evaluation import log_likelihood, sample, theta_scores
from mle_jax.likelihood.programs import program
from mle_jax.likelihood.simulating import simulated

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

BLOCK = 256
"""Draws per call of the compiled program."""
MEMORY = 2**27
"""Bytes that the draws evaluated together may take."""
ROWS, FEWEST, MOST = 200_000, 30, 10_000
"""Simulated rows that are usually enough, and the bounds on the number of datasets that they make."""
NEGLIGIBLE = 1e-9
"""Differences below this share of the terms are rounding: what does not vary is compared exactly up to it."""

Vector = NDArray[np.float64]
Statistic = Callable[["Model", Chart, Array, Any], tuple[Array, Array]]
"""Take model, chart, coordinates and a dataset; return values (q,) and the sizes (q,) of the terms summed in them."""


class Means(NamedTuple):
    """What a statistic is on average."""

    mean: Vector
    std_error: Vector
    """Of the mean, by simulation; never below what rounding makes."""
    draws: int

    def statistic(self, expected: Vector | float = 0.0) -> Vector:
        """Return (mean - expected) / std_error; 0 where neither is anything, NaN where the mean is not a number."""
        apart = self.mean - expected
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where((apart == 0.0) & (self.std_error == 0.0), 0.0, apart / self.std_error))

    def p_values(self, expected: Vector | float = 0.0) -> Vector:
        """Return the two-sided p-values of Student's t."""
        return student_p(self.statistic(expected), self.draws - 1)


def usual_draws(draws: int | None, n_rows: int) -> int:
    """Return the number of datasets to simulate: as asked, or as many as make 200 000 rows.

    Raises:
        ValueError: fewer than 2 were asked for.
    """
    if draws is None:
        return int(np.clip(ROWS // max(n_rows, 1), FEWEST, MOST))
    if draws < 2:
        raise ValueError(f"draws is {draws}, but a standard error needs at least 2; leave it out for the usual number")
    return int(draws)


def simulated_means(model: "Model", made: Ready, statistic: Statistic, *, seed: int, draws: int) -> Means:
    """Average a statistic over datasets simulated at the parameters, at the covariates of the data.

    Args:
        model: with a `simulate`.
        made: the data and the parameters.
        statistic: what to average.
        seed: of the draws; draw number d depends on the seed and d alone.
        draws: how many datasets.
    """
    vector, key = made.chart.vector(made.params), jax.random.key(seed)
    block = program(model, _block, chart=made.chart, statistic=statistic)
    count, mean, squares, sizes = 0, 0.0, 0.0, 0.0
    for begin in range(0, draws, BLOCK):
        numbers = np.arange(begin, begin + BLOCK)
        values, terms = (np.asarray(part)[: draws - begin] for part in block(vector, made.data, key, numbers))
        # Chan's update of mean and sum of squares.
        many, center = len(values), values.mean(axis=0)
        apart = center - mean
        squares = squares + ((values - center) ** 2).sum(axis=0) + apart**2 * (count * many / (count + many))
        mean = mean + apart * (many / (count + many))
        sizes, count = sizes + terms.sum(axis=0), count + many
    spread = np.sqrt(squares / (count - 1) / count)
    return Means(np.asarray(mean), np.hypot(spread, NEGLIGIBLE * np.asarray(sizes) / count), count)


def _block(
    model: "Model", vector: Array, data: Any, key: Array, numbers: Array, *, chart: Chart, statistic: Statistic
) -> Any:
    def single(number: Array) -> tuple[Array, Array]:
        drawn = simulated(model, chart.params(vector), data, jax.random.fold_in(key, number))
        return statistic(model, chart, vector, drawn)

    lanes = batch_size(lambda number: single(number)[0], [numbers[0]], memory=MEMORY, most=BLOCK)
    return jax.lax.map(single, numbers, batch_size=lanes)


def score_statistic(model: "Model", chart: Chart, vector: Array, data: Any) -> tuple[Array, Array]:
    """Return the score of the total (k,)."""
    if model.is_joint:
        total = _total_score(model, chart, vector, data)
        return total, jnp.abs(total)
    scores = theta_scores(model, chart, vector, sample(model, data))
    return jnp.sum(scores, axis=0), jnp.sum(jnp.abs(scores), axis=0)


def equality_statistic(model: "Model", chart: Chart, vector: Array, data: Any) -> tuple[Array, Array]:
    """Return the score, and then the upper triangle of sum_i s_i s_i' + H, whose mean is zero as well."""
    score, size = score_statistic(model, chart, vector, data)
    products, terms = _products(model, chart, vector, data)
    curvature = _hessian(model, chart, vector, data)
    upper = jnp.triu_indices(vector.shape[0])
    values = jnp.concatenate([score, (products + curvature)[upper]])
    return values, jnp.concatenate([size, (terms + jnp.abs(curvature))[upper]])


def information_statistic(model: "Model", chart: Chart, vector: Array, data: Any) -> tuple[Array, Array]:
    """Return the upper triangle of the information of the total: -H, or of sum_i s_i s_i' where there is no H."""
    upper = jnp.triu_indices(vector.shape[0])
    if model.smooth:
        values = -_hessian(model, chart, vector, data)[upper]
        return values, jnp.abs(values)
    products, terms = _products(model, chart, vector, data)
    return products[upper], terms[upper]


def _total_score(model: "Model", chart: Chart, vector: Array, data: Any) -> Array:
    return jax.grad(lambda at: log_likelihood(model, chart.params(at), data))(vector)


def _products(model: "Model", chart: Chart, vector: Array, data: Any) -> tuple[Array, Array]:
    """Return the sum of the outer products of the scores of independent units, and of their absolute values."""
    if model.is_joint:
        scores = _total_score(model, chart, vector, data)[None]
    else:
        scores = theta_scores(model, chart, vector, sample(model, data))
    return scores.T @ scores, jnp.abs(scores).T @ jnp.abs(scores)


def _hessian(model: "Model", chart: Chart, vector: Array, data: Any) -> Array:
    matrix = jax.jacfwd(jax.grad(lambda at: log_likelihood(model, chart.params(at), data)))(vector)
    return (matrix + matrix.T) / 2


def student_p(statistic: Vector, degrees: int) -> Vector:
    """Return two-sided p-values of Student's t: I_{d / (d + t^2)}(d / 2, 1 / 2)."""
    with np.errstate(over="ignore"):
        share = degrees / (degrees + np.asarray(statistic, np.float64) ** 2)
    return np.asarray(jax.scipy.special.betainc(degrees / 2.0, 0.5, share))


def chi_square_p(statistic: float, degrees: int) -> float:
    """Return the p-value of a chi-square statistic: Q(d / 2, x / 2)."""
    return float(jax.scipy.special.gammaincc(degrees / 2.0, statistic / 2.0))
