"""A mixture of Gaussians: every observation comes from one of several normal distributions, nobody knows which.

log f(y; share, mean, sd) = log(sum_j share[j] phi((y - mean[j]) / sd[j]) / sd[j])

Source: McLachlan and Peel (2000), Finite Mixture Models, chapters 2 and 3.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import normal
from mle_jax.densities._elementary import logsumexp
from mle_jax.likelihood import Model
from mle_jax.models._options import count
from mle_jax.parameters import Positive, Real, Simplex
from mle_jax.parameters.declared import as_float

ROUNDS = 50
"""Of the EM algorithm, in the start: enough to leave the starting blocks, not to converge."""
NARROWEST = 0.05
"""No component of the start is narrower than this share of the spread of y: on the way to a singularity there is none
to be found."""


def gaussian_mixture(components: int = 2) -> Model:
    """Return the model of a mixture of Gaussians with means and standard deviations of their own.

    log-likelihood(share, mean, sd) = sum_i log(sum_j share[j] phi((y_i - mean[j]) / sd[j]) / sd[j])

    The likelihood is unbounded: a component that sits on one observation (or on equal ones) may shrink forever. What is
    wanted is the best maximum inside, which is what the default start is for: blocks of the sorted y, from the lowest,
    and some steps of the EM algorithm with a floor under the standard deviations. A search that runs into a singularity
    does not end as converged. Components may be swapped without changing anything; from the default start they are in
    the order of their means, as a rule. The same number of components returns the same object.

    `predict` returns the probabilities that the row belongs to the components, given its y, (components,).

    Args:
        components: the number of components, 2 or more.

    Returns:
        A `Model` of the data ``{"y": (n,)}`` with the parameters ``share`` (on the simplex), ``mean`` and ``sd``, each
        with one entry per component.

    Raises:
        TypeError: components is not a whole number.
        ValueError: components is below 2.

    Reference:
        McLachlan and Peel (2000), Finite Mixture Models, section 3.2 (EM) and 3.10 (the unbounded likelihood).

    Example:
        >>> import mle_jax as mle
        >>> model = mle.models.gaussian_mixture()
        >>> params = {"share": [0.25, 0.75], "mean": [-1.0, 1.0], "sd": [1.0, 1.0]}
        >>> [round(float(p), 4) for p in model.predict(params, {"y": 0.0})]  # as far from either: the shares
        [0.25, 0.75]
    """
    advice = "pass components=2, or take models.gaussian() for one"
    return _with_components(count(components, model="gaussian_mixture", option="components", least=2, advice=advice))


@functools.cache
def _with_components(components: int) -> Model:
    return Model(
        log_density,
        {"share": Simplex(components), "mean": Real(components), "sd": Positive(components)},
        gradient=gradient,
        name=f"gaussian_mixture(components={components})",
        start=functools.partial(start, components=components),
        simulate=simulate,
        predict=predict,
    )


def joint(params: Any, y: Any) -> Array:
    """Return log(share[j] f_j(y)) for every component, (..., components)."""
    inside = normal.log_density(as_float(y)[..., None], params["mean"], params["sd"])
    return jnp.log(jnp.asarray(params["share"])) + inside


def log_density(params: Any, row: Any) -> Array:
    """Return the log density of one observation."""
    return logsumexp(joint(params, row["y"]))


def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # d log(sum_j exp(t_j)) = sum_j p_j dt_j with p_j = exp(t_j)/sum exp(t), the probability of component j given y.
    # t_j = log(share[j]) - z^2/2 - log(sd[j]) + constant, z = (y - mean[j])/sd[j], has the derivatives
    # 1/share[j], z/sd[j] and (z^2 - 1)/sd[j].
    p = jax.nn.softmax(joint(params, data["y"]))
    sd = jnp.asarray(params["sd"])
    z = (as_float(data["y"])[:, None] - jnp.asarray(params["mean"])) / sd
    return {
        "share": p.sum(axis=0) / jnp.asarray(params["share"]),
        "mean": jnp.sum(p * z, axis=0) / sd,
        "sd": jnp.sum(p * (z**2 - 1), axis=0) / sd,
    }


def start(data: Any, *, components: int) -> Any:
    """Return what the EM algorithm, with a floor under the standard deviations, makes of blocks of the sorted y."""
    y = jnp.sort(as_float(data["y"]))
    block = (jnp.arange(y.size) * components) // max(y.size, components)
    first = (block[:, None] == jnp.arange(components)).astype(y.dtype)
    # What is squared must not overflow: in units of the largest deviation from the median.
    center = y[y.size // 2]
    unit = jnp.max(jnp.abs(y - center))
    unit = jnp.where(unit > 0, unit, jnp.where(jnp.abs(center) > 0, jnp.abs(center), 1.0))
    t = (y - center) / unit
    spread = jnp.std(t)
    floor = NARROWEST * jnp.where(spread > 0, spread, 1.0)

    def weighted(p: Array) -> Any:
        """Return shares, means and standard deviations, given the probabilities (n, components)."""
        weight = p.sum(axis=0) + 1e-3  # no component dies out
        mean = (p.T @ t + 1e-3 * jnp.mean(t)) / weight
        square = jnp.sum(p * (t[:, None] - mean) ** 2, axis=0) / weight
        return {"share": weight / weight.sum(), "mean": mean, "sd": jnp.sqrt(square + floor**2)}

    def step(_: Array, params: Any) -> Any:
        return weighted(jax.nn.softmax(joint(params, t)))

    found = jax.lax.fori_loop(0, ROUNDS, step, weighted(first))
    return {"share": found["share"], "mean": center + unit * found["mean"], "sd": unit * found["sd"]}


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn from the model."""
    which, error = jax.random.split(key)
    chosen = jax.random.categorical(which, jnp.log(jnp.asarray(params["share"])))
    mean, sd = jnp.asarray(params["mean"])[chosen], jnp.asarray(params["sd"])[chosen]
    return {**row, "y": mean + sd * jax.random.normal(error, dtype=mean.dtype)}


def predict(params: Any, row: Any) -> Any:
    """Return the probabilities that the row belongs to the components, (components,)."""
    return jax.nn.softmax(joint(params, row["y"]))
