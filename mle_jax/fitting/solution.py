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
        decrement: sqrt(g' I^-1 g), the distance to the maximum in standard errors; for a model with kinks
            sqrt(2 gap), with the duality gap in total log-likelihood (NaN without an exact solver).
        steps: steps taken, int32.
        theta: the free coordinates, (k,).
        certificate: the numbers behind the verdict.
        reliable: which flat natural parameters hold although the whole may not, bool (k_flat,).
        edge: a move in flat natural parameters, (k_flat,): params + t edge is a maximum for t in [0, 1]; zeros where
            none is known (it takes a model with kinks).
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
    edge: Array
    trace: Trace | None
