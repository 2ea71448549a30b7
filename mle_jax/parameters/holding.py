"""Sort out which entries of the parameters are held at which values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from mle_jax._precision import is_traced
from mle_jax.parameters.constant import Fixed
from mle_jax.parameters.declared import as_float
from mle_jax.parameters.layout import assignments
from mle_jax.parameters.starts import fault_text, one_number, whole_leaf

if TYPE_CHECKING:
    from mle_jax.parameters.space import ParameterSpace


@dataclass(frozen=True, eq=False)
class FixedEntries:
    """Which entries of the flat vector are held, and at what values.

    Attributes:
        entries: for each entry of the flat vector whether it is held.
        values: the flat vector (n_flat,) of held values, NumPy float64 or, if any is traced, JAX; 0 where free.
    """

    entries: tuple[bool, ...]
    values: Any


def fix_entries(space: "ParameterSpace", fixed: Any, *, what: str) -> FixedEntries:
    """Sort out which entries are held at which values; see `coordinates`."""
    found = assignments(space, fixed, what=what)
    given: dict[int, Any] = {}
    for i, value in found.leaves.items():
        declared = space.declarations[i]
        whole = declared.flatten(whole_leaf(declared, value, space.leaf_names[i], what=what))
        given |= {space.flat_slices[i].start + k: entry for k, entry in enumerate(whole)}
    given |= {k: one_number(value, space.names[k], what=what) for k, value in found.entries.items()}
    for i, declared in enumerate(space.declarations):
        _check_leaf(space, i, given, what)
        if isinstance(declared, Fixed):
            given |= dict(enumerate(declared.flatten(np.asarray(declared.value)), start=space.flat_slices[i].start))
    entries = [given.get(k, 0.0) for k in range(space.n_flat)]
    values = jnp.stack([as_float(entry) for entry in entries]) if is_traced(entries) else np.array(entries, np.float64)
    return FixedEntries(tuple(k in given for k in range(space.n_flat)), values)


def _check_leaf(space: "ParameterSpace", leaf: int, given: dict[int, Any], what: str) -> None:
    """Raise if the entries held in one leaf cannot be held, or not at these values."""
    declared, name, part = space.declarations[leaf], space.leaf_names[leaf], space.flat_slices[leaf]
    ours = {k - part.start: given[k] for k in range(part.start, part.stop) if k in given}
    if not ours:
        return
    if len(ours) < declared.flat_size and not declared.elementwise:
        label, kind = space.labels[leaf][min(ours)], type(declared).__name__
        raise ValueError(
            f"{what} names '{label}', but '{name}' is {kind}, whose entries move together; fix all of '{name}' or none"
        )
    if is_traced(list(ours.values())):
        return
    flat = np.array(declared.flatten(np.asarray(declared.default_start(), dtype=np.float64)))
    for k, value in ours.items():
        flat[k] = value
    fault = declared.fault(declared.unflatten(flat))
    if fault is not None:
        raise ValueError(
            fault_text(space, leaf, fault, what=f"{what} value", remedy=f"pass {what}={{'{{name}}': ...}}")
        )
