"""`Solution`: where the traceable core arrived. A pytree of arrays, so it maps, stacks and indexes like any other."""

from typing import Any, NamedTuple

from jax import Array

from mle_jax.fitting.certificate import Certificate
from mle_jax.optimizers._loop import Trace


class Solution(NamedTuple):
    """The outcome of `maximize` (k free coordinates that move).

    Attributes:
        params: pytree laid out like the declaration, natural scale.
        log_likelihood: the total at params, a scalar.
        status: an int32 scalar; ``Status(int(status))`` says it in words.
        decrement: sqrt(g' I^-1 g), the distance to the maximum in standard errors; NaN where the model is not smooth.
        steps: steps taken, int32.
        theta: the free coordinates, (k,).
        certificate: the numbers behind the verdict; NaN where the model is not smooth.
        reliable: which flat natural parameters hold although the whole may not, bool (k_flat,).
        trace: the history in terms of the loss, or None.

    Example:
        >>> import mle_jax as mle
        >>> solution = mle.maximize(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
        >>> mle.Status(int(solution.status)).certified, round(float(solution.params["mu"]), 4)
        (True, 3.0)
    """

    params: Any
    log_likelihood: Array
    status: Array
    decrement: Array
    steps: Array
    theta: Array
    certificate: Certificate
    reliable: Array
    trace: Trace | None
