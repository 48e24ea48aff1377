"""`python -m benchmarks.results [RUN ...]`: report.json of finished runs -> docs/results.md.

Runs that differ in nothing but their seed and what is studied stand together: mean and range over
seeds for every figure, and each seed's own paired difference. Without arguments it takes every run
below `runs/`.
Nothing is measured here. The last line of its output is one JSON object.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.support.tables import tables
from copylens.config.schema import fingerprint

_TARGET = Path("docs/results.md")
_NO_SETTINGS = ("seed", "output", "tracking", "resources", "evaluation")


def main() -> None:
    """Collects the reports and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of finished runs")
    parser.add_argument("--page", type=Path, default=_TARGET, help="what is written")
    words = parser.parse_args()
    folders = words.runs or sorted(Path("runs").glob("*"))
    reports = {
        folder: json.loads((folder / "report.json").read_text())
        for folder in folders
        if (folder / "report.json").exists()
    }
    missing = [str(folder) for folder in folders if folder not in reports and words.runs]
    if missing:
        _stop(f"no report.json in {', '.join(missing)}; run `copylens run` first")
    if not reports:
        _stop("no runs/*/report.json; run `copylens run` first")
    groups = by_settings(reports)
    names = [title(group) for group in groups]
    words.page.write_text(_head(reports) + "".join(map(section, names, groups)))
    print(json.dumps({"runs": [folder.name for folder in reports], "page": str(words.page)}))


def _stop(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def by_settings(reports: Mapping[Path, Mapping[str, Any]]) -> list[dict[Path, Mapping[str, Any]]]:
    """The runs in groups that differ in their seed alone, in the order given.

    Of two runs of one seed both stand there: the page does not choose.
    """
    groups: dict[str, dict[Path, Mapping[str, Any]]] = {}
    for folder, report in reports.items():
        settings = {k: v for k, v in report["config"].items() if k not in _NO_SETTINGS}
        groups.setdefault(fingerprint(settings), {})[folder] = report
    return list(groups.values())


def title(group: Mapping[Path, Any]) -> str:
    """The folder's name, or what the names of several folders begin with."""
    names = [folder.name for folder in group]
    shared = names[0]
    while not all(name.startswith(shared) for name in names):
        shared = shared[:-1]
    if len(names) > 1:  # books-seed0, books-seed1: "books"
        shared = shared.rstrip("-_").removesuffix("seed").rstrip("-_")
    return shared or names[0]


def section(name: str, group: Mapping[Path, Mapping[str, Any]]) -> str:
    """One group's figures, as Markdown."""
    reports = list(group.values())
    config = reports[0]["config"]
    probe = "no LM, words alone"
    if config["channels"]["attention"]:
        probe = f"probe `{Path(config['probe']['model']).name}`"
    seeds = ", ".join(str(report["config"]["seed"]) for report in reports)
    n = reports[0]["attribution"]["n"]
    head = f"\n## {name}\n\n{probe}, seed {seeds}, {n} test passages.\n\n"
    return (head + "".join(table.to_markdown() for table in tables(reports))).rstrip() + "\n"


def _head(reports: Mapping[Path, Any]) -> str:
    runs = " ".join(str(folder) for folder in reports)
    return (
        "# Results\n\n"
        f"Printed by `make results RUNS={shlex.quote(runs)}` from the report.json of each run. "
        "Where a figure stands for several seeds: mean (smallest to largest). `-`: not measured.\n"
    )


if __name__ == "__main__":
    main()
