"""The dependency rule, and what an import loads."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = sorted(path for path in (ROOT / "multirec").rglob("*.py"))
BACKENDS = sorted(path for path in (ROOT / "backends" / "multirec_backends").rglob("*.py"))
ARRAY_LIBRARIES = {"torch", "jax", "cupy", "numba", "scipy", "llvmlite"}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imports(path, top_level=False):
    """Yield the dotted names that a module imports; with `top_level`, only what importing it loads."""
    package = list(path.relative_to(ROOT).parent.parts)
    if package[0] == "backends":
        package = package[1:]
    tree = ast.parse(path.read_text())
    for node in _executed(tree) if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            yield from (".".join([*module, alias.name]) for alias in node.names)


def _executed(node):
    """Walk what runs at import: not the bodies of functions, nor what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _executed(child)


def first(names):
    return {name.partition(".")[0] for name in names}


def modules_of(names):
    """The multirec module, without its leading package, of each name: 'backend', '_problem', 'nn', …"""
    return {name.split(".")[1] for name in names if name.startswith("multirec.")}


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_the_library_imports_no_backend(path):
    assert "multirec_backends" not in first(imports(path))


def may_load(path):
    """The array libraries that a module of multirec may import at top level."""
    name = path.relative_to(ROOT / "multirec").parts[0]
    if name == "nn" or name.startswith("_torch"):
        return {"torch"}
    if name.startswith("_jax"):
        return {"jax"}
    return ARRAY_LIBRARIES if name == "bench" else set()


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_only_a_bridge_loads_its_array_library(path):
    assert first(imports(path, top_level=True)) & ARRAY_LIBRARIES <= may_load(path)


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_test_and_command_line_libraries_stay_where_they_belong(path):
    folder = path.relative_to(ROOT / "multirec").parts[0]
    used = first(imports(path))
    if folder != "testing":
        assert not used & {"pytest", "hypothesis"}
    elif path.stem not in ("conformance", "strategies"):
        assert not used & {"pytest", "hypothesis", "scipy"}
    if folder not in ("cli",) and path.stem != "__main__":
        assert not used & {"click"}


LEVELS = [
    {"errors"},
    {"_problem", "_threads", "_address", "_bfloat16", "_libc"},
    {"_validate", "_state", "backend", "_arrays"},
    {"_canonical", "_design", "_rounding", "reference"},
    {"_formula", "_memory", "_cascade"},
    {"_derived"},
    {"_plan", "_discovery"},
    {"_registry"},
    {"_select", "_probe", "_copies", "_precision"},
    {"_function", "_bank", "_torch", "_jax", "adjoint"},
]
"""The core, from what imports nothing to what imports everything."""


@pytest.mark.parametrize("path", [path for path in LIBRARY if path.parent.name == "multirec"], ids=name_of)
def test_the_core_imports_downwards(path):
    if path.stem in ("__init__", "__main__"):
        return
    # the bridges to torch and JAX are several modules each
    stem = next((bridge for bridge in ("_torch", "_jax") if path.stem.startswith(bridge)), path.stem)
    level = next((i for i, names in enumerate(LEVELS) if stem in names), None)
    assert level is not None, f"{path.stem} has no place in the order of modules"
    above = {
        name
        for name in modules_of(imports(path, top_level=True))
        for i, names in enumerate(LEVELS)
        if i > level and name in names
    }
    assert not above


@pytest.mark.parametrize("path", [path for path in LIBRARY if path.parent.name == "multirec"], ids=name_of)
def test_the_core_knows_nothing_of_what_is_built_on_it(path):
    if path.stem != "__main__":
        assert not modules_of(imports(path)) & {"nn", "bench", "cli", "testing"}


@pytest.mark.parametrize("path", BACKENDS, ids=name_of)
def test_a_backend_imports_its_own_library_and_the_public_interface(path):
    allowed = {"backend", "adjoint", "errors"}
    assert modules_of(imports(path)) <= allowed
    own = path.relative_to(ROOT / "backends" / "multirec_backends").parts[0]
    others = {name.split(".")[1] for name in imports(path) if name.startswith("multirec_backends.")}
    assert others <= {own}


@pytest.mark.parametrize("path", [path for path in BACKENDS if path.name == "__init__.py"], ids=name_of)
def test_describing_a_backend_loads_nothing(path):
    loaded = first(imports(path, top_level=True)) - set(sys.stdlib_module_names)
    assert loaded <= {"multirec"}


def loaded_by(statement):
    """Return the modules that are loaded after a statement in a fresh interpreter."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return first(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import multirec",
        "import multirec, numpy as np; multirec.RecurrenceBank(feedback=np.ones((1, 1)))",
        "import multirec, numpy as np; multirec.explain(np.ones((1, 4)), feedback=np.ones((1, 1)))",
        "import multirec.testing",
    ],
    ids=["multirec", "bank", "explain", "testing"],
)
def test_no_array_library_but_numpy_is_loaded(statement):
    assert not loaded_by(statement) & (ARRAY_LIBRARIES | {"click", "rich", "pytest", "hypothesis", "ml_dtypes"})


def test_listing_commands_loads_no_array_library():
    loaded = loaded_by(
        "from click.testing import CliRunner; from multirec.cli import cli; CliRunner().invoke(cli, ['--help'])"
    )
    assert not loaded & ARRAY_LIBRARIES


@pytest.mark.parametrize("path", [*LIBRARY, *BACKENDS], ids=name_of)
def test_a_module_holds_one_idea(path):
    assert len(path.read_text().splitlines()) <= 400
