"""The most memory that a process has held, and what a JAX device has."""

import sys
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def resident_bytes() -> tuple[int | None, int]:
    """Return the memory that this process holds now (None where the system does not say) and has held at most.

    Linux keeps both in /proc. `ru_maxrss`, all there is elsewhere, would count what the parent held when it started
    this process.
    """
    if _STATUS.exists():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        now, most = (int(lines[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
        return now, most
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None, most if sys.platform == "darwin" else most * 1024


def device_peak_bytes() -> int | None:
    """Return the most memory in use on the first JAX device so far, None where it does not say (the CPU)."""
    import jax

    stats: dict[str, Any] | None = jax.devices()[0].memory_stats()
    return None if stats is None else stats.get("peak_bytes_in_use")
