"""From the end of a run and its certificate to a status."""

import jax.numpy as jnp
from jax import Array

from mle_jax._linalg import rounding_floor
from mle_jax._status import Status
from mle_jax.fitting.certificate import Certificate

ROUNDING_DECREMENT = 1e-2  # standard errors: above this, stalling is a loss of precision and not its natural end


def verdict(
    certificate: Certificate,
    *,
    tolerance: Array | float,
    finite: Array,
    stalled: Array,
    collapsed: Array,
) -> Array:
    """Return the status of a smooth model as an int32 scalar; the first line that applies counts.

    Args:
        certificate: at the final point.
        tolerance: of the decrement, in standard errors.
        finite: whether value, gradient and Hessian are finite at the final point.
        stalled: whether two successive full steps gained nothing beyond rounding.
        collapsed: whether a scale parameter has shrunk to nothing.
    """
    definite, drops = certificate.is_definite, certificate.drops
    near = certificate.decrement < tolerance
    curved_up = certificate.smallest_eigenvalue < -rounding_floor(certificate.step.size, certificate.step.dtype)
    cases = [
        (~finite, Status.non_finite),
        (collapsed, Status.scale_collapsed),
        (near & definite & drops, Status.converged),
        (near & definite, Status.rising),
        (near & curved_up, Status.saddle),
        (near | (stalled & ~definite & ~curved_up), Status.not_identified),
        (stalled & definite & drops & (certificate.decrement < ROUNDING_DECREMENT), Status.converged_to_rounding),
        (stalled, Status.precision_lost),
    ]
    codes = [jnp.int32(status.value) for _, status in cases]
    return jnp.select([condition for condition, _ in cases], codes, jnp.int32(Status.max_steps.value))
