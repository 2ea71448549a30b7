"""Student-t regression: a line (or plane) that outliers do not bend.

log f(y; w, scale, df | x) = log(Gamma((df + 1)/2)/Gamma(df/2)) - log(pi df)/2 - log(scale)
    - (df + 1)/2 log(1 + (y - <x, w>)^2/(scale^2 df))

Source: Lange, Little and Taylor (1989), Robust statistical modeling using the t distribution, JASA 84, 881-896.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg
from jax import Array

from mle_jax.densities import student_t
from mle_jax.densities._elementary import excess
from mle_jax.densities._gamma_functions import digamma, trigamma
from mle_jax.likelihood import Model
from mle_jax.models._regression import gram, line_through, predictor, through_predictor
from mle_jax.parameters import Positive, Real
from mle_jax.parameters.declared import as_float

START_DF = 4.0
ROUNDS = 10
"""Of reweighting, from least squares: enough for outliers to lose their weight."""


@functools.cache
def student_t_regression() -> Model:
    """Return the model of a line (or plane) with independent errors from Student's t, whose df is estimated as well.

    log-likelihood(w, scale, df) = n (log(Gamma((df + 1)/2)/Gamma(df/2)) - log(pi df)/2 - log(scale))
    - (df + 1)/2 sum_i log(1 + (y_i - <x_i, w> - offset_i)^2/(scale^2 df))

    Data with no heavier tails than the normal distribution have their maximum at infinite df: a fit then says that
    the log-likelihood keeps rising; use linear_gaussian, or fix df. The log-likelihood may have several maxima; the
    start is the robust line of 4 degrees of freedom. The library adds no intercept: for one, give x a column of ones.
    Every call returns the same object.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, and if wished ``"offset": (n,)``, with the parameters ``w``
        (p entries, named like the columns of x), ``scale`` and ``df``.

    Reference:
        Lange, Little and Taylor (1989), Journal of the American Statistical Association 84, 881-896, section 3 and
        appendix B.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0], [1.0]], "y": [0.0, 3.0]}
        >>> params = {"w": jnp.zeros(1), "scale": 1.0, "df": 1.0}
        >>> score = mle.models.student_t_regression().score(params, data)
        >>> round(float(score["w"][0]), 6)  # Cauchy: 2 y/(1 + y^2)
        0.6
    """
    return Model(
        log_density,
        {"w": Real(columns="x"), "scale": Positive(), "df": Positive()},
        gradient=gradient,
        name="student_t_regression",
        start=start,
        expected_information=expected_information,
        simulate=simulate,
        predict=predict,
    )


def log_density(params: Any, row: Any) -> Array:
    """Return the log density of one observation."""
    return student_t.log_density(row["y"], predict(params, row), params["scale"], df=params["df"])


def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # With z = (y - e)/scale, k = df and the weight u = (k + 1)/(k + z^2): d/dz of -(k + 1)/2 log(1 + z^2/k) is -u z,
    # dz/de = -1/scale and dz/dscale = -z/scale, so d/de = u z/scale and d/dscale = (u z^2 - 1)/scale.
    # Twice d/dk is digamma((k + 1)/2) - digamma(k/2) - 1/k - log(1 + q) + (1 + 1/k) q/(1 + q) with q = z^2/k, where
    # -log(1 + q) + q/(1 + q) = -D(-q/(1 + q)), D(t) = t - log(1 + t): it falls like 1/k^2.
    scale, k = jnp.asarray(params["scale"]), jnp.asarray(params["df"])
    z = (data["y"] - predict(params, data)) / scale
    u = (k + 1) / (k + z**2)
    q = z**2 / k
    constant = digamma((k + 1) / 2) - digamma(k / 2) - 1 / k
    by_df = 0.5 * (constant - excess(-q / (1 + q), 1 / (1 + q)) + q / (k * (1 + q)))
    return {
        "w": through_predictor(u * z / scale, data),
        "scale": jnp.sum(u * z**2 - 1) / scale,
        "df": jnp.sum(by_df),
    }


def expected_information(params: Any, data: Any) -> Array:
    """Return the expected information of (w, scale, df); w is orthogonal to the two others."""
    scale, k = jnp.asarray(params["scale"]), jnp.asarray(params["df"])
    n = jnp.shape(data["y"])[0]
    y = as_float(data["y"])
    block = gram(data, jnp.broadcast_to((k + 1) / ((k + 3) * scale**2), y.shape))
    of_scale = 2 * k / ((k + 3) * scale**2)
    mixed = -2 / ((k + 1) * (k + 3) * scale)
    of_df = (trigamma(k / 2) - trigamma((k + 1) / 2)) / 4 - (k + 5) / (2 * k * (k + 1) * (k + 3))
    return jax.scipy.linalg.block_diag(block, n * jnp.array([[of_scale, mixed], [mixed, of_df]]))


def start(data: Any) -> Any:
    """Return the robust line and scale for 4 degrees of freedom, nearly: least squares, reweighted."""
    y = as_float(data["y"])
    n = y.size
    # A perfect fit has no scale; rounding errors are the least that can be told from 0.
    size = jnp.max(jnp.abs(y))
    least = jnp.finfo(y.dtype).eps * jnp.where(size > 0, size, 1.0)

    def reweighted(_: int, at: tuple[Array, Array]) -> tuple[Array, Array]:
        # One round of the EM algorithm: u are the expected precisions of the rows, given their residuals.
        w, scale = at
        u = (START_DF + 1) / (START_DF + ((y - predictor(data, w)) / scale) ** 2)
        w = line_through(y, data, u)
        return w, jnp.maximum(jnp.sqrt(jnp.sum(u * (y - predictor(data, w)) ** 2) / n), least)

    w = line_through(y, data)
    scale = jnp.maximum(jnp.sqrt(jnp.mean((y - predictor(data, w)) ** 2)), least)
    w, scale = jax.lax.fori_loop(0, ROUNDS, reweighted, (w, scale))
    return {"w": w, "scale": scale, "df": jnp.asarray(START_DF, y.dtype)}


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn from the model at the row's x."""
    location = predict(params, row)
    drawn = jax.random.t(key, jnp.asarray(params["df"], location.dtype), dtype=location.dtype)
    return {**row, "y": location + params["scale"] * drawn}


def predict(params: Any, row: Any) -> Array:
    """Return the location <x, w> + offset, the expected value where df is above 1."""
    return predictor(row, params["w"])
