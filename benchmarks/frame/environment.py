"""Where the numbers come from: machine, versions, threads, commit."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    *("jax", "jaxlib", "numpy", "optax", "scipy", "glum", "numba", "scikit-learn", "statsmodels", "torch"),
    *("pyCpufit", "pyGpufit"),
)
BUSY = 0.5
"""A one-minute load average above this before the run: somebody else is using the machine."""

CACHE = "JAX_COMPILATION_CACHE"

THREADS = ("1", "default")
"""The settings under which a CPU is measured: one thread on one core, and what every package does by itself."""

_SINGLE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")


def child_environment(
    threads: str, device: str, inherited: Mapping[str, str], *, quick: bool = False
) -> dict[str, str]:
    """Return the environment of a child: float64, device, threads, and the checkout before anything installed.

    The caller's XLA_FLAGS stay in force and are recorded. A compilation cache on disk would make compile times
    meaningless, so it is switched off, but for `--quick`, whose times mean nothing anyway.
    """
    child = {name: value for name, value in inherited.items() if quick or not name.startswith(CACHE)}
    child["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [child.get("PYTHONPATH")])])
    child["JAX_ENABLE_X64"] = "1"
    if device == "cpu":
        child["JAX_PLATFORMS"] = "cpu"
    else:
        child.pop("JAX_PLATFORMS", None)
    if threads == "1":
        child |= dict.fromkeys(_SINGLE, "1")
        # A process on one core has one thread without being told, and flags keep mle_jax from making native loops.
        if not hasattr(os, "sched_setaffinity"):
            child["XLA_FLAGS"] = " ".join([*child.get("XLA_FLAGS", "").split(), "--xla_cpu_multi_thread_eigen=false"])
    return child


def pin_to_one_core() -> bool:
    """Keep this process, all threads to come included, on one core; return whether the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return True


def describe(device: str) -> dict[str, Any]:
    """Describe machine and software, from a child that has JAX.

    Raises:
        LookupError: there is no such device.
    """
    import jax

    import mle_jax

    try:
        devices = jax.devices(device)
    except RuntimeError:
        found = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise LookupError(f"--device {device}, but JAX finds none here (only: {found})") from None
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "device": device,
        "device_name": _cpu_name() if device == "cpu" else devices[0].device_kind,
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "mle_jax": mle_jax.__version__,
        "packages": {name: _version(name) for name in PACKAGES},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "load_average": _load(),
    }


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return the commit of the checkout, marked where files differ from it; None without git."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return f"{commit} (modified)" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
