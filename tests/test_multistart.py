"""`fit(..., starts=n)`: the highest certified maximum, and a table of the distinct ones."""

import functools
import operator

import numpy as np
import pytest

import mle_jax as mle
from tests import models_digits

Y = np.array([-10.0, -9.5, 10.0])


def log_density(params, row):
    return mle.densities.cauchy.log_density(row["y"], params["m"], 1.0)


CAUCHY = mle.Model(log_density, {"m": mle.Real()}, name="cauchy")


def stationary_points(y):
    """Return the real roots of the score of a Cauchy location: of sum_i (y_i - m) prod_{j != i} (1 + (y_j - m)^2)."""
    parts = [np.poly1d([-1.0, value]) for value in y]
    ones = [np.poly1d([1.0, -2 * value, 1 + value**2]) for value in y]
    others = [functools.reduce(operator.mul, ones[:i] + ones[i + 1 :]) for i in range(len(y))]
    total = sum((part * other for part, other in zip(parts, others, strict=True)), start=np.poly1d([0.0]))
    roots = total.roots
    return np.sort(roots[np.abs(roots.imag) < 1e-9].real)


@pytest.fixture(scope="module")
def cauchy():
    return mle.fit(CAUCHY, {"y": Y}, start={"m": 9.0}, starts=32, seed=1)


def test_the_highest_of_two_maxima_is_found_from_the_wrong_side(cauchy):
    low, _, high = stationary_points(Y)  # a maximum, a minimum, a maximum
    assert mle.fit(CAUCHY, {"y": Y}, start={"m": 9.0}).params["m"] == pytest.approx(high, rel=1e-9)
    assert cauchy.converged and cauchy.params["m"] == pytest.approx(low, rel=1e-9)
    np.testing.assert_allclose(np.sort(cauchy.maxima["m"]), [low, high], rtol=1e-9)
    assert np.all(np.diff(cauchy.maxima["log_likelihood"]) < 0)
    assert cauchy.maxima["log_likelihood"][0] == pytest.approx(cauchy.log_likelihood, rel=1e-12)
    assert cauchy.maxima["starts"].sum() <= 32
    assert "highest of 2 certified maxima" in cauchy.summary()


def test_the_same_seed_gives_the_same_table(cauchy):
    again = mle.fit(CAUCHY, {"y": Y}, start={"m": 9.0}, starts=32, seed=1)
    assert again.maxima["starts"].tolist() == cauchy.maxima["starts"].tolist()
    assert mle.fit(CAUCHY, {"y": Y}).maxima is None


def test_a_singularity_never_beats_a_maximum():
    """A mixture's likelihood is infinite where a component sits on one observation; two labelings are two maxima."""
    name = "mixture2_geyser"
    case = models_digits.CASES[name]
    fit = mle.fit(case.make(), models_digits.dataset(name, case), starts=24)
    best = models_digits.content(name)["loglik"]
    assert fit.converged and fit.log_likelihood == pytest.approx(best, rel=1e-10)
    np.testing.assert_allclose(fit.maxima["log_likelihood"], best, rtol=1e-10)
    ended = int(fit.maxima.notes[0].split()[0]) if fit.maxima.notes else 0
    assert ended + fit.maxima["starts"].sum() == 24


def test_without_a_maximum_the_first_start_speaks():
    data = {"x": np.ones((6, 1)), "y": np.zeros(6)}
    with pytest.warns(mle.ConvergenceWarning, match=r"rising"):
        fit = mle.fit(mle.models.logistic_regression(), data, starts=4)
    assert fit.status is mle.Status.rising and len(fit.maxima) == 0
    assert "4 of 4 starts ended without a certified maximum" in str(fit.maxima)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"starts": 0}, r"starts is 0, but it must be a whole number of at least 1"),
        ({"starts": 2.5}, r"starts is 2.5, but it must be a whole number"),
        ({"starts": 4, "dtype": "float32"}, r"starts=4 and dtype='float32' do not go together"),
        ({"starts": 4, "record": True}, r"starts=4 and record=True do not go together"),
    ],
)
def test_what_many_starts_cannot_do(options, told):
    with pytest.raises(ValueError, match=told):
        mle.fit(CAUCHY, {"y": Y}, **options)


def test_many_starts_for_kinks_are_refused():
    with pytest.raises(ValueError, match=r"laplace_regression has kinks .* leave starts out"):
        mle.fit(mle.models.laplace_regression(), {"x": np.ones((3, 1)), "y": Y}, starts=4)
