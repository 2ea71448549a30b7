"""Which optimizer `optimizer="auto"` means."""

import functools
from typing import TYPE_CHECKING, Any

from mle_jax.optimizers import Newton, NewtonCG, Optax
from mle_jax.optimizers._protocol import Optimizer
from mle_jax.optimizers.minimizing import check_optimizer

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

NEWTON_UP_TO = 500  # free coordinates: beyond, the eigendecompositions cost more than they save
DENSE_UP_TO = 2000
"""Free coordinates up to which the Hessian is formed, k-by-k, for the certificate: beyond, products with it must do."""
NEWTON_STEPS = 2000  # narrow bent valleys take hundreds: NIST's Bennett5 650, MGH10 1140
NEWTON_STEPS_OF_MANY = 200  # side by side, all wait for the slowest
FIRST_ORDER_STEPS = 10_000


def choose_optimizer(model: "Model", optimizer: Any, size: int) -> Optimizer[Any]:
    """Return the optimizer to use for a model with so many free coordinates.

    Raises:
        TypeError: not an optimizer.
        ValueError: Newton's method for a model that is not smooth, or a configuration out of range.
    """
    if isinstance(optimizer, str):
        if optimizer != "auto":
            raise ValueError(
                f"optimizer is '{optimizer}', but the only word allowed is 'auto'; otherwise pass an object, such as "
                "mle_jax.optimizers.Newton() or GradientDescent(0.05)"
            )
        if not model.smooth:
            return adam_with_decay()
        return Newton() if size <= NEWTON_UP_TO else NewtonCG()
    check_optimizer(optimizer)
    if isinstance(optimizer, Newton) and not model.smooth:
        raise ValueError(
            f"optimizer is Newton(), but {model.label} is declared smooth=False: its curvature says nothing about the "
            "maximum; use optimizer='auto', GradientDescent(...) or Optax(...)"
        )
    if isinstance(optimizer, Newton) and optimizer.curvature == "expected" and model.expected_information is None:
        raise ValueError(
            f"optimizer is Newton(curvature='expected'), but {model.label} has no expected information; declare it "
            "with Model(..., expected_information=...), or leave curvature out"
        )
    return optimizer


def forms_hessian(optimizer: Optimizer[Any], size: int) -> bool:
    """Say whether the certificate may form the Hessian: up to `DENSE_UP_TO`, and where the search does so anyway."""
    return size <= DENSE_UP_TO or isinstance(optimizer, Newton)


def search_again(size: int) -> Newton | NewtonCG:
    """Return the optimizer of a second search, from a better start or within a boundary."""
    return Newton() if size <= DENSE_UP_TO else NewtonCG()


def default_steps(optimizer: Optimizer[Any], *, many: bool = False) -> int:
    """Return the number of steps allowed where the user says nothing, for one dataset or for many side by side."""
    newton = NEWTON_STEPS_OF_MANY if many else NEWTON_STEPS
    return newton if isinstance(optimizer, Newton) else FIRST_ORDER_STEPS


@functools.cache
def adam_with_decay() -> Optax:
    """Return Adam with a rate that falls to zero over the default number of steps, for models with kinks."""
    import optax

    return Optax(optax.adam(optax.cosine_decay_schedule(0.05, FIRST_ORDER_STEPS)))
