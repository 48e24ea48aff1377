"""`python -m benchmarks.results [RUN ...]`: report.json of finished runs -> docs/results.md.

Without arguments it takes every run below `runs/`. Nothing is measured here: each table names the
run that printed its figures. The last line of its output is one JSON object.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TARGET = Path("docs/results.md")
_HEAD = "# Results\n\nMade by `make results` from the report.json of each run. `-`: not measured.\n"


def main() -> None:
    """Collects the reports and writes the page."""
    folders = [Path(word) for word in sys.argv[1:]] or sorted(Path("runs").glob("*"))
    reports = {
        folder.name: json.loads((folder / "report.json").read_text())
        for folder in folders
        if (folder / "report.json").exists()
    }
    if not reports:
        print("error: no runs/*/report.json; run `copylens run` first", file=sys.stderr)
        raise SystemExit(2)
    _TARGET.write_text(_HEAD + "".join(section(n, r) for n, r in reports.items()))
    print(json.dumps({"runs": list(reports), "page": str(_TARGET)}))


def section(name: str, report: Mapping[str, Any]) -> str:
    """One run's headline figures and its table of methods, as Markdown."""
    attribution, ood, conformal = report["attribution"], report["ood"], report["conformal"]
    best, mixture = report["baselines"]["best_text"], report["mixture"]
    probe, seed = Path(report["config"]["probe"]["model"]).name, report["config"]["seed"]
    lines = [
        f"\n## {name}\n",
        f"Probe `{probe}`, seed {seed}, {attribution['n']} test passages.\n",
        "| figure | value |",
        "| --- | ---: |",
        f"| accuracy (95 % over split groups) | {_number(attribution['accuracy'])} "
        f"({_span(attribution['ci95'])}) |",
        f"| less the best text-only baseline, {best['name']} | {_number(best['difference'])} "
        f"({_span(best['difference_ci95'])}) |",
        f"| expected calibration error | {_number(attribution['ece'])} |",
        f"| OOD AUROC, FPR95 | {_number(ood['auroc'])}, {_number(ood['fpr95'])} |",
        f"| mean absolute share error on mixtures | {_number(mixture['mae'])} |",
        f"| false alarms at alpha = {conformal['alpha']} | "
        f"{_number(conformal['false_alarm_rate'])} |",
        "",
        "| method | accuracy | OOD AUROC | FPR95 |",
        "| --- | ---: | ---: | ---: |",
        _row("**CopyLens**", {**ood, "accuracy": attribution["accuracy"]}),
    ]
    lines += [_row(f"{c} channel alone", f) for c, f in report["channels"].items()]
    lines += [_row(b, f) for b, f in report["baselines"].items() if b != "best_text"]
    return "\n".join(lines) + "\n"


def _row(name: str, figures: Mapping[str, Any]) -> str:
    cells = [_number(figures.get(key)) for key in ("accuracy", "auroc", "fpr95")]
    return f"| {name} | " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _span(ends: list[float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"


if __name__ == "__main__":
    main()
