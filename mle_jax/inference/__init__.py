"""How sure we are: functions of (model, data, solution)."""

from mle_jax.inference.information_checking import check_information as check_information
from mle_jax.inference.information_report import InformationReport as InformationReport
from mle_jax.inference.information_report import InformationRow as InformationRow
from mle_jax.inference.likelihood_report import LikelihoodReport as LikelihoodReport
from mle_jax.inference.likelihood_report import LikelihoodRow as LikelihoodRow
from mle_jax.inference.self_test import check_likelihood as check_likelihood
from mle_jax.inference.simulation import simulate as simulate
