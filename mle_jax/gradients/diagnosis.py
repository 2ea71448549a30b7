"""The diagnosis: what the evidence from all points says, in sentences, worst first, and nothing where it is thin."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mle_jax._text import listing, significant
from mle_jax._trees import named_leaves
from mle_jax.gradients.coordinates import Coordinates
from mle_jax.gradients.evidence import Evidence, Task
from mle_jax.gradients.patterns import find_patterns
from mle_jax.gradients.slips import Case, Finding
from mle_jax.gradients.verdicts import Verdict


def diagnose(task: Task, found: Sequence[Evidence]) -> tuple[str, tuple[Finding, ...]]:
    """Return what seems to be wrong, in sentences, empty if there is nothing to say; and the slips among it.

    Args:
        task: what was checked.
        found: the evidence at each point, the base point first.
    """
    case = _case(task, found)
    slips = () if case is None else tuple(find_patterns(case))
    sentences = [
        *_not_finite(task, found),
        *(slip.sentence for slip in slips),
        *_broken_autodiff(task, found),
        *_unclear(task, found),
        *_only_oblique(task, found),
        *_kinks(task, found),
        *_digits_in_single_precision(task, found),
    ]
    return " ".join(sentences), slips


def _case(task: Task, found: Sequence[Evidence]) -> Case | None:
    """Put together what the patterns look at; None without a handwritten gradient."""
    if task.gradient is None:
        return None
    k = task.coords.size
    # A point at which nothing is finite tells nothing about the others, and at a kink there are many right gradients.
    finite = [one for one in found if np.all(np.isfinite(one.auto[:k]))] or list(found)
    smooth = [one for one in finite if not np.any(one.slopes.jump[:k])]
    useful = smooth if len(smooth) > 1 else finite
    return Case(
        coords=task.coords,
        points=np.stack([one.point for one in useful]),
        hand=np.stack([one.hand[:k] for one in useful]),
        right=np.stack([one.auto[:k] for one in useful]),
        bound=np.stack([one.rounding[:k] for one in useful]),
        wrong=np.any([[v is Verdict.WRONG for v in one.verdicts[:k]] for one in found], axis=0),
        misfits=tuple(one.laid.misfits for one in useful),
        strangers=useful[0].laid.strangers,
        lengths=_lengths(task.probe.args),
        probe=task.probe.moved(useful[0].point),
        gradient=task.gradient,
    )


def _lengths(args: Any) -> dict[int, str]:
    """Return the lengths of the first axes of the data, above 1, each with the name of a leaf."""
    named = named_leaves(args)
    lengths: dict[int, str] = {}
    for name, leaf in zip(named.names, named.leaves, strict=True):
        if np.ndim(leaf) and np.shape(leaf)[0] > 1:
            position, _, rest = name.partition(".")
            lengths.setdefault(int(np.shape(leaf)[0]), f"'{rest}'" if rest else f"argument {int(position) + 1}")
    return lengths


def _where(coords: Coordinates, found: Sequence[Evidence], verdict: Verdict) -> tuple[list[int], Evidence]:
    """Return the coordinates with a verdict at the first point that has any, and that point's evidence."""
    for one in found:
        places = [i for i in range(coords.size) if one.verdicts[i] is verdict]
        if places:
            return places, one
    return [], found[0]


def _names(coords: Coordinates, places: Sequence[int]) -> str:
    return listing([coords.names[i] for i in places])


def _not_finite(task: Task, found: Sequence[Evidence]) -> list[str]:
    if not np.isfinite(found[0].value):
        return [f"The function is {found[0].value} at params; check at a point of its domain."]
    places, one = _where(task.coords, found, Verdict.NOT_FINITE)
    sentences = []
    for source, in_double, shown in (
        ("handwritten gradient", one.hand, one.shown[0]),
        ("autodiff of the function", one.auto, one.shown[1]),
    ):
        if source.startswith("hand") and task.gradient is None:
            continue
        bad = [i for i in places if not (np.isfinite(in_double[i]) and np.isfinite(shown[i]))]
        if bad:
            only = f" in {task.dtype} only" if np.all(np.isfinite(in_double[bad])) else ""
            sentences.append(f"The {source} is {shown[bad[0]]} for {_names(task.coords, bad)}{only}.")
    return sentences


def _broken_autodiff(task: Task, found: Sequence[Evidence]) -> list[str]:
    places, one = _where(task.coords, found, Verdict.AUTODIFF)
    if not places:
        return []
    values = one.auto[places]
    agreeing = task.gradient is not None and all(
        abs(one.hand[i] - one.slopes.value[i]) <= 2.0 * one.slopes.error[i] + one.bound[i] for i in places
    )
    against = "the handwritten gradient and finite differences agree" if agreeing else "finite differences disagree"
    first = places[0]
    numbers = f"{significant(one.auto[first], 9)} against {significant(one.slopes.value[first], 9)}"
    hint = ""
    if not np.all(np.isfinite(values)):
        hint = ": look for a jnp.where whose unused branch is not finite (it leaks NaN), or a norm or root of zero"
    elif np.all(values == 0.0):
        hint = ": look for stop_gradient, rounding or a cast to integers on the way from the parameter"
    return [
        f"Autodiff of the function is wrong for {_names(task.coords, places)} ({numbers} in "
        f"{task.coords.names[first]!r}; {against}){hint}."
    ]


def _unclear(task: Task, found: Sequence[Evidence]) -> list[str]:
    places, one = _where(task.coords, found, Verdict.UNCLEAR)
    if not places:
        return []
    names = _names(task.coords, places)
    if task.gradient is None:
        return [f"Finite differences carry too few digits to confirm autodiff for {names}; rescale the function."]
    trio = one.trio(places[0])
    apart = abs(trio.hand - trio.auto)
    why = (
        "finite differences carry too few digits to tell which is wrong"
        if not trio.error < apart / 4.0
        else "finite differences agree with neither"
    )
    return [
        f"The handwritten gradient and autodiff disagree for {names} (by {significant(apart, 3)} in "
        f"{task.coords.names[places[0]]!r}), and {why}."
    ]


def _only_oblique(task: Task, found: Sequence[Evidence]) -> list[str]:
    """Speak of the random direction where the coordinates show nothing."""
    if any(not verdict.passes for one in found for verdict in one.verdicts[:-1]):
        return []
    for number, one in enumerate(found):
        if not one.verdicts[-1].passes and one.verdicts[-1] is not Verdict.SHAPE:
            return [
                f"Along a random direction at point {number} the slope is {significant(one.slopes.value[-1], 6)}, the "
                f"gradient says {significant(one.hand[-1], 6)} ({one.verdicts[-1]})."
            ]
    return []


def _kinks(task: Task, found: Sequence[Evidence]) -> list[str]:
    places, one = _where(task.coords, found, Verdict.KINK)
    if not places:
        return []
    first = places[0]
    half = one.slopes.jump[first] / 2.0
    sides = [significant(one.slopes.value[first] + side, 6) for side in (-half, half)]
    return [
        f"The function is not differentiable here in {_names(task.coords, places)} (slopes {sides[0]} to the left and "
        f"{sides[1]} to the right in {task.coords.names[first]!r}); any value between the two is accepted."
    ]


def _digits_in_single_precision(task: Task, found: Sequence[Evidence]) -> list[str]:
    """Remark on a formula that is right and yet loses digits in float32 that autodiff keeps."""
    if task.single is None or task.gradient is None:
        return []
    k = task.coords.size
    places: set[int] = set()
    for one in found:
        with np.errstate(invalid="ignore"):
            lost = [np.abs(shown - exact[:k]) for shown, exact in zip(one.shown, (one.hand, one.auto), strict=True)]
            bad = (lost[0] > 1e-2 * np.abs(one.hand[:k])) & (lost[0] > 10.0 * lost[1] + 1e-5 * one.pieces[:k])
        places |= {int(i) for i in np.flatnonzero(bad) if one.verdicts[i].passes}
    if not places:
        return []
    return [
        f"The handwritten gradient is right but loses most of its digits in float32 for "
        f"{_names(task.coords, sorted(places))}, where autodiff keeps them."
    ]
