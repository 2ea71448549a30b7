"""Settings shared by all tests. The 64-bit flag of JAX is left alone: the library must work with it off."""

from pathlib import Path

import jax
import pytest
from hypothesis import settings

# A first example compiles, so deadlines mislead; derandomized runs fail the same way for everyone.
settings.register_profile("mle_jax", deadline=None, derandomize=True)
settings.load_profile("mle_jax")

# Scripts that make the numbers in tests/data: there is nothing to collect in them.
collect_ignore = ["reference"]

# Every compiled kernel takes a few memory maps, and Linux gives a process 65 530 of them (vm.max_map_count): a worker
# that has compiled some hundred fits would die of "LLVM compilation error: Cannot allocate memory".
MAPS_TO_KEEP = 30_000


class RoomForPrograms:
    """Let go of the compiled programs before a worker runs out of memory maps."""

    def __init__(self, maps: Path = Path("/proc/self/maps")) -> None:
        self.maps = maps
        self.tests = 0

    def pytest_runtest_teardown(self) -> None:
        """Look at every tenth test: reading the maps takes some hundredths of a second."""
        self.tests += 1
        if self.tests % 10 == 0 and self.maps.exists() and self.maps.read_bytes().count(b"\n") > MAPS_TO_KEEP:
            jax.clear_caches()


def pytest_configure(config: pytest.Config) -> None:
    """Register the guard for every test, the examples in the docstrings of the library among them."""
    config.pluginmanager.register(RoomForPrograms())
