"""Gates read the report; the results page shows it."""

import copy
import json

import pytest

from benchmarks import results
from copylens.errors import ConfigError
from copylens.evaluation.contract import empty_report
from copylens.evaluation.gates import failed_gates


@pytest.fixture
def report():
    report = empty_report()
    report["attribution"]["accuracy"] = 0.91
    report["ood"]["fpr95"] = 0.3
    return report


@pytest.mark.parametrize(
    ("bound", "holds"),
    [(">= 0.91", True), ("> 0.91", False), ("<=0.91", True), ("< 1e-3", False), (">= -1", True)],
)
def test_bounds(report, bound, holds):
    assert (failed_gates(report, {"attribution.accuracy": bound}) == []) is holds


def test_every_failure_is_named_with_figure_and_bound(report):
    gates = {"attribution.accuracy": ">= 0.95", "ood.fpr95": "<= 0.2", "ood.auroc": ">= 0.5"}
    assert failed_gates(report, gates) == [
        "attribution.accuracy = 0.91, must be >= 0.95",
        "ood.fpr95 = 0.3, must be <= 0.2",
        "ood.auroc was not measured, must be >= 0.5",
    ]


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"attribution.acuracy": ">= 0.9"}, "no figure 'attribution.acuracy'"),
        ({"attribution.accuracy": "0.9"}, "'0.9' is no bound"),
        ({"attribution.accuracy": "== 0.9"}, "is no bound"),
    ],
)
def test_mistakes_in_gates_are_named(report, gates, message):
    with pytest.raises(ConfigError, match=message):
        failed_gates(report, gates)


def test_a_group_is_no_gate_and_an_unmeasured_group_fails(report):
    assert failed_gates(report, {"ood.near.auroc": ">= 0.5"}) == [
        "ood.near.auroc was not measured, must be >= 0.5"
    ]
    report["ood"]["near"] = {"auroc": 0.7, "fpr95": 0.5, "n": 3}
    assert failed_gates(report, {"ood.near.auroc": ">= 0.5"}) == []
    with pytest.raises(ConfigError, match=r"'ood\.near' is no single figure"):
        failed_gates(report, {"ood.near": ">= 0.5"})


def write_run(folder, report, seed, accuracy, **figures):
    report = copy.deepcopy(report)
    report["config"] = {
        "probe": {"model": "/somewhere/tiny-lm"},
        "channels": {"attention": True},
        "seed": seed,
        "output": "x",
    }
    report["attribution"].update(accuracy=accuracy, ci95=[accuracy - 0.1, accuracy + 0.1], n=90)
    for section, found in figures.items():
        report[section].update(found)
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report))


def page_of(tmp_path, monkeypatch, *words):
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["results", *words])
    results.main()
    return (tmp_path / "docs" / "results.md").read_text()


def test_results_page_shows_what_was_measured(report, tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "runs" / "mine", report, 7, 0.91)
    page = page_of(tmp_path, monkeypatch)
    assert "`make results RUNS=runs/mine`" in page
    assert "## mine" in page
    assert "probe `tiny-lm`, seed 7, 90 test passages" in page
    assert "| accuracy | 0.910 |" in page
    assert "| seed 7 (best text-only: -) | 0.910 (0.810 to 1.010) |" in page
    assert "| tfidf_word | - | - | - | - |" in page
    assert "changed texts" not in page, "a table without a figure is left out"
    assert json.loads(capsys.readouterr().out)["runs"] == ["mine"]


def test_seeds_share_a_table_and_other_settings_do_not(report, tmp_path, monkeypatch):
    best = {"best_text": {"name": "bm25", "difference": 0.1, "difference_ci95": [0.05, 0.2]}}
    view = {"names_masked": {"accuracy": 0.5, "n": 40}}
    write_run(tmp_path / "a-seed0", report, 0, 0.8, baselines=best, robustness=view)
    view = {"names_masked": {"accuracy": 0.75, "n": 40}}
    write_run(tmp_path / "a-seed1", report, 1, 0.9, baselines=best, robustness=view)
    other = copy.deepcopy(report)
    write_run(tmp_path / "b", other, 0, 0.3)
    changed = json.loads((tmp_path / "b" / "report.json").read_text())
    changed["config"]["channels"] = {"attention": False}
    (tmp_path / "b" / "report.json").write_text(json.dumps(changed))
    page = page_of(tmp_path, monkeypatch, "a-seed0", "a-seed1", "b")
    assert "RUNS='a-seed0 a-seed1 b'" in page
    first, second = page.split("\n## ")[1:]
    assert first.startswith("a\n\nprobe `tiny-lm`, seed 0, 1,")
    assert "| accuracy | 0.850 (0.800 to 0.900) |" in first
    assert "| names_masked | 0.625 (0.500 to 0.750) | - | - | - | 40 |" in first
    for seed, accuracy in ((0, "0.800 (0.700 to 0.900)"), (1, "0.900 (0.800 to 1.000)")):
        row = f"| seed {seed} (best text-only: bm25) | {accuracy} | 0.100 (0.050 to 0.200) |"
        assert row in first
    assert second.startswith("b\n\nno LM, words alone, seed 0, 90 test passages")
    assert "| accuracy | 0.300 |" in second


def test_a_run_without_a_report_is_named(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        page_of(tmp_path, monkeypatch, "nowhere")
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: no report.json in nowhere; run")
    assert not (tmp_path / "docs" / "results.md").exists()
