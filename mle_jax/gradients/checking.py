"""Check a handwritten gradient against automatic differentiation and finite differences."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mle_jax._precision import in_float64
from mle_jax.gradients.coordinates import name_coordinates, require_callable, require_dtype, typical_sizes
from mle_jax.gradients.curves import step_curves
from mle_jax.gradients.diagnosis import diagnose
from mle_jax.gradients.evaluation import MEMORY, Function
from mle_jax.gradients.evidence import Evidence, Task, build_probes, gather
from mle_jax.gradients.neighbors import draw_neighbors, given
from mle_jax.gradients.report import DirectionRow, GradientReport, GradientRow


@in_float64
def check_gradient(
    function: Function,
    gradient: Function | None,
    params: Any,
    *args: Any,
    dtype: str = "float64",
    seed: int = 0,
    points: int = 2,
    others: Sequence[Any] = (),
    draw: Callable[[Any], Any] | None = None,
    scale: Any = None,
    memory: int = MEMORY,
) -> GradientReport:
    """Check a handwritten gradient against automatic differentiation and finite differences.

    Each coordinate has three derivatives from three independent sources, and two that agree outvote the third. What
    "agree" means is measured, not set: the finite differences bring an error estimate of their own (extrapolation over
    a ladder of steps, rounding noise estimated from the function), and handwritten and automatic derivative may differ
    by the rounding that their terms explain, or by 1e-9 of their size (1e-5 for float32), whichever is larger. Where
    handwritten gradient and autodiff differ and the differences cannot tell which is wrong, the check does not pass.
    A kink is no error as long as the handwritten value lies between the one-sided slopes.

    Args:
        function: ``function(params, *args) -> scalar``, traceable by JAX.
        gradient: ``gradient(params, *args)``, a pytree like params, in JAX or NumPy; None checks autodiff alone.
        params: the point, a pytree of floats.
        *args: data, any pytrees of arrays.
        dtype: "float64" or "float32", the precision whose rounding is to be allowed for. In float32 the numbers shown
            are those of float32; the verdict uses float64 at the same, rounded, point.
        seed: of the random points and directions.
        points: how many random points near params to check as well, so that an accident at one point does not pass.
        others: points to use instead of random ones, each a pytree like params.
        draw: ``key -> params``, a source of random points to use instead of the neighborhood of params.
        scale: pytree like params, or ``scale(params, *args)`` returning one: the sum of the absolute terms of each
            derivative (for a log-likelihood, of the scores of the observations). Errors are then relative to it.
        memory: bytes that the points evaluated together may take.

    Returns:
        A `GradientReport` with a row per named coordinate.

    Raises:
        TypeError: a parameter is not a float, the function does not return a real number, or one of the two is none.
        ValueError: params, others or dtype are not what they should be.

    Reference:
        C. J. F. Ridders, Adv. Eng. Software 4 (1982), for the differences; J. J. Moré and S. M. Wild, SIAM J. Sci.
        Comput. 33 (2011), for the noise.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> def loss(params, x, y):
        ...     return jnp.mean((y - params["slope"] * x) ** 2)
        >>> def by_hand(params, x, y):
        ...     return {"slope": 2 * jnp.mean(x * (y - params["slope"] * x))}
        >>> report = mle.check_gradient(loss, by_hand, {"slope": 0.5}, [1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
        >>> report.passed
        False
        >>> report.diagnosis
        'The sign of the handwritten gradient is flipped in every coordinate.'
    """
    require_dtype(dtype)
    require_callable(function, "function")
    if gradient is not None:
        require_callable(gradient, "gradient")
    coords, point = name_coordinates(params)
    if dtype == "float32":
        point = point.astype(np.float32).astype(np.float64)
    probe, single = build_probes(function, coords, point, args=args, dtype=dtype, memory=memory)
    task = Task(coords, probe, single, gradient, dtype, scale, seed)
    evidence = [gather(task, point, base=None)]
    if others:
        further = given(coords, others)
    else:
        further = draw_neighbors(coords, probe, sizes=typical_sizes(coords, point), points=points, seed=seed, draw=draw)
    for other in further:
        rounded = other if single is None else other.astype(np.float32).astype(np.float64)
        evidence.append(gather(task, rounded, base=evidence[0]))
    return _report(task, evidence)


def _report(task: Task, evidence: Sequence[Evidence]) -> GradientReport:
    rows = []
    for i in range(task.coords.size):
        number = min(range(len(evidence)), key=lambda p, i=i: _merit(evidence[p], i))  # type: ignore[misc]
        rows.append(_row(task, evidence[number], i, point=number))
    directions = tuple(_direction_row(task, one, number) for number, one in enumerate(evidence))
    diagnosis, findings = diagnose(task, evidence)
    return GradientReport(
        rows=tuple(rows),
        directions=directions,
        diagnosis=diagnosis,
        findings=findings,
        handwritten=task.gradient is not None,
        dtype=task.dtype,
        _measure=lambda numbers: step_curves(task, evidence, [(i, rows[i].point) for i in numbers]),
    )


def _merit(one: Evidence, i: int) -> tuple[int, float]:
    """Rank the points for one coordinate: by verdict, then by how far beyond rounding a disagreement is.

    Points that pass are equal, so the first of them is shown: params itself.
    """
    verdict = one.verdicts[i]
    with np.errstate(invalid="ignore"):  # infinite, both of them
        excess = abs(one.hand[i] - one.auto[i]) / (one.bound[i] + np.finfo(float).tiny)
    return verdict.rank, 0.0 if verdict.passes or not np.isfinite(excess) else -float(excess)


def _row(task: Task, one: Evidence, i: int, *, point: int) -> GradientRow:
    hand, auto = (float(shown[i]) for shown in one.shown)
    numeric, error = float(one.slopes.value[i]), float(one.slopes.error[i])
    difference = hand - auto if task.gradient is not None else auto - numeric
    size = float(np.fmax(one.pieces[i], abs(auto)))
    relative = abs(difference) / size if size > 0.0 else (0.0 if difference == 0.0 else np.inf)
    return GradientRow(
        name=task.coords.names[i],
        handwritten=hand if task.gradient is not None else np.nan,
        autodiff=auto,
        numeric=numeric,
        numeric_error=error,
        difference=difference,
        discrepancy=float(relative),
        verdict=one.verdicts[i],
        point=point,
    )


def _direction_row(task: Task, one: Evidence, number: int) -> DirectionRow:
    trio = one.trio(task.coords.size)
    hand = trio.hand if task.gradient is not None else np.nan
    return DirectionRow(
        point=number,
        handwritten=hand,
        autodiff=trio.auto,
        numeric=trio.numeric,
        numeric_error=trio.error,
        order=one.order,
        verdict=one.verdicts[-1],
    )
