"""Settings shared by all tests. The 64-bit flag of JAX is left alone: the library must work with it off."""

import gc
import os
from importlib.metadata import version
from pathlib import Path

import jax
import pytest
from hypothesis import settings

# A first example compiles, so deadlines mislead; derandomized runs fail the same way for everyone.
settings.register_profile("mle_jax", deadline=None, derandomize=True)
settings.load_profile("mle_jax")

# Scripts that make the numbers in tests/data: there is nothing to collect in them.
collect_ignore = ["reference"]

# What `--quick-compile` asks of XLA: compiling takes four fifths of the time of the tests, and a third of that so. One
# part per program, because parts are compiled side by side, which takes a fifth more where every core has its worker.
QUICK_COMPILE = " ".join(
    (
        "--xla_backend_optimization_level=0",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    )
)
KNOWN_TO = (0, 13)  # an XLA that does not know an option ends the process: newer versions of jaxlib go without

# Every compiled kernel takes a few memory maps, and Linux gives a process 65 530 of them (vm.max_map_count): a worker
# that has compiled some hundred fits would die of "LLVM compilation error: Cannot allocate memory".
MAPS_TO_KEEP = 20_000


class RoomForPrograms:
    """Let go of the compiled programs before a worker runs out of memory maps."""

    def __init__(self, maps: Path = Path("/proc/self/maps")) -> None:
        self.maps = maps
        self.tests = 0

    @pytest.hookimpl(trylast=True)  # a test may have put something else in place of `read_bytes`
    def pytest_runtest_teardown(self) -> None:
        """Look at every tenth test, once it is cleaned up: reading the maps takes some hundredths of a second."""
        self.tests += 1
        if self.tests % 10 == 0 and self.maps.exists() and self.maps.read_bytes().count(b"\n") > MAPS_TO_KEEP:
            jax.clear_caches()
            gc.collect()  # what is let go may be part of a cycle


def keep_programs(folder: str) -> None:
    """Keep compiled programs: neither the other workers nor the next run compile again what is the same program."""
    for name, value in (
        ("jax_compilation_cache_dir", folder),
        ("jax_persistent_cache_min_compile_time_secs", 0.2),
    ):
        os.environ.setdefault(name.upper(), str(value))  # for the commands that tests start
        jax.config.update(name, value)  # JAX itself has read the environment already


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer `--quick-compile`; without it tests run what users run, as CI does for the smoke tests."""
    parser.addoption(
        "--quick-compile", action="store_true", help="compile fast code to run slowly: for many small tests"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Set the compiler's options, and register the guard for every test and every example in a docstring."""
    new = tuple(int(part) for part in version("jaxlib").split(".")[:2]) >= KNOWN_TO
    if config.getoption("--quick-compile") and not new:
        # Read when JAX first computes; workers and the commands that tests start inherit it.
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_COMPILE}".strip()
    if config.getoption("--quick-compile"):
        keep_programs(str(config.rootpath / ".pytest_cache" / "programs"))
        # Traces are millions of objects that live as long as their programs: looking for garbage among them at Python's
        # own pace takes a twentieth of the time.
        gc.set_threshold(50_000, 20, 20)
    config.pluginmanager.register(RoomForPrograms())
