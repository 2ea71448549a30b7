"""The right gradient at one point with all its parts, ready to be spoiled."""

from functools import cached_property
from typing import Any

import jax
import numpy as np

from benchmarks.gradient_checks.case import Case, Parts, Tree


class View:
    """What a handwritten gradient is made of, at one point, in the precision of the parameters."""

    def __init__(self, case: Case, params: Tree, args: tuple[Any, ...]) -> None:
        self.case = case
        self.params = jax.tree_util.tree_map(np.asarray, params)
        self.args = jax.tree_util.tree_map(np.asarray, args)

    @cached_property
    def point(self) -> np.ndarray:
        """The flat point (k,)."""
        return self.case.flat(self.params)

    @cached_property
    def parts(self) -> dict[str, np.ndarray]:
        """The terms of each additive part, (n, k)."""
        return self.laid_out(self.case.terms(self.params, *self.args))

    @cached_property
    def terms(self) -> np.ndarray:
        """The gradient of every observation, (n, k)."""
        return self.combined(self.parts)

    @cached_property
    def gradient(self) -> np.ndarray:
        """The right gradient, (k,)."""
        return self.terms.sum(axis=0)

    @property
    def has_rows(self) -> bool:
        """Whether the terms are those of observations, not of parts of different lengths."""
        return len(self.terms) > 1 and len({len(part) for part in self.parts.values()}) == 1

    def elsewhere(self, point: np.ndarray) -> "View":
        """Return the view of another point."""
        return View(self.case, self.case.tree(point.astype(self.point.dtype)), self.args)

    def combined(self, parts: dict[str, np.ndarray]) -> np.ndarray:
        """Add up parts observation by observation; those of different lengths are stacked."""
        arrays = list(parts.values())
        if len({len(array) for array in arrays}) > 1:
            return np.concatenate(arrays)
        total = np.sum(arrays, axis=0)
        return total / len(total) if self.case.average else total

    def laid_out(self, parts: Parts) -> dict[str, np.ndarray]:
        """Turn what `Case.terms` returns into one matrix per part."""
        rows = {name: self._rows(part) for name, part in parts.items()}
        most = max(rows.values())
        return {name: self._matrix(part, rows[name] or most) for name, part in parts.items()}

    def _rows(self, part: Tree) -> int:
        leaves = list(part.values()) if isinstance(part, dict) else [part]
        return len(leaves[0]) if leaves else 0

    def _matrix(self, part: Tree, rows: int) -> np.ndarray:
        found = part if isinstance(part, dict) else {"params": part}
        matrix = np.zeros((rows, self.case.size), self.point.dtype)
        for name, leaf in found.items():
            matrix[:, self.case.slices[name]] = np.reshape(leaf, (rows, -1))
        return matrix
