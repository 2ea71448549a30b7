"""The child process: one workload under one setting of threads, or one contender alone for its memory.

It is told what to do in a JSON file and leaves its result in another, so that what peers print does no harm.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.frame.environment import describe, pin_to_one_core


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Do one task; return ``{"result": ...}``, or ``{"error": message}`` for what the user must be told."""
    if task.get("threads") == "1":
        pin_to_one_core()  # before JAX and its peers count the cores
    if task["kind"] == "environment":
        try:
            return {"result": describe(task["device"])}
        except LookupError as error:
            return {"error": str(error.args[0])}

    from benchmarks.frame.running import measure_memory, run_workload
    from benchmarks.workloads import find_workload

    workload = find_workload(task["workload"])
    if task["kind"] == "memory":
        return {"result": measure_memory(workload, task["contender"], quick=task["quick"])}
    return {"result": run_workload(workload, quick=task["quick"])}


def main(task_file: str, result_file: str) -> int:
    """Read the task, do it, write the result."""
    result = work(json.loads(Path(task_file).read_text()))
    Path(result_file).write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
