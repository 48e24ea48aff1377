"""Tables at the widths of terminals: nothing is cut without a sign."""

import re
from dataclasses import replace

import pytest

from copylens.cli import display
from copylens.evaluation.contract import BASELINES, empty_report
from copylens.generation.flags import flag_of
from copylens.generation.live import LiveStep
from copylens.records import NOT_ASKED, ModelIdentity, Rights, Share, Verdict

HOLDER = "The Git Project (Software Freedom Conservancy, Inc.)"
LICENCE = "GPL-2.0-only WITH Classpath-exception-2.0"
NAME = "git-documentation-and-manual-pages"


def verdict(rights: Rights) -> Verdict:
    share = Share(rights.sub_dataset, rights.holder, rights.license, 0.7, 0.6, 0.8, "resemblance")
    model = ModelIdentity("copylens", "7", "probe", None)
    return Verdict("0" * 64, "registered", 0.4, 1.0, (share,), 0.3, (), model, 12)


WHY = (
    "58% of it may be of none of them, but registered texts look like that too "
    "(p = 0.31, not below 0.05)"
)


def columns(lines: list[str], heads: list[str]) -> dict[str, str]:
    """What stands under each head, its lines joined; blanks at the joints are not told apart."""
    starts = [lines[0].index(head) for head in heads]
    ends = [*starts[1:], None]
    return {
        head: "".join("".join(line[start:end].split()) for line in lines[1:])
        for head, start, end in zip(heads, starts, ends, strict=True)
    }


@pytest.mark.parametrize("width", [80, 150])
def test_no_cell_of_a_verdict_is_cut(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    display.verdict("A short text.", verdict(Rights(NAME, HOLDER, LICENCE)))
    lines = capsys.readouterr().out.splitlines()[2:]  # after the text and the headline
    assert max(map(len, lines)) <= width
    heads = ["sub-dataset", "share", "interval", "basis", "holder", "licence"]
    cells = columns(lines, heads)
    assert cells["holder"] == HOLDER.replace(" ", "")
    assert cells["licence"] == LICENCE.replace(" ", "")
    assert cells["sub-dataset"] == f"{NAME}(noneofthem)"
    assert cells["interval"] == "0.60to0.80"
    assert cells["share"] == "0.700.30"


@pytest.mark.parametrize("width", [80, 150])
def test_what_is_quoted_stands_beside_a_share_where_anything_is(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    plain = verdict(Rights(NAME, HOLDER, LICENCE))
    display.verdict("A short text.", plain)
    assert "quoted" not in capsys.readouterr().out
    (share,) = plain.shares
    display.verdict("A short text.", replace(plain, shares=(replace(share, quoted=0.43),)))
    lines = capsys.readouterr().out.splitlines()[2:]
    assert max(map(len, lines)) <= width
    heads = ["sub-dataset", "share", "interval", "quoted", "basis", "holder", "licence"]
    cells = columns(lines, heads)
    assert (cells["quoted"], cells["share"]) == ("0.43", "0.700.30")
    assert cells["holder"] == HOLDER.replace(" ", "")


@pytest.mark.parametrize("width", [80, 150])
def test_why_nothing_is_said_stands_below_the_headline(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    made = replace(verdict(Rights(NAME, HOLDER, LICENCE)), decision="abstain", abstain_reason=WHY)
    display.verdict("A short text.", made)
    _, headline, *rest = capsys.readouterr().out.splitlines()
    assert headline == "abstain: cannot tell; p = 0.400"
    table = next(n for n, line in enumerate(rest) if "sub-dataset" in line)
    assert " ".join(line.strip() for line in rest[:table]) == WHY
    assert all(line.startswith("  ") and len(line) <= width for line in rest[:table])
    display.live(LiveStep("", "", made, finish="length"))
    assert capsys.readouterr().out.splitlines()[2].startswith("  58% of it")


@pytest.mark.parametrize("decision", ["registered", "unregistered", "abstain"])
def test_the_headline_and_the_live_sign_follow_the_decision(decision, capsys):
    made = replace(verdict(Rights(NAME, HOLDER, LICENCE)), decision=decision)
    display.live(LiveStep("", "", made, flag=flag_of(made, 3)))
    said = capsys.readouterr().out.split(maxsplit=1)
    assert said[0] == ("!" if decision == "registered" else ">")
    assert said[1].startswith(f"{decision}: ")
    assert (f"draws on {NAME}" in said[1]) == (decision == "registered")
    assert ("cannot tell" in said[1]) == (decision == "abstain")


@pytest.mark.parametrize(
    ("evidence", "reason", "said"),
    [
        (None, "this version has none", ["  no evidence: this version has none"]),
        (None, NOT_ASKED, []),
        ((), None, ["  no evidence: the index holds nothing of this text"]),
    ],
)
def test_why_there_is_no_evidence_is_said(evidence, reason, said, capsys):
    made = replace(verdict(Rights(NAME, HOLDER, LICENCE)), evidence=evidence)
    display.verdict("A text.", replace(made, evidence_reason=reason))
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "evidence" in line] == said


@pytest.mark.parametrize("width", [80, 150])
def test_no_cell_of_a_statement_is_cut(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    line = {"sub_dataset": NAME, "holder": HOLDER, "kind": "paid", "basis": "resemblance"}
    made = {
        "terms": {"pool": "1000000.00", "currency": "EUR", "fee": "equal"},
        "log": {"texts": 12},
        "method": {"trust": 0.8},
        "lines": [{**line, "share": 0.5, "low": 0.4, "high": 0.6, "amount": "1000000.00"}],
    }
    display.statement(made, None)
    lines = capsys.readouterr().out.splitlines()[1:]
    assert max(map(len, lines)) <= width
    assert columns(lines, ["sub-dataset", "holder", "basis"])["holder"] == HOLDER.replace(" ", "")
    assert lines[1].split()[-1] == "1000000.00"


@pytest.mark.parametrize("width", [80, 150])
def test_a_very_long_holder_ends_with_an_ellipsis(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    display.verdict("A text.", verdict(Rights("a", "h" * 61, "l" * 60)))
    lines = capsys.readouterr().out.splitlines()[2:]
    heads = ["sub-dataset", "share", "interval", "basis", "holder", "licence"]
    cells = columns(lines, heads)
    assert cells["holder"] == "h" * 59 + "…"
    assert cells["licence"] == "l" * 60


def test_brackets_in_a_name_are_text_and_not_markup(capsys):
    display.verdict("A text.", verdict(Rights("[bold]", "[Acme] Ltd", "[MIT]")))
    out = capsys.readouterr().out
    for name in ("[bold]", "[Acme] Ltd", "[MIT]"):
        assert name in out


@pytest.mark.parametrize(("length", "shown"), [(100, "x" * 100), (101, "x" * 99 + "…")])
def test_a_text_that_is_longer_than_its_line_ends_with_an_ellipsis(length, shown, capsys):
    display.verdict("x" * length, verdict(Rights("a", "b", "c")))
    assert capsys.readouterr().out.splitlines()[0] == shown


def test_what_a_stage_counted_is_named(capsys):
    display.stage({"stage": "ingest", "skipped": False, "seconds": 3.2, "rows_read": 24})
    assert re.fullmatch(r"ingest +done in 3 s\n  rows read: 24\n", capsys.readouterr().out)


def test_a_report_lists_every_baseline_and_not_the_best_of_them_twice(capsys) -> None:
    report = empty_report()
    report["baselines"]["best_ood"] = {"name": "tfidf_char", "auroc": 0.7, "difference": 0.1}
    display.report(report)
    out = capsys.readouterr().out
    assert all(name in out for name in BASELINES)
    assert "best_" not in out
