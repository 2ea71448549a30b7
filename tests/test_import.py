"""What `import mle_jax` costs: counted in modules, which do not depend on the machine, not in seconds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).resolve().parents[1]

EXPENSIVE = (
    *("pandas", "polars", "pyarrow", "narwhals", "formulaic", "matplotlib", "numpyro", "dask", "statsmodels"),
    *("scipy.stats", "scipy.optimize", "optax", "chex"),
)
"""Imported where they are used, never by `import mle_jax`."""


def modules_after(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter, outside the test run, and return the names of its modules."""
    code = f"import sys; {statement}; print(*sorted(sys.modules), sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert finished.returncode == 0, finished.stderr
    return set(finished.stdout.split())


@pytest.fixture(scope="module")
def jax_alone() -> set[str]:
    return modules_after("import jax, jax.numpy, jax.scipy.special")


@pytest.fixture(scope="module")
def with_mle_jax() -> set[str]:
    return modules_after("import mle_jax")


def packages(modules: set[str]) -> set[str]:
    """Return the top-level packages that belong neither to Python itself nor to an installer's start-up hook."""
    tops = {name.partition(".")[0] for name in modules}
    return {name for name in tops - sys.stdlib_module_names if not name.startswith("_")}


@pytest.mark.parametrize("name", EXPENSIVE)
def test_expensive_package_is_not_imported(with_mle_jax, name):
    assert name not in with_mle_jax, f"import mle_jax imports {name}; import it inside the function that needs it"


def test_no_package_beyond_those_of_jax(jax_alone, with_mle_jax):
    assert packages(with_mle_jax) - packages(jax_alone) == {"mle_jax"}


def test_import_leaves_the_settings_of_jax_alone():
    code = (
        "import sys, jax; before = dict(jax.config.values); import mle_jax;"
        "assert dict(jax.config.values) == before, 'settings changed'; assert not jax.config.jax_enable_x64"
    )
    assert "mle_jax" in modules_after(code)
