"""Maximum likelihood with automatic differentiation on JAX."""

from typing import TYPE_CHECKING

from mle_jax import optimizers as optimizers
from mle_jax._lazy import imported_when_asked_for
from mle_jax._status import ConvergenceWarning as ConvergenceWarning
from mle_jax._status import Status as Status
from mle_jax.fitting import Solution as Solution
from mle_jax.fitting import maximize as maximize
from mle_jax.likelihood import ExactMaximum as ExactMaximum
from mle_jax.likelihood import Model as Model
from mle_jax.optimizers import stops as stops
from mle_jax.optimizers.minimizing import History as History
from mle_jax.optimizers.minimizing import Minimum as Minimum
from mle_jax.optimizers.minimizing import minimize as minimize
from mle_jax.parameters import Covariance as Covariance
from mle_jax.parameters import Fixed as Fixed
from mle_jax.parameters import Interval as Interval
from mle_jax.parameters import Ordered as Ordered
from mle_jax.parameters import Positive as Positive
from mle_jax.parameters import Real as Real
from mle_jax.parameters import Simplex as Simplex
from mle_jax.results import Fit as Fit
from mle_jax.results import evaluate as evaluate
from mle_jax.results import fit as fit
from mle_jax.tables import Table as Table

if TYPE_CHECKING:
    from mle_jax import densities as densities
    from mle_jax import models as models
    from mle_jax import plots as plots
    from mle_jax import text as text
    from mle_jax.data.padded_rows import rows_by as rows_by
    from mle_jax.gradients import GradientReport as GradientReport
    from mle_jax.gradients import HessianReport as HessianReport
    from mle_jax.gradients import check_gradient as check_gradient
    from mle_jax.gradients import check_hessian as check_hessian
    from mle_jax.gradients import check_hessian_product as check_hessian_product
    from mle_jax.gradients import critical_point as critical_point
    from mle_jax.gradients import difference_curve as difference_curve
    from mle_jax.gradients import finite_difference as finite_difference
    from mle_jax.inference import InformationReport as InformationReport
    from mle_jax.inference import LikelihoodReport as LikelihoodReport
    from mle_jax.inference import check_information as check_information
    from mle_jax.inference import check_likelihood as check_likelihood
    from mle_jax.inference import simulate as simulate
    from mle_jax.results import Influence as Influence
    from mle_jax.results import fit_batch as fit_batch
    from mle_jax.results import fit_groups as fit_groups
    from mle_jax.results import influence as influence
else:
    __getattr__ = imported_when_asked_for(
        __name__,
        {
            "densities": "mle_jax.densities",
            "gradients": "mle_jax.gradients",
            "models": "mle_jax.models",
            "plots": "mle_jax.plots",
            "text": "mle_jax.text",
            "GradientReport": "mle_jax.gradients",
            "HessianReport": "mle_jax.gradients",
            "check_gradient": "mle_jax.gradients",
            "check_hessian": "mle_jax.gradients",
            "check_hessian_product": "mle_jax.gradients",
            "critical_point": "mle_jax.gradients",
            "difference_curve": "mle_jax.gradients",
            "finite_difference": "mle_jax.gradients",
            "InformationReport": "mle_jax.inference",
            "LikelihoodReport": "mle_jax.inference",
            "check_information": "mle_jax.inference",
            "check_likelihood": "mle_jax.inference",
            "simulate": "mle_jax.inference",
            "Influence": "mle_jax.results",
            "fit_batch": "mle_jax.results",
            "fit_groups": "mle_jax.results",
            "influence": "mle_jax.results",
            "rows_by": "mle_jax.data.padded_rows",
        },
    )

__version__ = "0.1.0"

__all__ = [
    "ConvergenceWarning",
    "Covariance",
    "ExactMaximum",
    "Fit",
    "Fixed",
    "GradientReport",
    "HessianReport",
    "History",
    "Influence",
    "InformationReport",
    "Interval",
    "LikelihoodReport",
    "Minimum",
    "Model",
    "Ordered",
    "Positive",
    "Real",
    "Simplex",
    "Solution",
    "Status",
    "Table",
    "check_gradient",
    "check_hessian",
    "check_hessian_product",
    "check_information",
    "check_likelihood",
    "critical_point",
    "densities",
    "difference_curve",
    "evaluate",
    "finite_difference",
    "fit",
    "fit_batch",
    "fit_groups",
    "influence",
    "maximize",
    "minimize",
    "models",
    "optimizers",
    "plots",
    "rows_by",
    "simulate",
    "stops",
    "text",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
