"""`ParameterSpace`: all declarations of a model, and the maps between named pytree, flat vector and free vector."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from mle_jax.parameters.declared import as_float
from mle_jax.parameters.holding import FixedEntries, fix_entries
from mle_jax.parameters.layout import leaves_of
from mle_jax.parameters.protocol import Declaration
from mle_jax.parameters.starts import check_values, merge_values


@dataclass(frozen=True)
class ParameterSpace:
    """Hold the declared parameters with known shapes; `resolve` makes one.

    Three layouts of the same parameters occur: the pytree `params` that the log density sees, the *flat* vector
    (n_flat,) of its named entries in the order of declaration, and the *free* vector (n_free,) of unconstrained
    coordinates. The object is hashable by value and meant to be a static argument of compiled functions.

    Attributes:
        leaf_names: one name per declaration, in the order in which the user wrote them.
        declarations: the declarations, all with known shapes, in the same order.
        treedef: the layout of the pytree as JAX knows it.
        order: for each leaf in JAX's order (dictionary keys sorted) its position in the order of declaration.
        labels: the names of the entries of each leaf.

    Example:
        >>> from mle_jax import Positive, Real
        >>> from mle_jax.parameters import resolve
        >>> space = resolve({"w": Real(2), "sigma": Positive()}, None)
        >>> space.names
        ('w[0]', 'w[1]', 'sigma')
        >>> [float(x) for x in space.flatten(space.default_start())]
        [0.0, 0.0, 1.0]
    """

    leaf_names: tuple[str, ...]
    declarations: tuple[Declaration, ...]
    treedef: Any
    order: tuple[int, ...]
    labels: tuple[tuple[str, ...], ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all entries, which is the order of every table and matrix."""
        return tuple(label for labels in self.labels for label in labels)

    @cached_property
    def free_names(self) -> tuple[str, ...]:
        """A readable name for each free coordinate: that of its entry, or ``p~0`` where entries move together."""
        return tuple(
            label
            for name, declared, labels in zip(self.leaf_names, self.declarations, self.labels, strict=True)
            for label in (labels if declared.elementwise else (f"{name}~{i}" for i in range(declared.free_size)))
        )

    @cached_property
    def free_leaf(self) -> tuple[int, ...]:
        """For each free coordinate the position of the leaf that it belongs to."""
        return tuple(leaf for leaf, declared in enumerate(self.declarations) for _ in range(declared.free_size))

    @cached_property
    def flat_slices(self) -> tuple[slice, ...]:
        """For each leaf the place of its entries in the flat vector."""
        return _slices([declared.flat_size for declared in self.declarations])

    @cached_property
    def free_slices(self) -> tuple[slice, ...]:
        """For each leaf the place of its coordinates in the free vector."""
        return _slices([declared.free_size for declared in self.declarations])

    @property
    def n_flat(self) -> int:
        """The number of named entries."""
        return len(self.names)

    @property
    def n_free(self) -> int:
        """The number of unconstrained coordinates."""
        return len(self.free_leaf)

    def constrain(self, free: ArrayLike) -> Any:
        """Map free coordinates (n_free,) to params."""
        free = self._vector(free, self.n_free, "free coordinates")
        parts = zip(self.declarations, self.free_slices, strict=True)
        return self.rebuild([declared.constrain(free[part]) for declared, part in parts])

    def unconstrain(self, params: Any) -> jax.Array:
        """Map params to free coordinates (n_free,)."""
        leaves = zip(self.declarations, self._floats(params), strict=True)
        return jnp.concatenate([declared.unconstrain(leaf) for declared, leaf in leaves])

    def flatten(self, params: Any) -> jax.Array:
        """List the entries (n_flat,) of params, in the common floating dtype of the leaves."""
        leaves = zip(self.declarations, self._floats(params), strict=True)
        return jnp.concatenate([declared.flatten(leaf) for declared, leaf in leaves])

    def unflatten(self, flat: ArrayLike) -> Any:
        """Put entries (n_flat,) back into params; the inverse of `flatten`."""
        flat = self._vector(flat, self.n_flat, "flat parameters")
        parts = zip(self.declarations, self.flat_slices, strict=True)
        return self.rebuild([declared.unflatten(flat[part]) for declared, part in parts])

    def jacobian(self, free: ArrayLike) -> jax.Array:
        """Return d flatten(constrain(free)) / d free, (n_flat, n_free)."""
        return jax.jacfwd(lambda moved: self.flatten(self.constrain(moved)))(as_float(free))

    def log_jacobian(self, free: ArrayLike) -> jax.Array:
        """Return the sum over the leaves of log |det d flat / d free|, a scalar."""
        free = self._vector(free, self.n_free, "free coordinates")
        parts = zip(self.declarations, self.free_slices, strict=True)
        return jnp.sum(jnp.stack([declared.log_jacobian(free[part]) for declared, part in parts]))

    def default_start(self) -> Any:
        """Return params at the declared or neutral starts, as NumPy float64."""
        return self.rebuild([declared.default_start() for declared in self.declarations])

    def merge(self, base_params: Any, given: Any, *, what: str = "start") -> Any:
        """Overlay values on params.

        Args:
            base_params: params, complete.
            given: None, or params that may lack parts, or a dict keyed by leaf names (``w``, ``a.b``) or entry names
                (``w[1]``). A single number fills a leaf of real, positive or interval entries.
            what: what the values are called in messages.

        Returns:
            params in the dtypes of `base_params`: NumPy, or JAX where a value is traced.

        Raises:
            ValueError: for unknown names and for shapes that do not fit.
            TypeError: for values that are not real numbers.
        """
        return merge_values(self, base_params, given, what=what)

    def check(self, params: Any, *, what: str = "start value", remedy: str = "pass start={'{name}': ...}") -> None:
        """Raise unless params has the declared layout and every concrete value lies in its domain.

        Args:
            params: params, complete; of traced values only the shapes are checked.
            what: what a value is called in messages.
            remedy: how messages end; ``{name}`` stands for the parameter at fault.

        Raises:
            ValueError: for a missing or unknown parameter, a wrong shape, or a value outside its domain.
            TypeError: for values that are not real numbers.
        """
        check_values(self, params, what=what, remedy=remedy)

    def fix(self, fixed: Any, *, what: str = "fixed") -> FixedEntries:
        """Say which entries are held at which values; see `coordinates`."""
        return fix_entries(self, fixed, what=what)

    def rebuild(self, leaves: Sequence[Any]) -> Any:
        """Return the pytree with these leaves, given in the order of declaration."""
        return jax.tree_util.tree_unflatten(self.treedef, [leaves[i] for i in self.order])

    def _floats(self, params: Any) -> list[jax.Array]:
        """The leaves of params in the order of declaration and in one floating dtype."""
        arrays = [jnp.asarray(leaf) for leaf in leaves_of(self, params, what="params")]
        dtype = jnp.result_type(float, *arrays)
        return [array.astype(dtype) for array in arrays]

    def _vector(self, vector: ArrayLike, size: int, what: str) -> jax.Array:
        array = as_float(vector)
        if array.shape != (size,):
            raise ValueError(f"{what} have shape {array.shape}, but must have shape ({size},); pass one number each")
        return array


def _slices(sizes: Sequence[int]) -> tuple[slice, ...]:
    ends = list(accumulate(sizes, initial=0))
    return tuple(slice(a, b) for a, b in pairwise(ends))
