"""A second opinion on "converged", by finite differences of a log-likelihood that is not the library's.

Coordinates: the columns of x are made orthonormal (Gram-Schmidt, twice, in the longest floating type), the other
parameters are logs or logits; then all are whitened by the Hessian found, so that 1 is one standard error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tests.soak_likelihoods import EPS, LONG, Rows, prepared

LogDensity = Callable[[Rows, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
PROBES = 0.05, 1e-3  # standard errors: the step of second differences, and another where the first is too long
DIRECTIONS = 20


@dataclass(frozen=True)
class Place:
    """One dataset and the parameters that are to be judged.

    Args:
        density: contributions of rows.
        rows: what they depend on.
        basis: (n, p) orthonormal columns that span those of x.
        base: (n, 1) the predictor.
        free: (s,) the other parameters, as free numbers.
        blur: (n, 1) what float64 loses of a predictor.
    """

    density: LogDensity
    rows: Rows
    basis: np.ndarray
    base: np.ndarray
    free: np.ndarray
    blur: np.ndarray

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.basis.shape[1] + len(self.free)

    def contributions(self, moves: np.ndarray) -> np.ndarray:
        """Return the contributions (n, m) after the moves (k, m)."""
        p = self.basis.shape[1]
        moves = np.asarray(moves, LONG)
        with np.errstate(all="ignore"):
            return self.density(self.rows, self.base, self.basis @ moves[:p], self.free[:, None] + moves[p:])

    def changes(self, moves: np.ndarray) -> np.ndarray:
        """Return by how much the log-likelihood changes, (m,); minus infinity where it is not a number."""
        with np.errstate(all="ignore"):
            found = np.sum(self.contributions(moves) - self.here, axis=0)
            return np.where(np.isnan(found), -np.inf, found).astype(float)

    @cached_property
    def here(self) -> np.ndarray:
        """Return the contributions at the place itself, (n, 1)."""
        return self.contributions(np.zeros((self.size, 1)))

    def moved(self, move: np.ndarray) -> "Place":
        """Return the place after a move (k,)."""
        p = self.basis.shape[1]
        base = self.base + (self.basis @ np.asarray(move[:p], LONG))[:, None]
        return Place(self.density, self.rows, self.basis, base, self.free + move[p:], self.blur)


@dataclass
class Opinion:
    """What was found: `reasons` against a maximum (empty: none), and the numbers behind.

    Where the least fall over one standard error is negative, but there are no reasons, this is a maximum beside a
    higher region; where it is `narrow`, it curves down only nearby, by less than a twentieth of what its coordinates
    tell one by one. Both are to be told, although the search that ended here made no error.
    """

    reasons: list[str] = field(default_factory=list)
    decrement: float = np.nan
    rounding: float = np.nan
    smallest: float = np.nan
    least_fall: float = np.nan
    narrow: bool = False
    basis: Any = None
    step: Any = None


def place_of(density: LogDensity, leaves: Mapping[str, np.ndarray], w: np.ndarray, free: np.ndarray) -> Place | None:
    """Return the place of an estimate; None where the columns of x are dependent beyond what can be told."""
    x = np.asarray(leaves["x"], LONG)
    basis = orthonormal(x)
    if basis is None:
        return None
    w = np.asarray(w, LONG)
    blur = np.finfo(float).eps * (np.abs(x) @ np.abs(w))[:, None]
    return Place(density, prepared(leaves), basis, (x @ w)[:, None], np.asarray(free, LONG), blur)


def orthonormal(x: np.ndarray) -> np.ndarray | None:
    """Return orthonormal columns that span those of x, by Gram-Schmidt done twice; None without full rank."""
    columns: list[np.ndarray] = []
    for column in x.T:
        size = np.sqrt(np.sum(column**2))
        if not size > 0:
            return None
        left = column / size
        for _ in range(2):
            for other in columns:
                left = left - other * np.sum(other * left)
        rest = np.sqrt(np.sum(left**2))
        # What is left of a column that depends on the others are rounding errors of its float64 entries.
        if rest < 4 * np.finfo(float).eps:
            return None
        left = left / rest
        for other in columns:
            left = left - other * np.sum(other * left)
        columns.append(left / np.sqrt(np.sum(left**2)))
    return np.stack(columns, axis=1)


def judge(place: Place, rng: np.random.Generator, *, tolerance: float) -> Opinion:
    """Say what speaks against a maximum at a place: slope, curvature, rises in random directions."""
    opinion = Opinion()
    if not np.all(np.isfinite(place.here)):
        opinion.reasons.append("the log-likelihood is not finite")
        return opinion
    # Where rates are exponentials of exponentials, the log-likelihood is no quadratic over a twentieth of a standard
    # error, held in correlated coordinates.
    whitened = far = whiten(place, PROBES[0])
    if isinstance(far, str):
        whitened = whiten(place, PROBES[1])
    if isinstance(whitened, str):
        opinion.reasons.append(str(far))
        return opinion
    opinion.basis, opinion.smallest, probe = whitened
    opinion.narrow = probe < PROBES[0]
    _slope(place, opinion, tolerance, probe)
    _falls(place, opinion, rng)
    return opinion


def whiten(place: Place, probe: float) -> tuple[np.ndarray, float, float] | str:
    """Return a basis (k, k) of standard errors, the smallest eigenvalue of the information in it, and the probe.

    Or a reason why there is none.
    """
    basis = np.diag(_held_errors(place))
    if not np.all(np.isfinite(basis)):
        return "the log-likelihood does not curve down along a coordinate"
    smallest = np.nan
    for _ in range(4):
        information = _information(place, basis, probe)
        if not np.all(np.isfinite(information)):
            return "the curvature is not finite"
        values, vectors = np.linalg.eigh(information)
        smallest = float(values[0])
        if not values[-1] > 0 or smallest < -1e-3 * values[-1]:
            return f"the information has the eigenvalue {smallest:.2g} beside {values[-1]:.2g}"
        if smallest > 0.5 and values[-1] < 2:
            return basis, smallest, probe
        # Eigenvalues that the differences cannot tell from 0 are looked at again from nearer in the next round.
        basis = basis @ (vectors / np.sqrt(np.maximum(values, 1e-5 * values[-1])))
    if smallest > 0.1:
        return basis, smallest, probe
    return f"the information in standard errors has the eigenvalue {smallest:.2g}"


def _held_errors(place: Place) -> np.ndarray:
    """Return for each coordinate the move that costs about 1, both ways together, (k,); infinite where none does."""
    moves, low, high = np.ones(place.size), np.zeros(place.size), np.full(place.size, np.inf)
    for _ in range(80):
        both = np.concatenate([np.diag(moves), -np.diag(moves)], axis=1)
        falls = -place.changes(both).reshape(2, -1).sum(axis=0)
        done = (falls > 0.5) & (falls < 2.0)
        if np.all(done):
            return moves
        low, high = np.where(falls <= 0.5, moves, low), np.where(falls >= 2.0, moves, high)
        between = np.where(high < np.inf, np.sqrt(np.maximum(low, 1e-30) * np.minimum(high, 1e30)), 30.0 * moves)
        moves = np.where(done, moves, np.where(low > 0, between, moves / 30.0))
    return np.full(place.size, np.inf)


def _information(place: Place, basis: np.ndarray, probe: float) -> np.ndarray:
    """Return minus the Hessian in a basis, by second differences over a probe."""
    k = place.size
    pairs = [(i, j) for i in range(k) for j in range(i + 1)]
    corners = [probe * (a * basis[:, i] + b * basis[:, j]) for i, j in pairs for a in (1, -1) for b in (1, -1)]
    changes = place.changes(np.stack(corners, axis=1)).reshape(-1, 4)
    found = np.zeros((k, k))
    with np.errstate(invalid="ignore"):  # infinities, which the caller sees
        bends = -(changes @ [1.0, -1.0, -1.0, 1.0]) / (4 * probe**2)
    for (i, j), bend in zip(pairs, bends, strict=True):
        found[i, j] = found[j, i] = bend
    return found


def _slope(place: Place, opinion: Opinion, tolerance: float, probe: float) -> None:
    """Find the decrement by first differences of fourth order, and what float64 must lose of it."""
    basis, k, near = opinion.basis, place.size, probe / 50
    sides = np.concatenate([h * near * basis for h in (1, -1, 2, -2)], axis=1)
    one, back, two, far = place.changes(sides).reshape(4, k)
    score = (8 * (one - back) - (two - far)) / (12 * near)
    information = _information(place, basis, probe)
    opinion.step = np.linalg.solve(information, score)
    opinion.decrement = float(np.sqrt(max(score @ opinion.step, 0.0)))
    noise = float(np.std(place.changes(1e-9 * basis @ np.linspace(-1, 1, 8)[None, :].repeat(k, 0))))
    opinion.rounding = 2 * _blurred(place) + 10 * noise / near
    if opinion.decrement > 1.001 * tolerance + opinion.rounding:
        opinion.reasons.append(f"the maximum is {opinion.decrement:.2g} standard errors away")


def _blurred(place: Place) -> float:
    """Return how many standard errors the float64 rounding of the predictors may move the maximum."""
    zero, free = np.zeros_like(place.base), place.free[:, None]
    with np.errstate(all="ignore"):
        width = np.maximum(1e3 * place.blur, 1e-4 * np.maximum(np.abs(place.base), EPS))
        ahead, here, behind = (place.density(place.rows, place.base, s * width, free) for s in (1, 0, -1))
        weight = np.abs(ahead - 2 * here + behind) / width**2
        total = float(np.sum(np.where(np.isfinite(weight), weight, zero) * place.blur**2))
    return float(np.sqrt(total))


def _falls(place: Place, opinion: Opinion, rng: np.random.Generator) -> None:
    """Move along random directions and along the Newton step, by one standard error and by a hundredth."""
    directions = rng.standard_normal((place.size, DIRECTIONS))
    if opinion.decrement > 0:
        directions = np.concatenate([directions, opinion.step[:, None]], axis=1)
    directions = opinion.basis @ (directions / np.linalg.norm(directions, axis=0))
    far = -place.changes(np.concatenate([directions, -directions], axis=1))
    near = -place.changes(1e-2 * np.concatenate([directions, -directions], axis=1))
    opinion.least_fall = float(far.min())
    # A hundredth of a standard error costs 5e-5; the slope of a decrement d gives back 1e-2 d.
    rises = near.min() < -1e-2 * max(opinion.decrement, 1e-9)
    # A maximum at infinity does not fall at all on the way up; one that lies beside a higher one does at first, by ten
    # times more than the slope gives back. How fast is no question: between two rows that are about to become two
    # maxima the curvature is nearly 0.
    falls_at_first = near.min() > 1e-1 * max(opinion.decrement + opinion.rounding, 1e-9)
    if opinion.least_fall <= 0 and not falls_at_first:
        opinion.reasons.append(f"one standard error away the log-likelihood is {-opinion.least_fall:.2g} higher")
    if rises:
        opinion.reasons.append(f"a hundredth of a standard error away it is {-near.min():.2g} higher")
