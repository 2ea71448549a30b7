"""A case: a function in JAX, and the terms of its gradient, derived by hand and written in NumPy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np

Tree = Any
Parts = dict[str, Any]

POINTS = 3
"""Points at which a case is looked at: its own, and others near it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Slip:
    """A mistake that makes sense for one case only."""

    terms: Callable[..., Parts]
    """As `Case.terms`, with the mistake in it."""
    names: frozenset[str]
    """What it may rightly be called."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """A function of (params, *args) that is a sum (or mean) over observations, and each observation's gradient.

    Attributes:
        pieces: ``pieces(params, *args) -> {part: (n,)}`` in JAX, the additive parts of every observation's value.
        terms: ``terms(params, *args) -> {part: pytree like params, (n, ...) per leaf}`` in NumPy, by hand; leaves that
            a part does not depend on may be left out.
        params: a dict of floats or arrays, or one bare float or array.
        args: the data.
        average: whether the function is the mean over observations.
        function: the function, where it is not made from the pieces (with the same value up to a constant).
        offset: a constant added to the function.
        positive: parameters that are positive, with "the derivative with respect to the log" of them.
        scale: the positive parameter that plays the part of sigma.
        branch: ``branch(*args) -> (n,)``, the observations of a branch, such as the censored ones.
        spread: distance of the other points, relative to the entries.
        slips: mistakes that make sense for this case only.
    """

    name: str
    pieces: Callable[..., Parts]
    terms: Callable[..., Parts]
    params: Tree
    args: tuple[Any, ...] = ()
    average: bool = False
    function: Callable[..., Any] | None = None
    offset: float = 0.0
    positive: tuple[str, ...] = ()
    scale: str | None = None
    branch: Callable[..., np.ndarray] | None = None
    spread: float = 0.1
    slips: Mapping[str, Slip] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def value(self) -> Callable[..., Any]:
        """The function: one object for good, so that it is compiled once per precision."""
        return self.function or self._total

    def _total(self, params: Tree, *args: Any) -> Any:
        return self.offset + jnp.sum(self.contributions(params, *args))

    def contributions(self, params: Tree, *args: Any) -> Any:
        """Return the value of every observation, (n,); their sum is the function but for the offset."""
        pieces = list(self.pieces(params, *args).values())
        if len({piece.shape for piece in pieces}) == 1:
            total = sum(pieces)
            return total / total.shape[0] if self.average else total
        return jnp.concatenate(pieces)

    @cached_property
    def part_functions(self) -> dict[str, Callable[..., Any]]:
        """The additive parts of the function, each as a function of (params, *args) with a scalar value."""

        def part(name: str) -> Callable[..., Any]:
            reduce = jnp.mean if self.average else jnp.sum
            return lambda params, *args: reduce(self.pieces(params, *args)[name])

        return {name: part(name) for name in self.part_names}

    @cached_property
    def part_names(self) -> tuple[str, ...]:
        """The names of the additive parts."""
        return tuple(self.terms(self.tree(self.flat(self.params)), *self.args))

    @cached_property
    def leaves(self) -> dict[str, np.ndarray]:
        """The parameters by name, float64; the name of a bare one is "params"."""
        tree = self.params if isinstance(self.params, dict) else {"params": self.params}
        return {name: np.asarray(leaf, np.float64) for name, leaf in tree.items()}

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each leaf lies in the flat vector."""
        found, begin = {}, 0
        for name, leaf in self.leaves.items():
            found[name] = slice(begin, begin + leaf.size)
            begin += leaf.size
        return found

    @cached_property
    def size(self) -> int:
        """The number of coordinates."""
        return sum(leaf.size for leaf in self.leaves.values())

    @cached_property
    def coordinates(self) -> tuple[str, ...]:
        """The names of the coordinates, as the reports of mle_jax spell them."""
        names: list[str] = []
        for name, leaf in self.leaves.items():
            indices = np.ndindex(leaf.shape)
            names += [name + (f"[{','.join(map(str, index))}]" if index else "") for index in indices]
        return tuple(names)

    def flat(self, params: Tree) -> np.ndarray:
        """Flatten parameters."""
        tree = params if isinstance(params, dict) else {"params": params}
        return np.concatenate([np.ravel(np.asarray(tree[name])) for name in self.leaves])

    def tree(self, vector: np.ndarray) -> Tree:
        """Lay a flat vector out like the parameters."""
        found = {name: vector[piece].reshape(self.leaves[name].shape)[()] for name, piece in self.slices.items()}
        return found if isinstance(self.params, dict) else found["params"]

    def points(self) -> list[np.ndarray]:
        """Return the flat points at which the case is looked at, its own first."""
        rng = np.random.default_rng(2718)
        base = self.flat(self.params).astype(np.float64)
        points = [base]
        for _ in range(POINTS - 1):
            moves = self.spread * rng.uniform(0.5, 1.0, base.size) * rng.choice([-1.0, 1.0], base.size)
            points.append(base + moves * np.where(base == 0.0, 1.0, base))
        return points
