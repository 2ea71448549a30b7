"""The logarithm of choose(n, s) B(a + s, b + f)/B(a, b), n = s + f: Polya's urn, the heart of the beta-binomial.

With c = 1/(1 + a + b), m = a/(a + b), r = 1 - m and o = 1 - c it is smooth in c >= 0, where it becomes the binomial:

    log(choose(n, s)) + sum log(m o + j c), j < s, + sum log(r o + j c), j < f, - sum log(o + j c), j < n.

Sums over thousands of terms nearly cancel, so they are never formed. The first eight factors of either kind are
multiplied out. The rest is the same with A = m o + 8 c, B = r o + 8 c, U = A + B in place of m o, r o, o, and by
Stirling's formula an integral and corrections. The integral is minus a sum of divergences, which are positive,

    n D(s/n : p) + (U/c) D(A/U : p),  p = (A + s c)/(U + n c),

and its derivative in c is the second divergence, as p minimizes the sum. The corrections have arguments of 8 and more,
and those of b and a + b are divided differences: for s = 0 nearly everything is as small as m and keeps its digits.

Source: Griffiths (1973), Maximum likelihood estimation for the beta-binomial distribution, Biometrics 29, equation 2.1;
Loader (2000), Fast and accurate computation of binomial probabilities, for the divergences.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities._elementary import excess, log1p_curvature, log1p_ratio
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI, SHIFT, STIRLING, stirling_series
from mle_jax.densities._partials import with_partials


def log_urn(s: Array, f: Array, m: Array, r: Array, c: Array) -> Array:
    """Return the logarithm of the probability to draw s and f balls of two kinds.

    Args:
        s: whole numbers, constants as far as derivatives are concerned; at most f.
        f: whole numbers likewise.
        m: share of the first kind at the start, at least 0.
        r: share of the second kind, 1 - m; the caller may know more digits of it.
        c: the correlation of two draws, at least 0 and below 1: a draw adds c/(1 - c) of the balls at the start.
    """
    first_s, first_f = jnp.minimum(s, SHIFT), jnp.minimum(f, SHIFT)
    rest_s, rest_f = s - first_s, f - first_f
    a, b = m * (1 - c) + first_s * c, r * (1 - c) + first_f * c
    rest = _integral(rest_s, rest_f, a, b, c) + _corrections(rest_s, rest_f, a, b, jnp.where(rest_f > 0, c, 0.0))
    return _first(s, f, m, r, c) + _log_choose(s, f) + rest


# ---- The first factors of either kind


def _first_value(s: Array, f: Array, m: Array, r: Array, c: Array) -> Array:
    """Return log of prod (m o + j c)/(o + (k + j) c), j < min(s, 8), and prod (r o + j c)/(o + j c), j < k = min(f, 8).

    With the parts of choose(n, s) that belong to them: all of it for s up to 8, above it (n^2/(s f))^8.
    """
    k, many, n, o = jnp.minimum(f, SHIFT), s > SHIFT, s + f, 1 - c
    total, fall, pair = jnp.zeros_like(m * c), jnp.zeros_like(m * c), jnp.ones_like(m * c)
    for j in range(SHIFT):
        of_s = (m * o + j * c) / (o + (k + j) * c) * jnp.where(many, n / s, (f + 1 + j) / (1 + j))
        of_f = (r * o + j * c) / (o + j * c) * jnp.where(many, n / f, 1.0)
        pair = pair * jnp.where(s > j, of_s, 1.0) * jnp.where(f > j, of_f, 1.0)
        fall = fall - jnp.where(f > j, m * o / (o + j * c), 0.0) * (1 + fall)
        if j % 2:  # four factors at a time: eight would leave the range of float32
            total, pair = total + jnp.log(pair), jnp.ones_like(pair)
    near = (s == 0) & (fall > -0.5)
    return jnp.where(near, jnp.log1p(jnp.where(near, fall, 0.0)), total)


def _terms(count: Array, share: Array, c: Array) -> list[tuple[int, Array]]:
    """Return j and 1/(share o + j c), 0 from the count on."""
    return [(j, jnp.where(count > j, 1 / (share * (1 - c) + j * c), 0.0)) for j in range(SHIFT)]


def _first_by_c(s: Array, f: Array, m: Array, r: Array, c: Array) -> Array:
    k, total = jnp.minimum(f, SHIFT), jnp.zeros_like(m * c)
    for j, of_s in _terms(s, m, c):
        total = total + (j - m * (k + j)) * of_s / (1 - c + (k + j) * c)
    for j, of_f in _terms(f, r, c)[1:]:
        total = total + m * j * of_f / (1 - c + j * c)
    return total


def _first_by_c_twice(s: Array, f: Array, m: Array, r: Array, c: Array) -> Array:
    k, total = jnp.minimum(f, SHIFT), jnp.zeros_like(m * c)
    for j, of_s in _terms(s, m, c):
        of_all = 1 / (1 - c + (k + j) * c)
        total = total - (j - m * (k + j)) * of_s * of_all * ((j - m) * of_s + (k + j - 1) * of_all)
    for j, of_f in _terms(f, r, c)[1:]:
        of_all = 1 / (1 - c + j * c)
        total = total - m * j * of_f * of_all * ((j - r) * of_f + (j - 1) * of_all)
    return total


def _by_share(count: Array, share: Array, c: Array) -> Array:
    return (1 - c) * sum((one for _, one in _terms(count, share, c)), jnp.zeros_like(share * c))


def _by_share_twice(count: Array, share: Array, c: Array) -> Array:
    return -sum((((1 - c) * one) ** 2 for _, one in _terms(count, share, c)), jnp.zeros_like(share * c))


def _by_share_and_c(count: Array, share: Array, c: Array) -> Array:
    return -sum((j * one**2 for j, one in _terms(count, share, c)), jnp.zeros_like(share * c))


_first = with_partials(
    _first_value,
    *(None, None),
    with_partials(
        lambda s, f, m, r, c: _by_share(s, m, c),
        *(None, None, lambda s, f, m, r, c: _by_share_twice(s, m, c)),
        *(None, lambda s, f, m, r, c: _by_share_and_c(s, m, c)),
    ),
    with_partials(
        lambda s, f, m, r, c: _by_share(f, r, c),
        *(None, None, None, lambda s, f, m, r, c: _by_share_twice(f, r, c)),
        lambda s, f, m, r, c: _by_share_and_c(f, r, c),
    ),
    with_partials(
        _first_by_c,
        *(None, None, lambda s, f, m, r, c: _by_share_and_c(s, m, c)),
        *(lambda s, f, m, r, c: _by_share_and_c(f, r, c), _first_by_c_twice),
    ),
)


def _log_choose(s: Array, f: Array) -> Array:
    """Return what is left of log(choose(n, s)) for s > 8 (else 0), with the entropy n log(n) - s log(s) - f log(f).

    The entropy is that of the draws after the first eight of either kind, which the integral needs.
    """
    many = s > SHIFT
    s, f = jnp.where(many, s, SHIFT + 1.0), jnp.where(many, f, SHIFT + 1.0)
    n = s + f
    scale = (
        0.5 * jnp.log(n / s / f)
        - HALF_LOG_2_PI
        + stirling_series(1 / n)
        - stirling_series(1 / s)
        - stirling_series(1 / f)
    )
    shifts = _shift(n, 2 * SHIFT) - _shift(s, SHIFT) - _shift(f, SHIFT)
    return jnp.where(many, scale + shifts, 0.0)


def _shift(count: Array, by: int) -> Array:
    rest = count - by
    return rest * jnp.log1p(by / rest)


# ---- The integral over the rest, a function of A and B, U = A + B


class _Places(NamedTuple):
    """Where the integral and its derivatives look."""

    u: Array
    n: Array
    a_end: Array
    b_end: Array
    u_end: Array
    off: Array
    """s B - f A, which says how far the pooled share is from the one at the start."""
    by_a: Array
    by_b: Array
    """x/c and y/c"""
    x: Array
    y: Array
    """p/(A/U) - 1 and (1 - p)/(B/U) - 1"""
    of_x: Array
    of_y: Array
    """1 + x and 1 + y"""


def _places(s: Array, f: Array, a: Array, b: Array, c: Array) -> _Places:
    u, n = a + b, s + f
    a_end, b_end, u_end = a + s * c, b + f * c, u + n * c
    off = s * b - f * a
    # Without draws of the first kind A may be as small as it likes.
    by_a, by_b = jnp.where(s > 0, off / a, -f) / u_end, -off / b / u_end
    fall = u / u_end
    of_x = jnp.where(s > 0, a_end / a, 1.0) * fall
    return _Places(u, n, a_end, b_end, u_end, off, by_a, by_b, c * by_a, c * by_b, of_x, b_end / b * fall)


def _integral_value(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    """Return the integrals of log(A + i c) up to s and log(B + i c) up to f less that of log(U + i c) up to s + f.

    The entropy of s and f is left out, see `_log_choose`.
    """
    at = _places(s, f, a, b, c)
    some, others = jnp.where(s > 0, s, 1.0), jnp.where(f > 0, f, 1.0)
    step = at.off / at.u_end
    of_s, of_f = at.n * at.a_end / at.u_end / some, at.n * at.b_end / at.u_end / others
    draws = jnp.where(s > 0, some * excess(-step / some, of_s), -step) + others * excess(step / others, of_f)
    return -draws - c * _by_c(s, f, a, b, c)


def _by_a(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    at = _places(s, f, a, b, c)
    return at.by_a * log1p_ratio(at.x, at.of_x)


def _by_b(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    at = _places(s, f, a, b, c)
    return at.by_b * log1p_ratio(at.y, at.of_y)


def _by_c(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    at = _places(s, f, a, b, c)
    step = at.off / at.u_end
    return step * (at.by_a * log1p_curvature(at.x, at.of_x) - at.by_b * log1p_curvature(at.y, at.of_y))


def _by_a_twice(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    at = _places(s, f, a, b, c)
    return at.n / (at.u * at.u_end) - jnp.where(s > 0, s / (a * at.a_end), 0.0)


def _by_a_and_b(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    at = _places(s, f, a, b, c)
    return at.n / (at.u * at.u_end)


def _by_b_twice(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    at = _places(s, f, a, b, c)
    # n/(U U_end) - f/(B B_end), in which nothing of the size of 1 is left for s = 0
    return s / (b * at.b_end) - at.n / at.b_end * (a / (at.u * b) + at.a_end / (at.u * at.u_end))


def _mean_of_place(count: Array, start: Array, end: Array, c: Array) -> Array:
    """Return the integral of i/(start + i c)^2 up to the count."""
    return (count / end) ** 2 * log1p_curvature(-count * c / end, start / end)


def _by_a_and_c(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    at, safe = _places(s, f, a, b, c), jnp.where(s > 0, a, 1.0)
    return _mean_of_place(at.n, at.u, at.u_end, c) - _mean_of_place(s, safe, safe + s * c, c)


def _by_b_and_c(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    at = _places(s, f, a, b, c)
    share = -at.off / (at.u * at.b_end)
    return -share * (share * log1p_curvature(-c * share, 1 / at.of_y) + at.n / at.u_end)


def _curvature_slope(x: Array, ratio: Array) -> Array:
    return jax.jvp(log1p_curvature, (x, ratio), (jnp.ones_like(x), jnp.ones_like(x)))[1]


def _by_c_twice(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    at = _places(s, f, a, b, c)
    bend = at.by_a**2 * _curvature_slope(at.x, at.of_x) - at.by_b**2 * _curvature_slope(at.y, at.of_y)
    return at.off / at.u_end * (at.u / at.u_end) * bend - 2 * at.n / at.u_end * _by_c(s, f, a, b, c)


_integral = with_partials(
    _integral_value,
    *(None, None),
    with_partials(_by_a, None, None, _by_a_twice, _by_a_and_b, _by_a_and_c),
    with_partials(_by_b, None, None, _by_a_and_b, _by_b_twice, _by_b_and_c),
    with_partials(_by_c, None, None, _by_a_and_c, _by_b_and_c, _by_c_twice),
)


# ---- The corrections to the integral


def _error_difference(v: Array, w: Array, gap: Array) -> Array:
    """Return ``stirling_series(v) - stirling_series(w)``, as many digits as gap = v - w has."""
    x, y = v * v, w * w
    value, divided = jnp.full_like(y, STIRLING[-1]), jnp.zeros_like(y)
    for coefficient in reversed(STIRLING[:-1]):
        divided = divided * x + value
        value = value * y + coefficient
    return gap * (value + v * (v + w) * divided)


def _corrections(s: Array, f: Array, a: Array, b: Array, c: Array) -> Array:
    """Return what Stirling's formula adds to the integral; c is 0 if nothing is left to draw."""
    u = a + b
    safe = jnp.where(s > 0, a, u)
    a_end, b_end, u_end = safe + s * c, b + f * c, u + (s + f) * c
    lone = stirling_series(c / a_end) - stirling_series(c / safe) - 0.5 * jnp.log1p(s * c / safe)
    of_y = jnp.log1p(c * (f * a - s * b) / (b * u_end))
    ends = _error_difference(c / b_end, c / u_end, c * (a + s * c) / (b_end * u_end))
    # Nothing, where nothing is drawn; but a compiler may round two equal terms differently.
    lone = jnp.where(s > 0, lone, 0.0)
    return lone - 0.5 * of_y + ends - _error_difference(c / b, c / u, c * a / (b * u))
