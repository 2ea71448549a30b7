"""What a closed form is told beyond data and weights, and what it can say beyond the parameters."""

import inspect
from collections.abc import Callable
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


class Held(NamedTuple):
    """Which entries of the parameters are fixed, and at what values.

    What a `closed_form` that has an argument named ``fixed`` is told (None where nothing is fixed). It then answers
    for the remaining entries; what it returns for the fixed ones is not looked at.

    Args:
        entries: a pytree like params of NumPy arrays of bool, True where fixed; known while tracing, so that shapes may
            depend on it.
        values: a pytree like params: the values there, anything elsewhere. They may be traced, so that another value
            of the same entries does not recompile.
    """

    entries: Any
    values: Any


def minds_fixed(closed_form: Callable[..., Any] | None) -> bool:
    """Say whether a closed form has an argument ``fixed``, and so an answer where some entries are fixed."""
    if closed_form is None:
        return False
    try:
        return "fixed" in inspect.signature(closed_form).parameters
    except ValueError:  # some builtin functions do not tell
        return False
