"""From the end of a run and its certificate to a status."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._lapack import inverse
from mle_jax._linalg import rounding_floor
from mle_jax._status import Status, are_certified
from mle_jax.fitting.certificate import Certificate, taking_part
from mle_jax.fitting.choosing import DENSE_UP_TO
from mle_jax.fitting.place import Place
from mle_jax.fitting.rotation import Rotated, declared
from mle_jax.parameters import Positive

ROUNDING_DECREMENT = 1e-2  # standard errors: above this, stalling is a loss of precision and not its natural end


ORDINARY = 1e5  # mean absolute contribution; log(1e-308) is -709, a row may have many parts
ROUNDED = (
    0.25  # of the noise of a row: where its rounding errors are larger, there is no noise. Perfect fits had 1.1 up
)


COLUMNS = 64  # of a Jacobian that exist at the same time where it is too large
CERTAIN = 1e-6  # sum of absolute contributions: where it is less, every row is predicted with certainty


class Collapse(NamedTuple):
    """Signs that a scale parameter has shrunk to nothing, so that the log-likelihood grows without bound."""

    surely: Array  # the noise is not above the rounding errors of the data: they are fitted perfectly
    vanished: Array  # a scale is below the square of the machine precision, which in some units is an honest value
    measured: Array  # the information is finite, so that there is something to measure the noise by
    last_digits: Array  # the largest rounding error of a parameter, in standard errors (the others held)


def verdict(
    certificate: Certificate,
    *,
    tolerance: Array | float,
    finite: Array,
    stalled: Array,
    collapsed: Collapse,
    certain: Array | bool = False,
) -> Array:
    """Return the status of a smooth model as an int32 scalar; the first line that applies counts.

    Args:
        certificate: at the final point.
        tolerance: of the decrement, in standard errors.
        finite: whether value, gradient and Hessian are finite at the final point.
        stalled: whether two successive full steps gained nothing beyond rounding.
        collapsed: whether a scale parameter seems to have shrunk to nothing.
        certain: from `predicts_all`.
    """
    definite, drops = certificate.is_definite, certificate.drops
    near = certificate.decrement < tolerance
    curved_up = certificate.smallest_eigenvalue < -rounding_floor(certificate.step.size, certificate.step.dtype)
    proved = definite & drops & certificate.sound
    settled = stalled & (certificate.informed_decrement < ROUNDING_DECREMENT)
    cases = [
        # A collapse comes first: at a scale of zero the derivatives are often not finite.
        (collapsed.surely | (collapsed.vanished & ~(near & proved)), Status.scale_collapsed),
        (~finite, Status.non_finite),
        (near & proved, Status.converged),
        (near & (definite | certificate.is_undecided) & ~drops, Status.rising),
        # Of many rows the log-likelihood has no digits left for the last part of the way.
        (settled & definite & certificate.rises, Status.rising),
        ((near | stalled) & certain, Status.rising),
        ((near | stalled) & ~certificate.sound, Status.precision_lost),
        (near & certificate.is_undecided, Status.max_steps),  # those of Lanczos' method
        (near & curved_up, Status.saddle),
        (near | (settled & ~definite & ~curved_up & ~certificate.is_undecided), Status.not_identified),
        (settled & proved, Status.converged_to_rounding),
        (stalled, Status.precision_lost),
    ]
    codes = [jnp.int32(status.value) for _, status in cases]
    return jnp.select([condition for condition, _ in cases], codes, jnp.int32(Status.max_steps.value))


def predicts_all(certificate: Certificate, total: Array) -> Array:
    """Say whether every row is predicted with certainty, all but, so that the log-likelihood can only rise to 0.

    It does so at infinity (separated categories, nothing but censored times), where its second derivatives, sums of
    almost nothing, need no longer be those of a rising function. Where it is exactly 0 it does not rise.

    Args:
        certificate: at the final point.
        total: the sum of the absolute contributions there.
    """
    return (total > 0) & (total < CERTAIN) & jnp.any(certificate.uphill != 0)


def collapse(place: Place, point: Array, magnitude: Array, certificate: Certificate, rows: Array | float) -> Collapse:
    """Look for a scale parameter that has shrunk to nothing.

    A row's residual carries rounding errors of about eps times the parts that it is computed from, and those of k parts
    add up like sqrt(k). Beside the noise of a row, a parameter p with standard error s_p is a part of size
    |p| / (sqrt(n) s_p). As long as their sum, times sqrt(k) eps, is small, the residuals are noise and no rounding
    errors, however small they are beside the parameters (1e9 with a noise of 1e-3), and however exactly many rows
    determine these.

    Args:
        place: what the free coordinates mean.
        point: the free coordinates, (k,).
        magnitude: the mean absolute contribution of the rows there.
        certificate: at that point, for the information.
        rows: their number n, or their total weight.
    """
    declarations = place.space.declarations
    scales = [isinstance(d, Positive) and not d.closed for d in declarations for _ in range(d.flat_size)]
    free = ~np.asarray(place.fixed, bool)
    is_scale = np.asarray(scales, bool) & free
    flat = place.flat(point)
    eps = jnp.finfo(flat.dtype).eps
    if not point.size:
        return Collapse(jnp.asarray(False), jnp.asarray(False), jnp.asarray(True), jnp.zeros((), flat.dtype))
    errors = _held_errors(place, point, certificate)
    digits = jnp.where(free & (errors > 0), eps * jnp.abs(flat) / jnp.where(errors > 0, errors, 1.0), 0.0)
    # Log densities are of the size of logarithms: far larger ones belong to a lost search, not to a perfect fit.
    ordinary = (magnitude < ORDINARY) & bool(is_scale.any())
    rounded = jnp.sum(digits) * math.sqrt(flat.size) > ROUNDED * jnp.sqrt(jnp.asarray(rows, flat.dtype))
    return Collapse(
        # An information beyond all numbers leaves no noise at all.
        surely=ordinary & (rounded | jnp.any(jnp.isposinf(certificate.diagonal))),
        vanished=ordinary & jnp.any(is_scale & (flat < eps**2)),
        measured=jnp.all(jnp.isfinite(certificate.information)) & jnp.all(jnp.isfinite(certificate.diagonal)),
        last_digits=jnp.max(digits),
    )


def _held_errors(place: Place, point: Array, certificate: Certificate) -> Array:
    """Return standard errors of the flat parameters with all other coordinates held, (k_flat,); 0 where unknown.

    They need no positive definite information. Coordinates count as they were declared, before any rotation.
    """
    there, theta = declared(place, point)
    diagonal = certificate.diagonal
    if isinstance(place, Rotated):
        back = inverse(place.basis)
        diagonal = jnp.diagonal(back.T @ certificate.information @ back)
    held = 1.0 / jnp.sqrt(jnp.abs(diagonal))
    return largest_effects(there, theta, jnp.where(jnp.isfinite(held), held, 0.0))


def reliable_entries(
    coordinates: Any, theta: Array, certificate: Certificate, status: Array, *, certain: Array | bool = False
) -> Array:
    """Say which flat natural parameters hold, bool (k_flat,).

    All of them at a certified maximum. Where the log-likelihood rises toward infinity along one direction, or does
    not change along one, those that take no part in it hold as well. Nor may they take part in a direction whose
    information is not the curvature: what separated rows alone determined becomes undetermined as these fade. Otherwise
    none; nor where all rows are certain.
    """
    certified = are_certified(status)
    if theta.size == 0:
        return jnp.broadcast_to(certified, (len(coordinates.fixed),))
    parts = taking_part(certificate.uphill, certificate.diagonal), certificate.undetermined, certificate.fading
    climbing, undetermined, fading = touching(coordinates, theta, jnp.stack(parts))
    rising = (status == Status.rising) & ~climbing & ~fading & jnp.logical_not(certain)
    identified = (status == Status.not_identified) & ~undetermined & certificate.flat & ~certificate.rises
    return certified | rising | identified


def touching(coordinates: Any, theta: Array, parts: Array) -> Array:
    """Say which flat natural parameters depend on some of the free coordinates, (..., k), bool (..., k_flat)."""
    return largest_effects(coordinates, theta, parts.astype(theta.dtype)) > 0


def largest_effects(place: Any, theta: Array, moves: Array) -> Array:
    """Return how far each flat natural parameter is moved by the coordinate that moves it most, (..., k_flat).

    Args:
        place: what the free coordinates mean.
        theta: where, (k,).
        moves: of the single coordinates, at least 0, (..., k).
    """
    if theta.size <= DENSE_UP_TO:
        return jnp.max(jnp.abs(place.jacobian(theta)) * moves[..., None, :], axis=-1)
    blocks = -(-theta.size // COLUMNS)
    _, push = jax.linearize(place.flat, theta)

    def add(i: Array, largest: Array) -> Array:
        # Numbers of coordinates beyond the last are dropped: their columns are 0.
        columns = i * COLUMNS + jnp.arange(COLUMNS)
        sizes = jnp.abs(jax.vmap(push)(jax.nn.one_hot(columns, theta.size, dtype=theta.dtype)))
        own = jnp.take(every, columns, axis=1, mode="fill", fill_value=0)
        return jnp.maximum(largest, jnp.stack([jnp.max(sizes * one[:, None], axis=0) for one in own]))

    every = moves.reshape(-1, theta.size)
    effects = jax.lax.fori_loop(0, blocks, add, jnp.zeros((len(every), len(place.fixed)), theta.dtype))
    return effects.reshape(*moves.shape[:-1], len(place.fixed))
