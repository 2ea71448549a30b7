"""Counts: how a tool did on many questions, and the table in Markdown."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.gradient_checks.running import Record

HEADERS = (
    *("tool", "precision", "right ones rejected", "wrong ones accepted", "named rightly"),
    *("false names", "cannot tell which", "seconds"),
)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How a tool did in one precision."""

    tool: str
    dtype: str
    rights: int
    rights_rejected: int
    wrongs: int
    wrongs_accepted: int
    nameable: int
    named_rightly: int
    false_names: int
    cannot_tell: int
    seconds: float
    names: bool
    """Whether the tool names what is wrong at all."""


def tally(tool: str, dtype: str, records: Sequence[Record], *, names: bool) -> Tally:
    """Count the records of one tool in one precision."""
    chosen = [record for record in records if record.dtype == dtype]
    rights = [record for record in chosen if record.right]
    wrongs = [record for record in chosen if not record.right]
    nameable = [record for record in wrongs if record.nameable]
    return Tally(
        tool=tool,
        dtype=dtype,
        rights=len(rights),
        rights_rejected=sum(not record.accepted for record in rights),
        wrongs=len(wrongs),
        wrongs_accepted=sum(record.accepted for record in wrongs),
        nameable=len(nameable),
        named_rightly=sum(record.named_rightly for record in nameable),
        false_names=sum(bool(record.false_names) for record in chosen),
        cannot_tell=sum(record.cannot_tell for record in wrongs),
        seconds=sum(record.seconds for record in chosen),
        names=names,
    )


def best_threshold(records: Sequence[Record]) -> tuple[int, float]:
    """Return which measure, and the one threshold on it, that in hindsight make the fewest mistakes.

    Mistakes are the share of right gradients rejected plus the share of wrong ones accepted.
    """
    right = np.array([record.right for record in records])
    best = (np.inf, 0, 0.0)
    for which, measures in enumerate(np.array([record.measures for record in records]).T):
        for threshold in np.unique(measures[np.isfinite(measures)]):
            mistakes = np.mean(measures[right] > threshold) + np.mean(measures[~right] <= threshold)
            best = min(best, (float(mistakes), which, float(threshold)))
    return best[1], best[2]


def markdown(tallies: Sequence[Tally]) -> str:
    """Return the table of the tools in Markdown."""
    lines = [f"| {' | '.join(HEADERS)} |", f"|{'---|' * 2}{'---:|' * (len(HEADERS) - 2)}"]
    for one in tallies:
        share = f"{one.named_rightly} of {one.nameable}"
        cells = [
            f"`{one.tool}`" if " " not in one.tool else one.tool,
            one.dtype,
            f"{one.rights_rejected} of {one.rights}",
            f"{one.wrongs_accepted} of {one.wrongs}",
            share if one.names else "-",
            str(one.false_names) if one.names else "-",
            str(one.cannot_tell) if one.names else "-",
            f"{one.seconds:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def by_family(records: Sequence[Record]) -> str:
    """Return a table of the families of mutations, for one tool that names: where it fails."""
    headers = ("mutation", "mutants", "accepted", "named rightly", "of nameable", "false names", "cannot tell")
    counts: dict[str, Counter[str]] = {}
    for record in records:
        count = counts.setdefault(record.family, Counter())
        count["mutants"] += 1
        count["accepted"] += record.accepted
        count["nameable"] += record.nameable
        count["named"] += record.named_rightly and record.nameable
        count["false"] += bool(record.false_names)
        count["cannot"] += record.cannot_tell
    lines = [f"| {' | '.join(headers)} |", f"|---|{'---:|' * (len(headers) - 1)}"]
    for family, c in counts.items():
        row = (family, c["mutants"], c["accepted"], c["named"], c["nameable"], c["false"], c["cannot"])
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines)


def as_json(tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    """Return the tallies for a JSON file."""
    return [asdict(one) for one in tallies]
