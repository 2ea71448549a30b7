"""The verb `simulate`: a dataset drawn from a model."""

from typing import TYPE_CHECKING, Any

import jax

from mle_jax._precision import in_float64, to_numpy
from mle_jax.inference.charts import ready
from mle_jax.likelihood.programs import program
from mle_jax.likelihood.simulating import simulated

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


@in_float64
def simulate(model: "Model", data: Any, params: Any = None, *, seed: int = 0) -> Any:
    """Draw a dataset from a model, at the covariates of a given one.

    Every row is drawn anew by the model's ``simulate(key, params, row)``; what that does not change (covariates,
    leaves that all rows share) stays.

    Args:
        model: a `Model` with a `simulate`.
        data: pytree of arrays with a common first axis, or a table.
        params: the parameters to draw at, completed by the start values.
        seed: same seed, same dataset.

    Returns:
        A dataset laid out like `data`, as NumPy arrays.

    Raises:
        ValueError: the model has no `simulate`, or it returns something that is not laid out like a row.

    Example:
        >>> import mle_jax as mle
        >>> model = mle.models.gaussian()
        >>> drawn = mle.simulate(model, {"y": [0.0] * 1000}, {"mu": 5.0, "variance": 4.0}, seed=1)
        >>> fit = mle.fit(model, drawn)
        >>> abs(float(fit.params["mu"]) - 5.0) < 4 * 2.0 / 1000**0.5  # four standard errors
        True
    """
    made = ready(model, data, params)
    return to_numpy(program(model, _once)(made.params, made.data, jax.random.key(seed)))


def _once(model: "Model", params: Any, data: Any, key: Any) -> Any:
    return simulated(model, params, data, key)
