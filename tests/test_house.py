"""The house itself: layers, sizes, names, documentation. Every complaint says what to mend."""

import ast
import functools
import inspect
import re
from pathlib import Path, PurePath
from types import ModuleType

import house_rules as rules
import pytest

import mle_jax

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def files(*folders: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


def text_files() -> list[Path]:
    """Return what a reader of the repository sees: the files at the top and in the project's own folders."""
    folders = [ROOT / name for name in ("mle_jax", "tests", "benchmarks", "examples", ".ci")]
    nested = [path for folder in folders for path in folder.rglob("*")]
    known = {".py", ".md", ".toml", ".csv", ".json", ".txt", ""}
    return sorted(
        path.relative_to(ROOT)
        for path in (*ROOT.iterdir(), *nested)
        if path.is_file() and path.suffix in known and "__pycache__" not in path.parts and path.name != ".git"
    )


def public_objects(namespace: ModuleType = mle_jax, prefix: str = "") -> dict[str, object]:
    """Return what users can reach: the names of the package, and those of its public namespaces."""
    found: dict[str, object] = {}
    for name in getattr(namespace, "__all__", ()):
        value = getattr(namespace, name)
        if inspect.ismodule(value):
            found |= public_objects(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def documented_objects() -> dict[str, object]:
    """Leave out what cannot carry a docstring of its own, such as a version or a mapping of examples."""
    return {name: value for name, value in public_objects().items() if callable(value)}


def callables() -> dict[str, object]:
    """Return the public functions, constructors and methods that this package wrote the signature of."""
    found: dict[str, object] = {}
    for name, value in documented_objects().items():
        if not isinstance(value, type):
            found[name] = value
        else:
            if not issubclass(value, tuple | BaseException | int):
                found[name] = value
            methods = {key: inner for key, inner in vars(value).items() if not key.startswith("_")}
            found |= {f"{name}.{key}": inner for key, inner in methods.items() if inspect.isfunction(inner)}
    return found


PACKAGE_FILES = files("mle_jax")
TEST_FILES = files("tests")
TREE_RULES = (
    rules.layers,
    rules.body_size,
    rules.module_name,
    rules.private_jax,
    rules.global_settings,
    rules.bases,
    rules.annotations,
)


def named(value: object) -> str:
    return getattr(value, "__name__", str(value))


@functools.cache
def tree(path):
    """Return a file's syntax tree, parsed once for all rules."""
    return ast.parse((ROOT / path).read_text())


def assert_all_keep(rule, paths, content):
    """Hold a rule against many files in one test: three thousand tests of a millisecond would cost half a minute."""
    complaints = [f"{path}: {complaint}" for path in paths for complaint in rule(path, content(path))]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("rule", TREE_RULES, ids=named)
def test_package_keeps_the_rule(rule):
    assert_all_keep(rule, PACKAGE_FILES, tree)


def test_files_are_short():
    assert_all_keep(rules.file_length, PACKAGE_FILES, lambda path: (ROOT / path).read_text())


@pytest.mark.parametrize("rule", [rules.thrown_away, rules.asserts_something], ids=named)
def test_tests_can_fail(rule):
    assert_all_keep(rule, TEST_FILES, tree)


def test_no_path_of_one_machine():
    assert_all_keep(rules.machine_paths, text_files(), lambda path: (ROOT / path).read_text())


def test_long_bodies_are_still_there_and_still_long():
    for key, reason in rules.LONG_BODIES.items():
        path, _, name = key.partition(":")
        tree = ast.parse((ROOT / "mle_jax" / path).read_text())
        sizes = [rules._body_lines(node) for node in rules._functions(tree) if node.name == name]
        assert max(sizes, default=0) > rules.LONGEST_BODY, f"{key} is short again: take it out of LONG_BODIES"
        assert reason, f"{key} stands in LONG_BODIES without a reason"


@pytest.mark.parametrize("folder", [*rules.LAYERS, "mle_jax/"])
def test_contributing_says_where_code_goes(folder):
    assert folder in (ROOT / "CONTRIBUTING.md").read_text(), f"CONTRIBUTING.md does not mention {folder}"


@pytest.mark.parametrize("name", documented_objects())
def test_public_name_is_documented_with_an_example(name):
    value = documented_objects()[name]
    # A class without docstring would show the one of its base.
    document = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    assert document, f"mle_jax.{name} has no docstring"
    assert ">>> " in document, f"the docstring of mle_jax.{name} has no runnable example (>>>)"


@pytest.mark.parametrize("name", public_objects())
def test_public_name_stands_in_the_readme(name):
    last = name.rpartition(".")[2]
    assert re.search(rf"\b{re.escape(last)}\b", README.read_text()), f"README.md does not mention {name}"


@pytest.mark.parametrize("name", callables())
def test_public_callable_has_at_most_three_positional_arguments(name):
    signature = inspect.signature(callables()[name])
    parameters = [(p.name, p.kind.name) for p in signature.parameters.values() if p.name not in ("self", "cls")]
    complaints = rules.positional_limit(name, parameters)
    assert not complaints, "; ".join(complaints)


def test_no_module_has_the_name_of_a_public_function():
    functions = {name.rpartition(".")[2] for name, value in documented_objects().items() if not isinstance(value, type)}
    modules = {path.stem if path.stem != "__init__" else path.parent.name for path in PACKAGE_FILES}
    both = sorted(functions & modules)
    assert not both, f"modules with the name of a public function, rename them: {both}"


def test_code_in_the_readme_runs(monkeypatch, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert blocks, "README.md shows no Python"
    if not hasattr(mle_jax, "fit"):
        pytest.skip("the README's verbs are not all there yet")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), scope)


BAD = [
    (rules.layers, "optimizers/loop.py", "from mle_jax.fitting import maximize"),
    (rules.layers, "optimizers/loop.py", "import mle_jax.results.fit"),
    (rules.layers, "optimizers/loop.py", "def f():\n    from mle_jax.text import check"),
    (rules.layers, "optimizers/loop.py", "from mle_jax import fit"),
    (rules.layers, "optimizers/loop.py", "from mle_jax import results"),
    (rules.layers, "optimizers/loop.py", "from .other import thing"),
    (rules.layers, "optimizers/loop.py", "from mle_jax.cli import main"),
    (rules.layers, "optimizers/loop.py", "if FLAG:\n    import mle_jax.results"),
    (rules.layers, "_text.py", "from mle_jax.densities import normal"),
    (rules.layers, "attic/old.py", "import os"),
    (rules.layers, "models/gaussian.py", "from mle_jax.attic import old"),
    (rules.body_size, "a.py", "def f():\n" + "    x = 1\n" * 41),
    (rules.body_size, "a.py", "class A:\n    def f(self):\n        '''Doc.'''\n" + "        x = 1\n" * 41),
    (rules.module_name, "fitting/maximize.py", "def maximize(): ..."),
    (rules.private_jax, "a.py", "from jax._src.core import Tracer"),
    (rules.private_jax, "a.py", "import jax._src.core"),
    (rules.private_jax, "a.py", "import jax\nx = jax._src.core"),
    (rules.global_settings, "a.py", "jax.config.update('jax_enable_x64', True)"),
    (rules.global_settings, "a.py", "from jax import config\nconfig.update('jax_enable_x64', True)"),
    (rules.global_settings, "a.py", "jax.config.jax_enable_x64 = True"),
    (rules.bases, "a.py", "class Newton(Optimizer): ..."),
    (rules.bases, "a.py", "class Newton(abc.ABC): ..."),
    (rules.annotations, "a.py", "def fit(model: int, data): ..."),
    (rules.annotations, "a.py", "def fit(model: int): ..."),
    (rules.annotations, "a.py", "class Fit:\n    def summary(self): ..."),
    (rules.annotations, "a.py", "def fit(*args, key: int) -> int: ..."),
    (rules.thrown_away, "test_a.py", "def test():\n    np.allclose(a, b)"),
    (rules.thrown_away, "test_a.py", "def test():\n    a == b"),
    (rules.thrown_away, "test_a.py", "for a in b:\n    if a:\n        (a < b).all()"),
    (rules.thrown_away, "test_a.py", "jax.tree_util.tree_map(np.allclose, a, b)"),
    (rules.thrown_away, "test_a.py", "not np.allclose(a, b)"),
    (rules.asserts_something, "test_a.py", "def test_a():\n    fit(model)"),
    (rules.asserts_something, "test_a.py", "class TestA:\n    def test_a(self):\n        pass"),
]

GOOD = [
    (rules.layers, "optimizers/loop.py", "from mle_jax._text import grid\nfrom mle_jax.optimizers.stops import x"),
    (rules.layers, "optimizers/loop.py", "from mle_jax.likelihood import Model\nimport jax, numpy"),
    (rules.layers, "optimizers/loop.py", "if TYPE_CHECKING:\n    from mle_jax.results import Fit"),
    (rules.layers, "_status.py", "from mle_jax._text import grid"),
    (rules.layers, "__init__.py", "from mle_jax.text import check\nfrom mle_jax import models"),
    (rules.layers, "cli.py", "from mle_jax import fit"),
    (rules.body_size, "a.py", "def f():\n    '''Doc.\n" + "    more\n" * 60 + "    '''\n" + "    x = 1\n" * 40),
    (rules.module_name, "fitting/maximize.py", "def minimize(): ...\nclass maximize: ..."),
    (rules.private_jax, "a.py", "from jax.scipy.special import ndtri"),
    (rules.global_settings, "a.py", "with jax.enable_x64(True):\n    config = {}\n    settings.update(config)"),
    (rules.bases, "a.py", "class Step(Protocol[T]): ...\nclass Status(enum.IntEnum): ...\nclass Table: ..."),
    (rules.annotations, "a.py", "def fit(model: int) -> int: ...\ndef _f(x): ...\nclass A:\n    def _g(self): ..."),
    (rules.thrown_away, "test_a.py", "assert np.allclose(a, b)\nok = a == b\nnp.testing.assert_allclose(a, b)"),
    (rules.thrown_away, "test_a.py", "with pytest.raises(TypeError):\n    a < b"),
    (rules.asserts_something, "test_a.py", "def test_a():\n    with pytest.raises(ValueError):\n        fit()"),
    (rules.asserts_something, "test_a.py", "def test_a():\n    assert_close(1, 2)\ndef helper():\n    pass"),
]


@pytest.mark.parametrize(("rule", "path", "snippet"), BAD)
def test_rule_complains_about_bad_code(rule, path, snippet):
    assert rule(PurePath("mle_jax") / path, ast.parse(snippet))


@pytest.mark.parametrize(("rule", "path", "snippet"), GOOD)
def test_rule_accepts_good_code(rule, path, snippet):
    assert rule(PurePath("mle_jax") / path, ast.parse(snippet)) == []


def test_every_rule_about_code_has_been_seen_to_fail():
    assert {rule for rule, _, _ in BAD} >= {*TREE_RULES, rules.thrown_away, rules.asserts_something}


def test_rule_about_file_length():
    assert rules.file_length(PurePath("a.py"), "x\n" * 401)
    assert not rules.file_length(PurePath("a.py"), "x\n" * 400)


@pytest.mark.parametrize("folder", ["home", "Users", "root", "tmp", "mnt"])
def test_rule_about_machine_paths(folder):
    assert rules.machine_paths(PurePath("a.py"), f"data = read('/{folder}/someone/data.csv')")
    assert rules.machine_paths(PurePath("a.md"), f"see /{folder}/someone")
    assert not rules.machine_paths(PurePath("a.md"), f"#!/usr/bin/env bash\ndocs/{folder}/a https://x.org/{folder}/a")


def test_rule_about_positional_arguments():
    four = [(name, "POSITIONAL_OR_KEYWORD") for name in "abcd"]
    assert rules.positional_limit("fit", four) == ["fit takes 4 positional arguments; put * after 'c'"]
    assert not rules.positional_limit("fit", [*four[:3], ("d", "KEYWORD_ONLY")])
    assert not rules.positional_limit("fit", [*four, ("args", "VAR_POSITIONAL")])
