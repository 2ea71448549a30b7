"""Check handwritten second derivatives against automatic differentiation and differences."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mle_jax._precision import in_float64
from mle_jax.gradients.coordinates import Coordinates, Vector, name_coordinates, require_dtype, typical_sizes
from mle_jax.gradients.evaluation import MEMORY, Function
from mle_jax.gradients.evidence import build_probes
from mle_jax.gradients.hessian_diagnosis import diagnose_hessian
from mle_jax.gradients.hessian_evidence import MOST_EVERYWHERE, Hand, SecondEvidence, SecondTask, gather_second
from mle_jax.gradients.hessian_layout import LaidMatrix, call_hessian, call_product
from mle_jax.gradients.hessian_report import CurvatureRow, HessianReport, HessianRow
from mle_jax.gradients.neighbors import draw_neighbors, given
from mle_jax.gradients.verdicts import Verdict


@in_float64
def check_hessian(
    function: Function,
    hessian: Function,
    params: Any,
    *args: Any,
    dtype: str = "float64",
    seed: int = 0,
    points: int = 2,
    others: Sequence[Any] = (),
    draw: Callable[[Any], Any] | None = None,
    memory: int = MEMORY,
) -> HessianReport:
    """Check a handwritten Hessian against automatic differentiation and differences.

    Every second derivative comes from three sources, and two that agree outvote the third, as in `check_gradient`: no
    step and no tolerance is set. The differences are those of the automatic gradient, which is itself held against the
    values of the function; where it fails, and where autodiff is accused, second differences of the values decide.

    Args:
        function: ``function(params, *args) -> scalar``, twice differentiable by JAX.
        hessian: ``hessian(params, *args)``, in JAX or NumPy: a matrix (k, k) in the order of the flat names (that of
            the declaration, row-major within a leaf), or the nested pytree that `jax.hessian` returns.
        params: the point, a pytree of floats.
        *args: data, any pytrees of arrays.
        dtype: "float64" or "float32", the precision whose rounding is to be allowed for.
        seed: of the random points and directions.
        points: how many random points near params to check as well.
        others: points to use instead of random ones, each a pytree like params.
        draw: ``key -> params``, a source of random points to use instead of the neighborhood of params.
        memory: bytes that the points evaluated together may take.

    Returns:
        A `HessianReport` with a row per pair of named coordinates.

    Raises:
        TypeError: a parameter is not a float, or the function does not return a real number.
        ValueError: params, others or dtype are not what they should be.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> def log_likelihood(params, y):
        ...     return jnp.sum(-jnp.log(params["s"]) - (y - params["m"]) ** 2 / (2 * params["s"] ** 2))
        >>> def by_hand(params, y):
        ...     r, s, n = y - params["m"], params["s"], y.size
        ...     cross = -2 * jnp.sum(r) / s**3
        ...     return [[-n / s**2, cross], [-cross, n / s**2 - 3 * jnp.sum(r**2) / s**4]]
        >>> report = mle.check_hessian(log_likelihood, by_hand, {"m": 0.5, "s": 2.0}, jnp.array([1.0, 2.0, 6.0]))
        >>> report.passed, [row.name for row in report.rows if not row.verdict.passes]
        (False, ['s, m'])
    """

    def columns(point: NDArray[Any], args: Any, vectors: Vector) -> LaidMatrix:
        laid = call_hessian(hessian, coords, point, args=args, dtype=str(point.dtype))
        oblique = laid.matrix @ vectors[coords.size :].T
        return laid._replace(matrix=np.concatenate([laid.matrix, oblique], axis=1))

    coords, point = name_coordinates(params)
    task, evidence = _gathered(function, columns, coords, point, args=args, dtype=dtype, seed=seed, memory=memory)
    _elsewhere(task, evidence, points=points, others=others, draw=draw)
    return _report(task, evidence, "Hessian")


@in_float64
def check_hessian_product(
    function: Function,
    product: Function,
    params: Any,
    *args: Any,
    dtype: str = "float64",
    seed: int = 0,
    points: int = 2,
    others: Sequence[Any] = (),
    draw: Callable[[Any], Any] | None = None,
    memory: int = MEMORY,
) -> HessianReport:
    """Check a handwritten Hessian-vector product against automatic differentiation and differences.

    Up to 64 coordinates the product is evaluated for every unit vector, so that the report has a row per second
    derivative, and for a random vector; beyond that for three random vectors, with a row per coordinate and vector.

    Args:
        function: ``function(params, *args) -> scalar``, twice differentiable by JAX.
        product: ``product(params, vector, *args)``, the Hessian times a vector laid out like params, in the same
            layout; in JAX or NumPy.
        params: the point, a pytree of floats.
        *args: data, any pytrees of arrays.
        dtype: "float64" or "float32", the precision whose rounding is to be allowed for.
        seed: of the random points and vectors.
        points: how many random points near params to check as well.
        others: points to use instead of random ones, each a pytree like params.
        draw: ``key -> params``, a source of random points to use instead of the neighborhood of params.
        memory: bytes that the points evaluated together may take.

    Returns:
        A `HessianReport`.

    Raises:
        TypeError: a parameter is not a float, or the function does not return a real number.
        ValueError: params, others or dtype are not what they should be.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> def cost(w, x):
        ...     return jnp.sum((x @ w) ** 2)
        >>> def product(w, v, x):
        ...     return 2 * x.T @ (x @ v)
        >>> mle.check_hessian_product(cost, product, jnp.array([1.0, 2.0]), jnp.array([[1.0, 2.0], [3.0, 4.0]])).passed
        True
    """

    def columns(point: NDArray[Any], args: Any, vectors: Vector) -> LaidMatrix:
        return call_product(product, coords, point, vectors=vectors, args=args, dtype=str(point.dtype), memory=memory)

    coords, point = name_coordinates(params)
    task, evidence = _gathered(
        function, columns, coords, point, args=args, dtype=dtype, seed=seed, memory=memory, most=MOST_EVERYWHERE
    )
    _elsewhere(task, evidence, points=points, others=others, draw=draw)
    return _report(task, evidence, "Hessian-vector product")


def _gathered(
    function: Function,
    columns: Hand,
    coords: Coordinates,
    point: Vector,
    *,
    args: tuple[Any, ...],
    dtype: str,
    seed: int,
    memory: int,
    most: float = np.inf,
) -> tuple[SecondTask, list[SecondEvidence]]:
    """Return the task and the evidence at params; up to `most` coordinates every entry is looked at."""
    require_dtype(dtype)
    if dtype == "float32":
        point = point.astype(np.float32).astype(np.float64)
    probe, single = build_probes(function, coords, point, args=args, dtype=dtype, memory=memory)
    task = SecondTask(coords, probe, single, columns, coords.size <= most, dtype, seed)
    return task, [gather_second(task, point, base=None)]


def _elsewhere(
    task: SecondTask,
    evidence: list[SecondEvidence],
    *,
    points: int,
    others: Sequence[Any],
    draw: Callable[[Any], Any] | None,
) -> None:
    """Append the evidence at other points."""
    coords, sizes = task.coords, typical_sizes(task.coords, evidence[0].point)
    further = given(coords, others)
    if not further:
        further = draw_neighbors(coords, task.probe, sizes=sizes, points=points, seed=task.seed, draw=draw)
    for other in further:
        rounded = other if task.single is None else other.astype(np.float32).astype(np.float64)
        evidence.append(gather_second(task, rounded, base=evidence[0]))


def _report(task: SecondTask, evidence: Sequence[SecondEvidence], subject: str) -> HessianReport:
    k = task.coords.size
    m = k if task.by_entry else evidence[0].auto.shape[1]
    columns = task.coords.names if task.by_entry else tuple(f"vector {j}" for j in range(m))
    diagnosis = diagnose_hessian(task, evidence, columns)
    if subject != "Hessian":
        diagnosis = diagnosis.replace("handwritten Hessian", "Hessian of the handwritten product")
    merits = np.stack([_merits(one, m) for one in evidence])
    worst = np.argmin(merits, axis=0)
    symmetric = task.by_entry and _is_symmetric(evidence, k)
    rows = [
        _row(evidence[worst[i, j]], (i, j), f"{task.coords.names[i]}, {columns[j]}", point=int(worst[i, j]))
        for i in range(k)
        for j in range(i if symmetric else 0, m)
    ]
    if not task.by_entry or all(row.verdict.passes for row in rows):
        rows += _oblique_rows(task, evidence, worst_of=m)
    directions = tuple(_curvature_row(one, number) for number, one in enumerate(evidence))
    return HessianReport(
        rows=tuple(rows), directions=directions, diagnosis=diagnosis, subject=subject, dtype=task.dtype
    )


def _merits(one: SecondEvidence, m: int) -> Vector:
    """Rank the entries (k, m) by verdict, then by how far beyond rounding a disagreement is; the worst are smallest.

    Points that pass are equal, so the first of them is shown: params itself.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        excess = np.abs(one.hand - one.auto)[:, :m] / (one.bound[:, :m] + np.finfo(float).tiny)
    passing = one.judged(Verdict.OK, Verdict.KINK)[:, :m]
    return np.asarray(one.codes[:, :m] - np.where(passing | ~np.isfinite(excess), 0.0, excess / (1.0 + excess)))


def _is_symmetric(evidence: Sequence[SecondEvidence], k: int) -> bool:
    """Say whether one of two mirror entries can stand for both, at every point."""
    for one in evidence:
        square = one.codes[:, :k]
        with np.errstate(invalid="ignore"):
            apart = np.abs(one.hand[:, :k] - one.hand[:, :k].T) > one.bound[:, :k]
        if np.any(apart) or np.any(square != square.T):
            return False
    return True


def _row(one: SecondEvidence, place: tuple[int, int], name: str, *, point: int) -> HessianRow:
    hand, auto = (float(shown[place]) for shown in one.shown)
    size = float(np.fmax(one.pieces[place], abs(auto)))
    difference = hand - auto
    relative = abs(difference) / size if size > 0.0 else (0.0 if difference == 0.0 else np.inf)
    return HessianRow(
        name=name,
        handwritten=hand,
        autodiff=auto,
        numeric=float(one.slopes.value[place]),
        numeric_error=float(one.slopes.error[place]),
        difference=difference,
        discrepancy=float(relative),
        verdict=one.verdict(*place),
        point=point,
    )


def _oblique_rows(task: SecondTask, evidence: Sequence[SecondEvidence], *, worst_of: int) -> list[HessianRow]:
    """Show the random vector where it alone fails: a product may be right for unit vectors and not be linear."""
    if not task.by_entry:
        return []
    for number, one in enumerate(evidence):
        bad = [i for i in range(task.coords.size) if not one.verdict(i, worst_of).passes]
        if bad:
            names = task.coords.names
            return [_row(one, (i, worst_of), f"{names[i]}, random vector", point=number) for i in bad]
    return []


def _curvature_row(one: SecondEvidence, number: int) -> CurvatureRow:
    trio, verdict = one.oblique
    return CurvatureRow(
        point=number,
        handwritten=trio.hand,
        autodiff=trio.auto,
        numeric=trio.numeric,
        numeric_error=trio.error,
        verdict=verdict,
    )
