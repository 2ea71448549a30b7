"""What a `Fit` prints: rows from the fit, layout from tables/."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._status import Status
from mle_jax._text import plural, significant
from mle_jax.fitting.multistart import Maxima
from mle_jax.results.covariance_access import flat_errors
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
    space = fit._record.place.space
    lead = () if not fit.is_batch else (len(fit),)
    by_position = dict(zip(space.order, space.treedef.flatten_up_to(tree), strict=True))
    parts = [
        np.stack([d.flatten(value) for value in np.asarray(leaf).reshape((-1, *d.shape))]).reshape((*lead, d.flat_size))
        for d, leaf in ((d, by_position[i]) for i, d in enumerate(space.declarations))
    ]
    return np.concatenate(parts, axis=-1)


def errors_of(fit: "Fit") -> np.ndarray:
    """Return the standard errors as (..., k)."""
    return flat_errors(fit)


def tidy_table(fit: "Fit", level: float) -> Table:
    """Return the coefficient table; of a batch with a first column `lane`."""
    if not fit.is_batch:
        numbers = flat_numbers(fit, fit.params), errors_of(fit)
        return coefficient_table(fit.names, *numbers, level=level, notes=notes_on(fit))
    estimates, errors = flat_numbers(fit, fit.params), errors_of(fit)
    lanes, k = estimates.shape
    table = coefficient_table(fit.names * lanes, estimates.ravel(), errors.ravel(), level=level)
    columns = {"lane": np.repeat(np.arange(lanes), k), **{name: table[name] for name in table.columns}}
    return Table(columns, notes=notes_on(fit))


def interval_table(fit: "Fit", level: float, method: str) -> Table:
    """Return the confidence intervals."""
    if method != "wald":
        raise ValueError(f"method is {method!r}, but 'wald' is the only one so far; leave it out")
    table = tidy_table(fit, level)
    wanted = [name for name in table.columns if name in ("lane", "term", "estimate", "conf_low", "conf_high")]
    return Table({name: table[name] for name in wanted}, title=f"{100 * level:g} % Wald intervals", notes=table.notes)


def glance_table(fit: "Fit") -> Table:
    """Return one row per dataset about the whole fit."""
    status = np.atleast_1d(np.asarray(fit.status))
    columns = {
        "log_likelihood": fit.log_likelihood,
        "aic": fit.aic,
        "bic": fit.bic,
        "n_observations": fit.n_observations,
        "n_parameters": fit.n_parameters,
        "converged": fit.converged,
        "status": np.array([Status(int(code)).name for code in status]),
        "decrement": fit.decrement,
        "steps": fit.steps,
    }
    return Table({name: np.broadcast_to(np.asarray(value), status.shape) for name, value in columns.items()})


def wide_table(fit: "Fit") -> Table:
    """Return one row per dataset of a batch: flat names, se[<name>], log_likelihood, status, decrement, steps."""
    estimates, errors = flat_numbers(fit, fit.params), errors_of(fit)
    columns: dict[str, Any] = {name: estimates[:, i] for i, name in enumerate(fit.names)}
    columns |= {f"se[{name}]": errors[:, i] for i, name in enumerate(fit.names)}
    columns |= {
        "log_likelihood": fit.log_likelihood,
        "status": np.array([Status(int(code)).name for code in fit.status]),
        "decrement": fit.decrement,
        "steps": fit.steps,
    }
    return Table(columns)


def failed_table(fit: "Fit") -> Table:
    """Return the lanes that were not certified and why."""
    lanes = np.flatnonzero(~fit.converged)
    statuses = [Status(int(fit.status[lane])) for lane in lanes]
    return Table(
        {
            "lane": lanes,
            "status": np.array([status.name for status in statuses], dtype=np.str_),
            "message": np.array([status.text for status in statuses], dtype=np.str_),
        }
    )


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
    """Return the summary of a single fit; of a batch the counts of its statuses."""
    if fit.is_batch:
        return batch_text(fit)
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
    notes = [f"Standard errors from {KIND_TEXTS[record.kind]}."]
    held = [name for name, stuck in zip(fit.names, record.fixed, strict=True) if stuck]
    if held:
        notes.append(f"Held fixed: {', '.join(held)}.")
    if record.constraints:
        notes.append(
            f"{'Constraints' if len(record.constraints) > 1 else 'Constraint'}: {'; '.join(record.constraints)}."
        )
    if record.dropped:
        notes.append(f"Left out for missing values: {plural(record.dropped, 'row')}.")
    if fit.maxima is not None and len(fit.maxima) > 0:
        found = len(fit.maxima)
        alone = "The other starts led to no other certified maximum."
        notes.append(f"The highest of {found} certified maxima: see fit.maxima." if found > 1 else alone)
    if not fit.converged or fit.message != fit.status.text:
        notes.append(fit.message)
    return notes + notes_on(fit)


def short_text(fit: "Fit") -> str:
    """Return one line about the fit above its estimates with standard errors."""
    record = fit._record
    columns = {"term": np.array(fit.names), "estimate": flat_numbers(fit, fit.params), "std_error": errors_of(fit)}
    table = Table(columns, notes=notes_on(fit))
    value = significant(fit.log_likelihood, 8)
    return f"Fit of {record.model.label}: {fit.status.name}, log-likelihood {value}\n{table}"


def batch_text(fit: "Fit") -> str:
    """Return the number of datasets by status."""
    codes, counts = np.unique(fit.status, return_counts=True)
    table = Table({"status": np.array([Status(int(code)).name for code in codes]), "datasets": counts})
    return f"{len(fit)} fits of {fit._record.model.label}\n{table}"
