"""What censored models share: the leaves `y`, `status`, `upper`, what a row contributes, its derivatives, a new draw.

The status of a row is as in R's `Surv`: 1, y was observed; 0, right-censored, only known to be above y; 2,
left-censored, at or below y; 3, above y and at or below the leaf `upper`. Without the leaf `status` every row was
observed. `upper` is needed only where a status is 3; elsewhere it is not looked at, but the verbs refuse data that are
not finite, so that it may be any finite number, such as y.

Source: Klein and Moeschberger (2003), Survival Analysis, 2nd edition, section 3.5.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from mle_jax.models._error_laws import Errors, pulls, times
from mle_jax.models._moments import average
from mle_jax.models._regression import line_through, predictor
from mle_jax.parameters.declared import as_float

RIGHT, EXACT, LEFT, INTERVAL = 0, 1, 2, 3


class Seen(NamedTuple):
    """What is known about a response t on the whole line: of one row or of all."""

    t: Array
    status: Array | None = None
    """None: all exact."""
    upper: Array | None = None
    """None: no intervals."""


def seen(values: Mapping[str, Any]) -> Seen:
    """Read the leaves of a row or of a dataset."""
    status = jnp.asarray(values["status"]) if "status" in values else None
    upper = as_float(values["upper"]) if status is not None and "upper" in values else None
    return Seen(as_float(values["y"]), status, upper)


def seen_logs(values: Mapping[str, Any]) -> Seen:
    """Read the leaves of a row or of a dataset of positive responses, and take logarithms; -inf for y <= 0."""
    y = seen(values)
    return y._replace(t=_log(y.t), upper=None if y.upper is None else _log(y.upper))


def is_exact(values: Seen) -> Array:
    """Say which rows were observed."""
    return jnp.ones_like(values.t, bool) if values.status is None else values.status == EXACT


def log_contribution(errors: Errors, row: Seen, location: Array, scale: Array) -> Array:
    """Return what a row contributes: log f, log(1 - F), log F or the log of a difference of F.

    Minus infinity where the row cannot be: another status, an empty interval, an exact value that is not finite. Every
    form that does not apply is evaluated at a harmless point, so that no NaN of it leaks into derivatives.
    """
    finite = jnp.isfinite(row.t)
    exact = is_exact(row)
    point = jnp.where(exact & finite, row.t, location)
    value = jnp.where(exact & finite, errors.log_density(point, location, scale), -jnp.inf)
    if row.status is None:
        return value
    right, left = row.status == RIGHT, row.status == LEFT
    above = jnp.where(right & finite, row.t, location)
    below = jnp.where(left & finite, row.t, location)
    # A response above -inf is no news, one at or below -inf impossible; and the other way around.
    survived = jnp.where(finite, errors.log_survival(above, location, scale), jnp.where(row.t < 0, 0.0, -jnp.inf))
    failed = jnp.where(finite, errors.log_cdf(below, location, scale), jnp.where(row.t > 0, 0.0, -jnp.inf))
    value = jnp.where(right, survived, jnp.where(left, failed, value))
    if row.upper is None:
        return value
    interval = row.status == INTERVAL
    low, high = jnp.where(interval, row.t, location), jnp.where(interval, row.upper, location + scale)
    return jnp.where(interval, errors.log_interval(low, high, location, scale), value)


def slopes(errors: Errors, rows: Seen, location: Array, scale: Array) -> tuple[Array, Array]:
    """Return the derivatives of `log_contribution` in location and scale, derived by hand, (n,) each."""
    # With z = (t - location)/scale, dz/dlocation = -1/scale and dz/dscale = -z/scale. So if a row contributes c(z), its
    # derivatives are -c'(z)/scale and -z c'(z)/scale:
    # exact: c' = (log f)', and -log(scale) adds -1/scale to the second;
    # right-censored: c = log(1 - F), c' = -f/(1 - F), minus the hazard; left-censored: c = log(F), c' = f/F;
    # interval: c = log(F(v) - F(z)) moves at both ends, by f(v)/P and -f(z)/P.
    z = (rows.t - location) / scale
    exact = is_exact(rows)
    inner = errors.slope(z)
    outer = times(z, inner) + 1
    if rows.status is not None:
        hazard, reverse = errors.hazard(z), errors.reversed_hazard(z)
        right, left = rows.status == RIGHT, rows.status == LEFT
        inner = jnp.where(exact, inner, jnp.where(right, -hazard, jnp.where(left, reverse, 0.0)))
        ends = jnp.where(right, -times(z, hazard), jnp.where(left, times(z, reverse), 0.0))
        outer = jnp.where(exact, outer, ends)
    if rows.status is not None and rows.upper is not None:
        interval = rows.status == INTERVAL
        v = jnp.where(interval, (rows.upper - location) / scale, jnp.inf)
        at_low, at_high = pulls(errors, jnp.where(interval, z, 0.0), v)
        inner = jnp.where(interval, at_high - at_low, inner)
        outer = jnp.where(interval, times(v, at_high) - times(z, at_low), outer)
    return -inner / scale, -outer / scale


def line_and_scale(
    errors: Errors, rows: Seen, data: Mapping[str, Any], *, scale: float | None = None
) -> tuple[Array, Array]:
    """Return a start: the line and the scale that least squares finds, as if every limit had been observed.

    Args:
        errors: the law.
        rows: what is known.
        data: the dataset, for `x` and `offset`.
        scale: the scale where it is known.
    """
    t = _typical(rows)
    if scale is None:
        found = spread_of(t - predictor(data, line_through(t, data)), t) / errors.sd
    else:
        found = jnp.asarray(scale, t.dtype)
    return line_through(t - errors.mean * found, data), found


def spread_of(residuals: Array, t: Array) -> Array:
    """Return the root mean square of residuals; where the line fits perfectly, the spread of t or else its size."""

    def size(values: Array) -> Array:
        top = jnp.max(jnp.abs(values))  # what is squared must not overflow
        return top * jnp.sqrt(average((values / jnp.where(top > 0, top, 1.0)) ** 2))

    left, whole, spread = size(residuals), size(t), size(t - average(t))
    rounding = 10 * jnp.finfo(t.dtype).eps * whole
    instead = jnp.where(spread > rounding, spread, jnp.where(whole > 0, whole, 1.0))
    return jnp.where(left > rounding, left, instead)


def censored_again(row: Mapping[str, Any], drawn: Array) -> dict[str, Any]:
    """Return a row with a new response, censored as the row's design says.

    The limits that the row tells are its design: a row with status 0 is right-censored at its y if the new response
    lies above, and else observed; one with status 2 is left-censored at its y if the new response lies at or below it;
    one with status 3 is only ever compared with its two limits, so the new one is left-censored at y, between them, or
    right-censored at `upper`; one with status 1 has no limits.
    """
    if "status" not in row:
        return {**row, "y": drawn}
    limit, status = as_float(row["y"]), jnp.asarray(row["status"])
    hidden = ((status == RIGHT) & (drawn > limit)) | ((status == LEFT) & (drawn <= limit))
    y, found = jnp.where(hidden, limit, drawn), jnp.where(hidden, status, EXACT)
    if "upper" in row:
        upper, interval = as_float(row["upper"]), status == INTERVAL
        place = jnp.where(drawn <= limit, LEFT, jnp.where(drawn > upper, RIGHT, INTERVAL))
        found = jnp.where(interval, place, found)
        y = jnp.where(interval, jnp.where(drawn > upper, upper, limit), y)
    return {**row, "y": y, "status": found.astype(status.dtype)}


def _log(y: Array) -> Array:
    return jnp.where(y > 0, jnp.log(jnp.where(y > 0, y, 1.0)), -jnp.inf)


def _typical(rows: Seen) -> Array:
    """Return a finite value for every row: what was seen, the limit, the middle of an interval, or else an average."""
    t = rows.t
    if rows.status is not None and rows.upper is not None:
        interval, closed = rows.status == INTERVAL, jnp.isfinite(rows.upper)
        middle = jnp.where(jnp.isfinite(t), t / 2 + jnp.where(closed, rows.upper, t) / 2, rows.upper)
        t = jnp.where(interval, middle, t)
    finite = jnp.isfinite(t)
    known = jnp.where(finite, t, 0.0)
    return jnp.where(finite, t, jnp.sum(known) / jnp.maximum(jnp.sum(finite), 1))
