"""Fit the coefficients in mle_jax/densities/_normal_tails.py; run by hand: ``python tests/reference/fit_hazard.py``.

The hazard of the standard normal minus its argument, times t + 4, is interpolated at Chebyshev points of the variable
(t - 4)/(t + 4), which takes t = 0 .. infinity to -1 .. 1. Computed with mpmath in 40 digits; the printed coefficients
beyond degree 29 show the error of leaving them out.
"""

import mpmath as mp

CENTER = 4
DEGREE = 29


def hazard_minus_argument(t: mp.mpf) -> mp.mpf:
    if t > 40:  # Laplace's continued fraction, Abramowitz and Stegun 26.2.14
        fraction = t
        for k in range(400, 1, -1):
            fraction = t + k / fraction
        return 1 / fraction
    return mp.npdf(t) / (mp.erfc(t / mp.sqrt(2)) / 2) - t


def coefficients(degree: int, points: int = 60) -> list[mp.mpf]:
    angles = [mp.pi * (2 * j + 1) / (2 * points) for j in range(points)]
    places = [CENTER * (1 + mp.cos(angle)) / (1 - mp.cos(angle)) for angle in angles]
    values = [(t + CENTER) * hazard_minus_argument(t) for t in places]
    sums = [mp.fsum(v * mp.cos(k * a) for v, a in zip(values, angles, strict=True)) for k in range(degree + 1)]
    return [total * (2 if k else 1) / points for k, total in enumerate(sums)]


if __name__ == "__main__":
    mp.mp.dps = 40
    found = coefficients(DEGREE + 4)
    print("\n".join(mp.nstr(c, 18) for c in found[: DEGREE + 1]))
    print("left out:", [mp.nstr(c, 2) for c in found[DEGREE + 1 :]])
