"""What the command line shows to a person."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from copylens.errors import one_line

if TYPE_CHECKING:  # torch and numpy are slow to import
    from copylens.generation.live import LiveStep
    from copylens.records import Share, Verdict

_COLOURS = {"registered": "bold red", "unregistered": "green", "abstain": "yellow"}
_HIDDEN = ("stage", "skipped", "seconds", "hash", "mlflow_run", "fits")
_SHOWN_SHARES = 4
_TEXT_CHARS, _RIGHTS_CHARS = 100, 60
# Columns of numbers and short words, as those aligned to the right; all others may be wrapped.
_NARROW = ("share", "quoted", "interval", "basis", "p, corrected")


def _console() -> Console:
    """Lines are never broken, so that they can be copied."""
    return Console(highlight=False, soft_wrap=True)


def _print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()
) -> None:
    """As wide as the terminal: a cell that is too long for it is wrapped.

    Args:
        right: columns that are aligned to the right.
    """
    table = Table(box=None, padding=(0, 1))
    for column in columns:
        table.add_column(
            column,
            overflow="fold",
            no_wrap=column in _NARROW or column in right,
            justify="right" if column in right else "left",
        )
    for row in rows:
        # As Text: in a plain string rich takes "[MIT]" for markup and leaves it out.
        table.add_row(*map(Text, row))
    _console().print(table, soft_wrap=False)


def summary(found: Mapping[str, Any], as_json: bool) -> None:
    """One stage's result: a line of JSON for programs, or as `stage` shows it."""
    if as_json:
        typer.echo(json.dumps(found))
    else:
        stage(found)


def stage(summary: Mapping[str, Any]) -> None:
    """One stage's result: a headline, then its figures."""
    console = _console()
    if summary["skipped"]:
        console.print(f"[bold]{summary['stage']:<9}[/] already complete, nothing to do")
        return
    seconds = summary.get("seconds")
    took = f" in {seconds:.0f} s" if seconds is not None else ""
    console.print(f"[bold]{summary['stage']:<9}[/] done{took}")
    for key, value in summary.items():
        if key not in _HIDDEN and value not in (None, {}, []):
            console.print(f"  {key.replace('_', ' ')}: {_value(value)}", markup=False)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return " to ".join(_value(v) for v in value)
    return str(value)


def verdict(text: str, result: "Verdict") -> None:
    """One verdict as a small table under the beginning of its text."""
    console = _console()
    console.print(Text(_shortened(text, _TEXT_CHARS), style="dim"))
    console.print(headline(result))
    _abstain_reason(result)
    shares = result.shares[:_SHOWN_SHARES]
    columns = ["sub-dataset", "share", "interval", "quoted", "basis", "holder", "licence"]
    rows = [_share_cells(share) for share in shares]
    rows.append({"sub-dataset": "(none of them)", "share": f"{result.unregistered:.2f}"})
    if not any(share.quoted for share in shares):
        columns.remove("quoted")
    _print_table(columns, [[row.get(column, "") for column in columns] for row in rows])
    for item in result.evidence or ():
        console.print(_evidence(item), markup=False)
    if (none := _no_evidence(result)) is not None:
        console.print(f"  no evidence: {none}", markup=False)


def _share_cells(share: "Share") -> dict[str, str]:
    return {
        "sub-dataset": share.sub_dataset,
        "share": f"{share.share:.2f}",
        "interval": f"{share.low:.2f} to {share.high:.2f}",
        "quoted": f"{share.quoted:.2f}",
        "basis": share.basis,
        "holder": _shortened(share.holder, _RIGHTS_CHARS),
        "licence": _shortened(share.license, _RIGHTS_CHARS),
    }


def _abstain_reason(result: "Verdict") -> None:
    """Why nothing is said of a text, below its headline; as wide as the terminal."""
    if result.abstain_reason is not None:
        line = Padding(Text(result.abstain_reason), (0, 0, 0, 2), expand=False)
        _console().print(line, soft_wrap=False)


def _shortened(text: str, chars: int) -> str:
    """On one line; an ellipsis at its end says that there is more."""
    line = one_line(text)
    return line if len(line) <= chars else f"{line[: chars - 1]}…"


def _no_evidence(result: "Verdict") -> str | None:
    """Why no evidence is listed; None where some is, or nobody asked for it."""
    from copylens.records import NOT_ASKED

    if result.evidence is None:
        return None if result.evidence_reason == NOT_ASKED else result.evidence_reason
    return None if result.evidence else "the index holds nothing of this text"


def _evidence(item: Mapping[str, Any]) -> str:
    """One piece of evidence as a line."""
    source = f"{item['sub_dataset']}: {item['title'] or item['passage_id']}"
    if item["kind"] == "nearest":
        return f"  nearest        {source}"
    agree = f"{item['matched']} of {item['words']} words"
    stock = ", stock phrases" if item["boilerplate"] else ""
    return f"  {item['kind']:<14} {item['start']}-{item['end']}: {agree}{stock}; {source}"


def headline(result: "Verdict") -> Text:
    """The decision in words."""
    top = result.shares[0]
    words = {
        "registered": f"draws on {top.sub_dataset} ({top.holder}), share {top.share:.2f}",
        "unregistered": f"nothing registered accounts for {result.unregistered:.2f} of it",
        "abstain": "cannot tell",
    }
    line = Text(f"{result.decision}: ", style=_COLOURS[result.decision])
    line.append(f"{words[result.decision]}; p = {result.p_value:.3f}", style="default")
    return line


def live(step: "LiveStep") -> None:
    """A piece of the text as it is written; on a line of their own what was scored, and flags."""
    console = _console()
    console.print(step.piece, end="", markup=False)
    if step.verdict is not None:
        console.print()
        flagged = step.flag is not None and step.flag.decision == "registered"
        sign = "  ! " if flagged else "  > "
        console.print(Text(sign).append_text(headline(step.verdict)))
        if step.finish is not None:
            _abstain_reason(step.verdict)
    if step.blocked is not None:
        console.print(Text(f"blocked: {step.blocked.reason}", style="bold red"))


def audit(found: Mapping[str, Any]) -> None:
    """Findings with their p-values; below it the sentences that are no clear yes."""
    words = {"trained on": "yes", "no evidence": "no evidence", "cannot tell": "cannot tell"}
    rows = [
        (
            name,
            words[entry["finding"]],
            _p_value(entry["p_holm"]),
            f"{entry['gap']['nats_per_token']:.2f} nats" if entry["gap"] else "-",
            _p_value(entry["tests"]["self_comparison"]["p_holm"]),
            _extracted(entry),
        )
        for name, entry in found["sub_datasets"].items()
    ]
    columns = (
        "sub-dataset",
        "trained on",
        "p, corrected",
        "likelier by",
        "Self-Comparison",
        "extracted",
    )
    _print_table(columns, rows)
    for entry in found["sub_datasets"].values():
        if entry["finding"] != "trained on" or len(found["sub_datasets"]) == 1:
            _console().print(entry["sentence"], markup=False)


def _extracted(entry: Mapping[str, Any]) -> str:
    """`3 of 60`: passages that the LM writes on word for word."""
    read = entry["extraction"]["members"]
    return f"{read['extractable']} of {read['passages']}" if read["passages"] else "-"


def _p_value(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def report(figures: Mapping[str, Any]) -> None:
    """The headline figures of a report beside the text-only baselines."""
    ours, ood = figures["attribution"], figures["ood"]
    rows = [("CopyLens", ours["accuracy"], ood["auroc"], ood["fpr95"])]
    rows += [
        (f"{name} channel alone", item["accuracy"], item["auroc"], None)
        for name, item in figures["channels"].items()
        if item["accuracy"] is not None
    ]
    rows += [
        (name, item["accuracy"], item["auroc"], item["fpr95"])
        for name, item in figures["baselines"].items()
        if not name.startswith("best_")  # these name one of the others
    ]
    numbers = ("accuracy", "OOD AUROC", "OOD FPR95")
    cells = [(name, *("-" if n is None else f"{n:.3f}" for n in row)) for name, *row in rows]
    _print_table(("held-out files", *numbers), cells, right=numbers)


def statement(made: Mapping[str, Any], output: str | None) -> None:
    """A statement as a table, and where its files are."""
    console = _console()
    terms, log = made["terms"], made["log"]
    fee = "equal fee" if terms["fee"] == "equal" else "fee of the contract"
    trust = f"{100 * made['method']['trust']:.0f} % by shares, the rest by the {fee}"
    how = trust if terms["fee"] else "by shares alone"
    console.print(f"{terms['pool']} {terms['currency']} over {log['texts']:,} texts; {how}")
    rows = [
        (
            line["sub_dataset"],
            _shortened(line["holder"], _RIGHTS_CHARS),
            line["basis"] if line["kind"] == "paid" else line["kind"],
            f"{100 * line['share']:.1f} %",
            f"{100 * line['low']:.1f} to {100 * line['high']:.1f} %",
            line["amount"],
        )
        for line in made["lines"]
    ]
    columns = ("sub-dataset", "holder", "basis", "share", "interval", terms["currency"])
    _print_table(columns, rows, right=("share", terms["currency"]))
    if output is not None:
        console.print(f"statement.json, .csv and .html: {output}", markup=False)
