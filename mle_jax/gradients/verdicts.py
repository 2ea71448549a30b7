"""From three numbers and their errors to a verdict: two against one, and never more than the digits allow."""

import enum
import math
from collections.abc import Iterable
from typing import NamedTuple


class Verdict(enum.StrEnum):
    """What a coordinate's three derivatives say about each other; the better ones last."""

    NOT_FINITE = "not finite"
    SHAPE = "wrong shape"
    WRONG = "wrong"
    AUTODIFF = "autodiff wrong"
    UNCLEAR = "cannot tell"
    KINK = "not differentiable here"
    OK = "ok"

    @property
    def passes(self) -> bool:
        """Whether a check passes with it."""
        return self in (Verdict.KINK, Verdict.OK)

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Verdict).index(self)


def badness(verdict: Verdict, discrepancy: float) -> tuple[int, float]:
    """Return a key that sorts the worst verdict and the largest discrepancy first; NaN is the largest."""
    return verdict.rank, -(math.inf if math.isnan(discrepancy) else discrepancy)


def counted(verdicts: Iterable[Verdict]) -> str:
    """Write how many there are of each: ``2 wrong, 5 ok``."""
    found = list(verdicts)
    return ", ".join(f"{found.count(verdict)} {verdict}" for verdict in Verdict if verdict in found)


class Trio(NamedTuple):
    """The derivatives of one coordinate from the three sources, with what is known of their errors."""

    hand: float
    auto: float
    numeric: float
    error: float
    """Of the numeric one; infinite where it carries no digits."""
    bound: float
    """The difference between handwritten and automatic that rounding explains."""
    jump: float
    """Right-hand minus left-hand slope; 0 where they agree."""


MARGIN = 5.0
"""Errors by which the differences must miss two sources that agree, before they are believed against both."""

LEAST = 1e-7
"""Share of a derivative by which the differences must miss them, too. Next to an edge, where 1 - p^2 has lost half its
digits, rounding errors may be the same at every step (p^2 is rounded to the same spacing): then they are part of the
function that is differenced, and no estimate made from its values sees them."""


def judge(trio: Trio) -> Verdict:
    """Judge a handwritten derivative."""
    if not math.isfinite(trio.hand):
        return Verdict.NOT_FINITE
    if trio.jump != 0.0:
        return _judge_kink(trio)
    tolerance = 2.0 * trio.error + trio.bound
    hand_near = abs(trio.hand - trio.numeric) <= tolerance
    if not math.isfinite(trio.auto):
        return Verdict.AUTODIFF if hand_near and math.isfinite(tolerance) else Verdict.NOT_FINITE
    auto_near = abs(trio.auto - trio.numeric) <= tolerance
    if abs(trio.hand - trio.auto) <= trio.bound:
        return _judge_agreement(trio)
    if not math.isfinite(tolerance) or hand_near == auto_near:
        return Verdict.UNCLEAR
    return Verdict.WRONG if auto_near else Verdict.AUTODIFF


def judge_autodiff(trio: Trio, insignificant: float) -> Verdict:
    """Judge the automatic derivative against finite differences alone.

    Args:
        trio: `hand` is not looked at.
        insignificant: an error of the differences that is nothing, beside which a zero counts as confirmed.
    """
    if not math.isfinite(trio.auto):
        return Verdict.NOT_FINITE
    if trio.jump != 0.0:
        return _judge_kink(trio._replace(hand=trio.auto))
    enough = max(0.01 * max(abs(trio.auto), abs(trio.numeric)), insignificant, trio.bound)
    if not trio.error <= enough:
        return Verdict.UNCLEAR
    return _judge_agreement(trio._replace(hand=trio.auto))


def _judge_agreement(trio: Trio) -> Verdict:
    """Handwritten and automatic agree: only differences that leave no doubt can contradict them."""
    apart = abs(trio.auto - trio.numeric)
    doubt = max(MARGIN * (trio.error + trio.bound), LEAST * abs(trio.auto))
    contradicted = math.isfinite(trio.error) and apart > doubt
    return Verdict.AUTODIFF if contradicted else Verdict.OK


def _judge_kink(trio: Trio) -> Verdict:
    """At a kink every slope between the one-sided ones is right."""
    half = abs(trio.jump) / 2.0 + 2.0 * trio.error + trio.bound
    hand_inside = abs(trio.hand - trio.numeric) <= half
    auto_inside = abs(trio.auto - trio.numeric) <= half
    if hand_inside and auto_inside:
        return Verdict.KINK
    if hand_inside == auto_inside:
        return Verdict.UNCLEAR if abs(trio.hand - trio.auto) > trio.bound else Verdict.AUTODIFF
    return Verdict.AUTODIFF if hand_inside else Verdict.WRONG
