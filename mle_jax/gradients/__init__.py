"""Derivatives of plain functions: checked, differenced, and at critical points."""

from mle_jax.gradients.checking import check_gradient as check_gradient
from mle_jax.gradients.critical import CriticalPoint as CriticalPoint
from mle_jax.gradients.critical import critical_point as critical_point
from mle_jax.gradients.curves import DifferenceCurve as DifferenceCurve
from mle_jax.gradients.curves import difference_curve as difference_curve
from mle_jax.gradients.differences import finite_difference as finite_difference
from mle_jax.gradients.hessian_checking import check_hessian as check_hessian
from mle_jax.gradients.hessian_checking import check_hessian_product as check_hessian_product
from mle_jax.gradients.hessian_report import CurvatureRow as CurvatureRow
from mle_jax.gradients.hessian_report import HessianReport as HessianReport
from mle_jax.gradients.hessian_report import HessianRow as HessianRow
from mle_jax.gradients.report import DirectionRow as DirectionRow
from mle_jax.gradients.report import GradientReport as GradientReport
from mle_jax.gradients.report import GradientRow as GradientRow
from mle_jax.gradients.verdicts import Verdict as Verdict
