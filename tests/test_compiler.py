"""Which compile options are asked for: those that this release of the compiler has, and no others."""

import pytest

from mle_jax import _compiler
from mle_jax.likelihood.programs import NATIVE, QUICK


@pytest.fixture
def asking(monkeypatch):
    """Ask the compiler itself, as is done of a release that is not known."""

    def understood(options):
        _compiler._has.cache_clear()
        monkeypatch.setattr(_compiler, "is_tried", lambda: False)
        found = _compiler.understood(options)
        monkeypatch.undo()
        _compiler._has.cache_clear()
        return found

    return understood


@pytest.mark.smoke
@pytest.mark.parametrize("options", [QUICK, NATIVE])
def test_the_table_says_what_the_compiler_says(asking, options):
    if not _compiler.is_tried():
        pytest.skip("a release that the table says nothing of")
    assert asking(options) == _compiler.understood(options)
    assert "xla_backend_optimization_level" in _compiler.understood(options)


def test_an_option_that_no_compiler_has_is_left_out(asking):
    assert asking({**QUICK, "xla_no_such_option": 1}) == _compiler.understood(QUICK)


@pytest.mark.parametrize("version", ["0.11.0", "0.11.0rc1", "0.11.0+local.7", "0.11.0.dev20260101"])
def test_a_release_is_known_by_its_numbers(monkeypatch, version):
    monkeypatch.setattr(_compiler, "jaxlib_version", version)
    assert _compiler._release.__wrapped__() == (0, 11, 0)
