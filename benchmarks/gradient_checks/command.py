"""The command line: every tool about every case, a table in Markdown, all failures in JSON."""

import argparse
import dataclasses
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.frame.environment import describe
from benchmarks.frame.report import environment_text
from benchmarks.gradient_checks.cases import all_cases
from benchmarks.gradient_checks.checkers import CHECKERS
from benchmarks.gradient_checks.running import Record, ask_about, ask_about_broken
from benchmarks.gradient_checks.tallies import as_json, best_threshold, by_family, markdown, tally

SCHEMA = 1
DTYPES = ("float64", "float32")
OURS = "mle_jax.check_gradient"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where mle_jax rejects a right gradient or accepts a wrong one."""
    arguments = _parse(argv)
    environment = describe("cpu")
    print(environment_text(environment) + "\n", flush=True)
    cases = [case for case in all_cases() if arguments.case is None or arguments.case in case.name]
    answers: dict[str, list[Record]] = {}
    for tool, checker in CHECKERS.items():
        package = tool.partition(".")[0]
        if arguments.tool not in (None, package):
            continue
        if importlib.util.find_spec(package) is None:
            print(f"{tool}: absent, {package} is not installed")
            continue
        answers[tool] = []
        for case in cases:
            for dtype in DTYPES:
                answers[tool] += ask_about(case, checker, dtype, layouts=package != "scipy")
                if tool == OURS:
                    answers[tool] += ask_about_broken(case, dtype)
            jax.clear_caches()
        _write(arguments.json, environment, answers)
    tallies = _tallies(answers)
    print(markdown(tallies))
    if OURS in answers:
        print("\n" + by_family(answers[OURS]))
    failed = any(one.rights_rejected or one.wrongs_accepted for one in tallies if one.tool == OURS)
    return 1 if failed else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gradient_checks",
        description="Right and wrong gradients: which tool tells them apart?",
    )
    parser.add_argument("--case", metavar="WORDS", help="only cases with these words in the name")
    parser.add_argument("--tool", metavar="PACKAGE", help="only mle_jax, scipy, jax or torch")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write tallies and failures to this file")
    return parser.parse_args(argv)


def _tallies(answers: dict[str, list[Record]]) -> list[Any]:
    found = []
    for tool, records in answers.items():
        found += [tally(tool, dtype, records, names=tool == OURS) for dtype in DTYPES]
        if tool.startswith("scipy"):
            for dtype in DTYPES:
                chosen = [record for record in records if record.dtype == dtype]
                which, best = best_threshold(chosen)
                again = [dataclasses.replace(r, accepted=r.measures[which] <= best) for r in chosen]
                found.append(tally(f"scipy, best threshold in hindsight: {best:.0e}", dtype, again, names=False))
    return found


def _failed(record: Record) -> bool:
    missed = record.nameable and not record.named_rightly
    return record.accepted != record.right or missed or bool(record.false_names) or record.cannot_tell


def _write(path: Path | None, environment: dict[str, Any], answers: dict[str, list[Record]]) -> None:
    if path is None:
        return
    failures = [dataclasses.asdict(record) for record in answers.get(OURS, ()) if _failed(record)]
    content = {
        "schema": SCHEMA,
        "environment": environment,
        "cases": len(all_cases()),
        "tallies": as_json(_tallies(answers)),
        "failures": failures,
    }
    path.write_text(json.dumps(content, indent=1, allow_nan=True) + "\n")
