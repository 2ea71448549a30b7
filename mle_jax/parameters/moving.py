"""`Coordinates`: the free coordinates that a search really moves, the fixed entries held apart."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mle_jax._text import listing
from mle_jax.parameters.declared import as_float
from mle_jax.parameters.space import ParameterSpace
from mle_jax.parameters.tying import tie


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["fixed_values", "shift", "mixing"],
    meta_fields=["space", "fixed", "active", "dependent"],
)
@dataclass(frozen=True, eq=False)
class Coordinates:
    """Map the moving free coordinates ``theta`` to params; fixed entries keep their values to the last bit.

    Coordinates that constraints tie to these follow from them: dependent = shift + mixing theta.

    A pytree whose arrays are `fixed_values`, `shift` and `mixing`: other values for the same entries do not recompile
    anything. `coordinates` makes one.

    Attributes:
        fixed_values: the flat vector (n_flat,) of fixed natural values; 0 where free.
        space: the parameters.
        fixed: for each entry of the flat vector whether it is fixed.
        active: the positions in the free vector that move by themselves, m of them.
        dependent: the positions in the free vector that follow from those, p of them.
        shift: (p,), or None where nothing follows.
        mixing: (p, m), or None.

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
    dependent: tuple[int, ...] = ()
    shift: Any = None
    mixing: Any = None

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
        """Map params to the moving coordinates (size,); fixed entries and those that follow are not looked at."""
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
        if self.dependent:
            followed = jnp.matmul(as_float(self.mixing), moving, precision=jax.lax.Precision.HIGHEST) + self.shift
            free = free.at[np.asarray(self.dependent, int)].set(followed.astype(moving.dtype))
        flat = self.space.flatten(self.space.constrain(free))
        return jnp.where(np.asarray(self.fixed), jnp.asarray(self.fixed_values, flat.dtype), flat)

    def jacobian(self, theta: ArrayLike) -> jax.Array:
        """Return d flat(theta) / d theta, (n_flat, size); the rows of fixed entries are zero."""
        return jax.jacfwd(self.flat)(as_float(theta))


def hold_more(place: Coordinates, values: dict[str, Any]) -> Coordinates:
    """Hold some more entries at values by name; what is held already stays so, and the others stay tied.

    Of entries that are tied to each other, all or none are held.
    """
    space = place.space
    held = {
        name: jnp.asarray(place.fixed_values[i])
        for i, name in enumerate(space.names)
        if place.fixed[i] and not _is_constant(space, i)
    }
    bound = coordinates(space, {**held, **values})
    if not place.dependent:
        return bound
    columns = [i for i, position in enumerate(place.active) if position in bound.active]
    rows = [i for i, position in enumerate(place.dependent) if position in bound.active]
    return replace(
        bound,
        active=tuple(place.active[i] for i in columns),
        dependent=tuple(place.dependent[i] for i in rows),
        shift=np.asarray(place.shift)[rows],
        mixing=np.asarray(place.mixing)[np.ix_(rows, columns)],
    )


def _is_constant(space: ParameterSpace, entry: int) -> bool:
    """Say whether an entry belongs to a parameter declared `Fixed`."""
    parts = zip(space.declarations, space.flat_slices, strict=True)
    return any(declared.free_size == 0 and part.start <= entry < part.stop for declared, part in parts)


def coordinates(space: ParameterSpace, fixed: Any = None, constraints: Any = ()) -> Coordinates:
    """Hold some entries of a space at fixed values, and tie others to each other.

    Args:
        space: the parameters.
        fixed: None or a dict of leaf names (``sigma``) or entry names (``w[1]``) and values, which may be traced;
            nested dicts serve as well. Entries that move together (simplex, ordered, covariance) are fixed all or
            none.
        constraints: linear equations such as ``w[0] = w[1]``, strings; see `tie`.

    Returns:
        The remaining coordinates; none are left when everything is fixed.

    Raises:
        ValueError: for unknown names, shapes that do not fit, values outside their domains, single entries of
            parameters whose entries move together, and constraints that cannot be kept.
        TypeError: for constraints that are not strings.

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
    if not constraints:
        return Coordinates(held.values, space=space, fixed=held.entries, active=tuple(moving))
    ties = tie(space, constraints, moving)
    return Coordinates(held.values, space=space, fixed=held.entries, **ties._asdict())
