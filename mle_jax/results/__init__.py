"""What people call and what they get: the verbs and `Fit`. What one fit does without is imported when asked for."""

from typing import TYPE_CHECKING

from mle_jax._lazy import imported_when_asked_for
from mle_jax.results.fit_object import Fit as Fit
from mle_jax.results.verbs import evaluate as evaluate
from mle_jax.results.verbs import fit as fit

if TYPE_CHECKING:
    from mle_jax.results.batch_verbs import fit_batch as fit_batch
    from mle_jax.results.group_verbs import fit_groups as fit_groups
    from mle_jax.results.influences import Influence as Influence
    from mle_jax.results.influences import influence as influence
else:
    __getattr__ = imported_when_asked_for(
        __name__,
        {
            "fit_batch": "mle_jax.results.batch_verbs",
            "fit_groups": "mle_jax.results.group_verbs",
            "Influence": "mle_jax.results.influences",
            "influence": "mle_jax.results.influences",
        },
    )

__all__ = ["Fit", "Influence", "evaluate", "fit", "fit_batch", "fit_groups", "influence"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
