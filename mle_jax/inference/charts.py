"""The coordinates in which a model's likelihood is looked at, and what the verbs of simulation check first."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax import Array

from mle_jax._precision import to_numpy
from mle_jax.data.arrays import read_data
from mle_jax.likelihood.layout import check_call, model_space
from mle_jax.likelihood.probing import on_data
from mle_jax.parameters import ParameterSpace

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


class Chart(NamedTuple):
    """Independent coordinates of the parameters: the named entries, or the free ones where entries move together.

    The entries of a Simplex, say, cannot be moved one by one, so derivatives with respect to them mean nothing.
    """

    space: ParameterSpace

    @property
    def is_natural(self) -> bool:
        """Whether the coordinates are the named entries."""
        return self.space.n_flat == self.space.n_free

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the coordinates."""
        return self.space.names if self.is_natural else self.space.free_names

    def vector(self, params: Any) -> Array:
        """Return the coordinates (k,) of params."""
        return self.space.flatten(params) if self.is_natural else self.space.unconstrain(params)

    def params(self, vector: Array) -> Any:
        """Return params at coordinates (k,)."""
        return self.space.unflatten(vector) if self.is_natural else self.space.constrain(vector)


class Ready(NamedTuple):
    """A model's data and parameters, checked."""

    data: Any
    params: Any
    chart: Chart


def ready(model: "Model", data: Any, params: Any) -> Ready:
    """Read the data (also a table), complete the parameters by the start values, and check that all fits together.

    Raises:
        TypeError, ValueError, KeyError: model, data or parameters are not what they should be.
    """
    if not hasattr(model, "log_density"):
        raise TypeError(
            f"the first argument is a {type(model).__name__}, but it must be a Model; declare one with "
            "Model(log_density, parameters)"
        )
    arrays, _ = read_data(data, None)
    space = model_space(model, arrays)
    begin = space.default_start()
    if model.start is not None:
        begin = space.merge(begin, to_numpy(on_data(model, "start", arrays)))
    point = space.merge(begin, params, what="params")
    space.check(point, what="value", remedy="pass params inside the domain")
    point = jax.tree_util.tree_map(np.asarray, point)
    check_call(model, point, arrays)
    return Ready(arrays, point, Chart(space))
