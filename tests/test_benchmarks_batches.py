"""The batches of the benchmarks: their data, and the references in NumPy, held against SciPy's log densities.

Nothing is fitted here: what a reference calls a maximum must be one of the log-likelihood that SciPy computes.
"""

import sys
import time
import types

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import nbinom, poisson

from benchmarks.workloads import _negative_binomial, _peaks, _poisson, lane_counts, laplace_batch, ragged_groups
from benchmarks.workloads._lanes import all_of, in_standard_errors, joined
from benchmarks.workloads.gaussian_peaks import prepare_gpufit
from benchmarks.workloads.stragglers import FAR, starts


def score_and_information(log_likelihood, flat, se):
    """Return both by central differences, in units of the standard errors of each parameter."""
    k, h = len(flat), 1e-3 * se

    def at(*moves):
        point = flat.copy()
        for i, sign in moves:
            point[i] += sign * h[i]
        return log_likelihood(point)

    score = np.array([(at((i, 1)) - at((i, -1))) / 2e-3 for i in range(k)])
    corners = [[at((i, a), (j, b)) * a * b for a in (1, -1) for b in (1, -1)] for i in range(k) for j in range(k)]
    return score, -np.sum(corners, axis=1).reshape(k, k) / 4e-6


def check_maximum(log_likelihood, flat, se):
    # Differences of log-likelihoods of some hundred, rounded at 1e-13, over steps of 1e-3 and 1e-6 standard errors^2.
    score, information = score_and_information(log_likelihood, flat, se)
    assert np.max(np.abs(np.linalg.solve(information, score))) < 1e-4
    assert np.sqrt(np.diag(np.linalg.inv(information))) == pytest.approx(np.ones(len(se)), abs=1e-4)


def test_the_reference_of_poisson_regressions_is_the_maximum():
    data = _poisson.generate(datasets=5, n=60, p=3)
    found = _poisson.reference(data)
    for lane in (0, 4):
        x, y = data["x"][lane], data["y"][lane]
        check_maximum(lambda w: poisson.logpmf(y, np.exp(x @ w)).sum(), found["flat"][lane], found["se"][lane])  # noqa: B023 - called at once
    assert _poisson.worst_at(data, found) < 1e-8
    moved = {**found, "flat": found["flat"] + np.array([[0.0, 2e-3, 0.0]]) * found["se"]}
    assert 2e-3 < _poisson.worst_at(data, moved) < 1e-2  # a coefficient alone is at least as far as its error says
    assert _poisson.worst_at(data, {**found, "se": 1.01 * found["se"]}) == pytest.approx(0.01, rel=1e-6)


def test_the_reference_of_negative_binomial_regressions_is_the_maximum():
    data = _negative_binomial.generate(datasets=4, n=120, p=2)
    found = _negative_binomial.reference(data)
    x, y = data["x"][3], data["y"][3]

    def log_likelihood(flat):
        r = 1 / flat[-1]
        return nbinom.logpmf(y, r, r / (r + np.exp(x @ flat[:-1]))).sum()

    check_maximum(log_likelihood, found["flat"][3], found["se"][3])


def test_the_reference_of_peaks_is_the_maximum():
    peaks = _peaks.generate(images=6, side=7)
    found = _peaks.reference(peaks)

    def log_likelihood(flat):
        height, u0, v0, width, background = flat
        square = (peaks.u - u0) ** 2 + (peaks.v - v0) ** 2
        return poisson.logpmf(peaks.y[5], background + height * np.exp(-square / (2 * width**2))).sum()

    check_maximum(log_likelihood, found["flat"][5], found["se"][5])


def test_a_vertex_is_proved_by_its_multipliers():
    data = laplace_batch.generate(datasets=2, n=15, p=2)
    x, y = data["x"][0], data["y"][0]
    # y = x b + up - down, up and down at least 0: their sum is the sum of absolute residuals.
    ones = np.eye(len(y))
    bounds = [(None, None)] * 2 + [(0, None)] * 30
    found = linprog(np.r_[0, 0, np.ones(30)], A_eq=np.c_[x, ones, -ones], b_eq=y, bounds=bounds)
    one = {"x": x[None], "y": y[None]}
    vertex, multiplier = laplace_batch.vertices(one, found.x[None, :2])
    assert multiplier[0] <= 1 + 1e-9 and vertex[0] == pytest.approx(found.x[:2], abs=1e-9)
    assert laplace_batch.deviations(one, vertex)[0] == pytest.approx(found.fun, rel=1e-12)
    _, elsewhere = laplace_batch.vertices(one, found.x[None, :2] + 1.0)
    assert elsewhere[0] > 1


def test_errors_are_those_of_the_lanes_that_an_answer_claims():
    reference = {"flat": np.zeros((3, 2)), "se": np.full((3, 2), 0.5)}
    flat = np.array([[0.0, 0.1], [0.2, 0.0], [9.0, 9.0]])
    assert in_standard_errors({"flat": flat[:2]}, reference) == pytest.approx(0.4)
    assert in_standard_errors({"flat": flat, "converged": np.array([True, True, False])}, reference) == pytest.approx(
        0.4
    )
    assert in_standard_errors({"flat": flat[:1], "se": np.full((1, 2), 0.6)}, reference) == pytest.approx(0.2)
    assert np.isnan(in_standard_errors({"flat": flat, "converged": np.zeros(3, bool)}, reference))
    assert np.isnan(in_standard_errors({"flat": np.where(flat == 9, np.nan, flat)}, reference))


def test_one_lane_in_a_hundred_is_a_straggler():
    data = _poisson.generate(datasets=300, n=20, p=3)
    near, far = starts(data, far=False), starts(data, far=True)
    moved = np.flatnonzero(np.any(near != far, axis=1))
    assert len(moved) == 3 and far[moved] - near[moved] == pytest.approx(np.tile([FAR, 0, 0], (3, 1)))
    assert np.exp(near[:, 0]) == pytest.approx(data["y"].mean(axis=1))


def test_groups_are_ragged_and_equal_ones_hold_the_same_rows():
    groups = ragged_groups.generate(groups=400, largest=5000, p=2)
    sizes = groups.sizes
    assert sizes.min() >= 5 and sizes.max() <= 5000 and sizes.sum() == len(groups.y)
    # Log-uniform: half of the groups are below the geometric mean, 158; four standard deviations of a share are 0.1.
    assert abs(np.mean(sizes < np.sqrt(5 * 5001)) - 0.5) < 0.1
    equal = groups.equal
    assert len(equal["y"]) == 400 and equal["y"].size > len(groups.y) - 400
    assert np.array_equal(equal["y"].ravel(), groups.y[: equal["y"].size])
    first, second = groups.one_by_one[:2]
    assert np.array_equal(np.r_[first["y"][0], second["y"][0]], groups.y[: sizes[:2].sum()])


class Fits:
    """What `fit_batch` returns, as far as benchmarks look at it, by the reference."""

    def __init__(self, data):
        found = _poisson.reference(data)
        self.params, self.errors = {"w": found["flat"]}, {"w": found["se"]}
        self.converged, self.steps = found["steps"] > 0, found["steps"]

    def standard_errors(self):
        return self.errors


def test_lanes_are_made_chunk_by_chunk_and_only_the_fits_are_timed(monkeypatch):
    batches = []

    def fit_batch(model, data):
        batches.append(data)
        time.sleep(0.01)
        return Fits(data)

    def generate(**size):
        time.sleep(0.2)
        return _poisson.generate(**size)

    monkeypatch.setattr(lane_counts.mle, "fit_batch", fit_batch)
    monkeypatch.setattr(lane_counts, "generate", generate)
    monkeypatch.setattr(lane_counts, "CHUNK", 4)
    found = lane_counts.prepare(10, False, {"datasets": 100, "n": 30, "p": 2})()
    assert [len(batch["y"]) for batch in batches] == [4, 4, 2]
    assert not np.array_equal(batches[0]["y"], batches[1]["y"])
    assert len(found.answer["steps"]) == 10 and found.answer["worst"] < 1e-8 and found.answer["converged"].all()
    assert 0.03 <= found.seconds < 0.6  # three fits, without the three times 0.2 s of making data
    wide = joined([all_of(Fits(batch)) for batch in batches])
    assert wide["flat"].shape == wide["se"].shape == (10, 2)


def test_gpufit_gets_the_images_in_its_own_layout(monkeypatch):
    peaks = _peaks.generate(images=3, side=5)
    given = {}

    def fit(images, weights, model, starts, **options):
        given.update(options, images=images, starts=starts, model=model, weights=weights)
        return peaks.truth.astype(np.float32), np.array([0, 0, 2]), np.zeros(3), np.array([4, 5, 6]), 0.0

    module = types.ModuleType("pygpufit.gpufit")
    module.fit = fit
    module.ModelID, module.EstimatorID = types.SimpleNamespace(GAUSS_2D=1), types.SimpleNamespace(MLE=1)
    monkeypatch.setitem(sys.modules, "pygpufit", types.ModuleType("pygpufit"))
    monkeypatch.setitem(sys.modules, "pygpufit.gpufit", module)
    answer = prepare_gpufit("pygpufit", peaks)()
    assert given["images"].dtype == given["starts"].dtype == np.float32 and given["images"].flags.c_contiguous
    assert (given["model"], given["estimator_id"], given["weights"]) == (1, 1, None)
    assert answer["converged"].tolist() == [True, True, False]
    # GAUSS_2D of Gpufit's documentation: p4 + p0 exp(-((x - p1)^2 + (y - p2)^2) / (2 p3^2)) at pixel y n_x + x.
    p = peaks.truth[0]
    pixels = [
        p[4] + p[0] * np.exp(-((x - p[1]) ** 2 + (y - p[2]) ** 2) / (2 * p[3] ** 2)) for y in range(5) for x in range(5)
    ]
    mean, _ = _peaks.mean_and_slopes(p[None], peaks.u, peaks.v)
    assert mean[0] == pytest.approx(pixels, rel=1e-12)
    # Moments of so bright a peak are within a pixel of its center.
    assert np.all(np.abs(given["starts"][:, 1:3] - peaks.truth[:, 1:3]) < 1)
