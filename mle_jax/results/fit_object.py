"""`Fit`: where a fit arrived, and everything that is computed from it on request."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._precision import in_float64
from mle_jax._status import are_certified
from mle_jax.optimizers.minimizing import History
from mle_jax.results import covariance_access, reports
from mle_jax.results.foreign_names import FOREIGN_NAMES
from mle_jax.results.guards import check_is_batch
from mle_jax.results.record import Record
from mle_jax.tables import Table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


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
        maxima: the distinct maxima where many starts were asked for (`starts=64`), highest first, a `Table`.
        buckets: of ragged groups the shapes in which they were evaluated, a `Table`; else None.
        refitted: of a batch after `refit`, what became of the lanes tried again, and what settled them, a `Table`.

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
    buckets: Table | None = None
    refitted: Table | None = None
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
        count = np.asarray(self.n_observations, float)
        return np.log(np.where(count > 0, count, np.nan)) * self.n_parameters - 2 * self.log_likelihood

    @in_float64
    def covariance(self, kind: str | None = None, *, clusters: Any = None, correction: str = "none") -> np.ndarray:
        """Return the covariance matrix of the flat natural parameters.

        Rows and columns are in the order of `names`; those of a fixed parameter are zero, those of a parameter that
        is not `reliable` are NaN. The matrix takes 8 k^2 bytes, and five times that while it is computed; the fit and
        `standard_errors` do without it beyond 2000 parameters.

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
        flat = covariance_access.standard_errors_of(self, kind, clusters=clusters, correction=correction)
        return covariance_access.unflatten_numpy(self._record.place.space, flat)

    def with_covariance(self, kind: str, *, clusters: Any = None, correction: str = "none") -> "Fit":
        """Return the same fit with another kind of covariance: every interval, table and test then uses it.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]}).with_covariance("sandwich")
            >>> fit.covariance_kind
            'sandwich'
        """
        return replace(self, _record=covariance_access.with_kind(self, kind, clusters=clusters, correction=correction))

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

        The columns of a batch are its keys, the flat names, ``se[<name>]``, log_likelihood, status, decrement, steps.

        Raises:
            ImportError: pandas is not installed.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
            >>> list(fit.to_pandas()["term"])
            ['mu', 'variance']
        """
        return reports.main_table(self).to_pandas()

    def to_arrow(self) -> "pa.Table":
        """Return the table of `to_pandas` as a pyarrow Table.

        Raises:
            ImportError: pyarrow is not installed.

        Example:
            >>> import mle_jax as mle
            >>> fits = mle.fit_batch(mle.models.gaussian(), {"y": [[1.0, 2.0, 6.0], [0.0, 1.0, 5.0]]})
            >>> fits.to_arrow().column_names[:3], fits.to_arrow().num_rows
            (['mu', 'variance', 'se[mu]'], 2)
        """
        return reports.main_table(self).to_arrow()

    def to_parquet(self, path: Any) -> None:
        """Write the table of `to_pandas` to a Parquet file.

        Raises:
            ImportError: pyarrow is not installed.

        Example:
            >>> import pathlib, tempfile
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
            >>> fit.to_parquet(pathlib.Path(tempfile.mkdtemp()) / "fit.parquet")
        """
        reports.main_table(self).to_parquet(path)

    def save(self, path: Any) -> None:
        """Write the numbers of this fit to one file, which `Fit.load` reads: a NumPy archive (npz), no pickle.

        Model, data and weights are left out. Of the covariances only the kind in use is kept. Containers in params but
        dicts, lists and tuples come back as a dict of the leaves by name. ``pickle`` does the same.

        Raises:
            ValueError: the keys of a batch hold Python objects.

        Example:
            >>> import pathlib, tempfile
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian(), {"y": [1.0, 2.0, 6.0]})
            >>> fit.save(pathlib.Path(tempfile.mkdtemp()) / "fit.npz")
        """
        from mle_jax.results.stored import save_fit

        save_fit(self, path)

    @classmethod
    def load(cls, path: Any) -> "Fit":
        """Read a fit that `save` wrote; neither the model nor the data are needed.

        Estimates, names, standard errors, intervals and tables are as they were, to the last bit. What takes the model
        or the data (another kind of covariance, `refit`, `influence`) raises: call
        ``evaluate(model, data, fit.params)`` for a fit that has them.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds something else, or is of a newer version.

        Example:
            >>> import pathlib, tempfile
            >>> import mle_jax as mle
            >>> path = pathlib.Path(tempfile.mkdtemp()) / "fits.npz"
            >>> mle.fit_batch(mle.models.gaussian(), {"y": [[1.0, 2.0, 6.0], [0.0, 1.0, 5.0]]}).save(path)
            >>> mle.Fit.load(path)[1].status.name
            'converged'
        """
        from mle_jax.results.stored import load_fit

        return load_fit(path)

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
        return reports.failed_table(self)

    def refit(
        self,
        mask: Any = None,
        *,
        start: Any = None,
        optimizer: Any = None,
        max_steps: int | None = None,
        tolerance: float = 1e-6,
        seed: int = 0,
    ) -> "Fit":
        """Return the same batch with some of its datasets tried again, by a ladder for those that still fail.

        From a start that was given; with more steps from where the search stopped; from the estimates of the certified
        dataset that suit the data best; from points drawn around the start, the highest first; by L-BFGS. The answer of
        a dataset is replaced only by a better one: certified beats not certified, then the higher log-likelihood
        counts; a status that says why there is no maximum stays unless one is certified elsewhere. What became of the
        datasets is in the table ``refitted`` of the result. The others keep their numbers to the last bit.

        Args:
            mask: bool (B,), which datasets; by default those that are neither certified nor on the boundary of the
                domain. Name certified ones to look for a higher maximum, and those of a model with kinks, whose
                searches cannot be certified.
            start: as for `fit_batch`; tried first.
            optimizer: as for `fit_batch`, in place of Newton's method and of L-BFGS.
            max_steps: of every attempt; by default those of `fit`.
            tolerance: as for `fit_batch`.
            seed: of the points that are drawn.

        Raises:
            TypeError: this is a single fit.
            ValueError: the mask, a start or an option does not fit.

        Example:
            >>> import warnings
            >>> import mle_jax as mle
            >>> data = {"y": [[1.0, 2.0, 6.0], [100.0, 200.0, 600.0]]}
            >>> with warnings.catch_warnings():
            ...     warnings.simplefilter("ignore", mle.ConvergenceWarning)
            ...     fits = mle.fit_batch(mle.models.gaussian(), data, start={"mu": 0.0}, max_steps=1)
            >>> again = fits.refit()
            >>> again.params["mu"].round(6).tolist(), again.refitted["settled_by"].tolist()
            ([3.0, 300.0], ['more steps', 'more steps'])
        """
        from mle_jax.results.refitting import refit_lanes

        options = {"optimizer": optimizer, "max_steps": max_steps, "tolerance": tolerance, "seed": seed}
        return refit_lanes(self, mask, start=start, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what `save` writes: processes send each other the numbers, not the model and the data."""
        from mle_jax.results.stored import packed, unpacked

        return unpacked, (packed(self),)

    def __copy__(self) -> "Fit":
        return self  # which cannot be changed

    def __deepcopy__(self, _: Any) -> "Fit":
        return self

    def __bool__(self) -> bool:
        """A fit is something, even where it did not converge: ask for `converged`."""
        return True

    def __len__(self) -> int:
        """Return the number of datasets of a batch."""
        check_is_batch(self, "len()")
        return len(self.status)

    def __getitem__(self, lane: int) -> "Fit":
        """Return the fit of one dataset of a batch."""
        check_is_batch(self, "indexing")
        from mle_jax.results.one_of_many import one_dataset

        return one_dataset(self, lane)

    def __iter__(self) -> Iterator["Fit"]:
        """Iterate over the fits of a batch."""
        return map(self.__getitem__, range(len(self)))

    def __repr__(self) -> str:
        """Show the coefficients of a single fit, the counts of a batch."""
        return reports.batch_text(self) if self.is_batch else reports.short_text(self)

    def __getattr__(self, name: str) -> Any:
        """Say what a foreign name is called here."""
        hint = f"'{name}' is called {FOREIGN_NAMES[name]} here" if name in FOREIGN_NAMES else None
        raise AttributeError(hint or f"Fit has no attribute '{name}'")
