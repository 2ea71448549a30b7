"""The gamma function's logarithm and its derivatives, for positive arguments, built to share their work.

x below 8 is moved to z = x + 8 by the recurrence, without a branch: with q = x (x + 7) the product of x + j, j = 0..7,
is q (q + 6) (q + 10) (q + 12), and the sums of 1/(x + j)^k are polynomials over the same four factors. At z >= 8 ten
terms of Stirling's series have an error below 2e-18 in the value and 1e-17 in the second derivative.

Under `jit`, value, first and second derivative share the logarithm, the reciprocals and the powers.

Source: Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 6.1.40, 6.3.18, 6.4.11 and 6.3.5.
"""

import jax.numpy as jnp
from jax import Array

from mle_jax._polynomial import polynomial
from mle_jax.densities._partials import with_partials

SHIFT = 8
FACTORS = (0.0, 6.0, 10.0, 12.0)
HALF_LOG_2_PI = 0.9189385332046727
# B_2k / (2k (2k - 1)), k = 1..10
STIRLING = (
    *(1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400),
    *(43867 / 244188, -174611 / 125400),
)
FIRST = tuple(-(2 * k + 1) * c for k, c in enumerate(STIRLING))
SECOND = tuple((2 * k + 1) * (2 * k + 2) * c for k, c in enumerate(STIRLING))
THIRD = tuple(-(2 * k + 1) * (2 * k + 2) * (2 * k + 3) * c for k, c in enumerate(STIRLING))


def _shifted(x: Array) -> tuple[Array, Array, Array, Array]:
    """Return where x is moved, where to, a harmless x for the recurrence, and ``q = x (x + 7)``."""
    small = x < SHIFT
    near = jnp.where(small, x, 1.0)
    return small, jnp.where(small, x + SHIFT, x), near, near * (near + 7)


def _log_product(q: Array) -> Array:
    return jnp.log(q * (q + 6) * ((q + 10) * (q + 12)))


def _reciprocals(q: Array) -> tuple[Array, ...]:
    """Return 1/(q + c) of the four factors from one division."""
    a, b, c, d = (q + factor for factor in FACTORS)
    ab, cd = a * b, c * d
    inverse = 1 / (ab * cd)
    first, second = inverse * cd, inverse * ab
    return first * b, first * a, second * d, second * c


def _sum_first(x: Array, r: tuple[Array, ...]) -> Array:
    """Return the sum of 1/(x + j); 1/u + 1/v = (u + v)/(u v)."""
    return (2 * x + 7) * ((r[0] + r[1]) + (r[2] + r[3]))


def _sum_second(q: Array, r: tuple[Array, ...]) -> Array:
    """Return the sum of 1/(x + j)^2; 1/u^2 + 1/v^2 = ((u + v)^2 - 2 u v)/(u v)^2, and (u + v)^2 = 4 q + 49."""
    terms = [(2 * q + (49 - 2 * c)) * (k * k) for c, k in zip(FACTORS, r, strict=True)]
    return (terms[0] + terms[1]) + (terms[2] + terms[3])


def _sum_third(x: Array, q: Array, r: tuple[Array, ...]) -> Array:
    """Return the sum of 1/(x + j)^3; 1/u^3 + 1/v^3 = (u + v) ((u + v)^2 - 3 u v)/(u v)^3."""
    terms = [(q + (49 - 3 * c)) * (k * k * k) for c, k in zip(FACTORS, r, strict=True)]
    return (2 * x + 7) * ((terms[0] + terms[1]) + (terms[2] + terms[3]))


def _log_gamma(x: Array) -> Array:
    small, z, _, q = _shifted(x)
    inverse = 1 / z
    series = (z - 0.5) * jnp.log(z) - z + (HALF_LOG_2_PI + inverse * polynomial(inverse * inverse, STIRLING))
    return series - jnp.where(small, _log_product(q), 0.0)


def _digamma(x: Array) -> Array:
    small, z, near, q = _shifted(x)
    inverse = 1 / z
    square = inverse * inverse
    series = jnp.log(z) - 0.5 * inverse + square * polynomial(square, FIRST)
    return series - jnp.where(small, _sum_first(near, _reciprocals(q)), 0.0)


def _trigamma(x: Array) -> Array:
    small, z, _, q = _shifted(x)
    inverse = 1 / z
    square = inverse * inverse
    series = inverse + 0.5 * square + inverse * square * polynomial(square, SECOND)
    return series + jnp.where(small, _sum_second(q, _reciprocals(q)), 0.0)


def _tetragamma(x: Array) -> Array:
    small, z, near, q = _shifted(x)
    inverse = 1 / z
    square = inverse * inverse
    series = -square - inverse * square + square * square * polynomial(square, THIRD)
    return series - jnp.where(small, 2 * _sum_third(near, q, _reciprocals(q)), 0.0)


tetragamma = with_partials(_tetragamma, None)
trigamma = with_partials(_trigamma, lambda x: tetragamma(x))
digamma = with_partials(_digamma, lambda x: trigamma(x))
log_gamma = with_partials(_log_gamma, lambda x: digamma(x))
"""``log(Gamma(x))`` for x > 0 with three derivatives. Near its zeros at 1 and 2 the error is absolute, about 4e-15."""


def _near_error(x: Array) -> Array:
    z = x + SHIFT
    return (x - 0.5) * jnp.log(z / x) + SHIFT * jnp.log(z) - SHIFT - _log_product(x * (x + 7))


def _near_error_first(x: Array) -> Array:
    q = x * (x + 7)
    return jnp.log1p(SHIFT / x) + 0.5 * (1 / x - 1 / (x + SHIFT)) - _sum_first(x, _reciprocals(q))


def _near_error_second(x: Array) -> Array:
    z, q = x + SHIFT, x * (x + 7)
    return 1 / z - 1 / x - 0.5 * (1 / x**2 - 1 / z**2) + _sum_second(q, _reciprocals(q))


_near = with_partials(_near_error, with_partials(_near_error_first, with_partials(_near_error_second, None)))


# d/dv and d^2/dv^2 of v c_0 + v^3 c_1 + ...
SERIES_SLOPE = tuple((2 * k + 1) * c for k, c in enumerate(STIRLING))
SERIES_BEND = tuple((2 * k + 1) * 2 * k * c for k, c in enumerate(STIRLING))[1:]


def stirling_series_slope(v: Array) -> Array:
    """Return the first derivative of `stirling_series`."""
    return polynomial(v * v, SERIES_SLOPE)


def stirling_series_bend(v: Array) -> Array:
    """Return the second derivative of `stirling_series`."""
    return v * polynomial(v * v, SERIES_BEND)


stirling_series = with_partials(
    lambda v: v * polynomial(v * v, STIRLING), with_partials(stirling_series_slope, stirling_series_bend)
)
"""The error of Stirling's formula at 1/v >= 8."""


def _error_of_inverse(a: Array) -> Array:
    large, moved, near = _moved(a)
    return stirling_series(moved) + jnp.where(large, 0.0, _near(near))


def stirling_error_slope(a: Array) -> Array:
    """Return the first derivative of `stirling_error_of_inverse`."""
    large, moved, near = _moved(a)
    pace = jnp.where(large, 1.0, (moved * near) ** 2)  # d moved/da
    return stirling_series_slope(moved) * pace - jnp.where(large, 0.0, _near_error_first(near) * near**2)


def stirling_error_bend(a: Array) -> Array:
    """Return the second derivative of `stirling_error_of_inverse`."""
    large, moved, near = _moved(a)
    pace = jnp.where(large, 1.0, (moved * near) ** 2)
    turn = jnp.where(large, 0.0, -2 * SHIFT * (moved * near) ** 3)  # d pace/da
    series = stirling_series_bend(moved) * pace**2 + stirling_series_slope(moved) * turn
    return series + jnp.where(large, 0.0, _near_error_second(near) * near**4 + 2 * _near_error_first(near) * near**3)


def _moved(a: Array) -> tuple[Array, Array, Array]:
    """Return where 1/a is large, 1/(1/a + 8) or a itself there, and 1/a or 1 there."""
    large = a <= 1 / SHIFT
    near = 1 / jnp.where(large, 1.0, a)
    return large, jnp.where(large, a, 1 / (near + SHIFT)), near


stirling_error_of_inverse = with_partials(_error_of_inverse, with_partials(stirling_error_slope, stirling_error_bend))
"""The error of Stirling's formula at x = 1/a, smooth at a = 0, where it is 0; a >= 0.

log Gamma(x) = (x - 1/2) log(x) - x + log(2 pi)/2 + error(x),  error(x) = 1/(12 x) - 1/(360 x^3) + ..."""


def stirling_error(x: Array) -> Array:
    """Return the error of Stirling's formula at x > 0; see `stirling_error_of_inverse`."""
    small, z, near, _ = _shifted(x)
    inverse = 1 / z
    return inverse * polynomial(inverse * inverse, STIRLING) + jnp.where(small, _near(near), 0.0)
