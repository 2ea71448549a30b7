"""What a `Fit` prints: rows from the fit, layout from tables/."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._status import Status
from mle_jax._text import plural, significant
from mle_jax.fitting.multistart import Maxima
from mle_jax.results.covariance_access import flatten_numpy, standard_errors_of
from mle_jax.results.guards import check_is_batch
from mle_jax.tables import Table, coefficient_table, summary_text

if TYPE_CHECKING:
    from mle_jax.results.fit_object import Fit

KIND_TEXTS = {
    "observed": "the observed information",
    "expected": "the expected information",
    "outer_product": "the outer product of the scores",
    "sandwich": "the sandwich, which allows for a misspecified model",
    "clustered": "the sandwich with scores summed within clusters",
}

STATUS_NAMES = np.array([status.name for status in Status])
"""By code: the codes are 0, 1, 2, ..."""

EXPLAINED = 100
"""Lanes whose failure is told in the names of their rows and parameters, which takes some evaluations of each."""

THERE_IS_NONE = (Status.rising, Status.saddle, Status.non_finite, Status.scale_collapsed)
"""Statuses that tell of a point which is no maximum; the others that are not certified leave it open."""


def caveat(fit: "Fit") -> str:
    """Say in one sentence what the estimates of a single fit are where they are no maximum; empty where they are one.

    They are one at a certificate, and on the boundary of the domain; a point that was given claims nothing.
    """
    if fit.converged or fit.status is Status.at_boundary or fit._record.given:
        return ""
    withheld = fit._record.withheld
    those = "Estimates without a standard error" if withheld.any() and not withheld.all() else "The estimates"
    if fit.status is Status.not_identified:
        return f"{those} are one choice of many that fit equally well."
    what = "a maximum" if fit.status in THERE_IS_NONE else "a certified maximum"
    return f"{those} are where the search ended, not {what}."


def batch_caveat(fit: "Fit") -> str:
    """Say how many lanes of a batch were not certified; empty if all were."""
    failures = int((~fit.converged).sum())
    return f"{failures} of {len(fit)} fits were not certified; failed() says which and why." if failures else ""


def notes_on(fit: "Fit") -> list[str]:
    """Return the lines below a table of estimates: what is to be said of these, or none."""
    note = batch_caveat(fit) if fit.is_batch else caveat(fit)
    return [note] if note else []


def flat_numbers(fit: "Fit", tree: Any) -> np.ndarray:
    """Return the leaves of a pytree like params as (..., k), in the order of the names."""
    return flatten_numpy(fit._record.place.space, tree, (len(fit),) if fit.is_batch else ())


def tidy_table(fit: "Fit", level: float) -> Table:
    """Return the coefficient table; of a batch with a first column `lane`."""
    if not fit.is_batch:
        numbers = flat_numbers(fit, fit.params), standard_errors_of(fit)
        return coefficient_table(fit.names, *numbers, level=level, notes=notes_on(fit))
    estimates, errors = flat_numbers(fit, fit.params), standard_errors_of(fit)
    lanes, k = estimates.shape
    table = coefficient_table(np.tile(np.array(fit.names), lanes), estimates.ravel(), errors.ravel(), level=level)
    columns = {"lane": np.repeat(np.arange(lanes), k), **{name: table[name] for name in table.columns}}
    return Table(with_keys(fit, np.repeat(np.arange(lanes), k), columns), notes=notes_on(fit))


def interval_table(fit: "Fit", level: float, method: str) -> Table:
    """Return the confidence intervals."""
    if method != "wald":
        raise ValueError(f"method is {method!r}, but 'wald' is the only one so far; leave it out")
    table = tidy_table(fit, level)
    wanted = [name for name in table.columns if name in ("lane", "term", "estimate", "conf_low", "conf_high")]
    return Table({name: table[name] for name in wanted}, title=f"{100 * level:g} % Wald intervals", notes=table.notes)


def glance_table(fit: "Fit") -> Table:
    """Return one row per dataset about the whole fit."""
    lanes = len(fit) if fit.is_batch else 1
    columns = {
        "log_likelihood": fit.log_likelihood,
        "aic": fit.aic,
        "bic": fit.bic,
        "n_observations": fit.n_observations,
        "n_parameters": fit.n_parameters,
        "converged": fit.converged,
        "status": status_names(fit),
        "decrement": fit.decrement,
        "steps": fit.steps,
    }
    table = {name: np.broadcast_to(np.asarray(value), (lanes,)) for name, value in columns.items()}
    return Table(with_keys(fit, np.arange(lanes), {"lane": np.arange(lanes), **table}) if fit.is_batch else table)


def status_names(fit: "Fit") -> np.ndarray:
    """Return the names of the statuses, a text or (B,) texts."""
    return STATUS_NAMES[np.asarray(fit.status, int)]


def with_keys(fit: "Fit", lanes: np.ndarray, columns: dict[str, Any]) -> dict[str, Any]:
    """Put the keys of the lanes, where a batch has some, before the columns of a table with one row for each of these.

    A key that is called like one of the columns becomes ``key[<name>]``.
    """
    keys = fit._record.keys or {}
    return {f"key[{k}]" if k in columns else k: np.asarray(values)[lanes] for k, values in keys.items()} | columns


def wide_table(fit: "Fit") -> Table:
    """Return one row per dataset of a batch: flat names, se[<name>], log_likelihood, status, decrement, steps."""
    record, estimates = fit._record, flat_numbers(fit, fit.params)
    columns: dict[str, Any] = {name: estimates[:, i] for i, name in enumerate(fit.names)}
    if record.tables_errors:
        errors = standard_errors_of(fit)
        columns |= {f"se[{name}]": errors[:, i] for i, name in enumerate(fit.names)}
    columns |= {
        "log_likelihood": fit.log_likelihood,
        "status": status_names(fit),
        "decrement": fit.decrement,
        "steps": fit.steps,
    }
    if record.precisions_agree is not None:
        columns["float32_agrees"] = record.precisions_agree
    return Table(with_keys(fit, np.arange(len(fit)), columns))


def main_table(fit: "Fit") -> Table:
    """Return the table that a fit is written as: the coefficients, or of a batch one row per dataset."""
    return wide_table(fit) if fit.is_batch else tidy_table(fit, 0.95)


def failed_table(fit: "Fit") -> Table:
    """Return the lanes that were not certified and why."""
    check_is_batch(fit, "failed()")
    lanes = np.flatnonzero(~fit.converged)
    if fit.buckets is not None:
        reasons = [fit.message[lane] for lane in lanes.tolist()]
    else:
        reasons = [fit[lane].message for lane in lanes[:EXPLAINED].tolist()]
        reasons += [Status(int(fit.status[lane])).text for lane in lanes[EXPLAINED:].tolist()]
    columns = {"lane": lanes, "status": status_names(fit)[lanes], "message": np.array(reasons, dtype=object)}
    more = f"The messages of the first {EXPLAINED} lanes have details; those of the others are in fits[lane].message."
    cut = fit.buckets is None and len(lanes) > EXPLAINED
    return Table(with_keys(fit, lanes, columns), notes=[more] if cut else [])


def maxima_table(names: Sequence[str], maxima: Maxima) -> Table:
    """Return the distinct maxima that many starts found, highest first."""
    columns = dict(zip(names, maxima.flat.T, strict=True))
    lost = sum(maxima.uncertified.values())
    how = ", ".join(f"{count} {status}" for status, count in maxima.uncertified.items())
    notes = (
        (f"{lost} of {lost + maxima.starts.sum()} starts ended without a certified maximum: {how}.",) if lost else ()
    )
    return Table({"starts": maxima.starts, "log_likelihood": maxima.log_likelihood, **columns}, notes=notes)


def summary(fit: "Fit", level: float) -> str:
    """Return the summary of a single fit, or of a batch."""
    if fit.is_batch:
        return batch_summary(fit)
    record = fit._record
    table = tidy_table(fit, level)
    header = [
        ("Optimizer", record.optimizer),
        ("Steps", str(fit.steps)),
        ("Status", fit.status.name),
        ("Decrement", significant(fit.decrement, 2) if np.isfinite(fit.decrement) else "-"),
        ("Observations", f"{fit.n_observations:g}" if fit.n_observations < 1e6 else f"{fit.n_observations}"),
        ("Log-likelihood", significant(fit.log_likelihood, 8)),
        ("AIC", significant(fit.aic, 8)),
        ("BIC", significant(fit.bic, 8)),
    ]
    titled = Table(table.values, title=f"Maximum likelihood: {record.model.label}")
    return summary_text(header, titled, _remarks(fit))


def _remarks(fit: "Fit") -> list[str]:
    record = fit._record
    notes = remarks_on_inputs(fit)
    if record.dropped:
        notes.append(f"Left out for missing values: {plural(record.dropped, 'row')}.")
    if fit.maxima is not None and len(fit.maxima) > 0:
        found = len(fit.maxima)
        alone = "The other starts led to no other certified maximum."
        notes.append(f"The highest of {found} certified maxima: see fit.maxima." if found > 1 else alone)
    if not fit.converged or fit.message != fit.status.text:
        notes.append(fit.message)
    return notes + notes_on(fit)


def remarks_on_inputs(fit: "Fit") -> list[str]:
    """Say where the standard errors come from, and what was held or tied."""
    record = fit._record
    notes = [f"Standard errors from {KIND_TEXTS[record.kind]}."] if record.tables_errors else []
    held = [name for name, stuck in zip(fit.names, record.fixed, strict=True) if stuck]
    if held:
        notes.append(f"Held fixed: {', '.join(held)}.")
    if record.constraints:
        word = "Constraints" if len(record.constraints) > 1 else "Constraint"
        notes.append(f"{word}: {'; '.join(record.constraints)}.")
    return notes


def short_text(fit: "Fit") -> str:
    """Return one line about the fit above its estimates with standard errors."""
    record = fit._record
    columns = {
        "term": np.array(fit.names),
        "estimate": flat_numbers(fit, fit.params),
        "std_error": standard_errors_of(fit),
    }
    table = Table(columns, notes=notes_on(fit))
    value = significant(fit.log_likelihood, 8)
    return f"Fit of {record.model.label}: {fit.status.name}, log-likelihood {value}\n{table}"


def batch_text(fit: "Fit") -> str:
    """Return the number of datasets by status."""
    codes, counts = np.unique(np.asarray(fit.status), return_counts=True)
    notes = () if fit.buckets is None else fit.buckets.notes
    table = Table({"status": STATUS_NAMES[codes], "datasets": counts}, notes=notes)
    return f"{plural(len(fit), 'fit')} of {fit._record.model.label}\n{table}"


def batch_summary(fit: "Fit") -> str:
    """Return the counts of a batch, and how its certified estimates are spread."""
    record, certified = fit._record, np.asarray(fit.converged)
    steps, rows = np.asarray(fit.steps), np.unique(np.asarray(fit.n_observations))
    header = [
        ("Optimizer", record.optimizer),
        ("Datasets", str(len(fit))),
        ("Certified", str(int(certified.sum()))),
        ("Steps", f"{np.median(steps):g} (at most {steps.max()})"),
        ("Observations of each", f"{rows[0]:g}" if len(rows) == 1 else f"{rows[0]:g} to {rows[-1]:g}"),
        ("Log-likelihoods in all", significant(float(np.asarray(fit.log_likelihood)[certified].sum()), 8)),
    ]
    estimates = flat_numbers(fit, fit.params)[certified]
    errors = standard_errors_of(fit)[certified] if record.tables_errors else np.zeros_like(estimates)
    if not len(estimates):
        estimates = errors = np.full((1, len(fit.names)), np.nan)
    columns = {
        "term": np.array(fit.names),
        "mean": estimates.mean(axis=0),
        "std_dev": estimates.std(axis=0),
        **{name: np.quantile(estimates, q, axis=0) for name, q in (("least", 0), ("median", 0.5), ("greatest", 1))},
        **({"median_error": np.median(errors, axis=0)} if record.tables_errors else {}),
    }
    table = Table(columns, title=f"Maximum likelihood, many datasets: {record.model.label}")
    codes, counts = np.unique(np.asarray(fit.status), return_counts=True)
    how = ", ".join(f"{count} {name}" for name, count in zip(STATUS_NAMES[codes], counts, strict=True))
    what = "Estimates and standard errors" if record.tables_errors else "Estimates"
    notes = [f"{what} over the certified lanes. Statuses: {how}.", *remarks_on_inputs(fit)]
    if record.precisions_agree is not None:
        apart = int((~record.precisions_agree).sum())
        notes.append(f"Searched in float32; float64 disagrees in {plural(apart, 'lane')} of {len(fit)}.")
    return summary_text(header, table, notes + notes_on(fit))
