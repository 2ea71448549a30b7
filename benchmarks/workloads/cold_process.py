"""A whole process, from ``python script.py`` to the printed table: imports, compiling, fit, standard errors, text."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame.workload import Contender, Target, Workload
from benchmarks.workloads._decrements import of_student_t, worst

Call = Callable[[], dict[str, Any]]
SCRIPTS = Path(__file__).parent / "scripts"
PEAK = """
import atexit, runpy, sys
def peak():
    from benchmarks.frame.memory import resident_bytes
    print("peak", resident_bytes()[1])
atexit.register(peak)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Run a script as Python does, and say how much memory it held when it ends."""


def generate(*, n: int) -> int:
    """Return the number of rows: the scripts draw their data themselves, all from one seed."""
    return n


def data_of_scripts(n: int) -> dict[str, np.ndarray]:
    """Return the data that the scripts draw."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal((n, 3))
    x[:, 0] = 1.0
    return {"x": x, "y": x @ np.ones(3) + rng.standard_t(5, size=n)}


def prepare_script(script: str, environment: dict[str, str], n: int) -> Call:
    """Return a call that runs a script in a new process and reads its last lines."""
    # JAX_ENABLE_X64 is of the benchmarks and not of a user's shell; and what pip installs is compiled to bytecode.
    own = "JAX_ENABLE_X64", "PYTHONDONTWRITEBYTECODE"
    inherited = {name: value for name, value in os.environ.items() if name not in own}
    command = [sys.executable, "-c", PEAK, str(SCRIPTS / script), str(n)]

    def run() -> dict[str, Any]:
        done = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
        lines = {line.split(" ", 1)[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
        return {"flat": np.array(lines["answer"], float), "peak_bytes": int(lines["peak"][0])}

    return run


def prepare_cached(n: int) -> Call:
    """Return the same with a compilation cache on disk, which the first call fills."""
    folder = tempfile.TemporaryDirectory(prefix="benchmarks-cache-")
    call = prepare_script("student_t_mle_jax.py", cache_in(folder.name), n)

    def run() -> dict[str, Any]:
        Path(folder.name).stat()  # holds on to the folder, which goes away with this function
        return call()

    return run


def cache_in(folder: str) -> dict[str, str]:
    """Return the settings of JAX that keep every compiled program, however quick it was to compile."""
    return {
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


WORKLOADS = (
    Workload(
        name="cold_process",
        suite="estimation",
        title="a process from nothing to a printed table: Student-t regression, n = {n}, p = 3",
        generate=generate,
        size={"n": 200},
        quick={"n": 200},
        reference=data_of_scripts,
        discrepancy=lambda answer, data: worst({"flat": answer["flat"]}, partial(of_student_t, data)),
        tolerance=1e-6,
        measure="distance to the maximum in standard errors; allowed 1e-6",
        contenders=(
            Contender(
                name="mle.fit, cold",
                role="ours",
                prepare=partial(prepare_script, "student_t_mle_jax.py", {}),
                own_process=True,
                note="imports and compiles everything",
            ),
            Contender(
                name="mle.fit, compiled before",
                role="ours",
                prepare=prepare_cached,
                own_process=True,
                note="JAX's compilation cache on disk (JAX_COMPILATION_CACHE_DIR), filled by the first call",
            ),
            Contender(
                name="GenericLikelihoodModel",
                role="peer",
                device="cpu",
                needs=("statsmodels", "scipy"),
                prepare=partial(prepare_script, "student_t_statsmodels.py", {}),
                own_process=True,
                tolerance=1e-4,
                note="bfgs, gtol 1e-8, numerical derivatives; allowed 1e-4",
            ),
        ),
        targets=(
            Target(
                text="cold at most 1.5 times as long as GenericLikelihoodModel",
                fast="mle.fit, cold",
                slow=("GenericLikelihoodModel",),
                at_most=1.5,
            ),
            Target(
                text="compiled before no slower than GenericLikelihoodModel",
                fast="mle.fit, compiled before",
                slow=("GenericLikelihoodModel",),
                at_most=1.0,
            ),
        ),
    ),
)
