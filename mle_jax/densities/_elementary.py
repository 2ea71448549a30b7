"""Logarithms and exponentials with accurate derivatives where the textbook forms cancel or overflow."""

import math

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._polynomial import polynomial
from mle_jax.densities._partials import Function, with_partials

LOG_2 = 0.6931471805599453
SERIES = 0.25
"""Below this |w| = |x / (2 + x)|, functions of log1p(x) are summed as series in w: -0.4 < x < 0.67."""

# log1p(x) = 2 artanh(w) = 2 w (1 + w^2/3 + w^4/5 + ...), w = x/(2 + x); Abramowitz and Stegun 4.1.27. By Remez'
# algorithm, the best approximations in w^2 by so many terms of
# (artanh(w)/w - 1)/w^2 up to |w| = 1/4, to 7e-23 of it, so that two derivatives have all their digits; to 3e-19, ...
ARTANH_AFTER_FIRST = (
    *(0.33333333333333333, 0.2, 0.14285714285714278, 0.11111111111113473, 0.090909090905461909, 0.076923077251705534),
    *(0.066666647832861892, 0.058824238221897829, 0.052613850623788894, 0.047910023502828826, 0.040488513774895716),
    0.057079903265134253,
)
ARTANH_AFTER_FIRST_SHORT = (
    *(0.33333333333333333, 0.20000000000000033, 0.14285714285697094, 0.11111111114617599, 0.09090908728232167),
    *(0.076923291937740168, 0.066658931260156327, 0.058994817556454472, 0.050364535431970171, 0.063777643155446133),
)
# ... of its derivative in w^2, to 5e-18, and of artanh(w)/w up to |w| = 1/3, to 3e-20.
ARTANH_SLOPE = (
    *(0.2, 0.28571428571428905, 0.33333333333157071, 0.36363636399688451, 0.38461534724496018, 0.40000221910187184),
    *(0.41168479043388558, 0.42282266575734543, 0.40516763154473904, 0.6009661411869909),
)
ARTANH_TO_THIRD = (
    *(1.0, 0.33333333333333342, 0.19999999999996342, 0.14285714286324388, 0.11111111058619038, 0.090909117505083685),
    *(0.076922225004077081, 0.066684557507605344, 0.058574497586568186, 0.054895678146598125, 0.034854168260374949),
    0.082519705112331693,
)
ARTANH = (1.0, *ARTANH_AFTER_FIRST)

# log(sinh(x/2)/(x/2)) / x^2 in powers of x^2: B_2k / (2k (2k)!), k = 1..11; what is left out is below 1e-19 at x = 1.
BERNOULLI = (
    *(1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330),
    854513 / 138,
)
# The best approximation of (exp(h) - 1 - h)/h^2 up to |h| = 1/2 by so many terms, by Remez' algorithm: to 3e-18 of it.
EXPONENTIAL = (
    *(0.5, 0.16666666666666667, 0.041666666666667058, 0.0083333333333330391, 0.0013888888888705807),
    *(0.00019841269841866234, 2.480158761473636e-5, 2.7557318775212108e-6, 2.7557077280801572e-7),
    *(2.5052210323742302e-8, 2.0962852747111211e-9, 1.6078123679596488e-10),
)
LOG_SINH = tuple(b / (2 * k * math.factorial(2 * k)) for k, b in enumerate(BERNOULLI, start=1))


def log1p_ratio(x: Array, ratio: Array | None = None) -> Array:
    """Return ``log(1 + x) / x``, which is 1 at 0, for x > -1.

    The ratio is 1 + x, to be given where the caller knows the digits of it that x near -1 has lost.
    """
    w = x / (2 + x) if ratio is None else x / (1 + ratio)
    small = jnp.abs(w) < SERIES
    near = jnp.where(small, w, 0.0)
    far = jnp.where(small, 1.0, x)
    log = jnp.log1p(far) if ratio is None else jnp.log(jnp.where(small, 2.0, ratio))
    return jnp.where(small, (1 - near) * polynomial(near**2, ARTANH), log / far)


def log1p_curvature(x: Array, ratio: Array) -> Array:
    """Return ``(x - log(1 + x)) / x^2``, which is 1/2 at 0, for x > -1.

    The ratio is 1 + x, asked for because the caller may know the digits of it that x near -1 has lost. Both are
    differentiated, as functions of each other.
    """
    w = x / (1 + ratio)
    small = jnp.abs(w) < SERIES
    near = jnp.where(small, w, 0.0)
    series = 0.5 * (1 - near) * (1 - near * (1 - near) * polynomial(near**2, ARTANH_AFTER_FIRST))
    per, far_ratio = 1 / jnp.where(small, 1.0, x), jnp.where(small, 2.0, ratio)
    return jnp.where(small, series, (1 - jnp.log(far_ratio) * per) * per)


def log1p_curvature_slope(x: Array, ratio: Array) -> Array:
    """Return the derivative of `log1p_curvature`, which is -1/3 at 0."""
    w = x / (1 + ratio)
    small = jnp.abs(w) < SERIES
    near = jnp.where(small, w, 0.0)
    rest, square = 1 - near, near**2
    series = polynomial(square, ARTANH_AFTER_FIRST)
    inner = (1 - 2 * near) * series + 2 * rest * square * polynomial(square, ARTANH_SLOPE)
    by_w = 0.5 * (near * rest * series - 1 - rest * inner)
    per, far_ratio = 1 / jnp.where(small, 1.0, x), jnp.where(small, 2.0, ratio)
    return jnp.where(small, 0.5 * rest**2 * by_w, (1 / far_ratio - 2 * (1 - jnp.log(far_ratio) * per) * per) * per)


def excess_series(w: Array) -> Array:
    """Return x - log(1 + x) for |w| < 1/4; not to be differentiated."""
    # 2 w^2 / (1 - w) - 2 w^3 (1/3 + w^2/5 + ...), all of one size
    return 2 * w**2 * (1 / (1 - w) - w * polynomial(w**2, ARTANH_AFTER_FIRST_SHORT))


def _excess(x: Array, ratio: Array) -> Array:
    w = x / (1 + ratio)
    small = jnp.abs(w) < SERIES
    return jnp.where(small, excess_series(jnp.where(small, w, 0.0)), x - jnp.log(ratio))


excess = with_partials(_excess, with_partials(lambda x, ratio: x / ratio, lambda x, ratio: 1 / ratio**2, None), None)
"""``x - log(1 + x)`` given x and 1 + x, with derivatives in x: 0 at 0, positive elsewhere.

At x = y/mean - 1 it is half the unit deviance of the gamma family, at mean/y - 1, times y, that of the Poisson.
Neither the value nor the first two derivatives cancel."""


def exponential_excess(t: Array) -> Array:
    """Return ``exp(t) - 1 - t`` for -1 <= t <= 1; not to be differentiated.

    From h = t/2: exp(2 h) - 1 - 2 h is (exp(h) - 1)^2 + 2 (exp(h) - 1 - h), and neither of them cancels.
    """
    h = 0.5 * t
    square = h * h
    half = square * (polynomial(square, EXPONENTIAL[::2]) + h * polynomial(square, EXPONENTIAL[1::2]))
    return (h + half) ** 2 + 2 * half


def finite(x: Array) -> Array:
    """Return the nearest number that is not infinite: a derivative times the 0 of a direction must not become NaN."""
    largest = jnp.finfo(x.dtype).max
    return jnp.clip(x, -largest, largest)


def inverse(x: Array) -> Array:
    """Return 1/x, finite: what is divided twice is multiplied by this, for XLA makes a/(b c) of a/b/c, and b c is 0."""
    return finite(1 / x)


ratio = with_partials(
    lambda a, b: a / b,
    with_partials(lambda a, b: inverse(b) + 0 * a, None, lambda a, b: finite(-(inverse(b) ** 2)) + 0 * a),
    with_partials(
        lambda a, b: finite(-a / b * inverse(b)),
        lambda a, b: finite(-(inverse(b) ** 2)) + 0 * a,
        lambda a, b: finite(2 * (a / b) * inverse(b) * inverse(b)),
    ),
)
"""``a/b`` for b > 0; its derivatives leave the range of the dtype only where they must, and are never infinite."""


def _log_ratio(a: Array, b: Array) -> Array:
    plain = a / b
    info = jnp.finfo(plain.dtype)
    low, high = (plain < info.tiny) & (a > 0), plain > info.max
    # Where a/b leaves the range it is moved back into it by a power of 2 as large as the range.
    up, down, whole = 2.0 ** (info.maxexp // 2), 0.5 ** (info.maxexp // 2), info.maxexp * LOG_2
    above, below = jnp.where(low, up, jnp.where(high, down, 1.0)), jnp.where(low, down, jnp.where(high, up, 1.0))
    return jnp.log((a * above) / (b * below)) + jnp.where(low, -whole, jnp.where(high, whole, 0.0))


log_ratio = with_partials(
    _log_ratio,
    with_partials(lambda a, b: inverse(a) + 0 * b, lambda a, b: finite(-(inverse(a) ** 2)) + 0 * b, None),
    with_partials(lambda a, b: -inverse(b) + 0 * a, None, lambda a, b: finite(inverse(b) ** 2) + 0 * a),
)
"""``log(a/b)`` for a, b > 0, also where a/b is too large or too small a number; derivatives do not mix."""


def _ratio_excess(difference: Array, a: Array, b: Array) -> Array:
    x, plain = difference / b, a / b
    w = x / (1 + plain)
    small = jnp.abs(w) < SERIES
    return jnp.where(small, excess_series(jnp.where(small, w, 0.0)), x - _log_ratio(a, b))


# (a - b)/(a b), whose denominator may leave the range, is the difference over the larger one, over the smaller one.
_by_a = with_partials(
    lambda difference, a, b: finite(difference / jnp.maximum(a, b) * inverse(jnp.minimum(a, b))),
    *(None, lambda difference, a, b: finite(inverse(a) ** 2), lambda difference, a, b: finite(-(inverse(b) ** 2))),
)
_by_b = with_partials(
    lambda difference, a, b: finite(-difference / b * inverse(b)),
    None,
    lambda difference, a, b: finite(-(inverse(b) ** 2)),
    lambda difference, a, b: finite((2 * a - b) / b * inverse(b) * inverse(b)),
)
ratio_excess = with_partials(_ratio_excess, None, _by_a, _by_b)
"""`excess` at a/b - 1 for a, b > 0, given their difference; exact derivatives in both, also where a is far below b.

Infinite where a/b is too large a number, with derivatives that are not."""


def _sigmoid(x: Array) -> Array:
    e = jnp.exp(-jnp.abs(x))
    return jnp.where(x >= 0, 1.0, e) / (1 + e)


sigmoid: Function = with_partials(_sigmoid, lambda x: sigmoid(x) * sigmoid(-x))
"""``1 / (1 + exp(-x))``, with full relative accuracy in both tails of value and derivatives."""


def _log1p_of_exp(x: Array) -> Array:
    """Return ``log(1 + exp(x))`` for x <= 0, in half of the time that log1p takes."""
    e = jnp.exp(x)
    w = e / (2 + e)
    return 2 * w * polynomial(w * w, ARTANH_TO_THIRD)


softplus = with_partials(lambda x: jnp.maximum(x, 0) + _log1p_of_exp(-jnp.abs(x)), lambda x: sigmoid(x))
"""``log(1 + exp(x))``; minus `softplus` of -x is the logarithm of the sigmoid function."""


def _log_add_exp(a: Array, b: Array) -> Array:
    return jnp.maximum(a, b) + _log1p_of_exp(-jnp.abs(a - b))


log_add_exp = with_partials(_log_add_exp, lambda a, b: sigmoid(a - b), lambda a, b: sigmoid(b - a))
"""``log(exp(a) + exp(b))`` for finite a and b."""


def _inverse_expm1(x: Array) -> Array:
    return jnp.exp(-x) / -jnp.expm1(-x)


inverse_expm1: Function = with_partials(_inverse_expm1, lambda x: -inverse_expm1(x) / -jnp.expm1(-x))
"""``1 / (exp(x) - 1)`` for x > 0, without overflow."""


def _log1mexp(x: Array) -> Array:
    small = x < LOG_2
    return jnp.where(small, jnp.log(-jnp.expm1(-jnp.where(small, x, 1.0))), jnp.log1p(-jnp.exp(-x)))


log1mexp = with_partials(_log1mexp, lambda x: inverse_expm1(x))
"""``log(1 - exp(-x))`` for x > 0. Maechler (2012), Accurately computing log(1 - exp(-|a|)), R package Rmpfr."""


def rest_of(log_p: Array) -> Array:
    """Return ``log(1 - exp(log_p))``, the other tail; 0 with a zero derivative where p is 0, however log_p changes."""
    some = log_p > math.log(jnp.finfo(log_p.dtype).tiny)
    return jnp.where(some, log1mexp(-jnp.where(some, log_p, -1.0)), 0.0)


def log1mexp_of_ratio(a: Array, b: Array) -> Array:
    """Return ``log(1 - exp(-a/b))`` for a, b > 0, also where a/b is too large or too small a number."""
    quotient = ratio(a, b)
    tiny = quotient < jnp.finfo(quotient.dtype).eps / 4  # below, 1 - exp(-x) is x to the last digit
    return jnp.where(tiny, log_ratio(a, b), log1mexp(jnp.where(tiny, 1.0, quotient)))


expm1 = with_partials(lambda x: jnp.expm1(x), lambda x: jnp.exp(x))
"""``exp(x) - 1``; JAX's own takes the value plus 1 for the derivative, which loses exp(x) far below 0."""


def _exp_excess(t: Array) -> Array:
    small = jnp.abs(t) < 1
    near, far = jnp.where(small, t, 0.0), jnp.where(small, 1.0, t)
    return jnp.where(small, excess(jnp.expm1(near), jnp.exp(near)), jnp.expm1(far) - far)


exp_excess = with_partials(_exp_excess, expm1)
"""``exp(t) - 1 - t``: 0 at 0, positive elsewhere."""


def log1mexp_of_exp(w: Array) -> Array:
    """Return ``log(1 - exp(-exp(w)))``, with the digits of its small departure from w below 0.

    There it is w - x/2 + log(sinh(x/2)/(x/2)), x = exp(w); the last term is a power series, Abramowitz and Stegun 4.5.
    """
    below = w < 0
    near = jnp.where(below, w, 0.0)
    x = jnp.exp(near)
    series = near + x * (-0.5 + x * polynomial(x * x, LOG_SINH))
    return jnp.where(below, series, log1mexp(jnp.exp(jnp.where(below, 0.0, w))))


def xlogy(x: Array, y: Array) -> Array:
    """Return ``x log(y)``, 0 with zero derivative where x is 0 whatever y >= 0."""
    zero = x == 0
    return jnp.where(zero, 0.0, x * jnp.log(jnp.where(zero, 1.0, y)))


def xlog1py(x: Array, y: Array) -> Array:
    """Return ``x log(1 + y)``, 0 with zero derivative where x is 0 whatever y >= -1."""
    zero = x == 0
    return jnp.where(zero, 0.0, x * jnp.log1p(jnp.where(zero, 0.0, y)))


@jax.custom_jvp
def logsumexp(terms: Array) -> Array:
    """Return ``log(sum(exp(terms)))`` along the last axis, for at least one finite term.

    Its second derivative is a covariance, taken of deviations from the means: the difference of two large squares that
    autodiff would make of it loses digits.
    """
    weights, top = _weights(terms)
    return jnp.log(jnp.maximum(jnp.sum(weights, axis=-1), 1.0)) + top[..., 0]


def _weights(terms: Array) -> tuple[Array, Array]:
    """Return ``exp(terms - top)`` and the largest term; never above 1.

    The compiler may compute the terms twice and round them differently: those of -1e22 by 1e15, in float32. Then their
    difference from the largest, which is 0 for one of them, is anything.
    """
    top = jnp.max(terms, axis=-1, keepdims=True)
    return jnp.exp(jnp.minimum(terms - top, 0.0)), top


@jax.custom_jvp
def _shares(terms: Array) -> Array:
    """Return weights proportional to exp(terms) whose sum is 1."""
    weights, _ = _weights(terms)
    return weights / jnp.maximum(jnp.sum(weights, axis=-1, keepdims=True), 1.0)


@_shares.defjvp
def _shares_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # Without this rule the reverse mode, which has to transpose `_mean` and so looks into it, would differentiate the
    # maximum: 0/0 where the compiler computes the terms twice, rounds them differently, and finds none at the top.
    shares, deviations = _shares(*primals), tangents[0]
    for _ in range(2):  # the second time, because the mean of large tangents is rounded
        deviations = deviations - jnp.sum(shares * deviations, axis=-1, keepdims=True)
    return shares, shares * deviations


@jax.custom_jvp
def _mean(terms: Array, values: Array) -> Array:
    """Return the mean of values with weights proportional to exp(terms)."""
    return jnp.sum(_shares(terms) * values, axis=-1)


@logsumexp.defjvp
def _logsumexp_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return logsumexp(*primals), _mean(*primals, *tangents)


@_mean.defjvp
def _mean_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    terms, values = primals
    term_tangents, value_tangents = tangents
    mean = _mean(terms, values)
    deviations = term_tangents - _mean(terms, term_tangents)[..., None]
    covariance = _mean(terms, deviations * (values - mean[..., None]))
    return mean, covariance + _mean(terms, value_tangents)
