"""The rooms: imports go one way, and importing anything has no side effect."""

import subprocess
import sys
from pathlib import Path

from copylens.store.stages import RUN

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "copylens").rglob("*.py")
    if path.name != "__init__.py" and path.parent.name != "registry" and path.name != "demo.py"
)


def test_copylens_imports_neither_ray_nor_mlflow():
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
        *(f"ray_jobs.{stage}" for stage in RUN),
        "ray_jobs.score",
        "serve.app",
    ]
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert list(tmp_path.iterdir()) == []


def test_no_file_outgrows_its_idea():
    rooms = ("copylens", "ray_jobs", "serve", "benchmarks", "tests")
    long = {
        str(path.relative_to(ROOT)): lines
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert long == {}
