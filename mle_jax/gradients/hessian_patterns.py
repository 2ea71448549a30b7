"""What a wrong handwritten Hessian looks like: each slip as the matrix that it would give.

A suspect is a matrix made from the right Hessian (and gradient) by a slip that people make. One that the handwritten
Hessian equals at every point, up to rounding, and that differs from the right one beyond doubt, names the slip. The
first that fits is named. Where no suspect fits as a whole, the blocks that belong to pairs of leaves are looked at one
by one, and then single entries.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mle_jax._text import listing, significant
from mle_jax.gradients.coordinates import Coordinates, Vector
from mle_jax.gradients.hessian_layout import LaidMatrix
from mle_jax.gradients.hessian_suspects import suspects
from mle_jax.gradients.slips import EXACT, TELLING

NAMED_FACTORS = {2.0: "2 times the right one", 0.5: "1/2 of the right one"}


@dataclass(frozen=True)
class HessianCase:
    """A handwritten Hessian next to the right one, at P points in k coordinates.

    Of a Hessian-vector product along other vectors than the coordinates the matrices are (P, k, m).
    """

    coords: Coordinates
    columns: tuple[str, ...]
    """What the columns are: the names of the coordinates, or of random vectors."""
    points: Vector
    """(P, k)."""
    gradients: Vector
    """(P, k)."""
    hand: Vector
    """(P, k, k)."""
    right: Vector
    """(P, k, k)."""
    bound: Vector
    """(P, k, k): the difference that rounding explains."""
    wrong: NDArray[np.bool_]
    """(k, k): judged wrong at one of the points."""
    laid: LaidMatrix
    outer: Vector | None
    """(P, k, k): sums over the observations of the outer products of their gradients, where these are known."""
    lengths: dict[int, str]
    """Numbers of observations that the data suggest, with the name of a leaf that has it."""

    def name(self, i: int, j: int) -> str:
        """Name an entry."""
        return f"{self.coords.names[i]}, {self.columns[j]}"

    @cached_property
    def largest(self) -> Vector:
        """(P, k, k): the size of entries by the diagonal, sqrt(|H_ii H_jj|), for what is zero by nature."""
        roots = np.sqrt(np.abs(np.diagonal(self.right, axis1=1, axis2=2)))
        return np.asarray(roots[:, :, None] * roots[:, None, :])


def find_hessian_patterns(case: HessianCase) -> list[str]:
    """Return a sentence for each slip that the evidence shows beyond doubt, then one about what is left."""
    if not np.any(case.wrong) or not np.all(np.isfinite(case.hand)):
        return []
    everywhere, square = np.ones_like(case.wrong), case.columns == case.coords.names
    for told, matrix in suspects(case) if square else ():
        if _equal(case, matrix, everywhere) and _telling(case, matrix, everywhere):
            return [told]
    factor = _factor_told(case, everywhere)
    if factor is not None:
        return [f"The handwritten Hessian is {factor}."]
    if not square:
        return list(_remaining(case, case.wrong))
    left = case.wrong.copy()
    sentences = []
    for sentence, explained in _blocks(case, left.copy()):
        sentences.append(sentence)
        left &= ~explained
    return [*sentences, *_asymmetry(case, left), *_remaining(case, left)]


def _equal(case: HessianCase, matrix: Vector, where: NDArray[np.bool_]) -> bool:
    """Say whether the handwritten Hessian is this matrix at every point, up to rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.fmax(np.abs(matrix), np.abs(case.right))
        scale = np.fmax(1.0, size / np.fmax(np.abs(case.right), np.finfo(float).tiny))
        allowed = EXACT * case.bound * np.minimum(scale, 1e12) + 1e-9 * np.abs(matrix)
        return bool(np.all((np.abs(case.hand - matrix) <= allowed)[:, where]))


def _telling(case: HessianCase, matrix: Vector, where: NDArray[np.bool_]) -> bool:
    """Say whether the matrix differs from the right one beyond doubt at some point."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(matrix - case.right) > TELLING * case.bound
    return bool(np.any(apart & where))


def _factor_told(case: HessianCase, where: NDArray[np.bool_]) -> str | None:
    """Write the constant by which the entries differ from the right ones, None if there is none."""
    hand, right, bound = (array[:, where] for array in (case.hand, case.right, case.bound))
    telling = np.abs(right) > TELLING * bound
    if not np.any(telling):
        return None
    factor = float(np.median(hand[telling] / right[telling]))
    if factor == 0.0 or not _equal(case, factor * case.right, where):
        return None
    size, minus = abs(factor), "minus " if factor < 0 else ""
    for number, told in NAMED_FACTORS.items():
        if abs(size - number) <= 1e-8 * number:
            return minus + told
    for n, leaf in case.lengths.items():
        if abs(size - n) <= 1e-8 * n:
            return f"{minus}n = {n} times the right one (n is the length of {leaf}: a sum where a mean is due)"
        if abs(size * n - 1.0) <= 1e-8:
            return f"{minus}1/n = 1/{n} times the right one (n is the length of {leaf}: a mean where a sum is due)"
    if abs(size - 1.0) <= 1e-8:
        return None if factor > 0 else "minus the right one"
    # One number is always a multiple of another; only several of different size show a constant.
    seen = np.abs(right[telling])
    varied = telling.sum() > 2 and np.ptp(seen) > 1e-6 * np.max(seen)
    return f"{minus}{significant(size, 8)} times the right one" if varied else None


def _blocks(case: HessianCase, left: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield what is wrong with the blocks of pairs of leaves, the same slip in several blocks in one sentence."""
    found: dict[str, tuple[list[str], NDArray[np.bool_]]] = {}
    slices = case.coords.slices
    names = list(slices)
    for number, a in enumerate(names):
        for b in names[number:]:
            inside = np.zeros_like(left)
            inside[slices[a], slices[b]] = inside[slices[b], slices[a]] = True
            if not np.any(left & inside):
                continue
            told = _block_told(case, inside, a, b)
            if told is not None:
                labels, explained = found.get(told, ([], np.zeros_like(left)))
                found[told] = ([*labels, f"{a}, {b}"], explained | inside)
    for told, (labels, explained) in found.items():
        yield told.format(blocks=f"block{'' if len(labels) == 1 else 's'} {listing(labels)}"), explained


def _block_told(case: HessianCase, inside: NDArray[np.bool_], a: str, b: str) -> str | None:
    if not np.any(case.hand[:, inside]):
        return "The handwritten Hessian is zero in the {blocks}: second derivatives are missing there."
    rows, columns = case.coords.slices[a], case.coords.slices[b]
    turned = _turned(case.right, case, a, b)
    if turned is not None and _equal(case, turned, inside) and _telling(case, turned, inside):
        return "The handwritten Hessian is transposed in the {blocks}."
    if (rows.stop - rows.start) * (columns.stop - columns.start) > 1 or len(case.coords.leaf_names) > 1:
        told = _factor_told(case, inside)
        if told == "minus the right one":
            return "The sign of the handwritten Hessian is flipped in the {blocks}."
        if told is not None:
            return f"In the {{blocks}} the handwritten Hessian is {told}."
    return None


def _turned(right: Vector, case: HessianCase, a: str, b: str) -> Vector | None:
    """Return the Hessian with a square block of two leaves transposed, None where there is nothing to transpose."""
    rows, columns = case.coords.slices[a], case.coords.slices[b]
    if a == b or rows.stop - rows.start != columns.stop - columns.start:
        return None
    turned = right.copy()
    turned[:, rows, columns] = right[:, rows, columns].swapaxes(1, 2)
    turned[:, columns, rows] = right[:, columns, rows].swapaxes(1, 2)
    one_side = right.copy()
    one_side[:, rows, columns] = turned[:, rows, columns]
    other_side = right.copy()
    other_side[:, columns, rows] = turned[:, columns, rows]
    inside = np.zeros_like(case.wrong)
    inside[rows, columns] = inside[columns, rows] = True
    fits = [matrix for matrix in (turned, one_side, other_side) if _equal(case, matrix, inside)]
    return fits[0] if fits else turned


def _asymmetry(case: HessianCase, left: NDArray[np.bool_]) -> Iterator[str]:
    """Say that the matrix is not symmetric, which no Hessian of a smooth function is."""
    hand, bound = case.hand, np.fmax(case.bound, case.bound.swapaxes(1, 2))
    apart = np.abs(hand - hand.swapaxes(1, 2)) - EXACT * bound
    apart = np.where(left | left.T, apart, -1.0)
    point, i, j = np.unravel_index(int(np.argmax(apart)), apart.shape)
    if apart[point, i, j] > 0.0:
        first, second = significant(hand[point, i, j], 8), significant(hand[point, j, i], 8)
        yield (
            f"The handwritten Hessian is not symmetric: {case.name(int(i), int(j))!r} is {first}, but "
            f"{case.name(int(j), int(i))!r} is {second}."
        )


def _remaining(case: HessianCase, left: NDArray[np.bool_]) -> Iterator[str]:
    """Name what no pattern explains, and by how much it is off; a pair of equal mirror entries counts once."""
    mirror = left.T if case.columns == case.coords.names else np.zeros_like(left)
    places = [(i, j) for i, j in np.argwhere(left) if i <= j or not mirror[i, j]]
    if not places:
        return
    with np.errstate(all="ignore"):
        apart = np.where(left, np.abs(case.hand - case.right) / (case.bound + np.finfo(float).tiny), -1.0)
    point, i, j = (int(index) for index in np.unravel_index(int(np.nanargmax(apart)), apart.shape))
    if (i, j) not in places:
        i, j = j, i
    hand, right = float(case.hand[point, i, j]), float(case.right[point, i, j])
    names = [case.name(*place) for place in places]
    many = f" in {len(names)} entries, {listing(names)}; worst" if len(names) > 1 else ":"
    ratio = f"ratio {significant(hand / right, 8)}, " if right != 0.0 and hand != 0.0 else ""
    yield (
        f"The handwritten Hessian is wrong{many} {case.name(i, j)!r} is {significant(hand, 8)} instead of "
        f"{significant(right, 8)} ({ratio}difference {significant(hand - right, 3)})."
    )
