"""The Gaussian with unknown mean and variance: T5 of the text.

log f(y; mu, variance) = -(1/2) log(2 pi variance) - (y - mu)^2 / (2 variance)

Source: any textbook, e.g. Casella and Berger (2002), Statistical Inference, example 7.2.11.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.likelihood import Model
from mle_jax.likelihood.exact import Held
from mle_jax.models._moments import average, mean_and_variance
from mle_jax.parameters import Positive, Real
from mle_jax.parameters.declared import as_float


@functools.cache
def gaussian() -> Model:
    """Return the model of independent Gaussian observations with unknown mean and variance.

    log-likelihood(mu, variance) = -(n/2) log(2 pi variance) - sum_i (y_i - mu)^2 / (2 variance)

    Every call returns the same object, so a loop over datasets does not recompile.

    Returns:
        A `Model` of the data ``{"y": (n,)}`` with the parameters ``mu`` and ``variance``. Its closed form is the mean
        of y and the mean squared deviation from it (divisor n, not n - 1).

    Reference:
        Casella and Berger (2002), Statistical Inference, 2nd edition, example 7.2.11.

    Example:
        >>> import mle_jax as mle
        >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
        >>> round(float(fit.params["mu"]), 6), round(float(fit.params["variance"]), 6)  # 3, (4 + 1 + 9) / 3
        (3.0, 4.666667)
    """
    return Model(
        log_density,
        {"mu": Real(), "variance": Positive()},
        gradient=gradient,
        name="gaussian",
        start=lambda data: closed_form(data, None),
        expected_information=expected_information,
        closed_form=closed_form,
        simulate=simulate,
        predict=predict,
    )


def log_density(params: Any, row: Any) -> Array:
    """Return the log density of one observation."""
    variance = params["variance"]
    return -0.5 * jnp.log(2 * jnp.pi * variance) - (row["y"] - params["mu"]) ** 2 / (2 * variance)


def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # d/dmu: sum (y_i - mu) / variance, as for a known variance;
    # d/dvariance of -(n/2) log(2 pi variance) is -n / (2 variance), and
    # d/dvariance of -sum (y_i - mu)^2 / (2 variance) is sum (y_i - mu)^2 / (2 variance^2), since (1/v)' = -1/v^2.
    r = data["y"] - params["mu"]
    n, variance = r.shape[0], params["variance"]
    return {
        "mu": jnp.sum(r) / variance,
        "variance": -n / (2 * variance) + jnp.sum(r**2) / (2 * variance**2),
    }


def closed_form(data: Any, weights: Any, fixed: Held | None = None) -> Any:
    """Return the maximizer: the mean and the mean squared deviation from it, or from the mu that is fixed."""
    if fixed is not None and fixed.entries["mu"].any():
        mu = fixed.values["mu"]
        return {"mu": mu, "variance": average((as_float(data["y"]) - mu) ** 2, weights)}
    mean, variance = mean_and_variance(data["y"], weights)
    return {"mu": mean, "variance": variance}


def expected_information(params: Any, data: Any) -> Array:
    """Return the expected information of (mu, variance): diag(n / variance, n / (2 variance^2))."""
    n, variance = jnp.shape(data["y"])[0], jnp.asarray(params["variance"])
    return jnp.diag(jnp.stack([n / variance, n / (2 * variance**2)]))


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn from the model."""
    mean, spread = jnp.asarray(params["mu"]), jnp.sqrt(params["variance"])
    return {**row, "y": mean + spread * jax.random.normal(key, dtype=mean.dtype)}


def predict(params: Any, row: Any) -> Any:
    """Return the expected value of y."""
    return params["mu"]
