"""Look for a maximum that a fit missed: SciPy's BFGS on the log-likelihood by hand, from several places."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.optimize import minimize

from tests.soak_certificate import Place, judge, place_of
from tests.soak_problems import Family

Leaves = Mapping[str, np.ndarray]
STEP = 1e-5
MOST = 300


def search(family: Family, data: Leaves, params: Mapping[str, Any], rng: np.random.Generator) -> str | None:
    """Return a description of a certified finite maximum; None where none was found."""
    for w, free in starts(family, data, params):
        if not (np.all(np.isfinite(w)) and np.all(np.isfinite(free.astype(float)))):
            continue
        place = place_of(family.density, data, w, free)
        if place is None:
            return None
        top = climbed(place, units(family, data, place))
        try:
            opinion = judge(top, rng, tolerance=1e-3)
        except np.linalg.LinAlgError:  # an information of zeros: no maximum that could be proved
            continue
        if not opinion.reasons and opinion.least_fall > 0.05:
            value = float(top.here.sum())
            return f"a maximum of {value:.10g}, least fall {opinion.least_fall:.2g}, others {top.free.astype(float)}"
    return None


def starts(family: Family, data: Leaves, params: Mapping[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield where the fit ended, least squares with plain values of the others, and zero."""
    yield np.asarray(params["w"]), family.freed(params)
    y = data["y"]
    target = y if family.located else np.log(y) if np.all(y > 0) else np.log(y + 0.5)
    size = np.linalg.norm(data["x"], axis=0)
    w = np.linalg.lstsq(data["x"] / size, target, rcond=None)[0] / size
    spread = np.log(max(float(np.std(target - data["x"] @ w)), 1e-300))
    first = {"variance": 2 * spread, "scale": spread, "df": 1.5, "shape": 0.0, "dispersion": 0.0, "q": -1.0}
    others = np.array([first[name] for name in family.free], np.longdouble)
    yield w, others
    if not family.located:
        yield np.zeros_like(w), others


def units(family: Family, data: Leaves, place: Place) -> np.ndarray:
    """Return the size of a moderate move in each coordinate."""
    spread = max(float(np.std(data["y"])), 1e-300) if family.located else 1.0
    return np.append(np.full(place.basis.shape[1], spread), np.ones(len(place.free)))


def climbed(place: Place, size: np.ndarray) -> Place:
    """Return the place where BFGS ends, run twice so that the second starts from the scales found by the first."""
    for _ in range(2):
        sides = np.concatenate([np.diag(size) * STEP, -np.diag(size) * STEP], axis=1)

        def loss(move: np.ndarray, place: Place = place, size: np.ndarray = size) -> float:
            value = -place.changes((move * size)[:, None])[0]
            return value if np.isfinite(value) else 1e300

        def slope(
            move: np.ndarray, place: Place = place, size: np.ndarray = size, sides: np.ndarray = sides
        ) -> np.ndarray:
            ahead, behind = place.changes((move * size)[:, None] + sides).reshape(2, -1)
            with np.errstate(all="ignore"):
                return np.nan_to_num(-((ahead - behind) / (2 * STEP)))

        with np.errstate(all="ignore"):
            found = minimize(
                loss, np.zeros(place.size), jac=slope, method="BFGS", options={"maxiter": MOST, "gtol": 1e-7}
            )
        place = place.moved(found.x * size)
    return place
