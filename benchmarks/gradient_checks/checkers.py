"""The tools, each asked in the same way: is this gradient of this case right, at its three points?

Only mle_jax is asked about one point: it draws its others itself, as for any user.
"""

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.gradient_checks.case import Case
from mle_jax import check_gradient

Function = Callable[..., Any]


@dataclass(frozen=True)
class Named:
    """A pattern that was named, and the coordinates it was said of (None: it was not said)."""

    pattern: str
    coordinates: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Answer:
    """What a tool says of a gradient."""

    accepted: bool
    cannot_tell: bool = False
    """Rejected, without saying which side is wrong."""
    blames_autodiff: bool = False
    named: tuple[Named, ...] = ()
    measures: tuple[float, ...] = ()
    """Of tools that return a number and leave the verdict to the reader: the number as it may be read."""
    told: str = ""


PHRASES = {
    "sign": r"The sign of the handwritten gradient is flipped",
    "mean_instead_of_sum": r"a mean where the function takes a sum",
    "sum_instead_of_mean": r"a sum where the function takes a mean",
    "factor": r"(times the right one|of the right one)[:.]",
    "transposed": r"transposed",
    "dropped_sum": r"the (sum|mean) over observations is missing",
    "shape": r"reshape it|like params it should be",
}
"""How patterns are told apart in reports that only have sentences."""


def ask_mle_jax(case: Case, gradient: Function | None, dtype: str, *, function: Function | None = None) -> Answer:
    """Ask `mle_jax.check_gradient`; what it can take beyond function and gradient it gets."""
    offered = {"contributions": case.contributions, "parts": case.part_functions} if function is None else {}
    taken = {name: value for name, value in offered.items() if name in inspect.signature(check_gradient).parameters}
    report = check_gradient(function or case.value, gradient, case.params, *case.args, dtype=dtype, **taken)
    verdicts = [str(row.verdict) for row in (*report.rows, *report.directions) if not row.verdict.passes]
    return Answer(
        accepted=report.passed,
        cannot_tell=bool(verdicts) and set(verdicts) == {"cannot tell"},
        blames_autodiff="autodiff wrong" in verdicts,
        named=tuple(_named(report)),
        told=report.diagnosis,
    )


def _named(report: Any) -> Iterator[Named]:
    findings = getattr(report, "findings", None)
    if findings is None:
        yield from (Named(word) for word, phrase in PHRASES.items() if re.search(phrase, report.diagnosis))
        return
    for finding in findings:
        if finding.pattern == "unexplained":
            continue  # it says what is wrong and how much, and gives it no name
        coordinates = getattr(finding, "coordinates", None)
        yield Named(
            "shape" if finding.pattern == "layout" else finding.pattern, tuple(coordinates) if coordinates else None
        )


@functools.cache
def _compiled(case: Case) -> Function:
    return jax.jit(case.value)


def _given(case: Case, dtype: str) -> tuple[list[Any], tuple[Any, ...]]:
    """Return the points as pytrees, and the data, in a precision."""

    def cast(leaf: Any) -> Any:
        array = np.asarray(leaf)
        return jnp.asarray(array, dtype if array.dtype.kind == "f" else array.dtype)

    return [case.tree(point.astype(dtype)) for point in case.points()], jax.tree_util.tree_map(cast, case.args)


def ask_scipy(case: Case, gradient: Function, dtype: str) -> Answer:
    """Ask `scipy.optimize.check_grad` with its default step.

    It returns the norm of the error. The reading: at most 1e-6 of the gradient's norm, or of 1 where that is less.
    """
    from scipy.optimize import check_grad

    points, args = _given(case, dtype)

    def value(x: np.ndarray) -> float:
        return float(_compiled(case)(case.tree(x.astype(dtype)), *args))

    def slope(x: np.ndarray) -> np.ndarray:
        return np.asarray(case.flat(gradient(case.tree(x.astype(dtype)), *args)), np.float64)

    worst = np.zeros(2)
    for point in points:
        x = np.asarray(case.flat(point), np.float64)
        error, norm = check_grad(value, slope, x), np.linalg.norm(slope(x))
        with np.errstate(all="ignore"):
            readings = np.array([error / max(1.0, norm), error / norm])
        worst = np.maximum(worst, np.where(np.isnan(readings), np.inf, readings))
    return Answer(accepted=bool(worst[0] <= 1e-6), measures=tuple(worst.tolist()))


def ask_jax(case: Case, gradient: Function, dtype: str) -> Answer:
    """Ask `jax.test_util.check_grads`, first order, reverse mode, default tolerances."""
    from jax.test_util import check_grads

    points, args = _given(case, dtype)

    @jax.custom_vjp
    def wrapped(params: Any) -> Any:
        return _compiled(case)(params, *args)

    def forward(params: Any) -> Any:
        return wrapped(params), params

    def backward(params: Any, bar: Any) -> Any:
        slopes = gradient(params, *args)
        return (jax.tree_util.tree_map(lambda leaf: jnp.asarray(leaf, dtype) * bar, slopes),)

    wrapped.defvjp(forward, backward)
    try:
        for point in points:
            check_grads(wrapped, (jax.tree_util.tree_map(jnp.asarray, point),), order=1, modes=("rev",))
    except (AssertionError, TypeError, ValueError) as complaint:
        return Answer(accepted=False, told=str(complaint)[:200])
    return Answer(accepted=True)


def ask_torch(case: Case, gradient: Function, dtype: str) -> Answer:
    """Ask `torch.autograd.gradcheck` with its default step and tolerances."""
    import torch

    points, args = _given(case, dtype)
    names = list(case.leaves)

    def tree(leaves: tuple[Any, ...]) -> Any:
        found = {name: leaf.detach().numpy()[()] for name, leaf in zip(names, leaves, strict=True)}
        return found if isinstance(case.params, dict) else found["params"]

    class ByHand(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *leaves: Any) -> Any:
            ctx.save_for_backward(*leaves)
            return torch.tensor(float(_compiled(case)(tree(leaves), *args)), dtype=leaves[0].dtype)

        @staticmethod
        def backward(ctx: Any, *bars: Any) -> Any:
            found = gradient(tree(ctx.saved_tensors), *args)
            found = found if isinstance(found, dict) else {"params": found}
            leaves = [torch.from_numpy(np.array(found[name], dtype)) for name in names]
            return tuple(bars[0] * leaf for leaf in leaves)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that single precision will likely fail
            for point in points:
                flat = point if isinstance(point, dict) else {"params": point}
                leaves = [torch.from_numpy(np.array(flat[name], dtype)).requires_grad_() for name in names]
                if not torch.autograd.gradcheck(ByHand.apply, leaves, raise_exception=False):
                    return Answer(accepted=False)
    except (RuntimeError, KeyError) as complaint:
        return Answer(accepted=False, told=str(complaint)[:200])
    return Answer(accepted=True)


CHECKERS: dict[str, Function] = {
    "mle_jax.check_gradient": ask_mle_jax,
    "scipy.optimize.check_grad": ask_scipy,
    "jax.test_util.check_grads": ask_jax,
    "torch.autograd.gradcheck": ask_torch,
}
"""All tools by name."""
