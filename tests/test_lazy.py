"""What `import mle_jax` imports, and that everything public is there all the same."""

import subprocess
import sys

import pytest

import mle_jax as mle
from mle_jax import densities, inference

LATER = ("gradients", "models", "plots", "text", "densities.poisson", "inference.simulation")


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_fit_imports_nothing_that_it_does_without():
    code = """
import sys, mle_jax as mle
mle.fit(mle.Model(lambda p, row: -0.5 * (row["y"] - p["m"]) ** 2, {"m": mle.Real()}), {"y": [1.0, 2.0, 4.0]}).summary()
print(*(name for name in sys.modules if name.startswith("mle_jax.")))
"""
    imported = run(code)
    assert imported and not [name for name in LATER if f"mle_jax.{name}" in imported]


def test_everything_public_is_found_when_it_is_asked_for():
    code = """
import mle_jax
found = [getattr(mle_jax, name) for name in dir(mle_jax) if not name.startswith("_")]
families = [getattr(mle_jax.densities, name).log_density for name in ("normal", "gev")]
from mle_jax import *
print(check_gradient.__name__, models.__name__, simulate.__name__)
"""
    assert run(code) == ["check_gradient", "mle_jax.models", "simulate"]
    for package in (mle, densities, mle.optimizers, mle.results):
        assert set(package.__all__) <= set(dir(package))


@pytest.mark.parametrize("package", [mle, densities, inference])
def test_a_name_that_does_not_exist_is_refused_as_usual(package):
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'likelyhood'"):
        _ = package.likelyhood
