"""Stopping rules for `minimize`. They end a run; they do not prove that an extremum was found."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ValueChange:
    """The rule made by `value_change`."""

    tolerance: float

    def __call__(self, previous: Any, current: Any) -> Array:
        """Compare the values at two successive points; a rejected trial step is no step."""
        change = jnp.abs(current.evaluation.value - previous.evaluation.value)
        return (change < self.tolerance) & getattr(current, "accepted", True)


def value_change(tolerance: float) -> ValueChange:
    """Stop when the function changes by less than a tolerance in one step: ``|f(w_new) - f(w)| < tolerance``.

    This is the text's rule (T11). It yields the status `stopped_by_rule`, never `converged`: a slow descent changes
    little at every step, however far it still has to go.

    Args:
        tolerance: in units of the function, above 0.

    Returns:
        A rule for ``minimize(..., stop=...)``.

    Raises:
        ValueError: the tolerance is not above 0.

    Example:
        >>> import mle_jax as mle
        >>> descent = mle.optimizers.GradientDescent(0.1)
        >>> rule = mle.stops.value_change(1e-6)
        >>> run = mle.minimize(lambda w: w**2, 1.0, optimizer=descent, max_steps=1000, stop=rule)
        >>> run.status.name, int(run.steps)
        ('stopped_by_rule', 30)
    """
    if not tolerance > 0.0:
        raise ValueError(f"value_change was given the tolerance {tolerance}, but it must be above 0; pass e.g. 1e-6")
    return ValueChange(float(tolerance))
