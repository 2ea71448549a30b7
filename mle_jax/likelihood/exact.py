"""`ExactMaximum`: what a closed form can say beyond the parameters, where derivatives prove nothing."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array


class ExactMaximum(NamedTuple):
    """A maximizer with its proof, for models with kinks (``smooth=False``): what their `closed_form` may return.

    A smooth model is certified by its derivatives, so there its closed form returns the parameters alone. Where the
    log density has kinks, the gap proves the maximum: the fit's decrement is sqrt(2 gap), and that of any other point
    (`evaluate`, a gradient descent) follows from the difference in log-likelihood.

    Args:
        params: the maximizer, a pytree like the declaration.
        gap: an upper bound on what the total log-likelihood at params lacks to its maximum; 0 where the subgradient
            condition was verified.
        edge: a pytree like params: params + t edge is a maximizer for every t in [0, 1]. None, or zeros where the
            maximizer is unique.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> def log_density(params, row):  # Laplace, scale 1: the median is exact
        ...     return -jnp.abs(row["y"] - params["m"]) - jnp.log(2.0)
        >>> def closed_form(data, weights):
        ...     return mle.ExactMaximum({"m": jnp.median(data["y"])}, gap=0.0)
        >>> model = mle.Model(log_density, {"m": mle.Real()}, smooth=False, closed_form=closed_form)
        >>> fit = mle.fit(model, {"y": [1.0, 2.0, 6.0]})
        >>> float(fit.params["m"]), fit.status.name
        (2.0, 'converged')
    """

    params: Any
    gap: Array | float
    edge: Any = None


def exact_maximum(found: Any) -> ExactMaximum:
    """Read what a closed form returned: parameters alone come without a proof, so with a gap of NaN."""
    return found if isinstance(found, ExactMaximum) else ExactMaximum(found, jnp.nan)
