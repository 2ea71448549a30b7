"""The Gaussian mean with known variance: T4 of the text.

log f(y; mu) = -(1/2) log(2 pi variance) - (y - mu)^2 / (2 variance)

Source: any textbook, e.g. Casella and Berger (2002), Statistical Inference, example 7.2.5.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax.likelihood import Model
from mle_jax.models._moments import mean_and_variance
from mle_jax.parameters import Real


def gaussian_mean(variance: float) -> Model:
    """Return the model of independent Gaussian observations with unknown mean and known variance.

    log-likelihood(mu) = -(n/2) log(2 pi variance) - sum_i (y_i - mu)^2 / (2 variance)

    The same variance returns the same object, so a loop over datasets does not recompile.

    Args:
        variance: the known variance, a finite number above 0.

    Returns:
        A `Model` of the data ``{"y": (n,)}`` with the parameter ``mu``. Its closed form is the mean of y; the
        standard error of mu is sqrt(variance / n).

    Raises:
        TypeError: the variance is not a real number.
        ValueError: the variance is not finite or not above 0.

    Reference:
        Casella and Berger (2002), Statistical Inference, 2nd edition, example 7.2.5.

    Example:
        >>> import mle_jax as mle
        >>> fit = mle.fit(mle.models.gaussian_mean(variance=3.0), {"y": [1.0, 2.0, 6.0]})
        >>> round(float(fit.params["mu"]), 6), round(float(fit.standard_errors()["mu"]), 6)
        (3.0, 1.0)
    """
    return _with_variance(_checked(variance))


@functools.cache
def _with_variance(variance: float) -> Model:
    def log_density(params: Any, row: Any) -> Array:
        return -0.5 * jnp.log(2 * jnp.pi * variance) - (row["y"] - params["mu"]) ** 2 / (2 * variance)

    def gradient(params: Any, data: Any) -> Any:
        # d/dmu of -(y_i - mu)^2 / (2 variance) is (y_i - mu) / variance, by the chain rule;
        # the logarithm does not depend on mu;
        # the derivative of the sum is the sum of the derivatives.
        return {"mu": jnp.sum(data["y"] - params["mu"]) / variance}

    def closed_form(data: Any, weights: Any) -> Any:
        return {"mu": mean_and_variance(data["y"], weights)[0]}

    def expected_information(params: Any, data: Any) -> Array:
        return jnp.full((1, 1), jnp.shape(data["y"])[0] / variance)

    def simulate(key: Array, params: Any, row: Any) -> Any:
        mean = jnp.asarray(params["mu"])
        return {**row, "y": mean + math.sqrt(variance) * jax.random.normal(key, dtype=mean.dtype)}

    def predict(params: Any, row: Any) -> Any:
        return params["mu"]

    return Model(
        log_density,
        {"mu": Real()},
        gradient=gradient,
        name=f"gaussian_mean(variance={variance:g})",
        start=lambda data: closed_form(data, None),
        expected_information=expected_information,
        closed_form=closed_form,
        simulate=simulate,
        predict=predict,
    )


def _checked(variance: Any) -> float:
    """Return the variance as a Python float, so that 1, 1.0 and np.float64(1.0) are one model."""
    advice = "pass the known variance as a number above 0, such as variance=1.0"
    is_number = not isinstance(variance, str | bytes | bool) and np.ndim(variance) == 0
    try:
        number = float(variance) if is_number else None
    except TypeError:  # an object without a value: a complex number, None, a traced array
        number = None
    if number is None:
        raise TypeError(f"gaussian_mean was given variance={variance!r}, but it must be a real number; {advice}")
    if not (math.isfinite(number) and number > 0.0):
        raise ValueError(
            f"gaussian_mean was given variance={variance!r}, but it must be finite and above 0; {advice}, "
            "or estimate it with models.gaussian()"
        )
    return number
