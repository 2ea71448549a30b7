"""Pictures of derivatives, descents and fits. matplotlib is imported when something is drawn, not before."""

from mle_jax.plots.contours import descent_path as descent_path
from mle_jax.plots.contours import surface as surface
from mle_jax.plots.data import fitted_lines as fitted_lines
from mle_jax.plots.data import residuals as residuals
from mle_jax.plots.differences import difference_error as difference_error
from mle_jax.plots.gradients import gradient_check as gradient_check
from mle_jax.plots.losses import loss_curve as loss_curve

__all__ = [
    "descent_path",
    "difference_error",
    "fitted_lines",
    "gradient_check",
    "loss_curve",
    "residuals",
    "surface",
]
