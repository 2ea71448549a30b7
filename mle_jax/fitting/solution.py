"""`Solution`: where the traceable core arrived. A pytree of arrays, so it maps, stacks and indexes like any other."""

from typing import Any, NamedTuple

from jax import Array

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
        information: observed information of the total in free coordinates, (k, k); zeros where not smooth.
        smallest_eigenvalue: of the information scaled by its diagonal.
        drop: the one-standard-error drop of the log-likelihood, about 0.5 at a maximum.
        uphill_drop: the drop along the Newton step alone.
        flat: whether the log-likelihood does not change along +- the weakest direction.
        uphill: one standard error along the Newton step, (k,).
        weakest: one standard error along the weakest direction, (k,).
        reliable: which flat natural parameters hold although the whole may not, bool (k_flat,).
        trace: the history in terms of the loss, or None.

    Example:
        >>> import mle_jax as mle
        >>> solution = mle.maximize(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
        >>> mle.Status(int(solution.status)).name, round(float(solution.params["mu"]), 4)
        ('converged_to_rounding', 3.0)
    """

    params: Any
    log_likelihood: Array
    status: Array
    decrement: Array
    steps: Array
    theta: Array
    information: Array
    smallest_eigenvalue: Array
    drop: Array
    uphill_drop: Array
    flat: Array
    uphill: Array
    weakest: Array
    reliable: Array
    trace: Trace | None
