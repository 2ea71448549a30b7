"""Probabilities of intervals, accurate in both tails and for narrow intervals."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mle_jax.densities._elementary import log1mexp, logsumexp

# Gauss-Legendre on 0 .. 1 with 12 points; Abramowitz and Stegun 25.4.30.
NODES = (
    *(0.00921968287664037465, 0.0479413718147625717, 0.115048662902847656, 0.206341022856691276),
    *(0.316084250500909903, 0.437383295744265542, 0.562616704255734458, 0.683915749499090097),
    *(0.793658977143308724, 0.884951337097152344, 0.952058628185237428, 0.990780317123359625),
)
WEIGHTS = (
    *(0.0235876681932559136, 0.0534696629976592155, 0.0800391642716731132, 0.101583713361532961),
    *(0.116746268269177404, 0.124573522906701393, 0.124573522906701393, 0.116746268269177404),
    *(0.101583713361532961, 0.0800391642716731132, 0.0534696629976592155, 0.0235876681932559136),
)
NARROW = 0.5
"""An interval is narrow if neither log tail changes by more than this across it."""


class Line(NamedTuple):
    """A distribution on the whole line, whose middle is near 0, as three functions of one variable."""

    log_density: Callable[[Array], Array]
    log_cdf: Callable[[Array], Array]
    log_survival: Callable[[Array], Array]


class Ends(NamedTuple):
    """The pieces that `between` puts together: both ends inside the support, or only one of them."""

    both: Callable[[Array, Array], Array]
    below: Callable[[Array], Array]
    above: Callable[[Array], Array]


def between(
    low: Array, high: Array, *, ends: Ends, support: tuple[Array | float, Array | float], safe: tuple[Array, Array]
) -> Array:
    """Return ``log(P(low < Y <= high))``, whichever ends lie at or beyond the ends of the support.

    Minus infinity, with a zero derivative, where the interval is empty.

    Args:
        low: the lower end.
        high: the upper end.
        ends: the three forms of the probability.
        support: the ends of the support.
        safe: two points in the middle of the distribution, given to those of the three forms that are not used: no NaN
            of theirs may leak through the derivative of `where`.
    """
    start, stop = support
    open_low, open_high = low <= start, high >= stop
    empty = ~((low < high) & (low < stop) & (high > start))
    inside = ~open_low & ~open_high & ~empty
    both = ends.both(jnp.where(inside, low, safe[0]), jnp.where(inside, high, safe[1]))
    below = ends.below(jnp.where(open_low & ~open_high & ~empty, high, safe[1]))
    above = ends.above(jnp.where(open_high & ~open_low & ~empty, low, safe[0]))
    one_end = jnp.where(open_low, jnp.where(open_high, 0.0, below), above)
    return jnp.where(empty, -jnp.inf, jnp.where(open_low | open_high, one_end, both))


def log_difference(low: Array, high: Array, *, width: Array, line: Line) -> Array:
    """Return ``log(F(high) - F(low))`` for finite low < high.

    Wide intervals are differences of the smaller tails, narrow ones an integral of the density, which cancels in no
    derivative.

    Args:
        low: the lower end.
        high: the upper end.
        width: high - low, which the caller may know to more digits.
        line: the distribution.
    """
    cdf_low, cdf_high = line.log_cdf(low), line.log_cdf(high)
    survival_low, survival_high = line.log_survival(low), line.log_survival(high)
    fall, rise = survival_low - survival_high, cdf_high - cdf_low
    narrow = jnp.maximum(fall, rise) < NARROW
    upper = survival_high < cdf_low
    nearer = jnp.where(upper, survival_low, cdf_high)
    lost = jnp.isneginf(nearer)  # both ends are farther out than the logarithms of the tails can be told
    drop = jnp.where(narrow | lost, 1.0, jnp.where(upper, fall, rise))
    wide = nearer + log1mexp(drop)
    # The nodes must not run over a wide interval, nor lie far out: their log density may overflow there.
    step, begin = jnp.where(narrow, width, 1.0), jnp.where(narrow, low, 0.0)
    nodes = begin[..., None] + step[..., None] * jnp.asarray(NODES, low.dtype)
    integral = logsumexp(line.log_density(nodes) + jnp.log(jnp.asarray(WEIGHTS, low.dtype))) + jnp.log(step)
    return jnp.where(narrow, integral, wide)
