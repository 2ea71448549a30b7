"""T1 and T10: the derivative as a limit, and what a vanishing derivative means."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax.gradients import critical_point, difference_curve
from mle_jax.text.example import Demonstration, Example, answer
from mle_jax.text.likelihoods import Case
from mle_jax.text.squared_error import T8

RATES = (1.0, 2.0, -1.0)  # of the three coordinates in T1: df/dw_i = RATES[i] f
POINTS = 20
FALLING = (1e-1, 1e-3, 1e-5)
RISING = (1e-9, 2e-9, 5e-9, 1e-12, 2e-12, 5e-12)
EXPONENT_TOLERANCE = 0.1
"""Rounding errors scatter: the root mean square of 60 is known to 1/sqrt(120) = 0.04 decades, the mean logarithm of
three such to 0.02, and the exponent over three decades to 0.02 sqrt(2)/3 = 0.01: this is ten times as much."""

SIGNS = {"minimum": (1.0, 2.0), "maximum": (-1.0, -2.0), "saddle": (1.0, -2.0), "undecided": (1.0, 0.0)}
"""Eigenvalues of the Hessian of T10 for each verdict of the second-derivative test."""


def exponential(w: Any) -> Array:
    """Return exp(w_1 + 2 w_2 - w_3): none of its derivatives vanishes anywhere, so the errors are easy to foresee."""
    return jnp.exp(jnp.asarray(RATES) @ jnp.asarray(w))


def _points(seed: int, count: int) -> Iterator[Case]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng.standard_normal(3), ()


def _slopes_of_the_error(seed: int) -> Demonstration:
    """Measure how the error of difference quotients goes with the step h.

    Forward: h/2 f'', so h^1; central: h^2/6 f''', so h^2; below 1e-8 rounding takes over with eps/h, so h^-1. The
    discrepancy is the largest distance of a measured exponent from these.
    """
    steps = FALLING + RISING
    squares = np.zeros((2, len(steps)))
    for w, _ in _points(seed, POINTS):
        for i in range(len(RATES)):
            curve = difference_curve(exponential, w, steps=steps, coordinate=i)
            squares += (np.stack([curve.forward, curve.central]) / curve.derivative) ** 2
    forward, central = 0.5 * np.log10(squares / (POINTS * len(RATES)))  # root mean squares, in decades
    rising = np.mean(forward[3:6]) - np.mean(forward[6:9])
    exponents = (forward[1] - forward[2]) / 2, (central[0] - central[1]) / 2, rising / 3
    off = max(abs(found - said) for found, said in zip(exponents, (1.0, 2.0, -1.0), strict=True))
    note = "error falls like h^{:.2f} (central h^{:.2f}), then rises like h^{:.2f}".format(*exponents)
    return Demonstration(POINTS, float(off), EXPONENT_TOLERANCE, note)


def bowl(w: Any, hessian: Any, center: Any) -> Array:
    """Return (w - c)' H (w - c) / 2 + sum (w_j - c_j)^4: critical at c, and H decides of what kind, unless singular."""
    away = jnp.asarray(w) - center
    return away @ hessian @ away / 2 + jnp.sum(away**4)


def _bowls(seed: int, count: int) -> Iterator[Case]:
    """Yield points, Hessians and centers, the four kinds of critical points in turn."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        signs = list(SIGNS.values())[number % len(SIGNS)]
        rotation, _ = np.linalg.qr(rng.standard_normal((2, 2)))
        yield rng.standard_normal(2), (rotation @ np.diag(signs) @ rotation.T, rng.standard_normal(2))


def _verdicts(seed: int) -> Demonstration:
    """Ask `critical_point` about points whose kind is known; the discrepancy is the number of wrong answers."""
    wrong: list[str] = []
    asked = 0

    def ask(expected: str, *problem: Any) -> None:
        nonlocal asked
        asked += 1
        found = critical_point(*problem).verdict
        if found != expected:
            wrong.append(f"{found} instead of {expected}")

    for number, (w, (hessian, center)) in enumerate(_bowls(seed, 8)):
        ask(list(SIGNS)[number % len(SIGNS)], bowl, center, hessian, center)
        ask("not critical", bowl, w, hessian, center)
    assert T8.closed_form is not None
    for w, (x, y, variance) in T8.cases(seed, 4):
        best = T8.closed_form(x, y, variance)
        ask("maximum", T8.function, best, x, y, variance)
        ask("not critical", T8.function, w, x, y, variance)
    note = f"{asked - len(wrong)} of {asked} verdicts right" + "".join(f"; {found}" for found in sorted(set(wrong)))
    return Demonstration(asked, float(len(wrong)), 0.0, note)


T1 = Example(
    id="T1",
    title="Definition 1: partial derivative as a limit",
    statement="(f(w + h e_i) - f(w)) / h as h -> 0, here of f(w) = exp(w_1 + 2 w_2 - w_3): the error falls like h "
    "(central quotient: h^2), then rises like eps / h",
    function=exponential,
    cases=_points,
    demonstrate=_slopes_of_the_error,
)

T10 = Example(
    id="T10",
    title="Critical Points and Local Extrema",
    statement="where grad f(w) = 0 the eigenvalues of the Hessian say maximum, minimum, saddle or undecided; -L of T7 "
    "is convex in w",
    function=bowl,
    cases=_bowls,
    closed_form=answer(lambda hessian, center: center),
    demonstrate=_verdicts,
)
