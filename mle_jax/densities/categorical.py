"""The categorical distribution, by logits.

log f(y; logits) = logits[y] - log(sum of exp(logits))

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 5.2.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._partials import floats, supported


@jax.jit
def log_density(y: ArrayLike, logits: ArrayLike) -> Array:
    """Return the log density of the categorical distribution; minus infinity unless y is one of 0 .. k - 1.

    Derivatives are sums over pairs of categories, accurate also where one category is almost certain.

    Args:
        y: categories, whole numbers of any dtype, shape (...).
        logits: logarithms of the probabilities up to a common constant, shape (..., k).

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.categorical.log_density(1, [0.0, 0.0, 0.0])), 4)  # log(1/3)
        -1.0986
    """
    y, logits = floats(y, logits)
    categories = jnp.arange(logits.shape[-1])
    chosen = y[..., None] == categories
    valid = chosen.any(axis=-1)
    return supported(valid, jnp.sum(jnp.where(chosen, _log_softmax(logits), 0.0), axis=-1))


@jax.custom_jvp
def _softmax(logits: Array) -> Array:
    """Return the probabilities."""
    return jnp.exp(_log_softmax(logits))


@jax.custom_jvp
def _log_softmax(logits: Array) -> Array:
    """Return the logarithms of the probabilities."""
    first = jnp.argmax(logits, axis=-1)[..., None] == jnp.arange(logits.shape[-1])
    below = logits - jnp.max(logits, axis=-1, keepdims=True)
    rest = jnp.sum(jnp.where(first, 0.0, jnp.exp(below)), axis=-1, keepdims=True)
    return below - jnp.log1p(rest)


def _pairwise(logits: Array, tangent: Array) -> Array:
    """Return the tangent minus its mean over the probabilities, as ``sum over j != i of p[j] (t[i] - t[j])``.

    With j = i left out, no derivative has the form 1 - p, which loses its digits where p is almost 1.
    """
    size = logits.shape[-1]
    others = jnp.where(jnp.eye(size, dtype=bool), 0.0, _softmax(logits)[..., None, :])
    return jnp.sum(others, axis=-1) * tangent - jnp.sum(others * tangent[..., None, :], axis=-1)


@_softmax.defjvp
def _softmax_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    probabilities = _softmax(*primals)
    return probabilities, probabilities * _pairwise(*primals, *tangents)


@_log_softmax.defjvp
def _log_softmax_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _log_softmax(*primals), _pairwise(*primals, *tangents)
