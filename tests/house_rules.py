"""The rules of the house as functions: a parsed file in, complaints out. CONTRIBUTING.md says why each exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import PurePath

PACKAGE = "mle_jax"

LAYERS = (
    *("densities", "parameters", "gradients", "likelihood", "data", "optimizers", "fitting"),
    *("inference", "tables", "plots", "results", "models", "text"),
)
"""Each folder imports only from those before it; private helpers (`_*.py` at the top) stand before all."""

TOP_MODULES = ("__init__", "__main__", "cli")
"""These may import everything."""

LONGEST_FILE = 400
LONGEST_BODY = 40
LONGEST_ALLOWED_BODY = 60

LONG_BODIES: dict[str, str] = {
    "fitting/native.py:_look_around": "the certificate of a native loop, one list of numbers",
    "fitting/native.py:_step": "one step of Newton's method on vectors over lanes",
}
"""Functions of 41 to 60 lines, as ``folder/file.py:function``, with the reason: one algorithm step, one renderer."""

BASES = {
    *("Protocol", "Generic", "NamedTuple", "TypedDict", "Enum", "IntEnum", "StrEnum", "Mapping", "Sequence"),
    *("Exception", "Warning", "UserWarning", "ValueError", "TypeError", "KeyError", "AttributeError", "RuntimeError"),
}

COMPARISONS = {"allclose", "isclose", "array_equal", "array_equiv", "isfinite", "isnan", "all", "any", "equals"}

# The names of directories are split so that this file does not complain about itself.
MACHINE_PATH = re.compile(r"(?<![\w.$})/:-])/(?:home|root|Users|tmp|work|mnt|opt)/[\w.-]+|\b[A-Z]:\\+Users\b")


def layers(path: PurePath, tree: ast.Module) -> list[str]:
    """Complain about imports from the same level upward: lower folders never know higher ones."""
    home = path.parts[1].removesuffix(".py")
    own = _rank(home)
    if own is None:
        return [f"'{path.parts[1]}' is in no layer: add it to LAYERS in tests/house_rules.py and to CONTRIBUTING.md"]
    complaints = []
    for node in _run_time_imports(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            complaints.append(f"line {node.lineno}: relative import; write 'from {PACKAGE}....'")
        for part in _imported_parts(node):
            rank = _rank(part)
            if rank is None or rank > own:
                complaints.append(f"line {node.lineno}: imports '{part}', which stands above it; move the code down")
    return complaints


def file_length(path: PurePath, text: str) -> list[str]:
    """Complain about a file too long to be read in one sitting."""
    lines = text.count("\n")
    return [f"{lines} lines; split it (at most {LONGEST_FILE})"] if lines > LONGEST_FILE else []


def body_size(path: PurePath, tree: ast.Module) -> list[str]:
    """Complain about long function bodies, docstrings not counted."""
    complaints = []
    for node in _functions(tree):
        lines = _body_lines(node)
        key = f"{'/'.join(path.parts[1:])}:{node.name}"
        most = LONGEST_ALLOWED_BODY if key in LONG_BODIES else LONGEST_BODY
        if lines > most:
            complaints.append(
                f"{node.name}: body of {lines} lines (at most {most}); split it, or if it is one algorithm step or "
                f"renderer of at most {LONGEST_ALLOWED_BODY} lines add '{key}' to LONG_BODIES with the reason"
            )
    return complaints


def module_name(path: PurePath, tree: ast.Module) -> list[str]:
    """Complain about a module that has the name of a function in it: importing one would hide the other."""
    same = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == path.stem]
    return [f"the module has the name of its function '{path.stem}'; rename the module"] if same else []


def private_jax(path: PurePath, tree: ast.Module) -> list[str]:
    """Complain about JAX's private modules, which change without notice."""
    uses = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(alias.name.startswith("jax._src") for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jax._src"))
        or (isinstance(node, ast.Attribute) and ast.unparse(node) == "jax._src")
    ]
    return [f"line {node.lineno}: uses jax._src; find the public way" for node in uses]


def global_settings(path: PurePath, tree: ast.Module) -> list[str]:
    """Complain about changes of JAX's global settings, which belong to the user."""
    complaints = []
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else []
        update = isinstance(node, ast.Call) and re.search(r"\bconfig\.update$", ast.unparse(node.func))
        if update or any(re.match(r"(jax\.)?config\.", ast.unparse(target)) for target in targets):
            complaints.append(f"line {node.lineno}: changes JAX's settings; use a context such as jax.enable_x64(True)")
    return complaints


def bases(path: PurePath, tree: ast.Module) -> list[str]:
    """Complain about base classes other than protocols, enums, named tuples and errors."""
    complaints = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            names = [re.split(r"\.|\[", ast.unparse(base).partition("[")[0])[-1] for base in node.bases]
            complaints += [
                f"class {node.name} inherits from {name}; write a function or a Protocol instead"
                for name in names
                if name not in BASES
            ]
    return complaints


def annotations(path: PurePath, tree: ast.Module) -> list[str]:
    """Complain about public functions and methods without types."""
    complaints = []
    for name, node in _public_functions(tree):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [extra for extra in (node.args.vararg, node.args.kwarg) if extra]
        bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        bare += ["the result"] if node.returns is None else []
        complaints += [f"line {node.lineno}: {name} has no type for {', '.join(bare)}; annotate it"] if bare else []
    return complaints


def thrown_away(path: PurePath, tree: ast.Module) -> list[str]:
    """Complain about comparisons whose result nobody looks at: such a check cannot fail."""
    complaints = []
    for node in _outside_raises(tree):
        if isinstance(node, ast.Expr) and _is_comparison(node.value):
            complaints.append(f"line {node.lineno}: the comparison's result is thrown away; assert it")
    return complaints


def asserts_something(path: PurePath, tree: ast.Module) -> list[str]:
    """Complain about tests that check nothing. A helper that asserts is called `assert_...` or `check_...`."""
    return [
        f"{node.name} asserts nothing; assert something, or name its helper assert_..."
        for node in _functions(tree)
        if node.name.startswith("test") and not any(_asserts(inner) for inner in ast.walk(node))
    ]


def machine_paths(path: PurePath, text: str) -> list[str]:
    """Complain about absolute paths that exist on one machine only."""
    return [
        f"line {number}: path of one machine, {found.group()}; make it relative or a temporary directory"
        for number, line in enumerate(text.splitlines(), start=1)
        for found in MACHINE_PATH.finditer(line)
    ]


def positional_limit(name: str, parameters: list[tuple[str, str]]) -> list[str]:
    """Complain about more than three positional parameters, given as (name, kind) without `self`."""
    positional = [name for name, kind in parameters if kind in ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")]
    if len(positional) <= 3 or any(kind == "VAR_POSITIONAL" for _, kind in parameters):
        return []
    return [f"{name} takes {len(positional)} positional arguments; put * after '{positional[2]}'"]


def _rank(part: str) -> int | None:
    """Return the height of a folder or top-level module: 0 for private helpers, None for strangers."""
    if part in TOP_MODULES:
        return len(LAYERS) + 1
    if part.startswith("_"):
        return 0
    return LAYERS.index(part) + 1 if part in LAYERS else None


def _imported_parts(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return what an import takes from the package: the folders or top-level modules below `mle_jax`."""
    if isinstance(node, ast.ImportFrom):
        module = (node.module or "").split(".")
        if module == [PACKAGE]:
            return [alias.name if _rank(alias.name) is not None else "__init__" for alias in node.names]
        return [module[1]] if module[0] == PACKAGE and not node.level else []
    split = [alias.name.split(".") for alias in node.names]
    return [parts[1] if len(parts) > 1 else "__init__" for parts in split if parts[0] == PACKAGE]


def _run_time_imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports, also those inside functions, but not those for the type checker."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from _run_time_imports(child)


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _public_functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the public functions of a module and the public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            methods = [inner for inner in node.body if isinstance(inner, ast.FunctionDef)]
            yield from ((f"{node.name}.{m.name}", m) for m in methods if not m.name.startswith("_"))


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    documented = ast.get_docstring(node) is not None and len(node.body) > 1
    return (node.end_lineno or node.lineno) - node.body[documented].lineno + 1


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _outside_raises(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree but for the blocks that are expected to raise or warn, where a bare expression is the point."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.With) and any(_asserts(item.context_expr) for item in child.items)):
            yield child
            yield from _outside_raises(child)


def _is_comparison(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        name = _last_name(node.func)
        return name in COMPARISONS or (
            not _asserts(node) and any(_last_name(argument) in COMPARISONS for argument in node.args)
        )
    inverted = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    return inverted or isinstance(node, ast.Compare | ast.BoolOp)


def _asserts(node: ast.AST) -> bool:
    called = _last_name(node.func) if isinstance(node, ast.Call) else ""
    return isinstance(node, ast.Assert) or re.search(r"assert|check|raises|warns", called) is not None
