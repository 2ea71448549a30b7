"""`check`: every handwritten derivative of the text against automatic differentiation and finite differences.

What agreement means. A derivative is a sum of contributions of the observations, g = sum_i s_i, and is known at best to
the rounding of that sum; so a difference is measured relative to sum_i |s_i|, coordinate by coordinate.

float64: handwritten and automatic derivative may differ by 1e-12 of sum_i |s_i|.

float32: the bound is derived. Let u = 2^-24 be the unit roundoff. In the standard model of arithmetic each operation
multiplies its exact result by (1 + d) with |d| <= u, and sin and cos are good to 4 u. Multiplying out, the computed
derivative is the sum of all products of inputs that make up the formula, each multiplied by at most m factors
(1 + d_j)^(+-1), where m is the longest way of a product through the computation (n additions, in whatever order the
compiler chooses, those of the inner products <x_i, w>, and a few operations per term). Hence (Higham 2002, Accuracy and
Stability of Numerical Algorithms, lemma 3.1 and section 3.5)

    |computed - exact| <= gamma_m G,    gamma_m = m u / (1 - m u),

with G the formula evaluated on absolute values, every difference a sum: |y_i| + sum_k |x_ik| |w_k| for a residual, so
that its cancellation is allowed for. Both derivatives obey this, so they differ by at most 2 gamma_m G. The sign of a
residual (T12) is exact because no residual is near zero. G is `Example.magnitude`, m is `Example.roundings`.

Finite differences are central quotients in float64 at the same points, and need to agree within 1e-6 of sum_i |s_i|
beyond the above: their own error is about eps^(2/3) = 4e-11 of the size of the function's terms.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax._precision import at_highest_precision
from mle_jax._whole import is_whole
from mle_jax.gradients import finite_difference
from mle_jax.text.catalog import EXAMPLES
from mle_jax.text.example import Example
from mle_jax.text.report import TextReport, TextRow

FLOAT64_BOUND = 1e-12
NUMERIC_BOUND = 1e-6
NUMERIC_POINTS = 5
UNIT_ROUNDOFF = 2.0**-24  # of float32


class Comparison(NamedTuple):
    """The derivatives of one example at many points; everything (points, k) but `forms`."""

    forms: Any  # (points, number of handwritten forms, k)
    automatic: Any
    scale: Any  # sum_i |s_i|
    magnitude: Any  # G


def check(seed: int = 0, *, dtype: str = "float64", count: int = 100) -> TextReport:
    """Compare every handwritten derivative of the text with `jax.grad` and finite differences, at random points.

    Items that state something else than a derivative (T1, T10, T11) are tried as well. The bounds are derived in the
    module's documentation: 1e-12 relative to the sum of absolute per-observation scores in float64, the rounding that
    the sums explain in float32.

    Args:
        seed: of the random points.
        dtype: "float64" or "float32", the precision of handwritten and automatic derivatives.
        count: the number of random points for each derivative.

    Returns:
        A `TextReport`: prints as one table; `passed` says whether everything agrees.

    Raises:
        ValueError: an unknown dtype or a count below 1.

    Example:
        >>> import mle_jax as mle
        >>> report = mle.text.check(count=10)
        >>> report.passed, len(report.rows)
        (True, 12)
    """
    _require(dtype, count)
    rows = [
        _derivative_row(example, seed, dtype, count=count)
        if example.gradient is not None
        else _statement_row(example, seed)
        for example in EXAMPLES.values()
    ]
    return TextReport(tuple(rows), dtype, seed)


def _require(dtype: Any, count: Any) -> None:
    """Raise where the precision is unknown or the count is no whole number of at least 1."""
    if dtype not in ("float64", "float32"):
        raise ValueError(f"dtype is {dtype!r}, but it must be 'float64' or 'float32'; leave it out for float64")
    if not is_whole(count, least=1):
        raise ValueError(f"count is {count!r}, but it must be a whole number of at least 1; leave it out for 100")


def _statement_row(example: Example, seed: int) -> TextRow:
    assert example.demonstrate is not None
    found = example.demonstrate(seed)
    return TextRow(
        id=example.id,
        title=example.title,
        points=found.points,
        discrepancy=found.discrepancy,
        bound=found.bound,
        numeric=np.nan,
        passed=found.holds,
        note=found.note,
    )


def _derivative_row(example: Example, seed: int, dtype: str, *, count: int) -> TextRow:
    cases = [jax.tree_util.tree_map(lambda leaf: _rounded(leaf, dtype), case) for case in example.cases(seed, count)]
    found = compare(example, cases, dtype)
    allowed = allowed_difference(example, found, dtype)
    differences = np.abs(found.forms - found.automatic[:, None, :]).max(axis=1)
    worst = np.unravel_index(np.argmax(_ratio(differences, allowed)), differences.shape)
    numeric, numeric_passed = _numeric(example, cases[:NUMERIC_POINTS], found, allowed)
    agrees = bool(np.all(differences <= allowed))
    return TextRow(
        id=example.id,
        title=example.title,
        points=count,
        discrepancy=float(_ratio(differences[worst], found.scale[worst])),
        bound=float(_ratio(allowed[worst], found.scale[worst])),
        numeric=numeric,
        passed=agrees and numeric_passed,
        note="" if agrees else f"by hand and autodiff differ in coordinate {worst[1]} at point {worst[0]}",
    )


def compare(example: Example, cases: list[Any], dtype: str) -> Comparison:
    """Evaluate the derivatives of an example at many points in one compiled call, in the given precision."""
    with jax.enable_x64(dtype == "float64"):
        stacked = jax.tree_util.tree_map(lambda *leaves: jnp.asarray(np.stack(leaves), dtype), *cases)
        found = jax.jit(jax.vmap(at_highest_precision(_derivatives(example))))(*stacked)
        return Comparison(*(np.asarray(entry, np.float64) for entry in found))


def allowed_difference(example: Example, found: Comparison, dtype: str) -> Any:
    """Return the largest difference between two forms of the gradient that rounding explains, (points, k)."""
    if dtype == "float64":
        return FLOAT64_BOUND * found.scale
    spent = example.roundings * UNIT_ROUNDOFF
    return 2.0 * spent / (1.0 - spent) * found.magnitude


def _derivatives(example: Example) -> Callable[..., Comparison]:
    """Return the function of one case that computes everything that is compared."""
    assert example.gradient is not None and example.terms is not None and example.magnitude is not None
    by_hand, terms, magnitude = (example.gradient, *example.other_forms), example.terms, example.magnitude

    def at(params: Any, args: tuple[Any, ...]) -> Comparison:
        forms = jnp.stack([_flat(form(params, *args)) for form in by_hand])
        automatic = _flat(jax.grad(example.function)(params, *args))
        scores = jax.jacfwd(terms)(params, *args)
        scale = _flat(jax.tree_util.tree_map(lambda leaf: jnp.sum(jnp.abs(leaf), axis=0), scores))
        return Comparison(forms, automatic, scale, _flat(magnitude(params, *args)))

    return at


def _numeric(example: Example, cases: list[Any], found: Comparison, allowed: Any) -> tuple[float, bool]:
    """Return the worst distance from finite differences relative to the scale, and whether it is small enough."""
    worst, passed = 0.0, True
    for i, (params, args) in enumerate(cases):
        quotients = np.asarray(_flat(finite_difference(example.function, params, *args), np))
        apart = np.abs(found.forms[i, 0] - quotients)
        worst = max(worst, float(np.max(_ratio(apart, found.scale[i]))))
        passed = passed and bool(np.all(apart <= NUMERIC_BOUND * found.scale[i] + allowed[i]))
    return worst, passed


def _flat(tree: Any, numpy: Any = jnp) -> Any:
    return numpy.concatenate([numpy.ravel(leaf) for leaf in jax.tree_util.tree_leaves(tree)])


def _ratio(part: Any, whole: Any) -> Any:
    """Divide; nothing of nothing is 0, and NaN counts as infinitely far."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(part == 0.0, 0.0, np.nan_to_num(part / whole, nan=np.inf))


def _rounded(leaf: Any, dtype: str) -> np.ndarray:
    """Round a number to the precision of the check, so that all sources see the very same point."""
    return np.asarray(np.asarray(leaf, dtype), np.float64)
