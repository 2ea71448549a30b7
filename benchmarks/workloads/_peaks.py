"""Images of a Gaussian peak with Poisson counts: data, start, and Newton's method in NumPy, which is the reference.

mean = background + height exp(-((u - u0)^2 + (v - v0)^2) / (2 width^2)), parameters (height, u0, v0, width, background)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.frame.workload import Counts
from benchmarks.workloads._lanes import chunks, errors_of, joined

STEP = 1e-5  # of the differences of the score, relative to the parameters: an error of about 1e-9 of the information


@dataclass(frozen=True)
class Peaks:
    """Images of one size.

    Args:
        y: counts (B, pixels).
        u: coordinates of the pixels, (pixels,).
        v: the other coordinates.
        truth: the parameters that they were drawn with (B, 5): where the reference starts, and nobody else.
    """

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    truth: np.ndarray

    @property
    def data(self) -> dict[str, np.ndarray]:
        """The data for the model."""
        return {"y": self.y, "u": self.u, "v": self.v}


def generate(*, images: int, side: int) -> Peaks:
    """Return bright peaks near the middle of images with some background: every maximum is inside the domain."""
    rng = np.random.default_rng(17)
    v, u = (axis.ravel() for axis in np.mgrid[0:side, 0:side].astype(float))
    middle = (side - 1) / 2
    low = np.array([100.0, middle - 0.7, middle - 0.7, 0.14 * side, 8.0])
    high = np.array([400.0, middle + 0.7, middle + 0.7, 0.2 * side, 12.0])
    truth = rng.uniform(low, high, (images, 5))
    return Peaks(rng.poisson(mean_and_slopes(truth, u, v)[0]).astype(float), u, v, truth)


def mean_and_slopes(flat: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected counts (B, pixels) and their derivatives (B, 5, pixels)."""
    height, u0, v0, width, background = (flat[:, i, None] for i in range(5))
    du, dv = u - u0, v - v0
    square = du**2 + dv**2
    g = np.exp(-square / (2 * width**2))
    factor = height * g / width**2
    slopes = [g, factor * du, factor * dv, factor * square / width, np.ones_like(g)]
    return background + height * g, np.stack(slopes, axis=1)


def score(flat: np.ndarray, peaks: Peaks, part: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return the score (B, 5) and the expected information J' diag(1/mean) J (B, 5, 5)."""
    mean, slopes = mean_and_slopes(flat, peaks.u, peaks.v)
    scaled = slopes / mean[:, None]
    return (scaled @ (peaks.y[part] - mean)[..., None])[..., 0], scaled @ slopes.transpose(0, 2, 1)


def observed_information(flat: np.ndarray, peaks: Peaks, part: slice) -> np.ndarray:
    """Return the observed information (B, 5, 5) by central differences of the score."""
    columns = []
    for i in range(5):
        step = np.zeros_like(flat)
        step[:, i] = STEP * np.maximum(np.abs(flat[:, i]), 1.0)
        apart = score(flat - step, peaks, part)[0] - score(flat + step, peaks, part)[0]
        columns.append(apart / (2 * step[:, i, None]))
    matrix = np.stack(columns, axis=1)
    return (matrix + matrix.transpose(0, 2, 1)) / 2


def reference(peaks: Peaks) -> dict[str, np.ndarray]:
    """Return maximizers and standard errors of all images, by Fisher's scoring from the truth and Newton's last steps.

    `steps` are those of Fisher's scoring to a decrement of 1e-6, from the truth: fewer than anybody can do without it.
    """
    return joined([_solved(peaks, part) for part in chunks(len(peaks.y))])


def _solved(peaks: Peaks, part: slice) -> dict[str, np.ndarray]:
    flat = peaks.truth[part].copy()
    steps = np.zeros(len(flat), int)
    for _ in range(60):
        slope, information = score(flat, peaks, part)
        step = np.linalg.solve(information, slope[..., None])[..., 0]
        decrement = np.sqrt(np.sum(step * slope, axis=-1))
        if np.all(decrement < 1e-8):
            return {"flat": flat, "se": errors_of(observed_information(flat, peaks, part)), "steps": steps}
        steps += decrement >= 1e-6
        flat = flat + step * np.minimum(1.0, 1.0 / decrement)[:, None]  # at most a standard error at once
    raise RuntimeError("Fisher's scoring in NumPy has not reached the maximum of every image")


def moment_start(peaks: Peaks, part: slice = slice(None)) -> np.ndarray:
    """Return start values for peers from the moments of the images (B, 5), as users of such programs do."""
    y = peaks.y[part]
    background = np.maximum(np.quantile(y, 0.2, axis=1), 0.1)
    above = np.maximum(y - background[:, None], 0.0)
    share = above / above.sum(axis=1, keepdims=True)
    u0, v0 = share @ peaks.u, share @ peaks.v
    square = (peaks.u - u0[:, None]) ** 2 + (peaks.v - v0[:, None]) ** 2
    width = np.sqrt(np.sum(share * square, axis=1) / 2)
    return np.stack([y.max(axis=1) - background, u0, v0, width, background], axis=1)


def counts(size: Any, known: Any) -> Counts:
    """Return the least that Fisher's scoring needs, at the steps that it took in NumPy."""
    images, pixels = size["images"], size["side"] ** 2
    looks = float(np.mean(known["steps"])) + 1.0
    return Counts(
        bytes=8.0 * images * (pixels + 10),
        flops=images * looks * (pixels * (18 + 2 * 5 + 5 * 6) + 150),
        exps=images * looks * 2 * size["side"],
        text=f"8 bytes a pixel, read once, and 5 estimates with standard errors written; {looks:.2f} looks (Fisher's "
        "scoring from the truth to a decrement of 1e-6, plus one) of 18 operations for the mean and its derivatives, "
        "10 for the score and 30 for the information a pixel, 150 to solve, and an exponential a row and a column, "
        "since that of a sum is a product",
    )
