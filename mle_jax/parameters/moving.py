"""`Coordinates`: the free coordinates that a search really moves, the fixed entries held apart."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mle_jax._text import listing
from mle_jax.parameters.declared import as_float
from mle_jax.parameters.space import ParameterSpace


@partial(jax.tree_util.register_dataclass, data_fields=["fixed_values"], meta_fields=["space", "fixed", "active"])
@dataclass(frozen=True, eq=False)
class Coordinates:
    """Map the moving free coordinates ``theta`` to params; fixed entries keep their values to the last bit.

    A pytree whose only array is `fixed_values`: other fixed values of the same entries do not recompile anything.
    `coordinates` makes one.

    Attributes:
        fixed_values: the flat vector (n_flat,) of fixed natural values; 0 where free.
        space: the parameters.
        fixed: for each entry of the flat vector whether it is fixed.
        active: the positions in the free vector that move.

    Example:
        >>> from mle_jax import Positive, Real
        >>> from mle_jax.parameters import coordinates, resolve
        >>> space = resolve({"w": Real(2), "sigma": Positive()}, None)
        >>> moving = coordinates(space, {"w[1]": 0.5})
        >>> moving.names, moving.size
        (('w[0]', 'sigma'), 2)
    """

    fixed_values: Any
    space: ParameterSpace = field()
    fixed: tuple[bool, ...] = field()
    active: tuple[int, ...] = field()

    @property
    def size(self) -> int:
        """The number of coordinates that move."""
        return len(self.active)

    @property
    def names(self) -> tuple[str, ...]:
        """A readable name for each coordinate that moves."""
        return tuple(self.space.free_names[i] for i in self.active)

    def params(self, theta: ArrayLike) -> Any:
        """Map moving coordinates (size,) to params."""
        if self.size == self.space.n_free:
            return self.space.constrain(theta)
        return self.space.unflatten(self.flat(theta))

    def theta(self, params: Any) -> jax.Array:
        """Map params to the moving coordinates (size,); the fixed entries are not looked at."""
        free = self.space.unconstrain(params)
        return free if self.size == self.space.n_free else free[np.asarray(self.active, int)]

    def flat(self, theta: ArrayLike) -> jax.Array:
        """Map moving coordinates (size,) to the flat natural vector (n_flat,)."""
        if self.size == self.space.n_free:
            return self.space.flatten(self.space.constrain(theta))
        moving = as_float(theta)
        if moving.shape != (self.size,):
            raise ValueError(f"theta has shape {moving.shape}, but ({self.size},) is needed, for {listing(self.names)}")
        free = jnp.zeros(self.space.n_free, moving.dtype).at[np.asarray(self.active, int)].set(moving)
        flat = self.space.flatten(self.space.constrain(free))
        return jnp.where(np.asarray(self.fixed), jnp.asarray(self.fixed_values, flat.dtype), flat)

    def jacobian(self, theta: ArrayLike) -> jax.Array:
        """Return d flat(theta) / d theta, (n_flat, size); the rows of fixed entries are zero."""
        return jax.jacfwd(self.flat)(as_float(theta))


def coordinates(space: ParameterSpace, fixed: Any = None) -> Coordinates:
    """Hold some entries of a space at fixed values.

    Args:
        space: the parameters.
        fixed: None or a dict of leaf names (``sigma``) or entry names (``w[1]``) and values, which may be traced;
            nested dicts serve as well. Entries that move together (simplex, ordered, covariance) are fixed all or
            none.

    Returns:
        The remaining coordinates; none are left when everything is fixed.

    Raises:
        ValueError: for unknown names, shapes that do not fit, values outside their domains, and single entries of
            parameters whose entries move together.

    Example:
        >>> from mle_jax import Positive
        >>> from mle_jax.parameters import coordinates, resolve
        >>> space = resolve({"sigma": Positive()}, None)
        >>> float(coordinates(space, {"sigma": 2.0}).flat([])[0])
        2.0
    """
    held = space.fix(fixed)
    moving = []
    for declared, flat, free in zip(space.declarations, space.flat_slices, space.free_slices, strict=True):
        entries = held.entries[flat]
        if declared.elementwise:
            moving += [i for i, stuck in zip(range(free.start, free.stop), entries, strict=True) if not stuck]
        elif not any(entries):
            moving += range(free.start, free.stop)
    return Coordinates(held.values, space=space, fixed=held.entries, active=tuple(moving))
