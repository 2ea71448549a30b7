"""What the regressions share: ``<x, w> + offset`` of a row or a dataset, derivatives through it, and start values."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax._text import listing
from mle_jax.likelihood import Model
from mle_jax.optimizers.least_squares import column_basis, solve_least_squares
from mle_jax.parameters import Real
from mle_jax.parameters.declared import as_float

PROJECTIONS = 200
"""Alternating projections in search of a line inside the allowed range: with an intercept, the first is inside."""
LEAST_SHARE = 0.1
"""Start values keep at least this share of a predictor that is known to be inside the allowed range."""


@at_highest_precision
def predictor(values: Mapping[str, Any], w: Any) -> Array:
    """Return ``<x, w>``, plus the leaf `offset` where there is one: a scalar of a row, (n,) of a dataset."""
    linear: Array = as_float(values["x"]) @ as_float(w)
    return linear + as_float(values["offset"]) if "offset" in values else linear


@at_highest_precision
def through_predictor(slopes: Array, data: Mapping[str, Any]) -> Array:
    """Return ``X' s``, the gradient in w of a total whose derivatives in the predictors are the slopes, (p,)."""
    # Not x.T @ s: XLA's CPU compiler would first copy x transposed, which takes longer than all the rest.
    return slopes @ as_float(data["x"])


@at_highest_precision
def gram(data: Mapping[str, Any], weights: Array) -> Array:
    """Return ``X' diag(weights) X``, (p, p)."""
    x = as_float(data["x"])
    return (weights[:, None] * x).T @ x


def bordered(block: Array, border: Array, corner: Array) -> Array:
    """Return the information of w and one more parameter from that of w, the mixed one (p,), and that of the other."""
    return jnp.block([[block, border[:, None]], [border[None, :], jnp.reshape(corner, (1, 1))]])


@at_highest_precision
def line_through(wanted: Array, data: Mapping[str, Any], weights: Array | None = None) -> Array:
    """Return the w whose predictors come nearest to the wanted ones, by (weighted) least squares, (p,)."""
    x = as_float(data["x"])
    aim = wanted - as_float(data["offset"]) if "offset" in data else wanted
    return solve_least_squares(x, jnp.asarray(aim, x.dtype), weights)


@at_highest_precision
def start_line(wanted: Array, data: Mapping[str, Any], weights: Array | None = None) -> Array:
    """Return `line_through`, shrunk toward 0 where its predictors would go far beyond the wanted ones.

    A row that counts little may otherwise get a predictor whose exponential overflows.
    """
    x = as_float(data["x"])
    w = line_through(wanted, data, weights)
    aim = wanted - as_float(data["offset"]) if "offset" in data else wanted
    reach, allowed = jnp.max(jnp.abs(x @ w)), 1 + jnp.max(jnp.abs(aim))
    return w * jnp.minimum(1.0, allowed / jnp.maximum(reach, 1.0)).astype(w.dtype)


@at_highest_precision
def positive_line(wanted: Array, data: Mapping[str, Any], weights: Array | None = None) -> Array:
    """Return a w with positive predictors, near the wanted ones: a start where the others are not allowed.

    First a line that is inside: the constant, if x can express it, and otherwise what alternating projections make of
    it (onto the predictors above a level, and onto those that x can express). Then as far from there toward the
    weighted least-squares line as leaves every predictor a tenth of what it had. If no line is inside, or the
    projections do not come so far, some predictors stay below 0.

    Args:
        wanted: (n,), all above 0.
        data: the dataset.
        weights: (n,) or None.

    Reference:
        Bauschke and Borwein (1996), On projection algorithms for solving convex feasibility problems, SIAM Review 38.
    """
    x = as_float(data["x"])
    wanted = jnp.asarray(wanted, x.dtype)
    offset = jnp.broadcast_to(jnp.asarray(data.get("offset", 0.0), x.dtype), wanted.shape)
    basis = column_basis(x)  # coefficients of orthonormal predictors
    columns = x @ basis
    constant = jnp.full_like(wanted, jnp.mean(wanted))
    level = LEAST_SHARE * constant

    def project(_: int, at: Array) -> Array:
        above = jnp.maximum(columns @ at + offset, level)
        return (above - offset) @ columns

    inside = jax.lax.fori_loop(0, PROJECTIONS, project, (constant - offset) @ columns)
    safe = columns @ inside + offset
    nearest = line_through(wanted, data, weights)
    there = x @ nearest + offset
    room = (1 - LEAST_SHARE) * safe / jnp.where(there < safe, safe - there, 1.0)
    share = jnp.min(jnp.where(there < LEAST_SHARE * safe, room, 1.0))
    share = jnp.where(jnp.all(jnp.isfinite(nearest)), jnp.clip(share, 0.0, 1.0), 0.0)
    start = basis @ inside
    return start + share * (nearest - start)


def checked_link(link: Any, links: Sequence[str], model: str) -> str:
    """Return the link if the model has it.

    Raises:
        TypeError: not a string.
        ValueError: not one of the links.
    """
    advice = f"but its links are {listing(list(links))}; pass link='{links[0]}' or leave it out"
    if not isinstance(link, str):
        raise TypeError(f"{model} was given link={link!r}, {advice}")
    if link not in links:
        raise ValueError(f"{model} was given link='{link}', {advice}")
    return link


def named(model: str, link: str, default: str) -> str:
    """Return the name of a model with a link, which is mentioned where it is not the usual one."""
    return model if link == default else f"{model}(link='{link}')"


def single_index_model(
    name: str,
    *,
    log_density: Callable[[Mapping[str, Any], Array], Array],
    slope: Callable[[Mapping[str, Any], Array], Array],
    information: Callable[[Mapping[str, Any], Array], Array],
    start: Callable[[Mapping[str, Any]], Array],
    draw: Callable[[Array, Mapping[str, Any], Array], Array],
    mean: Callable[[Mapping[str, Any], Array], Array],
) -> Model:
    """Return the model whose only parameter is w and that sees x through the predictor alone.

    Args:
        name: of the model.
        log_density: of a row, given its predictor.
        slope: its derivative in the predictor, by hand; of all rows at once, (n,).
        information: the expected square of the slope, (n,).
        start: of a dataset, start values of w.
        draw: of a key, a row and its predictor: a new y.
        mean: of a row and its predictor: the expected y.
    """

    def gradient(params: Any, data: Any) -> Any:
        # d predictor_i / dw = x_i, so by the chain rule the gradient is sum_i slope_i x_i.
        return {"w": through_predictor(slope(data, predictor(data, params["w"])), data)}

    def expected_information(params: Any, data: Any) -> Array:
        return gram(data, information(data, predictor(data, params["w"])))

    return Model(
        lambda params, row: log_density(row, predictor(row, params["w"])),
        {"w": Real(columns="x")},
        gradient=gradient,
        name=name,
        start=lambda data: {"w": start(data)},
        expected_information=expected_information,
        simulate=lambda key, params, row: {**row, "y": draw(key, row, predictor(row, params["w"]))},
        predict=lambda params, row: mean(row, predictor(row, params["w"])),
    )
