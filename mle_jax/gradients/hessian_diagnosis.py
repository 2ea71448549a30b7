"""The diagnosis of second derivatives: what the evidence from all points says, and nothing where it is thin."""

from collections.abc import Sequence

import numpy as np

from mle_jax._text import listing, significant
from mle_jax._trees import named_leaves
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.hessian_evidence import SecondEvidence, SecondTask
from mle_jax.gradients.hessian_layout import WHOLE
from mle_jax.gradients.hessian_patterns import HessianCase, find_hessian_patterns
from mle_jax.gradients.row_sums import row_gradients
from mle_jax.gradients.verdicts import Verdict

Places = list[tuple[int, int]]


def diagnose_hessian(task: SecondTask, found: Sequence[SecondEvidence], columns: tuple[str, ...]) -> str:
    """Return what seems to be wrong, in sentences; empty if there is nothing to say.

    Args:
        task: what was checked.
        found: the evidence at each point, the base point first.
        columns: names of the columns.
    """
    sentences = [
        *_not_finite(task, found, columns),
        *_misfits(task, found),
        *find_hessian_patterns(_case(task, found, columns)),
        *_broken_gradient(task, found),
        *_broken_autodiff(task, found, columns),
        *_unclear(task, found, columns),
        *_kinks(task, found, columns),
    ]
    return " ".join(sentences)


def _case(task: SecondTask, found: Sequence[SecondEvidence], columns: tuple[str, ...]) -> HessianCase:
    m = len(columns)
    useful = [one for one in found if np.all(np.isfinite(one.auto))] or list(found)
    wrong = np.any([one.judged(Verdict.WRONG)[:, :m] for one in found], axis=0)
    return HessianCase(
        coords=task.coords,
        columns=columns,
        points=np.stack([one.point for one in useful]),
        gradients=np.stack([one.below.auto[:-1] for one in useful]),
        hand=np.stack([one.hand[:, :m] for one in useful]),
        right=np.stack([one.auto[:, :m] for one in useful]),
        bound=np.stack([one.rounding[:, :m] for one in useful]),
        wrong=wrong,
        laid=useful[0].laid,
        outer=_outer(task, useful) if np.any(wrong) and task.by_entry else None,
        lengths=_lengths(task.probe.args),
    )


def _outer(task: SecondTask, found: Sequence[SecondEvidence]) -> Vector | None:
    """Return the sums of the outer products of the observations' gradients, where the function is a sum of them."""
    sums = []
    for one in found:
        rows = row_gradients(task.probe.moved(one.point))
        if rows is None:
            return None
        # Of a mean the contributions are g_i / n, and the mean of g_i g_i' is n times the sum of their products.
        factor = len(rows.gradients) if rows.is_mean else 1.0
        sums.append(factor * rows.gradients.T @ rows.gradients)
    return np.stack(sums)


def _lengths(args: object) -> dict[int, str]:
    """Return the lengths of the first axes of the data, above 1, each with the name of a leaf."""
    named = named_leaves(args)
    lengths: dict[int, str] = {}
    for name, leaf in zip(named.names, named.leaves, strict=True):
        if np.ndim(leaf) and np.shape(leaf)[0] > 1:
            position, _, rest = name.partition(".")
            lengths.setdefault(int(np.shape(leaf)[0]), f"'{rest}'" if rest else f"argument {int(position) + 1}")
    return lengths


def _where(found: Sequence[SecondEvidence], verdict: Verdict, m: int) -> tuple[Places, SecondEvidence]:
    """Return the entries with a verdict at the first point that has any, and that point's evidence."""
    for one in found:
        places = [(int(i), int(j)) for i, j in np.argwhere(one.judged(verdict)[:, :m])]
        if places:
            # A symmetric pair is one entry.
            return [(i, j) for i, j in places if i <= j or (j, i) not in places], one
    return [], found[0]


def _names(task: SecondTask, places: Places, columns: tuple[str, ...]) -> str:
    return listing([f"{task.coords.names[i]}, {columns[j]}" for i, j in places])


def _not_finite(task: SecondTask, found: Sequence[SecondEvidence], columns: tuple[str, ...]) -> list[str]:
    if not np.isfinite(found[0].value):
        return [f"The function is {found[0].value} at params; check at a point of its domain."]
    places, one = _where(found, Verdict.NOT_FINITE, len(columns))
    sentences = []
    for source, double, shown in (
        ("handwritten Hessian", one.hand, one.shown[0]),
        ("Hessian by autodiff", one.auto, one.shown[1]),
    ):
        bad = [place for place in places if not (np.isfinite(double[place]) and np.isfinite(shown[place]))]
        if bad:
            only = f" in {task.dtype} only" if all(np.isfinite(double[place]) for place in bad) else ""
            sentences.append(f"The {source} is {shown[bad[0]]} for {_names(task, bad, columns)}{only}.")
    return sentences


def _misfits(task: SecondTask, found: Sequence[SecondEvidence]) -> list[str]:
    """Say what is missing or has another shape, and whether its values tell why."""
    laid, k, right = found[0].laid, task.coords.size, found[0].auto[:, : task.coords.size]
    if laid.fits:
        return []
    wanted = f"a ({k}, {k}) matrix in the order of the flat names, or the nested pytree that jax.hessian returns"
    if not task.by_entry or any(not b for _, b in laid.misfits if (_, b) != WHOLE):
        wanted = "a pytree like params"
    sentences = []
    missing = [", ".join(filter(None, block)) for block, array in laid.misfits.items() if array is None]
    if missing:
        sentences.append(f"The handwritten Hessian has no {listing(missing)}; return {wanted}.")
    if laid.strangers:
        sentences.append(f"The handwritten Hessian returns {listing(laid.strangers)}, which is no pair of parameters.")
    for block, array in laid.misfits.items():
        if array is None:
            continue
        of = "" if block == WHOLE else f" in '{', '.join(filter(None, block))}'"
        told = _shape_told(array, right) if block == WHOLE else ""
        sentences.append(f"The handwritten Hessian has shape {array.shape}{of}{told}; return {wanted}.")
    return sentences


def _shape_told(array: Vector, right: Vector) -> str:
    """Say whether an array of another shape is the diagonal, or lacks the sum over the observations."""
    k = len(right)

    def equal(candidate: Vector, wanted: Vector) -> bool:
        return candidate.shape == wanted.shape and bool(np.allclose(candidate, wanted, rtol=1e-8, atol=0.0))

    if k > 1 and equal(array, np.diagonal(right)):
        return ": it is the diagonal alone"
    if array.shape[1:] == (k, k) and len(array) > 1:
        level = np.abs(array).sum(axis=0)
        for divisor, word in ((1, "sum"), (len(array), "mean")):
            if np.all(np.abs(array.sum(axis=0) / divisor - right) <= 1e-11 * level / divisor + 1e-9 * np.abs(right)):
                return f": the {word} over observations is missing (its axis 0 has length {len(array)})"
    return ""


def _broken_gradient(task: SecondTask, found: Sequence[SecondEvidence]) -> list[str]:
    for one in found:
        names = [name for name, void in zip(task.coords.names, one.void, strict=True) if void]
        if names:
            return [f"Autodiff's gradient of the function is wrong for {listing(names)}: see check_gradient."]
    return []


def _broken_autodiff(task: SecondTask, found: Sequence[SecondEvidence], columns: tuple[str, ...]) -> list[str]:
    places, one = _where(found, Verdict.AUTODIFF, len(columns))
    if not places:
        oblique = [pair for pair in (one.oblique for one in found) if pair[1] is Verdict.AUTODIFF]
        if oblique and not any(np.any(one.judged(Verdict.WRONG)) for one in found):
            trio = oblique[0][0]
            return [
                f"Along a random direction the curvature of the function is {significant(trio.numeric, 6)} by its "
                f"values, but {significant(trio.auto, 6)} by autodiff."
            ]
        return []
    first = places[0]
    numbers = f"{significant(one.auto[first], 9)} against {significant(one.slopes.value[first], 9)}"
    hint = ""
    if not all(np.isfinite(one.auto[place]) for place in places):
        hint = ": look for a jnp.where whose unused branch is not finite, or a norm or root of zero"
    elif all(one.auto[place] == 0.0 for place in places):
        hint = ": look for stop_gradient or rounding on the way from the parameter, also inside a custom derivative"
    return [
        f"The Hessian by autodiff is wrong for {_names(task, places, columns)} ({numbers} by differences in "
        f"{_names(task, places[:1], columns)}){hint}."
    ]


def _unclear(task: SecondTask, found: Sequence[SecondEvidence], columns: tuple[str, ...]) -> list[str]:
    places, one = _where(found, Verdict.UNCLEAR, len(columns))
    if not places:
        return []
    apart = abs(one.hand[places[0]] - one.auto[places[0]])
    names = _names(task, places, columns)
    if apart <= one.bound[places[0]]:
        return [f"Handwritten Hessian and autodiff agree for {names}, but nothing confirms either of them."]
    few = not one.slopes.error[places[0]] < apart / 4.0
    why = "differences carry too few digits to tell which is wrong" if few else "differences agree with neither"
    return [
        f"Handwritten Hessian and autodiff disagree for {names} (by {significant(apart, 3)} in the first), and {why}."
    ]


def _kinks(task: SecondTask, found: Sequence[SecondEvidence], columns: tuple[str, ...]) -> list[str]:
    places, one = _where(found, Verdict.KINK, len(columns))
    if not places:
        return []
    middle, half = one.slopes.value[places[0]], one.slopes.jump[places[0]] / 2.0
    sides = f"{significant(middle - half, 6)} to the left and {significant(middle + half, 6)} to the right"
    return [
        f"The gradient has a kink here in {_names(task, places, columns)} (second derivatives {sides} in the first); "
        "any value between the two is accepted."
    ]
