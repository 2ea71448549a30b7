"""How sure we are: functions of (model, data, solution)."""

from typing import TYPE_CHECKING

from mle_jax._lazy import imported_when_asked_for

if TYPE_CHECKING:
    from mle_jax.inference.information_checking import check_information as check_information
    from mle_jax.inference.information_report import InformationReport as InformationReport
    from mle_jax.inference.information_report import InformationRow as InformationRow
    from mle_jax.inference.likelihood_report import LikelihoodReport as LikelihoodReport
    from mle_jax.inference.likelihood_report import LikelihoodRow as LikelihoodRow
    from mle_jax.inference.self_test import check_likelihood as check_likelihood
    from mle_jax.inference.simulation import simulate as simulate
else:
    __getattr__ = imported_when_asked_for(
        __name__,
        {
            "InformationReport": "mle_jax.inference.information_report",
            "InformationRow": "mle_jax.inference.information_report",
            "LikelihoodReport": "mle_jax.inference.likelihood_report",
            "LikelihoodRow": "mle_jax.inference.likelihood_report",
            "check_information": "mle_jax.inference.information_checking",
            "check_likelihood": "mle_jax.inference.self_test",
            "simulate": "mle_jax.inference.simulation",
        },
    )
