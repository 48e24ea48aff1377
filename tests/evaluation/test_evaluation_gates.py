"""Gates read the report; the results page shows it."""

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


def test_results_page_shows_what_was_measured(report, tmp_path, monkeypatch, capsys):
    report["config"] = {"probe": {"model": "/somewhere/tiny-lm"}, "seed": 7}
    (tmp_path / "docs").mkdir()
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "report.json").write_text(json.dumps(report))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["results"])
    results.main()
    page = (tmp_path / "docs" / "results.md").read_text()
    assert "## mine" in page
    assert "Probe `tiny-lm`, seed 7" in page
    assert "| accuracy (95 % over split groups) | 0.910 (-) |" in page
    assert "| tfidf_word | - | - | - |" in page
    assert json.loads(capsys.readouterr().out)["runs"] == ["mine"]
    monkeypatch.setattr("sys.argv", ["results", "nowhere"])
    with pytest.raises(SystemExit):
        results.main()
