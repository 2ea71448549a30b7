"""NIST's nonlinear regressions from both starts: eight certified digits, and nothing wrong that says `converged`."""

import pytest

from tests import nist_nonlinear as nist

QUICK = ("misra1a", "mgh17", "rat43")
"""One that is easy, one in a narrow bent valley, one that fails for many from start 1; every problem compiles anew."""
LOST = {("mgh09", "start1")}
"""From here the search climbs along a ridge to infinity, ever more slowly, and says `max_steps`."""
BLURRED = "lanczos1"
"""Its residuals are 13 digits smaller than the data: float64 leaves three digits of their size, so of the errors; and a
score whose rounding errors are about a hundredth of a standard error, so that the status may be either of two."""

NARROW = "bennett5"
"""The floor of its valley is so flat that a point within rounding of the top has six to ten digits: how many, the order
decides in which the compiler adds up. Compiled as users compile: seven from start 1 and ten from start 2."""


def problems():
    return [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in nist.PROBLEMS]


@pytest.mark.parametrize("which", nist.STARTS)
@pytest.mark.parametrize("name", problems())
def test_certified_digits_or_an_honest_status(name, which):
    fit = nist.run(name, which)
    if (name, which) in LOST:
        assert not fit.converged
        return
    # Where rounding hides the last step, how far it was from there depends on the processor: lanczos2 from start 1 has
    # 7.4 digits on an AMD EPYC, and says `converged_to_rounding`.
    least = 7 if fit.status.name == "converged_to_rounding" else 8
    assert nist.estimate_digits(name, fit) >= (6 if name == NARROW else least)
    if name == BLURRED:
        assert fit.status.name in ("converged_to_rounding", "precision_lost")
        return
    assert fit.converged, fit.message
    assert nist.error_digits(name, fit) >= 6


def test_all_problems_are_here():
    assert len(nist.PROBLEMS) == 27
