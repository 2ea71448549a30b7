"""What batches have in common: answers with what became of every lane, and how they are held against a reference."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.frame.workload import Contender
from mle_jax._status import are_certified

MEASURE = "largest error of an estimate or a standard error, in standard errors, over the lanes said to have converged"


def ours(name: str, prepare: Any, note: str, units: int | None = None) -> Contender:
    """Return one of the library's own ways."""
    return Contender(name=name, role="ours", units=units, prepare=prepare, note=note)


def first(data: Mapping[str, np.ndarray], count: int) -> list[dict[str, np.ndarray]]:
    """Return the first datasets of a batch of regressions, which loops do one by one."""
    return [{"x": x, "y": y} for x, y in zip(data["x"][:count], data["y"][:count], strict=True)]


def all_of(fits: Any, *, errors: bool = True) -> dict[str, Any]:
    """Return estimates, standard errors if wished, and what became of every lane of a batch.

    Returns:
        ``{"flat": (B, k), "se": (B, k), "converged": (B,), "steps": (B,)}``, parameters in their order of declaration.
    """
    answer = {"flat": flattened(fits.params), "converged": fits.converged, "steps": fits.steps}
    return {**answer, "se": flattened(fits.standard_errors())} if errors else answer


def one_by_one(fits: Sequence[Any]) -> dict[str, Any]:
    """Return the same of single fits."""

    def row(params: Any) -> np.ndarray:
        return np.concatenate([np.ravel(params[name]) for name in params])

    return {
        "flat": np.stack([row(fit.params) for fit in fits]),
        "se": np.stack([row(fit.standard_errors()) for fit in fits]),
        "converged": np.array([fit.converged for fit in fits]),
        "steps": np.array([fit.steps for fit in fits]),
    }


def flattened(params: Mapping[str, Any]) -> np.ndarray:
    """Return parameters by name, (B,) or (B, p), side by side: (B, k)."""
    leaves = [np.asarray(params[name]) for name in params]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def of_maximum(found: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the same of what `mle_jax.maximize` found for one dataset, without standard errors; traceable."""
    flat = jnp.concatenate([jnp.ravel(found.params[name]) for name in names])
    return {"flat": flat, "converged": are_certified(found.status), "steps": found.steps}


def in_standard_errors(answer: Mapping[str, Any], reference: Mapping[str, np.ndarray]) -> float:
    """Return the largest error of an estimate in standard errors, or of a standard error relative to itself.

    Lanes that an answer does not call converged are no answers; how many they are is reported beside the error. An
    answer to the first part of the work is held against the first part of the reference.
    """
    flat = np.asarray(answer["flat"])
    count = len(flat)
    claimed = np.asarray(answer.get("converged", np.ones(count, bool)))
    if not claimed.any():
        return float("nan")
    scale = reference["se"][:count]
    names = [name for name in ("flat", "se") if name in answer]
    apart = [np.abs(np.asarray(answer[name]) - reference[name][:count])[claimed] / scale[claimed] for name in names]
    return float(np.max(apart))  # NaN where any is


def chunks(lanes: int, size: int = 2000) -> Iterator[slice]:
    """Yield slices of so many lanes at most: what NumPy works on side by side should stay small."""
    for begin in range(0, lanes, size):
        yield slice(begin, min(begin + size, lanes))


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Put the answers of chunks together."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def errors_of(information: np.ndarray) -> np.ndarray:
    """Return the standard errors (B, k) from the observed information (B, k, k)."""
    return np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2))
