"""Does a density integrate or sum to 1 over its response, and are the simulated values distributed like it?"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mle_jax.inference.counts import probabilities_of_counts
from mle_jax.inference.monte_carlo import chi_square_p
from mle_jax.inference.quadrature import Domain, integrate
from mle_jax.inference.responses import TEST, Response, atoms_of, log_densities

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

CLOSE = 1e-6
"""A total this near to 1 is 1."""
UNSEEN = 1e-5
"""A mass where no draw fell speaks against a support if that has a smaller chance."""
EXPECTED = 10.0
"""Cells are joined until so many draws are expected in each."""

Vector = NDArray[np.float64]
Support = tuple[float, float]


class Total(NamedTuple):
    """What the density adds up to over a support, row by row, and in cells."""

    label: str
    """The support: ``(0, inf)``."""
    value: Vector
    """(R,)."""
    error: Vector
    """(R,)."""
    cells: list[Vector]
    """For each row the probabilities of the cells."""
    counts: list[Vector]
    """For each row the draws that fell into them."""

    @property
    def known(self) -> bool:
        """Whether it is known precisely enough to say that it is 1 or not; that it is infinite is known, too."""
        if np.any(np.isposinf(self.value)):
            return True
        return bool(np.all(self.error <= np.fmax(CLOSE, 1e-3 * np.abs(self.value - 1.0)) / 4.0))

    @property
    def is_one(self) -> bool:
        """Whether the density is normalized in every row."""
        return self.known and bool(np.all(np.abs(self.value - 1.0) <= CLOSE))


def total_density(model: "Model", params: Any, response: Response, support: Any) -> Total:
    """Add up the density over its response in every row.

    Args:
        model: the model.
        params: where.
        response: the rows and the draws.
        support: None to see it from the draws; or ``(low, high)``, of numbers and names of leaves; or
            ``support(params, row) -> (low, high)``.
    """
    add_up = _over_counts if response.discrete else _over_numbers
    if support is not None:
        bounds = given_bounds(support, params, response)
        return add_up(model, params, response, bounds, _label(bounds))
    tried: list[Total] = []
    tightest = None
    for low, high in _candidates(response):
        bounds = np.full(response.rows.size, low), np.full(response.rows.size, high)
        total = add_up(model, params, response, bounds, _label(bounds))
        tightest = total if tightest is None else tightest
        if _draws_would_fall(total, tightest):
            tried.append(total)
            if total.is_one:
                return total
    with np.errstate(all="ignore"):
        far = [np.nan_to_num(np.max(np.abs(np.log(total.value))), nan=np.inf) for total in tried]
    return tried[int(np.argmin(far))]


def distribution_test(total: Total) -> list[tuple[float, int, float]]:
    """Compare the frequencies of draws with the density: (statistic, degrees of freedom, p-value) of each row.

    Pearson's chi-square over cells; the density is taken for what it is, normalized or not, by its total.
    """
    found = []
    for probabilities, counts in zip(total.cells, total.counts, strict=True):
        shares = probabilities / probabilities.sum()
        expected, seen = _joined(shares * counts.sum(), counts)
        statistic = float(np.sum((seen - expected) ** 2 / expected))
        degrees = expected.size - 1
        found.append((statistic, degrees, chi_square_p(statistic, degrees) if degrees else 1.0))
    return found


def given_bounds(support: Any, params: Any, response: Response) -> tuple[Vector, Vector]:
    """Return the ends (R,) of a support that the user gave.

    Raises:
        ValueError: it is no pair, or the lower end is not below the upper one.
    """
    count = response.rows.size
    if callable(support):
        rows = [response.layout.with_rows([leaf[r] for leaf in response.layout.rows]) for r in range(count)]
        pairs = [support(params, row) for row in rows]
        low, high = (np.array([float(pair[end]) for pair in pairs]) for end in (0, 1))
    else:
        if not isinstance(support, tuple | list) or len(support) != 2:
            raise ValueError(f"support is {support!r}, but it must be (low, high); pass for instance (0, float('inf'))")
        leaves = dict(zip(*response.layout.named[:2], strict=True))
        ends = [np.asarray(leaves[end] if isinstance(end, str) else end, np.float64) for end in support]
        low, high = (np.broadcast_to(end, (count,)).astype(np.float64) for end in ends)
    if not np.all(low < high):
        raise ValueError(f"support is {support!r}, but its lower end must be below the upper one; swap them")
    return low, high


def _candidates(response: Response) -> list[Support]:
    """Return the supports that the draws suggest, the tightest first."""
    values = np.concatenate([response.pilot.ravel(), response.draws.ravel()])
    low, high = float(values.min()), float(values.max())
    if response.discrete:
        if low < 0.0:
            return [(low, high), (-np.inf, np.inf)]
        ends = [(low, high), (0.0, high), (low, np.inf), (0.0, np.inf)]
        return list(dict.fromkeys(end for end in ends if end[0] <= low))
    unit = [(0.0, 1.0)] if low >= 0.0 and high <= 1.0 else []
    half = [(0.0, np.inf)] if low >= 0.0 else [(-np.inf, 0.0)] if high <= 0.0 else []
    return [*unit, *half, (-np.inf, np.inf)]


def _draws_would_fall(total: Total, tightest: Total) -> bool:
    """Say whether the mass beyond the tightest support is so small that no draw need have fallen there."""
    with np.errstate(invalid="ignore"):
        extra = np.sum(np.fmax(total.value - tightest.value, 0.0))
    return not np.isfinite(extra) or bool(np.exp(-TEST * extra) >= UNSEEN)


def _label(bounds: tuple[Vector, Vector]) -> str:
    ends = [f"{end[0]:g}" if np.all(end == end[0]) else "row by row" for end in bounds]
    return f"({ends[0]}, {ends[1]})"


def _over_numbers(model: "Model", params: Any, response: Response, bounds: tuple[Vector, Vector], label: str) -> Total:
    atoms = atoms_of(response)
    free = [draws[~np.isin(draws, values)] for draws, values in zip(response.pilot, atoms, strict=True)]
    # A row whose every draw is an atom has no continuous part to speak of, but its density is integrated all the same.
    solid = [draws if draws.size > 1 else every for draws, every in zip(free, response.pilot, strict=True)]
    edges = np.stack([np.quantile(draws, np.linspace(0.1, 0.9, 9)) for draws in solid])
    low, high = bounds
    center = np.stack([np.median(draws) for draws in solid])
    spread = edges[:, -1] - edges[:, 0]
    scale = np.where(np.isfinite(low), center - low, np.where(np.isfinite(high), high - center, spread / 2.0))
    scale = np.where(scale > 0.0, scale, np.fmax(1e-3 * np.abs(center), 1e-3))
    found = integrate(
        lambda rows, t: log_densities(model, params, response, rows, t), Domain(low, high, center, scale), edges
    )
    cells, counts = [], []
    for row, values in enumerate(atoms):
        mass = _mass_of(model, params, response, row, values)
        draws = response.draws[row]
        loose = draws[~np.isin(draws, values)]
        cells.append(np.concatenate([found.value[row], mass]))
        places = np.searchsorted(edges[row], loose, side="right")
        counts.append(
            np.concatenate(
                [np.bincount(places, minlength=edges.shape[1] + 1), [np.sum(draws == value) for value in values]]
            ).astype(np.float64)
        )
    return Total(label, np.array([cell.sum() for cell in cells]), found.error.sum(axis=1), cells, counts)


def _mass_of(model: "Model", params: Any, response: Response, row: int, values: Vector) -> Vector:
    """Return the probabilities of single values of a response that is continuous elsewhere."""
    padded = np.zeros((1, 15))  # the shape of the rule, which is compiled already
    padded[0, : values.size] = values
    with np.errstate(over="ignore"):
        return np.exp(log_densities(model, params, response, np.array([row]), padded))[0, : values.size]


def _over_counts(model: "Model", params: Any, response: Response, bounds: tuple[Vector, Vector], label: str) -> Total:
    found = probabilities_of_counts(
        lambda rows, values: log_densities(model, params, response, rows, values), response.pilot, *bounds
    )
    cells, counts = [], []
    for row, draws in enumerate(response.draws):
        inside = np.round(draws - found.first[row]).astype(np.int64)
        inside = inside[(inside >= 0) & (inside < found.value.shape[1])]
        counts.append(np.bincount(inside, minlength=found.value.shape[1]).astype(np.float64))
        cells.append(found.value[row])
        rest = float(draws.size - inside.size), float(found.tail[row])
        cells[-1], counts[-1] = np.append(cells[-1], rest[1]), np.append(counts[-1], rest[0])
    return Total(label, found.value.sum(axis=1) + found.tail, found.error, cells, counts)


def _joined(expected: Vector, seen: Vector) -> tuple[Vector, Vector]:
    """Join neighboring cells until enough draws are expected in each."""
    level = np.cumsum(expected)
    cuts, last = [], 0.0
    for i, height in enumerate(level):
        if height - last >= EXPECTED and level[-1] - height >= EXPECTED:
            cuts.append(i + 1)
            last = height
    pieces = np.split(np.arange(expected.size), cuts)
    return np.array([expected[p].sum() for p in pieces]), np.array([seen[p].sum() for p in pieces])
