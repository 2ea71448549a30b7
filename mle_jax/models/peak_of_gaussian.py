"""A Gaussian peak in two dimensions above a background, seen through Poisson counts: one row per pixel.

log f(y; height, u0, v0, width, background | u, v) = y log(mean) - mean - log(y!) with
mean = background + height exp(-((u - u0)^2 + (v - v0)^2) / (2 width^2))

Source: Smith, Joseph, Rieger and Lidke (2010), Nature Methods 7, 373-375; Przybylski et al. (2017), Scientific Reports
7, 15722 (Gpufit, model GAUSS_2D).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import poisson
from mle_jax.likelihood import Model
from mle_jax.parameters import Positive, Real
from mle_jax.parameters.declared import as_float

NAMES = ("height", "u0", "v0", "width", "background")
SLIGHT = 1e-2
"""The start leaves at least this share of the mean count to the background."""
LOW, HALVINGS = 0.2, 20
"""What so large a share of the counts are below is background, at the start; found by so many halvings of the range."""


@functools.cache
def gaussian_peak() -> Model:
    """Return the model of a round Gaussian peak above a constant background, with Poisson counts.

    log-likelihood = sum_i y_i log(m_i) - m_i - log(y_i!)
    with m_i = background + height exp(-((u_i - u0)^2 + (v_i - v0)^2) / (2 width^2))

    A row is a pixel; an image is a dataset, many images are a batch (`fit_batch` with ``shared=("u", "v")``). The
    parameters are those of GAUSS_2D in Gpufit. The start comes from the moments of the image, in closed form. The
    same object is returned by every call.

    `predict` returns the expected count m.

    Returns:
        A `Model` of the data ``{"y": (n,), "u": (n,), "v": (n,)}``: counts, and the coordinates of the pixels. The
        parameters are ``height``, ``u0``, ``v0``, ``width`` and ``background`` (0 allowed).

    Reference:
        Smith, Joseph, Rieger and Lidke (2010), Nature Methods 7, 373-375; Przybylski et al. (2017), Scientific Reports
        7, 15722 (Gpufit, model GAUSS_2D).

    Example:
        >>> import mle_jax as mle
        >>> params = {"height": 8.0, "u0": 1.0, "v0": 1.0, "width": 0.5, "background": 2.0}
        >>> float(mle.models.gaussian_peak().predict(params, {"y": 0, "u": 1.0, "v": 1.0}))
        10.0
    """
    return Model(
        log_density,
        {
            "height": Positive(),
            "u0": Real(),
            "v0": Real(),
            "width": Positive(),
            "background": Positive(closed=True),
        },
        gradient=gradient,
        name="gaussian_peak",
        start=start,
        expected_information=expected_information,
        simulate=simulate,
        predict=predict,
    )


def log_density(params: Any, row: Any) -> Array:
    """Return the log density of one observation."""
    return poisson.log_density(row["y"], predict(params, row))


def mean_and_slopes(params: Any, data: Any) -> tuple[Array, dict[str, Array]]:
    """Return the expected counts and their derivatives in the parameters, derived by hand, (n,) each."""
    # With g = exp(-r^2/(2 width^2)), r^2 = (u - u0)^2 + (v - v0)^2 and m = background + height g:
    # dm/dheight = g; dg/du0 = g (u - u0)/width^2, since d(r^2)/du0 = -2 (u - u0); dg/dwidth = g r^2/width^3.
    height, width = params["height"], params["width"]
    du, dv = as_float(data["u"]) - params["u0"], as_float(data["v"]) - params["v0"]
    square = du**2 + dv**2
    g = jnp.exp(-square / (2 * width**2))
    slopes = {
        "height": g,
        "u0": height * g * du / width**2,
        "v0": height * g * dv / width**2,
        "width": height * g * square / width**3,
        "background": jnp.ones_like(g),
    }
    return params["background"] + height * g, slopes


def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # d(y log(m) - m)/dm = y/m - 1 = (y - m)/m
    mean, slopes = mean_and_slopes(params, data)
    residual = (as_float(data["y"]) - mean) / mean
    return {name: jnp.sum(residual * slopes[name]) for name in NAMES}


def expected_information(params: Any, data: Any) -> Array:
    """Return J' diag(1 / mean) J, with J the derivatives of the means: a Poisson count's variance is its mean."""
    mean, slopes = mean_and_slopes(params, data)
    scaled = jnp.stack([slopes[name] for name in NAMES]) / jnp.sqrt(mean)
    return jnp.einsum("in,jn->ij", scaled, scaled, precision=jax.lax.Precision.HIGHEST)


def start(data: Any) -> Any:
    """Return the moments of the image: the lowest counts are background, the rest has a center and a spread."""
    y, u, v = (as_float(data[name]) for name in ("y", "u", "v"))
    level = jnp.mean(y)
    slight = jnp.where(level > 0, SLIGHT * level, SLIGHT)
    background = jnp.maximum(_low(y), slight)
    above = jnp.maximum(y - background, 0.0)
    total = jnp.sum(above)
    share = jnp.where(total > 0, above / jnp.where(total > 0, total, 1.0), 1.0 / y.size)
    u0, v0 = jnp.sum(share * u), jnp.sum(share * v)
    variance = jnp.sum(share * ((u - u0) ** 2 + (v - v0) ** 2)) / 2  # of a round Gaussian: E[r^2] = 2 width^2
    width = jnp.where(variance > 0, jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 1.0)
    height = jnp.maximum(jnp.max(y) - background, slight)
    return {"height": height, "u0": u0, "v0": v0, "width": width, "background": background}


def _low(y: Array) -> Array:
    """Return what the lowest counts are below, to a millionth of their range: to sort them takes five times as long."""

    def halve(_: int, now: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = now
        middle = (low + high) / 2
        few = jnp.mean(y <= middle) < LOW
        return jnp.where(few, middle, low), jnp.where(few, high, middle)

    found: tuple[Array, Array] = jax.lax.fori_loop(0, HALVINGS, halve, (jnp.min(y), jnp.max(y)))
    return found[1]


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn from the model at the row's pixel."""
    return {**row, "y": jax.random.poisson(key, predict(params, row))}


def predict(params: Any, row: Any) -> Any:
    """Return the expected count."""
    square = (as_float(row["u"]) - params["u0"]) ** 2 + (as_float(row["v"]) - params["v0"]) ** 2
    return params["background"] + params["height"] * jnp.exp(-square / (2 * params["width"] ** 2))
