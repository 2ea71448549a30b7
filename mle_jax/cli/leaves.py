"""Which leaves of the data a model reads, and how: found by running its log density on made-up rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax._trees import named_leaves
from mle_jax.likelihood import Model
from mle_jax.parameters import Ordered, ParameterSpace, Real, resolve
from mle_jax.parameters.resolution import declarations, leaves_with_columns

STEP = 0.5
"""By how much parameters are moved to see whether one has the place of another."""
UNCHANGED = 1e-3
"""Below this, or this part of another change, a change of log densities of size 1 may be rounding in float32."""

Shapes = dict[str, jax.ShapeDtypeStruct]


def leaves_read(model: Model, present: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of the data leaves that a log density reads.

    Args:
        model: the model.
        present: leaves that the data have; of those that are optional, only these are read.
    """
    return tuple(_traced(model, tuple(present)))


def optional_leaves(model: Model) -> tuple[str, ...]:
    """Return the names of the data leaves that a log density reads where they are there, and else does without."""
    found: tuple[str, ...] = ()
    while True:  # some are looked for only where others are there: the end of an interval where there is a status
        sought = [name for name in _traced(model, found).sought if name not in found]
        if not sought:
            return tuple(sorted(found))
        found += tuple(sought)


def matrices_of(model: Model, present: Iterable[str] = ()) -> frozenset[str]:
    """Return the names of the data leaves that a model reads as matrices: their columns size and name a parameter.

    Args:
        model: the model.
        present: leaves that the data have.
    """
    return leaves_with_columns(model.parameters, _shapes({"x"}, present))


def level_of(model: Model, present: Iterable[str] = ()) -> str | None:
    """Return the parameter that has the place of an intercept of x, such as the cutpoints of an ordered model, or None.

    It has it if moving the intercept and all its entries by the same amount, up or down, changes no log density. This
    is tried on two made-up rows whose x is the constant, y = 0 and y = 1.

    Args:
        model: the model.
        present: leaves that the data have.
    """
    names = tuple(present)
    shapes = _shapes({"x", *matrices_of(model, names)}, names, columns=1)
    declared = named_leaves(declarations(model.parameters, shapes))
    pairs = list(zip(declared.names, declared.leaves, strict=True))
    lines = [name for name, leaf in pairs if getattr(leaf, "columns", None) == "x"]
    others = [n for n, leaf in pairs if isinstance(leaf, Real | Ordered) and getattr(leaf, "columns", None) is None]
    if not lines or not others:
        return None
    space = resolve(model.parameters, shapes)

    def values(**steps: float) -> np.ndarray:
        params = _moved(space, {**dict.fromkeys(lines, STEP), **steps})
        return np.array([model.log_density(params, _row(shapes, names, y)) for y in (0, 1)], np.float64)

    change = np.abs(values() - values(**dict.fromkeys(lines, 0.0))).max()
    still = values(**dict.fromkeys(lines, 0.0))
    apart = {name: min(np.abs(values(**{name: step}) - still).max() for step in (STEP, -STEP)) for name in others}
    return next((name for name in others if change > UNCHANGED > apart[name] / change), None)


def _moved(space: ParameterSpace, steps: Mapping[str, float]) -> Any:
    """Return the declared start with all entries of some parameters moved."""
    flat = np.array(space.flatten(space.default_start()))
    for name, place in zip(space.leaf_names, space.flat_slices, strict=True):
        flat[place] += steps.get(name, 0.0)
    return space.unflatten(jnp.asarray(flat))


def _shapes(matrices: Iterable[str], present: Iterable[str], *, columns: int = 2) -> Shapes:
    """Return made-up shapes of two rows."""
    kind = jnp.result_type(float)
    vectors = {name: jax.ShapeDtypeStruct((2,), kind) for name in present}
    return vectors | {name: jax.ShapeDtypeStruct((2, columns), kind) for name in matrices}


def _row(shapes: Shapes, present: Sequence[str], y: int) -> "_Asked":
    """Return a made-up row: whole numbers, because a category may be an index."""
    ones = {name: jnp.ones(shape.shape[1:], int) for name, shape in shapes.items()}
    return _Asked(lambda name: jnp.asarray(y) if name == "y" else ones.get(name, jnp.ones((), int)), present)


def _traced(model: Model, present: tuple[str, ...]) -> "_Asked":
    """Trace a log density on a made-up row, and return the row, which knows what it was asked for."""
    shapes = _shapes({"x", *matrices_of(model, present)}, present)
    params = resolve(model.parameters, shapes).default_start()
    row = _row(shapes, present, 0)
    jax.eval_shape(lambda traced: model.log_density(traced, row), params)
    return row


class _Asked(Mapping[str, Any]):
    """A row that answers for every leaf and keeps in mind which were asked for.

    A leaf that a model looks for before it reads it (``"offset" in row``) is optional: absent, unless it was given.
    """

    def __init__(self, answer: Callable[[str], Any], present: Sequence[str]) -> None:
        self._answer = answer
        self._present = tuple(present)
        self._names: list[str] = []
        self.sought: list[str] = []
        """The optional leaves that were looked for."""

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            self._names.append(name)
        return self._answer(name)

    def __contains__(self, name: object) -> bool:
        if name not in self.sought:
            self.sought.append(str(name))
        return name in self._present

    def get(self, name: str, default: Any = None) -> Any:
        """Return a leaf where it is there."""
        return self[name] if name in self else default  # noqa: SIM401 - this is what `get` means here

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
