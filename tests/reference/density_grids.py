"""Where the densities are compared: the whole range of their arguments, both tails and the limits.

``TABLES[family][function]`` is (inputs, constants, points). Constants are inputs without derivatives: counts.
Every number is rounded to 24 bits when the references are made, so that float32 sees the same inputs.
"""

from itertools import product

import numpy as np


def rounded(value: float) -> float:
    """Round to 24 bits, which is float32 without its limits of range."""
    mantissa, exponent = np.frexp(float(value))
    return float(np.ldexp(np.round(mantissa * 2**24) / 2**24, exponent))


LOCATIONS = ((0.0, 1.0), (2.5, 0.01), (-1e3, 50.0))
SCORES = (0.0, 1e-6, 0.7, -1.9, 5.0, -12.0, 40.0, -120.0, 1e4)


def standardized(scores, places=LOCATIONS):
    return [(location + scale * z, location, scale) for z in scores for location, scale in places]


def intervals(pairs, places=LOCATIONS):
    """Leave out those that are empty once rounded."""
    ends = [
        (location + scale * a, location + scale * b, location, scale) for a, b in pairs for location, scale in places
    ]
    return [point for point in ends if rounded(point[0]) < rounded(point[1])]


PAIRS = (
    *((-1.0, 1.0), (-1e-6, 1e-6), (0.3, 0.30001), (0.1, 3.0), (-9.0, 9.0), (-30.0, -29.0), (5.0, 5.001), (20.0, 22.0)),
    *((-100.0, -99.99), (-8.0, 0.5), (1.0, 1.5), (300.0, 301.0)),
)
COUNTS = (0, 1, 2, 7, 30, 1000)
MEANS = (1e-6, 0.02, 1.0, 6.5, 40.0, 1005.0, 1e6)
EXPONENTIAL = [
    (m * r, m) for m in (0.01, 1.0, 2e4) for r in (0.0, 1e-12, 0.3, 0.7, 1.0, 3.5, 80.0, 900.0) if r or m == 0.01
]
POSITIVE = [
    *((y, 0.0, 1.0) for y in (1e-30, 1e-3, 0.5, 1.0, 1.5, 20.0, 1e30)),
    *((y, 1.5, 0.01) for y in (3.0, 4.4, 4.5, 6.0)),
    *((y, -8.0, 3.0) for y in (1e-12, 3.4e-4, 5.0)),
]
WEIBULL = [
    (scale * r, scale, shape)
    for scale in (0.02, 30.0)
    for shape in (0.05, 0.8, 1.0, 6.0)
    for r in (1e-20, 1e-4, 0.7, 1.0, 1.3, 4.0, 60.0)
    if shape < 6.0 or r < 4.0
]

GUMBEL = (0.0, 1e-6, 0.7, -1.9, 5.0, -4.5, 40.0, 500.0)
GEV = [
    (0.5 + 2.0 * z, 0.5, 2.0, shape)
    for shape in (0.0, 1e-15, 1e-8, -1e-8, 1e-5, -1e-3, 0.1, -0.3, 0.9, -1.5)
    for z in (0.0, 1e-4, 0.6, -0.9, 3.0, -2.2, 40.0)
    if shape * z > -0.98
]
GPD = [
    (2.0 * z, 2.0, shape)
    for shape in (0.0, 1e-15, 1e-8, -1e-5, 0.1, -0.3, 0.9)
    for z in (1e-10, 0.3, 1.0, 3.1, 200.0)
    if shape * z > -0.98
]
PARETO = [
    (m * r, m, s) for m in (0.01, 3.0) for s in (0.05, 1.0, 30.0) for r in (1.0001, 1.5, 4.0, 1e9) if r < 5 or s < 2
]
ORDERED = [
    (y, linear, a, b)
    for y in (0, 1, 2)
    for linear, a, b in (
        (0.0, -1.0, 1.0),
        (0.3, 0.5, 0.50001),
        (25.0, -2.0, -1.0),
        (-12.0, 0.0, 9.0),
        (1.0, -1.5, 20.0),
    )
]

GAMMA = [
    (2.0 * r, 2.0, shape)
    for shape in (0.01, 0.2, 1.0, 7.0, 300.0)
    for r in (1e-8, 0.3, 0.999, 1.001, 2.0, 30.0)
    if shape < 100 or 0.1 < r < 10
]
BETA = [
    *((y, m, precision) for m, precision in ((0.5, 0.2), (0.3, 2.0), (0.9, 15.0)) for y in (1e-6, 0.2, 0.5, 0.97)),
    *((0.25, 0.3, 1e3), (0.35, 0.3, 1e3), (0.3, 0.3, 50.0), (1e-3, 0.01, 30.0), (0.6, 0.01, 30.0)),
]
STUDENT = [(0.5 + 2.0 * z, 0.5, 2.0, df) for df in (0.3, 1.0, 5.5, 60.0, 1e4) for z in (-1e3, -8.0, -0.5, 0.0, 2.0)]
WALD = [(2.0 * r, 2.0, shape) for shape in (0.05, 1.0, 60.0) for r in (0.02, 0.5, 0.999, 1.001, 2.0, 20.0)]

TABLES = {
    "normal": {
        "log_density": ("y mean sd", "", standardized(SCORES)),
        "log_cdf": ("y mean sd", "", standardized(SCORES)),
        "log_survival": ("y mean sd", "", standardized(SCORES[2:])),
        "log_interval": ("low high mean sd", "", intervals(PAIRS)),
    },
    "poisson": {
        "log_density": (
            "y mean",
            "y",
            [*product(COUNTS, MEANS), (10**6, 1e6), (10**6, 1.002e6), (10**9, 1.0001e9)],
        ),
        "log_density_log_mean": (
            "y log_mean",
            "y",
            [*product(COUNTS, (-40.0, -3.0, 0.1, 3.5, 6.9, 14.0)), (10**6, 13.8125), (10**6, -750.0)],
        ),
    },
    "binomial": {
        "log_density": (
            "y trials probability",
            "y trials",
            [
                *((y, n, p) for n in (1, 2, 30) for y in (0, 1, 2, 17, 30) if y <= n for p in (1e-8, 0.25, 0.6, 0.999)),
                *((y, 10**6, p) for y in (0, 3, 250_000, 999_999, 10**6) for p in (2e-6, 0.25, 0.9999)),
            ],
        ),
        "log_density_logit": (
            "y trials logit",
            "y trials",
            [
                *(
                    (y, n, e)
                    for n in (1, 30)
                    for y in (0, 1, 17, 30)
                    if y <= n
                    for e in (-700.0, -20.0, 0.0, 0.5, 33.0)
                ),
                *((y, 10**6, e) for y in (0, 3, 250_000, 10**6) for e in (-35.0, -12.5, -1.1, 9.0)),
            ],
        ),
    },
    "negative_binomial": {
        "log_density": (
            "y mean dispersion",
            "y",
            [
                *product((0, 1, 2, 7, 30), (0.02, 1.0, 6.5, 40.0), (0.0, 1e-12, 1e-6, 0.01, 0.5, 3.0, 1e3)),
                *product((1000,), (1.0, 1005.0), (1e-12, 1e-8, 1e-4, 0.1, 2.0, 1e3)),
                *product((10**6,), (1.001e6, 5e5), (1e-12, 1e-6, 0.5)),
                *product((30, 15_000), (1e-6, 1e5, 1e14), (1e-6, 0.01, 16.0, 1e6)),
            ],
        ),
        "log_density_linear": (
            "y mean dispersion",
            "y",
            [*product((0, 1, 7, 30), (1.0, 40.0), (0.0, 1e-8, 0.01, 1.0, 50.0))],
        ),
    },
    "beta_binomial": {
        "log_density": (
            "y trials mean correlation",
            "y trials",
            [
                *((y, 1, m, c) for y in (0, 1) for m in (0.01, 0.7) for c in (0.0, 0.3)),
                *(
                    (y, 30, m, c)
                    for y in (0, 3, 9, 30)
                    for m in (0.001, 0.3, 0.75)
                    for c in (0.0, 1e-9, 1e-3, 0.2, 0.99)
                ),
                *((y, 1000, m, c) for y in (0, 320, 999) for m in (0.3, 0.99) for c in (0.0, 1e-8, 0.01, 0.6)),
                *((y, n, 0.4, c) for y, n in ((8, 17), (9, 18), (17, 17), (1, 2)) for c in (1e-7, 0.05, 0.9, 0.9999)),
                *((0, 5000, 1e-6, 0.999), (500, 5000, 0.1, 1e-3), (2, 100, 1e-5, 1e-6), (100, 100, 1e-5, 0.7)),
            ],
        )
    },
    "student_t": {
        "log_density": (
            "y location scale df",
            "",
            [
                (location + scale * z, location, scale, df)
                for location, scale in LOCATIONS[:2]
                for z in (0.0, 1e-4, 0.9, -3.0, 50.0, 1e6)
                for df in (0.05, 1.0, 4.5, 30.0, 1e3, 1e6, 1e10)
            ],
        ),
        "log_cdf": ("y location scale df", "", STUDENT),
        "log_survival": ("y location scale df", "", STUDENT[::3]),
        "log_interval": (
            "low high location scale df",
            "",
            [
                (0.5 + 2.0 * a, 0.5 + 2.0 * b, 0.5, 2.0, df)
                for df in (0.5, 4.0, 300.0)
                for a, b in ((-1.0, 1.5), (0.3, 0.301), (3.0, 40.0), (-7.0, -6.9))
            ],
        ),
    },
    "gamma": {
        "log_density": (
            "y mean shape",
            "",
            [
                (mean * r, mean, shape)
                for mean in (0.01, 3.0)
                for shape in (1e-3, 0.3, 1.0, 7.5, 9.0, 1e3, 1e8)
                for r in (1e-30, 1e-5, 0.7, 1.0001, 1.6, 40.0)
            ],
        ),
        "log_cdf": ("y mean shape", "", GAMMA),
        "log_survival": ("y mean shape", "", GAMMA),
        "log_interval": (
            "low high mean shape",
            "",
            [
                (2.0 * a, 2.0 * b, 2.0, shape)
                for shape in (0.05, 1.5, 30.0)
                for a, b in ((1e-6, 0.5), (0.999, 1.0), (0.8, 2.5), (3.0, 3.01))
            ],
        ),
    },
    "beta": {
        "log_density": (
            "y mean precision",
            "",
            [
                (y, mean, precision)
                for y in (1e-20, 0.003, 0.25, 0.5, 0.9999)
                for mean in (1e-3, 0.25, 0.5, 0.95)
                for precision in (0.01, 2.0, 20.0, 1e4, 1e8)
            ],
        ),
        "log_cdf": ("y mean precision", "", BETA),
        "log_survival": ("y mean precision", "", BETA),
        "log_interval": (
            "low high mean precision",
            "",
            [
                (a, b, mean, precision)
                for mean, precision in ((0.5, 0.3), (0.25, 3.0), (0.9, 40.0))
                for a, b in ((1e-6, 0.5), (0.3, 0.3001), (0.1, 0.9), (0.98, 0.985))
            ],
        ),
    },
    "exponential": {
        "log_density": ("y mean", "", EXPONENTIAL),
        "log_cdf": ("y mean", "", EXPONENTIAL[1:]),
        "log_survival": ("y mean", "", EXPONENTIAL),
        "log_interval": (
            "low high mean",
            "",
            [
                (m * a, m * b, m)
                for m in (0.01, 20.0)
                for a, b in ((1e-9, 1e-8), (0.1, 0.1001), (1.0, 40.0), (900.0, 901.0))
            ],
        ),
    },
    "logistic": {
        "log_density": ("y location scale", "", standardized((*SCORES, -1e-7))),
        "log_cdf": ("y location scale", "", standardized(SCORES, LOCATIONS[:2])),
        "log_survival": ("y location scale", "", standardized(SCORES[2:], LOCATIONS[:2])),
        "log_interval": ("low high location scale", "", intervals(PAIRS)),
    },
    "lognormal": {
        "log_density": ("y location scale", "", POSITIVE),
        "log_cdf": ("y location scale", "", POSITIVE),
        "log_survival": ("y location scale", "", POSITIVE),
        "log_interval": (
            "low high location scale",
            "",
            [
                *(
                    (1.0, 2.0, 0.0, 1.0),
                    (1e-20, 1e-19, 0.5, 0.7),
                    (1e12, 1.001e12, 0.5, 0.7),
                    (3.0, 3.00001, 1.1, 0.01),
                ),
                *((0.02, 40.0, 0.3, 2.0), (2.5, 3.5, 1.1, 0.02), (1e-6, 1e6, 0.0, 1.0)),
            ],
        ),
    },
    "weibull": {
        "log_density": ("y scale shape", "", WEIBULL),
        "log_cdf": ("y scale shape", "", WEIBULL),
        "log_survival": ("y scale shape", "", WEIBULL),
        "log_interval": (
            "low high scale shape",
            "",
            [
                (scale * a, scale * b, scale, shape)
                for scale in (0.02, 30.0)
                for shape in (0.2, 1.0, 6.0)
                for a, b in ((1e-6, 0.5), (0.999, 1.0), (0.8, 2.5), (3.0, 3.01), (1e-12, 1.1e-12))
            ],
        ),
    },
    "inverse_gaussian": {
        "log_density": (
            "y mean shape",
            "",
            [(m * r, m, s) for m in (0.01, 3.0) for s in (1e-4, 1.0, 1e6) for r in (1e-6, 0.9, 1.0001, 2.5, 1e5)],
        ),
        "log_cdf": ("y mean shape", "", WALD),
        "log_survival": ("y mean shape", "", WALD),
        "log_interval": (
            "low high mean shape",
            "",
            [
                (2.0 * a, 2.0 * b, 2.0, shape)
                for shape in (0.1, 1.5, 30.0)
                for a, b in ((1e-3, 0.5), (0.999, 1.0), (0.8, 2.5), (3.0, 3.01))
            ],
        ),
    },
    "truncated": {
        "log_density": (
            "y mean sd low high",
            "",
            [
                (0.5, 0.0, 1.0, 0.0, 1.0),
                (31.0, 0.0, 1.0, 30.0, 32.0),
                (2.0, 3.0, 0.5, -1.0, 2.5),
                (7.0, 9.0, 4.0, 6.9, 7.1),
            ],
        )
    },
    "laplace": {
        "log_density": ("y location scale", "", standardized(SCORES[2:], LOCATIONS[:2])),
        "log_cdf": ("y location scale", "", standardized(SCORES[2:], LOCATIONS[:2])),
        "log_survival": ("y location scale", "", standardized(SCORES[2:], LOCATIONS[:2])),
        "log_interval": ("low high location scale", "", intervals(PAIRS)),
    },
    "cauchy": {
        "log_density": ("y location scale", "", standardized((*SCORES, 1e10), LOCATIONS[:2])),
        "log_cdf": ("y location scale", "", standardized((*SCORES, -1e10), LOCATIONS[:2])),
        "log_survival": ("y location scale", "", standardized(SCORES[2:], LOCATIONS[:2])),
        "log_interval": ("low high location scale", "", intervals((*PAIRS, (-1e6, 1.0), (1e6, 1.5e6)), LOCATIONS[:2])),
    },
    "gumbel": {
        "log_density": ("y location scale", "", standardized(GUMBEL)),
        "log_cdf": ("y location scale", "", standardized(GUMBEL, LOCATIONS[:2])),
        "log_survival": ("y location scale", "", standardized(GUMBEL, LOCATIONS[:2])),
        "log_interval": (
            "low high location scale",
            "",
            intervals(
                ((-1.0, 1.0), (0.3, 0.30001), (0.0, 30.0), (-5.0, -4.9), (40.0, 41.0), (-6.0, 500.0), (500.0, 500.5))
            ),
        ),
    },
    "gev": {
        "log_density": ("y location scale shape", "", GEV),
        "log_cdf": ("y location scale shape", "", GEV[::2]),
        "log_survival": ("y location scale shape", "", GEV[1::2]),
        "log_interval": (
            "low high location scale shape",
            "",
            [
                (a, b, 0.5, 2.0, shape)
                for shape in (0.0, 1e-9, -1e-4, 0.3, -0.2)
                for a, b in ((-2.0, 1.0), (0.5, 0.5001), (1.0, 9.0), (9.5, 9.75))
            ],
        ),
    },
    "gpd": {
        "log_density": ("y scale shape", "", GPD),
        "log_cdf": ("y scale shape", "", GPD),
        "log_survival": ("y scale shape", "", GPD),
        "log_interval": (
            "low high scale shape",
            "",
            [
                (a, b, 2.0, shape)
                for shape in (0.0, 1e-9, -1e-4, 0.3, -0.2)
                for a, b in ((1e-8, 1.0), (0.5, 0.5001), (1.0, 9.0), (9.5, 9.75))
            ],
        ),
    },
    "pareto": {
        "log_density": ("y minimum shape", "", PARETO),
        "log_cdf": ("y minimum shape", "", PARETO),
        "log_survival": ("y minimum shape", "", PARETO),
        "log_interval": (
            "low high minimum shape",
            "",
            [
                (m * a, m * b, m, s)
                for m in (0.01, 3.0)
                for s in (0.1, 4.0)
                for a, b in ((1.001, 1.5), (2.0, 1e6), (1e3, 1001.0))
            ],
        ),
    },
    "geometric": {"log_density": ("y probability", "y", [*product((0, 1, 7, 10**6), (1e-9, 0.03, 0.5, 0.999))])},
    "categorical": {
        "log_density": (
            "y a b c",
            "y",
            [
                (y, *logits)
                for y in (0, 1, 2)
                for logits in (
                    (0.0, 0.0, 0.0),
                    (1.0, -2.0, 0.5),
                    (40.0, 0.25, -3.0),
                    (-700.0, 300.0, 2.0),
                    (1e3, 1000.5, 999.0),
                )
            ],
        )
    },
    "ordered": {name: ("y linear a b", "y", ORDERED) for name in ("log_density", "log_density_probit")},
    "von_mises": {
        "log_density": (
            "y location concentration",
            "",
            [
                (y, 0.5, concentration)
                for y in (0.5, 0.501, -1.0, 3.0, 3.6)
                for concentration in (0.0, 1e-6, 0.4, 2.0, 15.0, 59.5, 60.5, 1e3, 1e7)
            ],
        )
    },
    "multivariate_normal": {
        "log_density": (
            "y0 y1 l00 l10 l11",
            "",
            [
                (1.0, 2.0, 1.0, 0.5, 0.75),
                (30.0, -2.0, 0.1, 3.0, 1e-3),
                (1e-3, 2e3, 5.0, -2.0, 40.0),
                (0.0, 0.0, 1.0, 0.0, 1.0),
            ],
        )
    },
    "zero_inflated": {
        name: ("y logit mean", "y", [*product((0, 1, 7, 100), (-40.0, -1.5, 0.0, 3.0), (0.02, 1.5, 9.0, 120.0))])
        for name in ("log_density", "log_density_hurdle")
    },
}
