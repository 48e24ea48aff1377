"""What a command imports before it does anything: libraries that take seconds, only where used."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from copylens.cli import app

ROOT = Path(__file__).parents[2]
SLOW = {"datasets", "mlflow", "pandas", "pyarrow", "ray", "scipy", "sklearn", "torch"}
SLOW |= {"numpy", "transformers"}
# pyarrow asks for pandas when it builds a table, datasketch imports scipy.
NOT_FOR_INGEST = {"datasets", "mlflow", "ray", "sklearn", "torch", "transformers"}
_COMMANDS = """
import sys
from copylens import cli
for words in {commands!r}:
    sys.argv = ["copylens", *words]
    try:
        cli.main()
    except SystemExit as stop:
        assert not stop.code, (words, stop.code)
print(*sorted(name for name in sys.modules if "." not in name), file=sys.stderr)
"""


def imported(folder, *commands):
    """Output of the commands, and the packages that their process has imported in the end."""
    done = subprocess.run(
        [sys.executable, "-c", _COMMANDS.format(commands=commands)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, set(done.stderr.split())


def test_help_imports_none_of_the_slow_libraries(tmp_path):
    out, packages = imported(tmp_path, ["--help"])
    assert "ingest" in out
    assert packages >= {"copylens", "typer"}
    assert packages & SLOW == set()


def test_the_help_of_every_verb_imports_none_of_the_slow_libraries(tmp_path):
    verbs = typer.main.get_command(app).commands
    out, packages = imported(tmp_path, *([verb, "--help"] for verb in sorted(verbs)))
    for verb in verbs:
        assert f"copylens {verb}" in out
    assert packages & SLOW == set()


@pytest.fixture
def corpus(tmp_path):
    """24 rows of two sub-datasets, a split group each."""
    rows = [
        {
            "text": " ".join(f"{name}{group}word{i}" for i in range(60)),
            "sub_dataset": name,
            "holder": name,
            "license": "MIT",
            "split_group": str(group),
        }
        for name in ("forest", "sea")
        for group in range(12)
    ]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_ingest_imports_no_lm_and_no_cluster(corpus):
    sets = ["--set", "corpus.paths=[corpus.jsonl]", "--set", "output=out"]
    out, packages = imported(corpus, ["ingest", "--json", *sets])
    assert json.loads(out)["passages"] == 24
    assert packages & NOT_FOR_INGEST == set()
    out, packages = imported(corpus, ["ingest", "--json", *sets])
    assert json.loads(out)["skipped"] is True
    assert packages & NOT_FOR_INGEST == set()
