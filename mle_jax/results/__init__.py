"""What people call and what they get: the verbs and `Fit`."""

from mle_jax.results.batch_verbs import fit_batch as fit_batch
from mle_jax.results.fit_object import Fit as Fit
from mle_jax.results.group_verbs import fit_groups as fit_groups
from mle_jax.results.influences import Influence as Influence
from mle_jax.results.influences import influence as influence
from mle_jax.results.verbs import evaluate as evaluate
from mle_jax.results.verbs import fit as fit

__all__ = ["Fit", "Influence", "evaluate", "fit", "fit_batch", "fit_groups", "influence"]
