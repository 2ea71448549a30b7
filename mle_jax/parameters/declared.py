"""Shared pieces of the declarations: what is stored, how it is checked, and arithmetic that stays in range."""

import dataclasses
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mle_jax._text import listing
from mle_jax._trees import entry_names
from mle_jax.parameters.protocol import Fault

Numbers: TypeAlias = float | tuple[Any, ...]
"""An array as nested tuples of floats: equal values hash equal, so declarations can be keys of compiled functions."""


def settle(declaration: Any, **fields: Any) -> None:
    """Set the fields of a frozen declaration from within its constructor."""
    for name, value in fields.items():
        object.__setattr__(declaration, name, value)


def text_of(declaration: Any) -> str:
    """Write a declaration as the user would: only what differs from the defaults."""
    parts = [
        f"{field.name}={getattr(declaration, field.name)!r}"
        for field in dataclasses.fields(declaration)
        if getattr(declaration, field.name) != field.default
    ]
    return f"{type(declaration).__name__}({', '.join(parts)})"


def frozen_numbers(value: ArrayLike, what: str) -> Numbers:
    """Turn a number or an array of finite real numbers into nested tuples of floats."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves(value)):
        raise TypeError(f"{what} is traced by jax, but a declaration holds plain numbers; declare it outside jit")
    try:
        array = np.asarray(value)
        numeric = array.dtype.kind != "b" and jnp.issubdtype(array.dtype, np.number)
    except (TypeError, ValueError):
        numeric = False
    if not numeric or np.iscomplexobj(array):
        raise TypeError(f"{what} is {value!r}, but must be a real number or an array of them")
    if array.size == 0:
        raise ValueError(f"{what} has shape {array.shape} and holds no number; give at least one")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{what} is {value!r}, but must be finite")
    return _tuples(array.astype(np.float64).tolist())


def _tuples(nested: Any) -> Numbers:
    return tuple(map(_tuples, nested)) if isinstance(nested, list) else float(nested)


def as_shape(shape: Any, kind: str) -> tuple[int, ...]:
    """Bring a declared shape to a tuple of positive ints."""
    try:
        entries = (shape,) if not isinstance(shape, Iterable) else tuple(shape)
        if any(isinstance(entry, bool) for entry in entries) or isinstance(shape, str):
            raise TypeError
        sizes = tuple(operator.index(entry) for entry in entries)
    except TypeError:
        raise TypeError(f"{kind}(shape={shape!r}): shape must be an int or a tuple of ints, say (2, 3)") from None
    if any(size < 1 for size in sizes):
        raise ValueError(f"{kind}(shape={shape!r}): a parameter needs at least one entry; sizes must be 1 or more")
    return sizes


def as_size(size: int, kind: str) -> int:
    """Bring a declared size to a positive int."""
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        raise TypeError(f"{kind}({size!r}): size must be an int, such as {kind}(3)")
    if operator.index(size) < 1:
        raise ValueError(f"{kind}({size!r}): size must be 1 or more")
    return operator.index(size)


def as_labels(labels: Any, kind: str, size: int | None = None) -> tuple[str, ...] | None:
    """Bring labels to a tuple of distinct names, as many as `size` where that is given."""
    if labels is None:
        return None
    if isinstance(labels, str) or not all(isinstance(label, str) and label for label in labels):
        raise TypeError(f"{kind}(labels={labels!r}): labels must be a tuple of names, such as ('intercept', 'income')")
    names = tuple(labels)
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise ValueError(f"{kind}(labels={names!r}): {listing(repeated)} is there twice; labels must be distinct")
    if not names or (size is not None and len(names) != size):
        raise ValueError(f"{kind}(labels={names!r}): there are {len(names)} labels for {size or 'no'} entries")
    return names


def elementwise_fields(
    kind: str,
    shape: int | Sequence[int],
    *,
    start: ArrayLike | None,
    columns: str | None,
    labels: Sequence[str] | None,
) -> dict[str, Any]:
    """Check and store what `Real`, `Positive` and `Interval` have in common."""
    sizes = as_shape(shape, kind)
    if columns is not None and not isinstance(columns, str):
        raise TypeError(f"{kind}(columns={columns!r}): columns must name one leaf of the data, such as columns='x'")
    if columns is not None and labels is not None:
        raise ValueError(f"{kind}(columns={columns!r}, labels=...): give columns or labels, not both")
    if columns is not None and sizes:
        raise ValueError(f"{kind}(shape={shape!r}, columns={columns!r}): columns sets the shape; give one of the two")
    names = as_labels(labels, kind)
    if names is not None and sizes not in ((), (len(names),)):
        raise ValueError(f"{kind}(shape={shape!r}, labels={names!r}): {len(names)} labels need shape ({len(names)},)")
    return {
        "shape": sizes if names is None else (len(names),),
        "start": None if start is None else frozen_numbers(start, f"{kind}(start=...): start"),
        "columns": columns,
        "labels": names,
    }


def refuse_bad_start(declaration: Any) -> None:
    """Raise if the declared start lies outside the declared domain."""
    if declaration.start is None:
        return
    shape = np.shape(declaration.start)
    if getattr(declaration, "columns", None) is not None:
        # The shape is not known before the data: the entries are checked now, their number by `resolve`.
        dataclasses.replace(declaration, shape=shape, columns=None)
        return
    broadcast = shape == () and declaration.elementwise
    fault = declaration.fault(declaration.default_start() if broadcast else np.asarray(declaration.start))
    if fault is not None:
        raise ValueError(f"{type(declaration).__name__}(start=...): start {in_words(fault, declaration.shape)}")


def start_array(start: Numbers, shape: tuple[int, ...]) -> np.ndarray:
    """Return a declared start as NumPy float64 of the declared shape."""
    return np.array(np.broadcast_to(np.asarray(start, dtype=np.float64), shape))[()]


def labelled(name: str, shape: tuple[int, ...], labels: tuple[str, ...] | None) -> tuple[str, ...]:
    """Name the entries of an array by their labels or positions."""
    return entry_names(name, shape) if labels is None else tuple(f"{name}[{label}]" for label in labels)


def entry_fault(
    value: ArrayLike, shape: tuple[int, ...], allowed: Callable[[np.ndarray], np.ndarray], rule: str
) -> Fault | None:
    """Find the first entry of a value that is not finite or not allowed."""
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        return Fault(None, f"has shape {array.shape}", f"must have shape {shape}")
    for test, text in ((np.isfinite, "must be finite"), (allowed, rule)):
        passed = np.ravel(test(array))
        if not passed.all():
            entry = int(np.argmin(passed))
            return Fault(entry, f"is {float(array.ravel()[entry])!r}", text)
    return None


def in_words(fault: Fault | None, shape: tuple[int, ...]) -> str | None:
    """Write a fault as the end of a sentence whose subject is the value."""
    if fault is None:
        return None
    where = f" at entry {fault.entry}" if fault.entry is not None and shape else ""
    return f"{fault.found}{where}, but {fault.rule}"


def as_float(value: ArrayLike) -> jax.Array:
    """Return a JAX array of a floating dtype: that of the value, or the default one for integers."""
    array = jnp.asarray(value)
    return array.astype(jnp.result_type(float, array.dtype))


def float_info(dtype: Any) -> Any:
    """Return the limits of a floating dtype: eps, tiny, max."""
    return jnp.finfo(dtype)


def log_range(dtype: Any) -> tuple[float, float]:
    """Return the least and the greatest argument for which exp is neither subnormal nor infinite, with a margin.

    Subnormal numbers are out of bounds because compiled code may flush them to zero.
    """
    info = float_info(dtype)
    return math.log(float(info.tiny)) + 1.0, math.log(float(info.max)) - 1.0
