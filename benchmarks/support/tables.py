"""The tables of the results page: which figures of report.json stand in which row."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from copylens.evaluation.contract import CHANNELS, CONTROLS, DISTANCES, VIEWS
from copylens.evaluation.published import KINDS

Reports = Sequence[Mapping[str, Any]]
Path = tuple[str, ...]

NOTHING = "-"
_HEADLINES = {
    "accuracy": ("attribution", "accuracy"),
    "macro F1": ("attribution", "macro_f1"),
    "expected calibration error": ("attribution", "ece"),
    "OOD AUROC": ("ood", "auroc"),
    "OOD AUROC, registered texts of several sources": ("ood", "auroc_mixed"),
    "OOD FPR95": ("ood", "fpr95"),
    "power": ("ood", "power"),
    "mean absolute share error on mixtures": ("mixture", "mae"),
    "coverage of share intervals on mixtures": ("mixture", "coverage"),
    "false alarms": ("conformal", "false_alarm_rate"),
    "false alarms, texts of several sources": ("conformal", "false_alarm_rate_mixed"),
    "smallest level that can be reached": ("conformal", "smallest_p"),
    "calibration error of `unregistered`": ("shares", "ece"),
    "probe, seconds": ("cost", "probe_seconds"),
    "training, seconds": ("cost", "train_seconds"),
    "texts per second": ("cost", "texts_per_second"),
    "peak memory, MB": ("cost", "peak_memory_mb"),
}


@dataclass(frozen=True)
class Table:
    """A head, the columns' names, and rows of a title with its cells."""

    head: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]

    def to_markdown(self) -> str:
        """The table with its head in bold; "" where it holds no figure at all."""
        if all(cell == NOTHING for _, cells in self.rows for cell in cells):
            return ""
        lines = [f"| {self.head} | " + " | ".join(self.columns) + " |"]
        lines.append("| --- |" + " ---: |" * len(self.columns))
        lines += [f"| {title} | " + " | ".join(cells) + " |" for title, cells in self.rows]
        return "\n".join(lines) + "\n\n"


def tables(reports: Reports) -> Iterator[Table]:
    """All tables of runs that differ in their seed alone."""
    yield Table("figure", ["value"], [(t, [figure(reports, p)]) for t, p in _HEADLINES.items()])
    yield _by_seed(reports)
    yield _methods(reports)
    names = _keys(reports, ("attribution", "by_sub_dataset"))
    accuracy = [(n, [figure(reports, ("attribution", "by_sub_dataset", n))]) for n in names]
    yield Table("sub-dataset", ["accuracy"], accuracy)
    yield _unregistered(reports)
    published = (
        "coverage",
        "unregistered",
        "unregistered_error",
        "called_registered",
        "called_unregistered",
        "called_abstain",
    )
    yield _grid(reports, "verdicts as published", ("shares", "by_kind"), KINDS, published)
    short = ("accuracy", "coverage", "called_unregistered", "called_abstain", "power")
    lengths = sorted(_keys(reports, ("lengths",)), key=int)
    yield _grid(reports, "words of a short text", ("lengths",), lengths, short)
    control = ("accuracy", "probe_accuracy", "difference", "n")
    yield _grid(reports, "does the LM matter?", ("controls",), CONTROLS, control)
    columns = ("accuracy", *CHANNELS, "best_text", "n")
    yield _grid(reports, "changed texts", ("robustness",), VIEWS, columns)
    yield from _outputs(reports)
    known = ("accuracy", "attention", "lexical", "best_text", "difference", "n")
    yield _grid(reports, "known works, unseen passages", (), ("in_corpus",), known)
    names = _keys(reports, ("cost", "study_seconds"))
    seconds = [(n, [figure(reports, ("cost", "study_seconds", n))]) for n in names]
    yield Table("study", ["seconds"], seconds)


def figure(reports: Reports, path: Path) -> str:
    """A figure's mean over the runs that measured it, with its range where it has one."""
    values = [v for v in (value(report, path) for report in reports) if v is not None]
    if not values:
        return NOTHING
    if min(values) == max(values):
        return number(values[0])
    return f"{number(fmean(values))} ({number(min(values))} to {number(max(values))})"


def value(report: Any, path: Path) -> Any:
    """What stands at this place of a report; None where nothing does."""
    for key in path:
        report = report.get(key) if isinstance(report, Mapping) else None
    return report


def number(amount: float) -> str:
    """Counts as they are, large figures with one digit, rates with three."""
    if isinstance(amount, int):
        return str(amount)
    return f"{amount:.1f}" if abs(amount) >= 10 else f"{amount:.3f}"


def _span(ends: Sequence[float] | None) -> str:
    return NOTHING if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"


def _by_seed(reports: Reports) -> Table:
    """Each seed's own accuracy and paired differences with their intervals."""
    best = ("baselines", "best_text")
    pairs = [("less best text-only", best)]
    pairs += [(f"less {name} channel alone", ("channels", name)) for name in CHANNELS]
    pairs += [(name, ("controls", name)) for name in CONTROLS]
    pairs.append(("text-only, known works", ("in_corpus",)))
    pairs.append(("best single OOD score, AUROC", ("baselines", "best_ood")))
    measured = [
        p for p in pairs if any(value(r, (*p[1], "difference")) is not None for r in reports)
    ]
    rows = []
    for report in reports:
        cells = [_with_span(report, ("attribution",), "accuracy", "ci95")]
        cells += [_with_span(report, path, "difference", "difference_ci95") for _, path in measured]
        name = value(report, (*best, "name")) or NOTHING
        rows.append((f"seed {report['config']['seed']} (best text-only: {name})", cells))
    columns = ["accuracy", *(title for title, _ in measured)]
    return Table("by seed, 95 % over split groups", columns, rows)


def _with_span(report: Mapping[str, Any], path: Path, key: str, ends: str) -> str:
    found = value(report, (*path, key))
    return NOTHING if found is None else f"{number(found)} ({_span(value(report, (*path, ends)))})"


def _methods(reports: Reports) -> Table:
    columns = ("accuracy", "macro_f1", "auroc", "fpr95")
    ours = [("attribution", "accuracy"), ("attribution", "macro_f1"), ("ood", "auroc")]
    cells = [figure(reports, path) for path in (*ours, ("ood", "fpr95"))]
    names = [n for n in _keys(reports, ("baselines",)) if n not in ("best_text", "best_ood")]
    channels = _grid(reports, "", ("channels",), CHANNELS, columns).rows
    rows = [("**CopyLens**", cells)]
    rows += [(f"{name} channel alone", list(cells)) for name, cells in channels]
    rows += [(n, list(c)) for n, c in _grid(reports, "", ("baselines",), names, columns).rows]
    return Table("method", ["accuracy", "macro F1", "OOD AUROC", "FPR95"], rows)


def _unregistered(reports: Reports) -> Table:
    paths: dict[str, Path] = {"all": ("ood",), "near": ("ood", "near"), "far": ("ood", "far")}
    origins = ("ood", "by_origin")
    paths |= {f"only {name}": (*origins, name) for name in _keys(reports, origins)}
    left_out = ("ood", "leave_one_out")
    paths["a sub-dataset left out, mean"] = left_out
    names = _keys(reports, (*left_out, "by_sub_dataset"))
    paths |= {f"{name} left out": (*left_out, "by_sub_dataset", name) for name in names}
    rows = [
        (title, [figure(reports, (*path, key)) for key in ("auroc", "fpr95", "power", "n_given")])
        for title, path in paths.items()
    ]
    columns = ["AUROC", "FPR95", "power", "others of it given"]
    return Table("unregistered texts", columns, rows)


def _outputs(reports: Reports) -> Iterator[Table]:
    columns = ("agreement", "best_text_agreement", "n")
    parts: dict[str, Path] = {"whole": ()}
    parts |= {name.replace("_", " "): ("by_distance", name) for name in DISTANCES}
    parts |= {f"{n} 8-grams of train": ("by_overlap", n) for n in ("none", "some")}
    rows = [
        (title, [figure(reports, ("lm_outputs", *path, key)) for key in columns])
        for title, path in parts.items()
    ]
    yield Table("what the LM writes", columns, rows)
    flagged = {"registered": "registered_flagged", "unregistered": "ood_flagged"}
    called = [(title, [figure(reports, ("lm_outputs", key))]) for title, key in flagged.items()]
    yield Table("outputs after prompts that are", ["called unregistered"], called)


def _grid(
    reports: Reports, head: str, path: Path, names: Iterable[str], columns: Sequence[str]
) -> Table:
    """A row for each name below `path`, a column for each key below the name."""
    rows = [(n, [figure(reports, (*path, n, key)) for key in columns]) for n in names]
    return Table(head, columns, rows)


def _keys(reports: Reports, path: Path) -> list[str]:
    """All keys below a place, of any report, in order of appearance."""
    return list(dict.fromkeys(key for report in reports for key in value(report, path) or {}))
