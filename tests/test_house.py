"""The rooms: imports go one way, and importing anything has no side effect."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from copylens.store.stages import STAGES

ROOT = Path(__file__).parents[1]

# The way of the data: a room imports what stands before it, never what stands behind it.
ROOMS = (
    "errors",
    "records",
    "text",
    "progress",
    "templates",
    "config",
    "store",
    "corpus",
    "probe",
    "states",
    "attributor",
    "detector",
    "fit",
    "evidence",
    "verdict",
    "generation",
    "audit",
    "settlement",
    "takedown",
    "evaluation",
    "registry",
    "client",
    "cli",
)
# Package -> what it may not import, at any place in a file. A command asks for a job or a service
# inside the function that runs it: so the command line alone may name them.
FORBIDDEN = {
    "copylens": {"ray", "ray_jobs", "serve", "benchmarks", "tests"},
    "ray_jobs": {"serve", "benchmarks", "tests"},
    "serve": {"ray_jobs", "benchmarks", "tests"},
}
MOST_MODULES = 14
MOST_LINES = 300
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "copylens").rglob("*.py")
    if path.name != "__init__.py" and path.parent.name != "registry"
)


def imported(path: Path) -> Iterator[str]:
    """Dotted names of all that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from copylens import text` names a room, `from copylens.text import x` does too.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "copylens").parts[0].removesuffix(".py")


def arrows_back(path: Path) -> list[str]:
    """Imports of a file of copylens/ from a room behind its own."""
    own = ROOMS.index(room_of(path))
    targets = [name.split(".")[1] for name in imported(path) if name.startswith("copylens.")]
    return [room for room in targets if room in ROOMS and ROOMS.index(room) > own]


def test_every_room_has_its_place_in_the_order():
    found = {room_of(path) for path in (ROOT / "copylens").rglob("*.py")} - {"__init__"}
    assert found == set(ROOMS)


def test_imports_follow_the_way_of_the_data():
    back = {
        str(path.relative_to(ROOT)): rooms
        for path in (ROOT / "copylens").rglob("*.py")
        if path != ROOT / "copylens" / "__init__.py" and (rooms := arrows_back(path))
    }
    assert back == {}


def test_an_arrow_that_runs_back_is_found(tmp_path, monkeypatch):
    (tmp_path / "copylens" / "corpus").mkdir(parents=True)
    module = tmp_path / "copylens" / "corpus" / "wrong.py"
    module.write_text("def f():\n    from copylens.verdict.scorer import Scorer\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert arrows_back(module) == ["verdict"]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_do_not_import_what_stands_over_them(package):
    found = {
        str(path.relative_to(ROOT)): sorted(names)
        for path in (ROOT / package).rglob("*.py")
        if path.parent != ROOT / "copylens" / "cli"
        and (names := {name.split(".")[0] for name in imported(path)} & FORBIDDEN[package])
    }
    assert found == {}


def test_mlflow_is_the_registrys_alone():
    users = {
        path.parent.relative_to(ROOT).as_posix()
        for package in FORBIDDEN
        for path in (ROOT / package).rglob("*.py")
        if any(name.split(".")[0] == "mlflow" for name in imported(path))
    }
    assert users == {"copylens/registry"}


def test_importing_copylens_loads_neither_ray_nor_mlflow():
    """All modules in one process, since each import costs seconds."""
    code = (
        "import importlib, sys\n"
        f"for name in {MODULES!r}: importlib.import_module(name)\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'ray', 'mlflow', 'ray_jobs', 'serve'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_web_side_knows_no_cluster_and_no_model():
    """So it can be tested, and read, without either."""
    code = (
        "import sys, serve.http.web\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'ray', 'mlflow', 'torch'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_importing_writes_nothing(tmp_path):
    names = [
        *MODULES,
        "ray_jobs.pipeline",
        *(f"ray_jobs.{stage}" for stage in STAGES),
        "ray_jobs.score",
        "serve.app",
    ]
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert list(tmp_path.iterdir()) == []


def test_no_file_and_no_folder_outgrows_its_idea():
    packages = ("copylens", "ray_jobs", "serve", "benchmarks", "tests")
    files = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    long = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if (lines := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert long == {}
    modules = [path.parent for path in files if path.name != "__init__.py"]
    full = {
        str(folder.relative_to(ROOT))
        for folder in modules
        if modules.count(folder) > MOST_MODULES and "tests" not in folder.parts
    }
    assert full == set()
    assert len(list((ROOT / "copylens").glob("[!_]*.py"))) <= 5
