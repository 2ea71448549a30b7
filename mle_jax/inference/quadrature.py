"""Integrals of many densities at once: adaptive Gauss-Kronrod quadrature, every interval of every row in one batch.

The line, half-line or interval that carries the density is mapped to the real line by t = c + s sinh(x),
t = low + s exp(x), t = high - s exp(x), or t = low + (high - low) sigmoid(x), which makes tails of every usual kind,
and integrable poles at an end, fall exponentially.

Reference:
    R. Piessens et al., QUADPACK (1983), the pair of 7 and 15 points; H. Takahasi and M. Mori, Publ. RIMS 9 (1974), for
    the substitution.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

REACH = 500.0
"""The integral ends here in x, where the tails of every usual density are zero."""
ROUNDS = 60
MOST_INTERVALS = 20_000
_HALF = np.array(
    [
        0.991455371120812639206854697526329,
        0.949107912342758524526189684047851,
        0.864864423359769072789712788640926,
        0.741531185599394439863864773280788,
        0.586087235467691130294144691693502,
        0.405845151377397166906606412076961,
        0.207784955007898467600689403773245,
        0.0,
    ]
)
_KRONROD = np.array(
    [
        0.022935322010529224963732008058970,
        0.063092092629978553290700663189204,
        0.104790010322250183839876322541518,
        0.140653259715525918745189590510238,
        0.169004726639267902826583426598550,
        0.190350578064785409913256402421014,
        0.204432940075298892414161999234649,
        0.209482141084727828012999174891714,
    ]
)
_GAUSS = np.array(
    [
        0.129484966168869693270611432679082,
        0.279705391489276667901467771423780,
        0.381830050505118944950369775488975,
        0.417959183673469387755102040816327,
    ]
)
NODES = np.concatenate([-_HALF, _HALF[-2::-1]])
KRONROD = np.concatenate([_KRONROD, _KRONROD[-2::-1]])
GAUSS = np.zeros(15)
GAUSS[1::2] = np.concatenate([_GAUSS, _GAUSS[-2::-1]])


class Domain(NamedTuple):
    """Where the densities of R rows live, and the middle and the width of their mass there."""

    low: Vector
    high: Vector
    center: Vector
    scale: Vector
    """Above 0."""

    def from_line(self, rows: Indices, x: Vector) -> tuple[Vector, Vector]:
        """Return t and dt/dx at x (m, q) for rows (m,)."""
        low, high, center, scale = (array[rows][:, None] for array in self)
        from_below, from_above = np.isfinite(low), np.isfinite(high)
        with np.errstate(all="ignore"):
            grown, squashed = np.exp(x), np.exp(-np.logaddexp(0.0, -x))
            rest = np.exp(-np.logaddexp(0.0, x))
            # Near the upper end the distance from it keeps the digits.
            inside = np.where(x < 0.0, low + (high - low) * squashed, high - (high - low) * rest)
            t = np.select(
                [from_below & from_above, from_below, from_above],
                [inside, low + scale * grown, high - scale * np.exp(-x)],
                center + scale * np.sinh(x),
            )
            slope = np.select(
                [from_below & from_above, from_below, from_above],
                [(high - low) * squashed * rest, scale * grown, scale * np.exp(-x)],
                scale * np.cosh(x),
            )
        return t, slope

    def to_line(self, rows: Indices, t: Vector) -> Vector:
        """Return x (m,) at points t (m,) of the rows (m,)."""
        low, high, center, scale = (array[rows] for array in self)
        from_below, from_above = np.isfinite(low), np.isfinite(high)
        with np.errstate(all="ignore"):
            x = np.select(
                [from_below & from_above, from_below, from_above],
                [np.log((t - low) / (high - t)), np.log((t - low) / scale), -np.log((high - t) / scale)],
                np.arcsinh((t - center) / scale),
            )
        return np.asarray(np.clip(np.nan_to_num(x, nan=-REACH), -REACH, REACH))


class Integrals(NamedTuple):
    """Integrals over the cells of every row, (R, B), with an estimate of their errors; NaN where there is none."""

    value: Vector
    error: Vector


def integrate(
    log_density: Callable[[Indices, Vector], Vector], domain: Domain, edges: Vector, *, tolerance: float = 1e-10
) -> Integrals:
    """Integrate the densities of R rows over cells.

    Args:
        log_density: takes rows (m,) and points (m, 15); NaN far out counts as zero density.
        domain: of the rows.
        edges: (R, B - 1), ascending points between the cells; the first and the last cell reach to the ends.
        tolerance: the error of an interval that is left alone.
    """
    count, inner = edges.shape
    rows, cells, a, b = _begin(domain, edges)
    value, error = np.zeros((count, inner + 1)), np.zeros((count, inner + 1))
    for _ in range(ROUNDS):
        whole, uncertain = _rule(log_density, domain, rows, a, b)
        done = (uncertain <= tolerance * np.fmax(1.0, np.abs(whole))) | (b - a <= 1e-13 * np.fmax(np.abs(a), 1.0))
        done |= ~np.isfinite(whole)
        np.add.at(value, (rows[done], cells[done]), whole[done])
        np.add.at(error, (rows[done], cells[done]), uncertain[done])
        rows, cells, a, b = rows[~done], cells[~done], a[~done], b[~done]
        if not rows.size or rows.size > MOST_INTERVALS:
            break
        middle = (a + b) / 2.0
        rows, cells = np.tile(rows, 2), np.tile(cells, 2)
        a, b = np.concatenate([a, middle]), np.concatenate([middle, b])
    error[rows, cells] = np.inf
    return Integrals(value, error)


def _begin(domain: Domain, edges: Vector) -> tuple[Indices, Indices, Vector, Vector]:
    """Cut each row's line at the cells' edges and at distances that double outward."""
    count, inner = edges.shape
    every = np.repeat(np.arange(count), inner)
    lines = np.sort(domain.to_line(every, edges.ravel()).reshape(count, inner), axis=1)
    powers = 2.0 ** np.arange(-1.0, 9.0)
    ways = np.concatenate([-powers[::-1], powers])
    rows, cells, starts, ends = [], [], [], []
    for row, line in enumerate(lines):
        middle = np.median(line)
        cuts = np.unique(np.concatenate([line, np.clip(middle + ways, -REACH, REACH), [-REACH, REACH]]))
        rows.append(np.full(cuts.size - 1, row))
        # A cut that is an edge belongs to the cell on its right.
        cells.append(np.searchsorted(line, cuts[:-1], side="right"))
        starts.append(cuts[:-1])
        ends.append(cuts[1:])
    return np.concatenate(rows), np.concatenate(cells), np.concatenate(starts), np.concatenate(ends)


def _rule(
    log_density: Callable[[Indices, Vector], Vector], domain: Domain, rows: Indices, a: Vector, b: Vector
) -> tuple[Vector, Vector]:
    half = (b - a) / 2.0
    x = (a + half)[:, None] + half[:, None] * NODES
    t, slope = domain.from_line(rows, x)
    with np.errstate(all="ignore"):
        density = np.exp(log_density(rows, t))
        at_end = (t == domain.low[rows][:, None]) | (t == domain.high[rows][:, None])
        far = (np.abs(x) > 20.0) | ~np.isfinite(t)
        mass = np.where(density == 0.0, 0.0, density * slope)
        # At an end itself stands a pole that is integrable or nothing; far out a formula may lose its sense.
        mass = np.where((~np.isfinite(mass) & at_end) | (np.isnan(mass) & far), 0.0, mass)
        whole = half * (mass @ KRONROD)
        return whole, np.abs(whole - half * (mass @ GAUSS))
