"""From the end of a run and its certificate to a status."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from mle_jax._linalg import rounding_floor
from mle_jax._status import Status
from mle_jax.fitting.certificate import SHARE, Certificate

ROUNDING_DECREMENT = 1e-2  # standard errors: above this, stalling is a loss of precision and not its natural end


class Collapse(NamedTuple):
    """Signs that a scale parameter has shrunk to nothing, so that the log-likelihood grows without bound."""

    surely: Array  # some estimate has a standard error below its own rounding: the data are fitted perfectly
    vanished: Array  # a scale is below the square of the machine precision, which in some units is an honest value


def verdict(
    certificate: Certificate,
    *,
    tolerance: Array | float,
    finite: Array,
    stalled: Array,
    collapsed: Collapse,
) -> Array:
    """Return the status of a smooth model as an int32 scalar; the first line that applies counts.

    Args:
        certificate: at the final point.
        tolerance: of the decrement, in standard errors.
        finite: whether value, gradient and Hessian are finite at the final point.
        stalled: whether two successive full steps gained nothing beyond rounding.
        collapsed: whether a scale parameter seems to have shrunk to nothing.
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
        (near & definite & ~drops, Status.rising),
        ((near | stalled) & ~certificate.sound, Status.precision_lost),
        (near & curved_up, Status.saddle),
        (near | (settled & ~definite & ~curved_up), Status.not_identified),
        (settled & proved, Status.converged_to_rounding),
        (stalled, Status.precision_lost),
    ]
    codes = [jnp.int32(status.value) for _, status in cases]
    return jnp.select([condition for condition, _ in cases], codes, jnp.int32(Status.max_steps.value))


def reliable_entries(coordinates: Any, theta: Array, certificate: Certificate, status: Array) -> Array:
    """Say which flat natural parameters hold, bool (k_flat,).

    All of them at a certified maximum. Where the log-likelihood rises toward infinity along one direction, or does
    not change along one, those that take no part in it hold as well. Otherwise none.
    """
    certified = (status == Status.converged) | (status == Status.converged_to_rounding)
    if theta.size == 0:
        return jnp.broadcast_to(certified, (len(coordinates.fixed),))
    climbing = touching(coordinates, theta, taking_part(certificate.uphill, certificate.information))
    undetermined = touching(coordinates, theta, certificate.undetermined)
    rising = (status == Status.rising) & ~climbing
    identified = (status == Status.not_identified) & ~undetermined & certificate.flat & ~certificate.rises
    return certified | rising | identified


def touching(coordinates: Any, theta: Array, parts: Array) -> Array:
    """Say which flat natural parameters depend on some of the free coordinates, bool (k_flat,)."""
    return jnp.any((coordinates.jacobian(theta) != 0) & parts, axis=1)


def taking_part(direction: Array, information: Array) -> Array:
    """Say which free coordinates take part in a direction: more than 1 % of its largest move in standard errors."""
    moves = jnp.abs(direction) * jnp.sqrt(jnp.abs(jnp.diagonal(information)))
    moves = jnp.where(jnp.any(moves > 0), moves, jnp.abs(direction))
    return moves > SHARE * jnp.max(moves)
