"""How an optimization ended: an integer per dataset, and the sentence that goes with it."""

import enum
from typing import Any


class Status(enum.IntEnum):
    """Say how a fit ended.

    Only `converged` and `converged_to_rounding` certify a maximum. The sentence of each is its `text`; a fit's own
    `message` adds the names of the parameters and rows concerned.

    Example:
        >>> from mle_jax import Status
        >>> Status.converged.certified, Status.max_steps.certified
        (True, False)
    """

    converged = 0
    converged_to_rounding = 1
    precision_lost = 2
    max_steps = 3
    stopped_by_rule = 4
    uncertified = 5
    non_finite = 6
    rising = 7
    not_identified = 8
    saddle = 9
    at_boundary = 10
    scale_collapsed = 11

    @property
    def certified(self) -> bool:
        """Whether this status proves that a maximum was found."""
        return bool(are_certified(self))

    @property
    def text(self) -> str:
        """The sentence that explains the status and says what to do."""
        return _TEXTS[self]


def are_certified(status: Any) -> Any:
    """Say which statuses prove that a maximum was found: of one, of an array (B,) of them, or of traced ones."""
    return (status == Status.converged) | (status == Status.converged_to_rounding)


_TEXTS = {
    Status.converged: "The maximum was found and certified.",
    Status.converged_to_rounding: (
        "The maximum was found as closely as float64 arithmetic can tell; the certificate holds otherwise."
    ),
    Status.precision_lost: (
        "Rounding errors hide the way to the maximum; rescale the data or write the log density so that it loses "
        "fewer digits."
    ),
    Status.max_steps: (
        "The steps ran out before the maximum was certified; raise max_steps or choose another optimizer."
    ),
    Status.stopped_by_rule: "The stopping rule ended the run; such a rule says nothing about being at an extremum.",
    Status.uncertified: (
        "The log-likelihood is not smooth and no exact solver was used, so the maximum cannot be certified; "
        "treat the estimates as approximate."
    ),
    Status.non_finite: "The log-likelihood or its gradient is not finite; change the start values or the data.",
    Status.rising: (
        "The log-likelihood keeps rising toward infinity: there is no finite maximum; simplify the model, fix a "
        "parameter, or collect data that bound it."
    ),
    Status.not_identified: (
        "The data do not determine every parameter: some combination leaves the log-likelihood unchanged; drop or "
        "fix a parameter."
    ),
    Status.saddle: "The gradient vanishes at a saddle point, not at a maximum; start elsewhere.",
    Status.at_boundary: "The maximum lies on the boundary of the domain; inference for that parameter is one-sided.",
    Status.scale_collapsed: "A scale parameter shrinks to zero and the log-likelihood grows without bound.",
}


class ConvergenceWarning(UserWarning):
    """Warn that a fit ended without a certificate.

    Example:
        >>> import warnings
        >>> from mle_jax import ConvergenceWarning
        >>> warnings.simplefilter("error", ConvergenceWarning)  # stop at the first doubtful fit
        >>> warnings.simplefilter("default", ConvergenceWarning)
    """
