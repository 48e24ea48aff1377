"""The smoke of the benchmarks: it knows them all, and tells what is wrong with one."""

from pathlib import Path

import pytest

from benchmarks import smoke

ROOT = Path(__file__).parents[2]
# Servers and loads that `benchmarks.serve` starts.
STARTED = "benchmarks.serving."


def test_every_benchmark_has_a_smallest_size():
    programs = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for path in (ROOT / "benchmarks").rglob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    alone = {name for name in programs if not name.startswith(STARTED)}
    # One runs all of them, the other whole runs of the development sets.
    others = {"benchmarks.smoke", "benchmarks.verdict.development"}
    assert alone - others == set(smoke.SMALLEST)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("print('begun'); print('{\"figure\": 1}')", ""),
        ("print('{\"figure\": 1}'); print('done')", "does not end with one line of JSON:\n"),
        ("print('{\"figure\": NaN}')", "does not end with one line of JSON"),
        ("print('{}')", "does not end with one line of JSON"),
        ("print('[1]')", "does not end with one line of JSON"),
        ("", "does not end with one line of JSON"),
        ("print('{\"figure\": 1}'); raise SystemExit('no luck')", "exit code 1\n"),
        ("import time; time.sleep(60)", "did not end within 1 s"),
    ],
)
def test_what_is_wrong_with_a_benchmark_is_told(program, why, tmp_path, monkeypatch):
    (tmp_path / "a_benchmark.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if "sleep" in program:
        monkeypatch.setattr(smoke, "TIMEOUT", 1)
    found = smoke.fault("a_benchmark", [], tmp_path)
    assert why in found and bool(found) == bool(why)
    if "no luck" in program:
        assert "no luck" in found


def test_a_benchmark_is_told_where_the_corpora_lie_and_what_was_asked(tmp_path, monkeypatch):
    (tmp_path / "a_benchmark.py").write_text(
        "import json, os, sys\nprint(json.dumps([sys.argv[1:], os.environ['COPYLENS_SHARED']]))\n"
        "raise SystemExit(3)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = smoke.fault("a_benchmark", ["--size", "1"], tmp_path / "shared")
    assert f'[["--size", "1"], "{tmp_path / "shared"}"]' in found
