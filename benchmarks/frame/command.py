"""The command line: options in, one child per measurement, tables and JSON out."""

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.frame import report
from benchmarks.frame.environment import BUSY, THREADS, child_environment

SCHEMA = 1
"""Version of the JSON; README.md in the folder above describes it. A field that changes its meaning raises it."""


class Refusal(Exception):
    """Something that the user must be told in one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, without the usage above it."""
        self.exit(2, f"benchmarks: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return 0, 1 where a measurement failed or an answer is wrong, 2 for bad usage."""
    try:
        arguments = _parse(argv)
        return _run(arguments)
    except Refusal as refusal:
        print(f"benchmarks: {refusal}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return 1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m benchmarks", description="Measure mle_jax and others in the same run.", allow_abbrev=False
    )
    parser.add_argument("--suite", metavar="NAME", help="one suite only; without it, all: see benchmarks/workloads")
    parser.add_argument("--workload", metavar="NAME", help="one workload only, of those that the tables name")
    parser.add_argument(
        "--threads", choices=THREADS, help="of a CPU, one setting only; without it, one after the other"
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="where JAX computes (default: cpu)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results to this file")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, few runs: shows that all runs, no claims")
    arguments = parser.parse_args(argv)
    _check_file(arguments.json)
    return arguments


def _check_file(path: Path | None) -> None:
    """Refuse a file that could not be written at the end, before an hour is spent on measuring."""
    if path is None:
        return
    if path.is_dir():
        raise Refusal(f"--json {path} is a folder, but it must be a file; write --json {path / 'results.json'}")
    if not path.parent.is_dir():
        raise Refusal(f"--json {path}: there is no folder {path.parent}; make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise Refusal(f"--json {path}: no permission to write there; choose another file")


def _chosen(suite: str | None, workload: str | None) -> list[Any]:
    from benchmarks.workloads import all_workloads, suites

    _check_name("suite", suite, suites())
    chosen = [one for one in all_workloads() if suite in (None, one.suite)]
    _check_name("workload", workload, [one.name for one in chosen])
    return [one for one in chosen if workload in (None, one.name)]


def _check_name(option: str, name: str | None, names: Sequence[str]) -> None:
    if name is None or name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the {option}s are {', '.join(names)}"
    raise Refusal(f"--{option} {name!r} does not exist; {hint}")


def _run(arguments: argparse.Namespace) -> int:
    workloads = _chosen(arguments.suite, arguments.workload)
    environment = _child({"kind": "environment", "device": arguments.device}, "default", arguments.device)
    print(report.environment_text(environment), flush=True)
    load = environment["load_average"]
    if load is not None and load > BUSY and not arguments.quick:
        print(f"WARNING: the load average is {load:.2f}: others are using this machine, the times will be off")
    # A GPU does not care about the threads of its host, and --quick only shows that everything runs.
    settings = ("default",) if arguments.quick or arguments.device == "gpu" else THREADS
    if arguments.threads is not None:
        settings = (arguments.threads,)
    results: list[dict[str, Any]] = []
    for workload in workloads:
        for threads in settings:
            results.append(_measure(workload, threads, arguments))
            _write(arguments, environment, results)  # after each, so that an interrupted run leaves what it has
            print("\n" + report.workload_text(results[-1]), flush=True)
    if arguments.quick:
        print("\n--quick: tiny sizes and few runs, no memory: these numbers say nothing about speed")
    return 1 if any(_went_wrong(result) for result in results) else 0


def _measure(workload: Any, threads: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one workload in children: the times in one, the memory of each contender in one of its own."""
    task = {"workload": workload.name, "quick": arguments.quick}
    about = {"workload": workload.name, "suite": workload.suite, "title": workload.name}
    try:
        result = _child({"kind": "times", **task}, threads, arguments.device)
        if threads == "default" and not arguments.quick:
            for record in result["contenders"]:
                if record["status"] in ("ok", "wrong"):
                    memory = {"kind": "memory", "contender": record["name"], **task}
                    record["memory"] = _child(memory, threads, arguments.device)
    except ChildProcessError as error:
        return {**about, "device": arguments.device, "threads": threads, "failed": str(error), "contenders": []}
    return {**result, "device": arguments.device, "threads": threads}


def _child(task: dict[str, Any], threads: str, device: str) -> dict[str, Any]:
    """Run a task in a process of its own and return its result."""
    with tempfile.TemporaryDirectory() as folder:
        task_file, result_file = Path(folder, "task.json"), Path(folder, "result.json")
        task_file.write_text(json.dumps({**task, "threads": threads, "device": device}))
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.frame.worker", str(task_file), str(result_file)],
            env=child_environment(threads, device, os.environ, quick=bool(task.get("quick"))),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not result_file.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ChildProcessError(f"the process of {task.get('workload', 'the environment')} ended: {last}")
        result = json.loads(result_file.read_text())
    if "error" in result:
        raise Refusal(result["error"])
    found: dict[str, Any] = result["result"]
    return found


def _write(arguments: argparse.Namespace, environment: dict[str, Any], results: list[dict[str, Any]]) -> None:
    if arguments.json is None:
        return
    options = {name: getattr(arguments, name) for name in ("suite", "workload", "threads", "device", "quick")}
    content = {"schema": SCHEMA, "options": options, "environment": environment, "results": results}
    try:
        arguments.json.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise Refusal(f"--json {arguments.json} could not be written: {error.strerror}; choose another file") from None


def _went_wrong(result: dict[str, Any]) -> bool:
    """Say whether a workload failed, or one of ours did; what is wrong with a peer is reported, not our failure."""
    ours = [record["status"] for record in result["contenders"] if record["role"] == "ours"]
    return "failed" in result or any(status in ("wrong", "failed") for status in ours)
