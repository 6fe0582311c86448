"""The dependency rule, and what an import loads."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import multirec
import multirec.bench

ROOT = Path(__file__).parents[2]
LIBRARY = sorted(path for path in (ROOT / "multirec").rglob("*.py"))
BACKENDS = sorted(path for path in (ROOT / "backends" / "multirec_backends").rglob("*.py"))
ARRAY_LIBRARIES = {"torch", "jax", "cupy", "numba", "scipy", "llvmlite"}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@cache
def imports(path, top_level=False):
    """Return the dotted names that a module imports, but for types; with `top_level`, what importing it loads."""
    return frozenset(_imported(path, top_level))


def _imported(path, top_level):
    package = list(path.relative_to(ROOT).parent.parts)
    if package[0] == "backends":
        package = package[1:]
    tree = ast.parse(path.read_text())
    for node in _executed(tree, top_level):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            yield from (".".join([*module, alias.name]) for alias in node.names)


def _executed(node, at_import):
    """Walk what runs, `at_import` or at all: not what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if at_import and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _executed(child, at_import)


def first(names):
    return {name.partition(".")[0] for name in names}


def modules_of(names):
    """The multirec module, without its leading package, of each name: 'backend', '_problem', 'nn', …"""
    return {name.split(".")[1] for name in names if name.startswith("multirec.")}


def excess(paths, of):
    """Return by their names what modules import that they may not, as `of` has it; a test a module took far longer."""
    found = {name_of(path): of(path) for path in paths}
    return {name: names for name, names in found.items() if names}


def test_the_library_imports_no_backend():
    assert not excess(LIBRARY, lambda path: first(imports(path)) & {"multirec_backends"})


def may_load(path):
    """The array libraries that a module of multirec may import at top level."""
    name = room_of(path)
    if name in ("nn", "compat", "_torch", "_mesh"):
        return {"torch"}
    if name in ("_jax", "_shard_map"):
        return {"jax"}
    return ARRAY_LIBRARIES if name == "bench" else set()


def test_only_a_bridge_loads_its_array_library():
    assert not excess(LIBRARY, lambda path: first(imports(path, top_level=True)) & ARRAY_LIBRARIES - may_load(path))


def out_of_place(path):
    """Return the libraries for tests, command lines and pictures that a module of multirec imports and may not."""
    folder = path.relative_to(ROOT / "multirec").parts[0]
    refused = set()
    if folder != "testing":
        refused |= {"pytest", "hypothesis"}
    elif path.stem not in ("conformance", "strategies"):
        refused |= {"pytest", "hypothesis", "scipy"}
    if folder != "cli" and path.stem != "__main__":
        refused |= {"click", "rich"}
    if folder not in ("plot", "bench"):
        refused |= {"matplotlib"}
    loaded = first(imports(path, top_level=True)) if folder == "plot" else set()
    return first(imports(path)) & refused | loaded & {"matplotlib"}


def test_test_and_command_line_libraries_stay_where_they_belong():
    assert not excess(LIBRARY, out_of_place)


def rooms():
    """Return the rooms of the library in the order of CONTRIBUTING's table: each may import those before it."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return re.findall(r"^\| `(\w+)/?` \|", text.partition("| room |")[2].partition("Beside it")[0], re.MULTILINE)


ROOMS = rooms()
PUBLIC = set(multirec.__all__)
FRONT = ("__init__", "__main__")


def room_of(path):
    return path.relative_to(ROOT / "multirec").parts[0].removesuffix(".py")


def test_every_room_is_in_the_table():
    assert {room_of(path) for path in LIBRARY} - set(FRONT) == set(ROOMS)


def later_rooms(path):
    """Return the rooms after its own that a module imports."""
    place = ROOMS.index(room_of(path))
    # `multirec` itself is what users import: its names are everywhere's
    front = set() if place < ROOMS.index("nn") else PUBLIC
    return modules_of(imports(path)) - {*ROOMS[: place + 1], *front}


def test_a_room_imports_those_before_it():
    assert not excess([path for path in LIBRARY if room_of(path) not in FRONT], later_rooms)


HARNESS = re.findall(r"^\d\. `(\w+)`", multirec.bench.__doc__, re.MULTILINE)
IN_HARNESS = [path for path in LIBRARY if path.relative_to(ROOT / "multirec").parts[0] == "bench"]


def test_every_room_of_the_harness_is_in_its_docstring():
    assert {path.parent.name for path in IN_HARNESS} - {"bench"} == set(HARNESS)


def later_rooms_of_the_harness(path):
    used = {name.split(".")[2] for name in imports(path) if name.startswith("multirec.bench.")}
    return used - set(HARNESS[: HARNESS.index(path.parent.name) + 1])


def test_a_room_of_the_harness_imports_those_before_it():
    assert not excess([path for path in IN_HARNESS if path.parent.name != "bench"], later_rooms_of_the_harness)


def test_no_module_imports_itself_by_way_of_others():
    modules = {module_of(path): path for path in LIBRARY}
    edges = {name: set(targets_of(imports(path), modules)) for name, path in modules.items()}
    done = []
    while edges:
        free = [name for name, targets in edges.items() if not (targets - {name}) & edges.keys()]
        assert free, f"a circle among {sorted(edges)}"
        done += [edges.pop(name) for name in free]


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def targets_of(names, modules):
    """Yield the modules of the library that imported names are, or are of; packages that only hold modules aside."""
    for name in names:
        if name in modules:
            yield name
        elif name.rpartition(".")[0] in modules:
            yield name.rpartition(".")[0]


def private_or_anothers(path):
    """Return what a backend imports of the library beside its interface, and of other backends."""
    own = path.relative_to(ROOT / "backends" / "multirec_backends").parts[0]
    others = {name.split(".")[1] for name in imports(path) if name.startswith("multirec_backends.")}
    return modules_of(imports(path)) - {"backend", "adjoint", "errors"} | others - {own}


def test_a_backend_imports_its_own_library_and_the_public_interface():
    assert not excess(BACKENDS, private_or_anothers)


def test_describing_a_backend_loads_nothing():
    described = (ROOT / "backends").glob("multirec_backends/*/__init__.py")
    may = {"multirec", *sys.stdlib_module_names}
    assert not excess(described, lambda path: first(imports(path, top_level=True)) - may)


def modules_loaded_by(statement):
    """Return the modules that a statement loads in a fresh interpreter."""
    code = f"import json, sys\nbefore = set(sys.modules)\n{statement}\nprint(json.dumps([*set(sys.modules) - before]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def loaded_by(statement):
    return first(modules_loaded_by(statement))


def test_an_import_loads_what_forks_and_torch_need_and_nothing_else():
    own = {f"multirec{name}" for name in ("", ".errors", "._machine", "._machine.threads", "._machine.when_loaded")}
    loaded = modules_loaded_by("import multirec")
    assert {name for name in loaded if name.startswith("multirec")} == own
    assert loaded - own <= {"threading", "_weakrefset", "collections.abc", "operator", "_operator", "importlib"}


def test_a_name_loads_its_module_and_is_looked_up_once():
    statement = "import multirec; assert 'num_threads' in dir(multirec) and 'scan' not in vars(multirec); multirec.scan"
    assert "multirec._scan" in modules_loaded_by(f"{statement}; assert 'scan' in vars(multirec)")


def test_every_name_has_its_module():
    assert {*multirec._MODULES, "__version__"} == set(multirec.__all__)
    loaded_by("from multirec import *; assert adjoint.vjp and State and memory.limit and errors.ShapeError")
    with pytest.raises(AttributeError, match="module 'multirec' has no attribute 'recurrent'"):
        _ = multirec.recurrent


@pytest.mark.parametrize(
    "statement",
    [
        "import multirec",
        "import multirec, numpy as np; multirec.RecurrenceBank(feedback=np.ones((1, 1)))",
        "import multirec, numpy as np; multirec.explain(np.ones((1, 4)), feedback=np.ones((1, 1)))",
        "from multirec import signal; signal.decimate([1.0] * 30, 2, backend='reference')",
        "import multirec.testing",
        "import multirec.plot",
    ],
    ids=["multirec", "bank", "explain", "signal", "testing", "plot"],
)
def test_no_array_library_but_numpy_is_loaded(statement):
    others = {"click", "rich", "pytest", "hypothesis", "ml_dtypes", "matplotlib"}
    assert not loaded_by(statement) & (ARRAY_LIBRARIES | others)


def test_listing_commands_loads_no_array_library():
    loaded = loaded_by(
        "from click.testing import CliRunner; from multirec.cli import cli; CliRunner().invoke(cli, ['--help'])"
    )
    assert not loaded & {*ARRAY_LIBRARIES, "numpy", "rich"}
