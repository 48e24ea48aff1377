"""From a log on disk to the statement's files."""

import csv
import io
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from benchmarks.support.worlds import MODEL, certain, verdict, world, write_log
from copylens.errors import SettlementError
from copylens.settlement import ScoringVersion, Terms, make_statement, read_log
from copylens.settlement.pages import FILES, as_csv, as_html, as_json, write_statement
from copylens.store import storage
from copylens.store.markers import mark

RNG = np.random.default_rng(0)
WORLD = world(RNG, sub_datasets=4)
# Held-out passages whose verdicts are certain and right: the correction changes nothing.
CERTAIN = certain(5)
VERSION = ScoringVersion(("s2", "s0", "s3", "s1"), CERTAIN, "ab" * 32, {"corpus_manifest": "0123"})


def a_log(folder: Path, texts: int = 40, **more: object) -> Path:
    shares = WORLD.log(np.random.default_rng(1), np.full(5, 0.2), texts)
    return write_log(folder / "log.jsonl", [verdict(s, n, **more) for n, s in enumerate(shares, 1)])


def test_shards_and_one_file_say_the_same(tmp_path: Path) -> None:
    whole = a_log(tmp_path)
    lines = whole.read_bytes().splitlines(keepends=True)
    folder = tmp_path / "verdicts"
    for number, part in enumerate((lines[:17], lines[17:])):
        uri, data = str(folder / f"part-{number:05d}.jsonl"), b"".join(part)
        storage.write_bytes(uri, data)
        mark(uri, "key", {"rows": len(part), "quarantined": [], "sha256": storage.sha256(data)})
    storage.write_json(str(folder / "input.json"), {"identity": "x", "shards": [{}, {}]})
    one, other = read_log(str(whole)), read_log(str(folder))
    assert one.sha256 == other.sha256
    assert (one.sums == other.sums).all()
    assert as_json(make_statement(one, VERSION, Terms("10", "EUR"))) == as_json(
        make_statement(other, VERSION, Terms("10", "EUR"))
    )
    (folder / "part-00001.jsonl.done.json").unlink()
    with pytest.raises(SettlementError, match="lacks 1 of 2 shards"):
        read_log(str(folder))
    (folder / "part-00000.jsonl").write_text("changed")
    with pytest.raises(SettlementError):
        read_log(str(folder))


def test_documents_are_what_is_resampled(tmp_path: Path) -> None:
    shares = WORLD.log(np.random.default_rng(2), np.full(5, 0.2), 6)
    rows = [verdict(s, n, document=f"book {n // 3}") for n, s in enumerate(shares)]
    log = read_log(str(write_log(tmp_path / "log.jsonl", rows)))
    assert log.documents == 2 and log.texts.tolist() == [3, 3]
    assert log.sums[0] == pytest.approx(shares[:3].sum(axis=0))
    by_id = [verdict(s, n, id=f"t{n}") for n, s in enumerate(shares)]
    assert read_log(str(write_log(tmp_path / "log.jsonl", by_id))).documents == 6


def test_mixed_versions_and_broken_lines_are_refused_in_one_line(tmp_path: Path) -> None:
    row = verdict(np.full(5, 0.2), 1)
    newer = row | {"model": MODEL | {"version": "4"}}
    wrong = [
        ([row, newer, newer], r"version 4 \(2 texts\), copylens version 3 \(1 texts\).*rescore"),
        ([row, {"text": "no verdict"}], "line 2: no verdict"),
        ([row, verdict(np.full(4, 0.25), 2)], "line 2: other sub-datasets"),
        ([row, row | {"unregistered": 0.9}], "line 2: shares must"),
        ([], "holds no verdict"),
    ]
    for rows, message in wrong:
        with pytest.raises(SettlementError, match=message) as told:
            read_log(str(write_log(tmp_path / "log.jsonl", rows)))
        assert "\n" not in str(told.value)
    with pytest.raises(SettlementError, match="no log"):
        read_log(str(tmp_path / "absent.jsonl"))
    with pytest.raises(SettlementError, match="no verdicts"):
        read_log(str(tmp_path / "absent"))


def test_lines_add_up_and_who_is_licensed_gets_nothing(tmp_path: Path) -> None:
    log = read_log(str(a_log(tmp_path)))
    made = make_statement(log, VERSION, Terms("1000.01", "EUR", allow=("Holder s1",)))
    amounts = {line["sub_dataset"]: Decimal(line["amount"]) for line in made["lines"]}
    assert sum(amounts.values()) == Decimal("1000.01") == Decimal(made["totals"]["pool"])
    assert amounts["s1"] == 0 and amounts["unregistered"] == Decimal(made["totals"]["kept"]) > 0
    kinds = {line["sub_dataset"]: line["kind"] for line in made["lines"]}
    assert kinds["s1"] == "allow-listed" and kinds["unregistered"] == "unregistered"
    assert sum(Decimal(h["amount"]) for h in made["holders"]) == Decimal(made["totals"]["paid"])
    # What the verdicts say, whatever order the model has its sub-datasets in.
    means = dict(zip(log.sub_datasets, log.sums.sum(axis=0) / log.texts.sum()))
    for line in made["lines"][:-1]:
        assert line["share"] == pytest.approx(means[line["sub_dataset"]], abs=1e-6)


def test_the_two_bases_are_never_added_up(tmp_path: Path) -> None:
    rows = []
    for n in range(20):
        row = verdict(np.full(5, 0.2), n)
        for k, item in enumerate(row["shares"]):
            item |= {"holder": "One House", "basis": ["trained_on", "resemblance"][k % 2]}
        rows.append(row)
    made = make_statement(
        read_log(str(write_log(tmp_path / "log.jsonl", rows))), VERSION, Terms("100", "EUR")
    )
    assert [entry["basis"] for entry in made["holders"]] == ["resemblance", "trained_on"]
    by_basis = made["totals"]["paid_by_basis"]
    assert sum(map(Decimal, by_basis.values())) == Decimal(made["totals"]["paid"])
    assert "owed, trained on" in as_html(made) and "owed, resemblance" in as_html(made)


def test_what_an_audit_found_is_an_appendix(tmp_path: Path) -> None:
    log = read_log(str(a_log(tmp_path)))
    said = {"s2": ("The LM was trained on <s2>.", "Of 40 passages 3 can be drawn.")}
    made = make_statement(log, replace(VERSION, audit=said), Terms("10", "EUR"))
    assert made["audit"] == {"s2": list(said["s2"])}
    appendix = as_html(made).partition("Appendix")[2]
    assert "<dt>s2</dt>" in appendix and "<dt>s1</dt>" not in appendix
    assert "trained on &lt;s2&gt;. Of 40 passages 3 can be drawn." in appendix
    assert "Appendix" not in as_html(make_statement(log, VERSION, Terms("10", "EUR")))


@pytest.mark.parametrize(
    ("written", "read"),
    [("contribution", "trained_on"), ("trained_on", "trained_on"), (None, "resemblance")],
)
def test_bases_of_earlier_versions_are_read_in_todays_terms(tmp_path, written, read) -> None:
    row = verdict(np.full(5, 0.2), 1)
    for item in row["shares"]:
        item["basis"] = written
    log = read_log(str(write_log(tmp_path / "log.jsonl", [row])))
    assert {rights["basis"] for rights in log.rights.values()} == {read}


def test_terms_that_do_not_fit_the_log_are_refused(tmp_path: Path) -> None:
    log = read_log(str(a_log(tmp_path)))
    everyone = tuple(f"Holder s{k}" for k in range(4))
    for terms, message in [
        (Terms("10", "EUR", allow=("Nobody",)), "--allow Nobody"),
        (Terms("10", "EUR", allow=everyone), "nobody to pay"),
        (Terms("10", "EUR", fee={"s0": 1}), "names neither"),
    ]:
        with pytest.raises(SettlementError, match=message):
            make_statement(log, VERSION, terms)
    with pytest.raises(SettlementError, match="name the version"):
        make_statement(log, ScoringVersion(("a", "b"), CERTAIN, ""), Terms("10", "EUR"))


def test_files_are_the_same_bytes_again_and_hold_the_same_lines(tmp_path: Path) -> None:
    held = WORLD.held_out(np.random.default_rng(3))
    version = ScoringVersion(("s0", "s1", "s2", "s3"), held, "ab" * 32)
    terms = Terms("100000", "EUR", period="third quarter")
    written = []
    for place in ("a", "b"):
        log = read_log(str(a_log(tmp_path)))
        write_statement(str(tmp_path / place), make_statement(log, version, terms))
        written.append([(tmp_path / place / name).read_bytes() for name in FILES])
    assert written[0] == written[1]
    made = json.loads(written[0][0])
    rows = list(csv.DictReader(io.StringIO(written[0][1].decode())))
    assert [row["amount"] for row in rows] == [line["amount"] for line in made["lines"]]
    assert made["method"]["held_out_passages"]["s0"] == 60


def test_nothing_in_the_log_becomes_markup_or_a_formula(tmp_path: Path) -> None:
    rows = [verdict(np.full(5, 0.2), n) for n in range(3)]
    for row in rows:
        row["shares"][0]["holder"] = "<script>alert(1)</script>"
        row["shares"][1]["holder"] = "=HYPERLINK(1)"
    log = read_log(str(write_log(tmp_path / "log.jsonl", rows)))
    made = make_statement(log, VERSION, Terms("1", "EUR"))
    assert "<script>" not in as_html(made)
    assert "'=HYPERLINK(1)" in as_csv(made)
