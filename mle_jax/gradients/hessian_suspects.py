"""The matrices that slips in a handwritten Hessian give, with the sentence that names each slip."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mle_jax.gradients.coordinates import Coordinates, Vector

if TYPE_CHECKING:
    from mle_jax.gradients.hessian_patterns import HessianCase

Suspect = tuple[str, Vector]


class Change(NamedTuple):
    """Another coordinate psi in place of theta: d theta / d psi and its second derivative, as functions of theta."""

    name: str
    first: Vector
    second: Vector


def suspects(case: "HessianCase") -> Iterator[Suspect]:
    """Yield the sentence and the matrix (P, k, k) of every slip, likely ones first."""
    yield "The handwritten Hessian has the opposite sign: it is the information, -H.", -case.right
    yield from _parts(case)
    yield from _orders(case)
    yield from _outer_products(case)
    yield from _reparametrized(case)
    yield from _inverses(case)


def _parts(case: "HessianCase") -> Iterator[Suspect]:
    """Matrices that are right where they are not zero."""
    right, k = case.right, case.coords.size
    blocks = np.zeros((k, k))
    for piece in case.coords.slices.values():
        blocks[piece, piece] = 1.0
    kept = {
        "Only the diagonal of the handwritten Hessian is there; all other second derivatives are missing.": np.eye(k),
        "The handwritten Hessian has only the blocks on its diagonal; the cross-terms between the parameters are "
        "missing.": blocks,
        "Only the upper triangle of the handwritten Hessian is filled; it must be symmetric.": np.triu(np.ones((k, k))),
        "Only the lower triangle of the handwritten Hessian is filled; it must be symmetric.": np.tril(np.ones((k, k))),
    }
    for told, mask in kept.items():
        for sign, also in ((1.0, ""), (-1.0, " Its sign is flipped as well.")):
            yield told + also, sign * right * mask
    mixed = np.where(np.eye(k) > 0, right, -right)
    yield "The sign of every off-diagonal entry of the handwritten Hessian is flipped.", mixed
    if len(case.coords.leaf_names) > 1:
        told = "The sign of the cross-terms between the parameters is flipped in the handwritten Hessian."
        yield told, np.where(blocks > 0, right, -right)


def _orders(case: "HessianCase") -> Iterator[Suspect]:
    """Rows and columns in another order."""
    coords = case.coords
    for told, order in (
        (
            "in the alphabetical order of the names, as JAX flattens a dict, instead of the order of params",
            _sorted(coords),
        ),
        ("in column-major order, instead of the row-major order of the flat names", _column_major(coords)),
        ("in reverse order", np.arange(coords.size)[::-1]),
    ):
        yield f"The rows and columns of the handwritten Hessian are {told}.", case.right[:, order][:, :, order]


def _sorted(coords: Coordinates) -> Vector:
    pieces = [np.arange(coords.size)[coords.slices[name]] for name in sorted(coords.leaf_names)]
    return np.concatenate(pieces)


def _column_major(coords: Coordinates) -> Vector:
    pieces = [
        np.arange(coords.size)[piece].reshape(shape).ravel(order="F")
        for piece, shape in zip(coords.slices.values(), coords.shapes, strict=True)
    ]
    return np.concatenate(pieces)


def _outer_products(case: "HessianCase") -> Iterator[Suspect]:
    """Products of first derivatives in place of second derivatives."""
    total = case.gradients[:, :, None] * case.gradients[:, None, :]
    for told, matrix in (
        ("the sum over the observations of the outer products of their gradients (BHHH, Gauss-Newton)", case.outer),
        ("the outer product of the gradient with itself", total),
    ):
        if matrix is not None:
            yield f"The handwritten Hessian is {told}, not the second derivatives.", matrix
            yield f"The handwritten Hessian is minus {told}, not the second derivatives.", -matrix


def _reparametrized(case: "HessianCase") -> Iterator[Suspect]:
    """Second derivatives with respect to a function of a parameter: D H D + diag(g e), or without the second term."""
    coords = case.coords
    everything = ("all parameters", np.ones(coords.size, bool))
    leaves = [(f"{name!r}", _inside(coords, piece)) for name, piece in coords.slices.items()]
    for label, inside in [*leaves, everything] if len(leaves) > 1 else leaves:
        with np.errstate(all="ignore"):
            for change in changes(case.points):
                first = np.where(inside, change.first, 1.0)
                bent = case.right * first[:, :, None] * first[:, None, :]
                extra = np.where(inside, case.gradients * change.second, 0.0)[:, :, None] * np.eye(coords.size)
                if not np.all(np.isfinite(bent + extra)):
                    continue
                what = f"The handwritten Hessian is with respect to {change.name} of {label}"
                yield f"{what}.", bent + extra
                yield f"{what}, and lacks the term with the first derivative.", bent


def _inside(coords: Coordinates, piece: slice) -> NDArray[np.bool_]:
    return np.asarray(np.isin(np.arange(coords.size), np.arange(coords.size)[piece]))


def changes(theta: Vector) -> Iterator[Change]:
    """Yield the functions that parameters are replaced by; not finite where they do not apply.

    With psi = h(theta), d theta / d psi = 1 / h' and d2 theta / d psi2 = -h'' / h'^3.
    """
    positive = np.where(theta > 0.0, theta, np.nan)
    root = np.sqrt(positive)
    yield Change("the logarithm", positive, positive)
    yield Change("the square", 1.0 / (2.0 * positive), -1.0 / (4.0 * positive**3))
    yield Change("the square root", 2.0 * root, np.full_like(root, 2.0))
    yield Change("the inverse", -(positive**2), 2.0 * positive**3)
    yield Change("the exponential", np.exp(-theta), -np.exp(-2.0 * theta))


def _inverses(case: "HessianCase") -> Iterator[Suspect]:
    """The covariance matrix, or its negative, where the Hessian is far enough from singular to tell."""
    scaled = case.right / np.where(case.largest > 0.0, case.largest, 1.0)
    if np.all(np.isfinite(scaled)) and np.max(np.linalg.cond(scaled)) < 1e6:
        inverse = np.linalg.inv(scaled) / np.where(case.largest > 0.0, case.largest, 1.0)
        yield "The handwritten Hessian is the covariance matrix, minus the inverse of the Hessian.", -inverse
        yield "The handwritten Hessian is the inverse of the Hessian.", inverse
