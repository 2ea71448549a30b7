"""`Fit`: where a fit arrived, and everything that is computed from it on request."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._precision import in_float64
from mle_jax._status import are_certified
from mle_jax.optimizers.minimizing import History
from mle_jax.results import covariance_access, reports
from mle_jax.results.record import Record
from mle_jax.tables import Table

if TYPE_CHECKING:
    import pandas as pd

FOREIGN_NAMES = {
    "aicc": "aic",
    "bse": "standard_errors()",
    "std_errors": "standard_errors()",
    "se": "standard_errors()",
    "stderr": "standard_errors()",
    "errors": "standard_errors()",
    "coef": "params",
    "coef_": "params",
    "coefficients": "params",
    "estimate": "params",
    "estimates": "params",
    "x": "params",
    "values": "params",
    "llf": "log_likelihood",
    "loglik": "log_likelihood",
    "loglike": "log_likelihood",
    "log_likelihood_": "log_likelihood",
    "fun": "log_likelihood",
    "vcov": "covariance()",
    "cov": "covariance()",
    "cov_params": "covariance()",
    "covariance_": "covariance()",
    "conf_int": "confidence_intervals()",
    "confint": "confidence_intervals()",
    "ci": "confidence_intervals()",
    "pvalues": "tidy()['p_value']",
    "tvalues": "tidy()['statistic']",
    "zvalues": "tidy()['statistic']",
    "nobs": "n_observations",
    "n_obs": "n_observations",
    "k_params": "n_parameters",
    "df_model": "n_parameters",
    "success": "converged",
    "nit": "steps",
    "n_iter": "steps",
    "n_iter_": "steps",
    "param_names": "names",
    "mle_retvals": "status, message and steps",
}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Fit:
    """Hold the result of a fit, or of a batch of fits (then every array has a leading axis of B datasets).

    Attributes:
        params: the estimates, pytree laid out like the declaration, natural scale, NumPy float64.
        names: flat names in the order of declaration, which is the order of every table and matrix.
        log_likelihood: the total log-likelihood at params, larger is better.
        status: a `Status`; of a batch an integer array (B,).
        message: what the status means for these data, in the names of the parameters; of a batch a tuple of B.
        reliable: pytree of bool like params: which estimates and standard errors hold.
        steps: optimizer steps taken.
        decrement: sqrt(g' I^-1 g), the distance to the maximum in standard errors; NaN where the information is not
            positive definite or the model is not smooth.
        n_observations: rows, or their total frequency weight.
        n_parameters: free coordinates that were estimated.
        history: a `History` where it was asked for (`record=True`), else None.
        maxima: the distinct maxima where many starts were asked for (`starts=64`), highest first, a `Table` with
            the number of starts that ended there, the log-likelihood and the estimates; else None.

    Example:
        >>> import mle_jax as mle
        >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
        >>> fit.names, round(float(fit.params["variance"]), 6)
        (('mu', 'variance'), 4.666667)
        >>> round(float(fit.standard_errors()["mu"]), 6)  # sqrt(variance / n)
        1.247219
    """

    params: Any
    names: tuple[str, ...]
    log_likelihood: Any
    status: Any
    message: Any
    reliable: Any
    steps: Any
    decrement: Any
    n_observations: Any
    n_parameters: int
    history: History | None
    maxima: Table | None = None
    _record: Record = field(repr=False)

    @property
    def converged(self) -> Any:
        """Whether the maximum was found and certified; of a batch a bool array (B,)."""
        return are_certified(self.status)

    @property
    def is_batch(self) -> bool:
        """Whether this holds many fits."""
        return self._record.n_lanes is not None

    @property
    def aic(self) -> Any:
        """Akaike's criterion: 2 n_parameters - 2 log_likelihood, smaller is better."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> Any:
        """Schwarz' criterion: log(n_observations) n_parameters - 2 log_likelihood, smaller is better."""
        return np.log(np.asarray(self.n_observations, float)) * self.n_parameters - 2 * self.log_likelihood

    @in_float64
    def covariance(self, kind: str | None = None, *, clusters: Any = None, correction: str = "none") -> np.ndarray:
        """Return the covariance matrix of the flat natural parameters.

        Rows and columns are in the order of `names`; those of a fixed parameter are zero, those of a parameter that
        is not `reliable` are NaN. The matrix of k parameters takes 8 k^2 bytes, and some five times as much while it is
        computed (k = 5000: 200 MB and 1 GB); the fit itself and `standard_errors` do without it beyond 2000 parameters.

        Args:
            kind: "observed", "expected", "outer_product", "sandwich" or "clustered"; by default the kind of this fit
                ("observed"; "expected" for a model that is not smooth; "clustered" for a fit with clusters).
            clusters: one label per row for the kind "clustered"; by default those given to `fit`.
            correction: "none", the only one so far: no small-sample factor.

        Returns:
            Shape (k, k); of a batch (B, k, k).

        Raises:
            ValueError: the kind does not exist for this model, or clusters are missing.

        Reference:
            White (1982), Econometrica 50, 1-25, for the sandwich; the formulas are in the manual of the module
            ``mle_jax.inference.covariances``.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian_mean(variance=3.0), {"y": [1.0, 2.0, 6.0]})
            >>> fit.covariance().round(6).tolist()  # variance / n
            [[1.0]]
        """
        return covariance_access.covariance_of(self, kind, clusters=clusters, correction=correction)

    @in_float64
    def standard_errors(self, kind: str | None = None, *, clusters: Any = None, correction: str = "none") -> Any:
        """Return the standard errors, a pytree like params; arguments as for `covariance`.

        Beyond 2000 parameters those of kind "observed" are found without the matrix: one system of equations each, in
        memory that goes with the rows and the parameters.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian_mean(variance=3.0), {"y": [1.0, 2.0, 6.0]})
            >>> round(float(fit.standard_errors()["mu"]), 6)
            1.0
        """
        return covariance_access.errors_like_params(self, kind=kind, clusters=clusters, correction=correction)

    def with_covariance(self, kind: str, *, clusters: Any = None, correction: str = "none") -> "Fit":
        """Return the same fit with another kind of covariance: every interval, table and test then uses it.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]}).with_covariance("sandwich")
            >>> fit.covariance_kind
            'sandwich'
        """
        record = covariance_access.with_kind(self, kind, clusters=clusters, correction=correction)
        return replace(self, _record=record)

    @property
    def covariance_kind(self) -> str:
        """The kind of covariance that intervals and tables of this fit use."""
        return self._record.kind

    def confidence_intervals(self, level: float = 0.95, method: str = "wald") -> Table:
        """Return a table of confidence intervals: estimate -+ quantile * standard error.

        Args:
            level: between 0 and 1.
            method: "wald", the only one so far.

        Returns:
            A `Table` with the columns term, estimate, conf_low, conf_high.

        Raises:
            ValueError: the level is not between 0 and 1, or the method is unknown.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian_mean(variance=3.0), {"y": [1.0, 2.0, 6.0]})
            >>> fit.confidence_intervals()["conf_low"].round(4).tolist()  # 3 - 1.96
            [1.04]
        """
        return reports.interval_table(self, level, method)

    def tidy(self, level: float = 0.95) -> Table:
        """Return the coefficient table: term, estimate, std_error, statistic, p_value, conf_low, conf_high.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
            >>> fit.tidy().columns[:3]
            ('term', 'estimate', 'std_error')
        """
        return reports.tidy_table(self, level)

    def glance(self) -> Table:
        """Return one row about the whole fit: log-likelihood, criteria, status.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
            >>> int(fit.glance()["n_parameters"][0])
            2
        """
        return reports.glance_table(self)

    def summary(self, level: float = 0.95) -> str:
        """Return the table that a statistician expects, as text.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
            >>> "Log-likelihood" in fit.summary()
            True
        """
        return reports.summary(self, level)

    def to_pandas(self) -> "pd.DataFrame":
        """Return a pandas DataFrame: the coefficient table, or of a batch one row per dataset.

        Raises:
            ImportError: pandas is not installed.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
            >>> list(fit.to_pandas()["term"])
            ['mu', 'variance']
        """
        return (reports.wide_table(self) if self.is_batch else self.tidy()).to_pandas()

    def failed(self) -> Table:
        """Return the datasets of a batch that were not certified: lane, status, message.

        Raises:
            TypeError: this is a single fit.

        Example:
            >>> import warnings
            >>> import mle_jax as mle
            >>> with warnings.catch_warnings():
            ...     warnings.simplefilter("ignore", mle.ConvergenceWarning)
            ...     fits = mle.fit_batch(mle.models.gaussian(), {"y": [[1.0, 2.0, 6.0], [1.0, 1.0, 1.0]]})
            >>> fits.failed()["status"].tolist()
            ['scale_collapsed']
        """
        self._needs_batch("failed()")
        return reports.failed_table(self)

    def __bool__(self) -> bool:
        """A fit is something, even where it did not converge: ask for `converged`."""
        return True

    def __len__(self) -> int:
        """Return the number of datasets of a batch."""
        self._needs_batch("len()")
        assert self._record.n_lanes is not None
        return self._record.n_lanes

    def __getitem__(self, lane: int) -> "Fit":
        """Return the fit of one dataset of a batch."""
        self._needs_batch("indexing")
        from mle_jax.results.lanes import one_lane

        return one_lane(self, lane)

    def __iter__(self) -> Iterator["Fit"]:
        """Iterate over the fits of a batch."""
        return (self[lane] for lane in range(len(self)))

    def __repr__(self) -> str:
        """Show the coefficients of a single fit, the counts of a batch."""
        return reports.batch_text(self) if self.is_batch else reports.short_text(self)

    def __getattr__(self, name: str) -> Any:
        """Say what a foreign name is called here."""
        if name in FOREIGN_NAMES:
            raise AttributeError(f"'{name}' is called {FOREIGN_NAMES[name]} here")
        raise AttributeError(f"Fit has no attribute '{name}'")

    def _needs_batch(self, what: str) -> None:
        if not self.is_batch:
            raise TypeError(f"{what} is for the results of fit_batch, but this is a single fit")
