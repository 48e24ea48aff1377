"""Which verdicts a takedown touches, with a scorer that remembers what it was asked."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.support.worlds import certain
from copylens.corpus.tombstones import name_hash
from copylens.errors import SettlementError
from copylens.records import ModelIdentity, Share, TimelineItem, Verdict
from copylens.settlement import ScoringVersion, Terms, make_statement, read_log
from copylens.takedown.relogging import RescoreTask, plan_rescoring, rescore, rescore_file
from copylens.takedown.rescoring import Change, carried, could_change

NEW = ModelIdentity("copylens", "4", "tiny", None)
CHANGE = Change("3", frozenset({name_hash("gone")}), NEW)
# name -> share of `gone`, of its one stretch, and whether evidence names it.
CASES = {
    "large share": (0.4, 0.4, False),
    "none of it": (0.001, 0.001, False),
    "one stretch": (0.005, 0.9, False),
    "evidence": (0.0, 0.0, True),
    "nothing": (0.0, 0.0, False),
    "first of next to none": (0.001, 0.009, False),
}
STRETCH_UNREGISTERED = {"first of next to none": 0.985}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def row(number: int, text: str) -> dict:
    share, stretch, evidence = CASES[text]
    rest, unregistered = 0.8 - share, STRETCH_UNREGISTERED.get(text, 0.0)
    others = 1 - stretch - unregistered
    values = {"gone": share, "a": rest * 0.75, "b": rest * 0.25}
    return {
        "row": number,
        "id": f"t{number}",
        "document": "d",
        "text_sha256": sha(text),
        "decision": "registered",
        "p_value": 0.5,
        "ood_score": 0.1,
        "shares": [
            {"sub_dataset": n, "holder": n.upper(), "license": "", "basis": "resemblance"}
            | {"share": v, "low": v / 2, "high": min(1, 1.2 * v), "quoted": 0.5}
            for n, v in values.items()
        ],
        "unregistered": 0.2,
        "timeline": [
            {
                "start": 0,
                "end": 9,
                "shares": {"gone": stretch, "a": 0.8 * others, "b": 0.2 * others},
                "unregistered": unregistered,
            }
        ],
        "evidence": [{"kind": "verbatim", "sub_dataset": "gone"}] if evidence else None,
        "evidence_reason": None if evidence else "not asked for",
        "model": {"name": "copylens", "version": "3", "probe": "tiny", "probe_revision": None},
        "tokens": 9,
        "truncated": False,
        "abstain_reason": None,
    }


def of_an_earlier_version(row: dict) -> dict:
    """The same as it was logged before what is quoted, and where none is, was told."""
    shares = [{k: v for k, v in item.items() if k != "quoted"} for item in row["shares"]]
    line = [{k: v for k, v in item.items() if k != "unregistered"} for item in row["timeline"]]
    old = {key: value for key, value in row.items() if key != "abstain_reason"}
    return old | {"shares": shares, "timeline": line}


class Recorder:
    """Gives every text the same verdict and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.with_evidence: list[bool] = []

    def __call__(self, texts, evidence) -> list[Verdict]:
        self.asked += texts
        self.with_evidence.append(evidence)
        shares = tuple(Share(n, n.upper(), "", v, 0.0, 1.0) for n, v in (("b", 0.5), ("a", 0.1)))
        line = (TimelineItem(0, 9, {"a": 0.2, "b": 0.8}),)
        return [
            Verdict(sha(t), "abstain", 0.9, 0.0, shares, 0.4, line, NEW, tokens=9) for t in texts
        ]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "verdicts"
    folder.mkdir()
    rows = [row(n, text) for n, text in enumerate(CASES, 1)]
    for number, part in enumerate((rows[:2], rows[2:])):
        text = "".join(json.dumps(r) + "\n" for r in part)
        (folder / f"part-{number:05d}.jsonl").write_text(text)
    texts = "".join(json.dumps({"text": text}) + "\n" for text in CASES)
    (tmp_path / "texts.jsonl").write_text(texts)
    return folder


def run(log: Path, score, change: Change = CHANGE, texts: str | None = "texts.jsonl"):
    source = None if texts is None else str(log.parent / texts)
    return rescore(str(log), str(log.parent / "new"), change, source, score)


def written(log: Path) -> list[dict]:
    parts = sorted((log.parent / "new").glob("part-*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def test_only_what_could_change_is_scored_again(log: Path) -> None:
    score = Recorder()
    counts = run(log, score)
    assert sorted(score.asked) == ["evidence", "large share", "one stretch"]
    assert counts == {"verdicts": 6, "rescored": 3, "carried": 3, "changed": 3}
    rows = {r["text_sha256"]: r for r in written(log)}
    assert [r["row"] for r in written(log)] == [1, 2, 3, 4, 5, 6]
    assert rows[sha("large share")]["decision"] == "abstain"
    assert "carried_from" not in rows[sha("large share")]


def test_what_is_carried_over_keeps_its_proportions(log: Path) -> None:
    run(log, Recorder())
    rows = {r["text_sha256"]: r for r in written(log)}
    kept = rows[sha("none of it")]
    values = {s["sub_dataset"]: s["share"] for s in kept["shares"]}
    assert values["a"] / values["b"] == pytest.approx(3)
    assert sum(values.values()) + kept["unregistered"] == pytest.approx(1)
    assert kept["unregistered"] == 0.2, "the decision rests on it"
    assert sum(kept["timeline"][0]["shares"].values()) == pytest.approx(1)
    for item in kept["shares"]:
        (before,) = [
            s for s in row(2, "none of it")["shares"] if s["sub_dataset"] == item["sub_dataset"]
        ]
        assert item["low"] == before["low"] <= item["share"] <= item["high"]
        assert item["high"] == pytest.approx(before["high"] + 0.001)
        assert item["quoted"] * item["share"] == pytest.approx(0.5 * before["share"])
    assert kept["carried_from"] == "3" and kept["model"]["version"] == "4"
    assert (kept["p_value"], kept["decision"]) == (0.5, "registered")


def test_what_is_removed_of_a_stretch_goes_to_the_other_sub_datasets(log: Path) -> None:
    run(log, Recorder())
    (kept,) = [r for r in written(log) if r["text_sha256"] == sha("first of next to none")]
    (stretch,) = kept["timeline"]
    assert stretch["unregistered"] == 0.985
    assert stretch["shares"] == pytest.approx({"a": 0.8 * 0.015, "b": 0.2 * 0.015})


def test_where_nothing_else_is_registered_all_is_unregistered() -> None:
    old = row(1, "none of it") | {"unregistered": 0.999}
    for item in old["shares"][1:]:
        item |= {"share": 0.0, "low": 0.0}
    old["timeline"][0] |= {"shares": {"gone": 0.001, "a": 0.0, "b": 0.0}, "unregistered": 0.999}
    kept = carried(old, CHANGE)
    assert [item["share"] for item in kept["shares"]] == [0.0, 0.0]
    assert kept["unregistered"] == kept["timeline"][0]["unregistered"] == 1.0


def test_a_verdict_of_an_earlier_version_is_read_and_carried_over_in_todays_terms() -> None:
    now = row(2, "none of it")
    old = of_an_earlier_version(now)
    assert not could_change(old, CHANGE) and could_change(
        of_an_earlier_version(row(3, "one stretch")), CHANGE
    )
    kept, (stretch,) = carried(old, CHANGE), carried(old, CHANGE)["timeline"]
    # Shares of a stretch were of what is registered.
    assert stretch["unregistered"] == kept["unregistered"] == 0.2
    assert stretch["shares"] == pytest.approx({"a": 0.8 * 0.8, "b": 0.8 * 0.2})
    assert [item["quoted"] for item in kept["shares"]] == [0.0, 0.0]
    assert kept["abstain_reason"] is None and set(kept) == set(carried(now, CHANGE))


def test_names_and_the_reason_for_no_evidence_stay_with_their_rows(log: Path) -> None:
    run(log, Recorder())
    rows = written(log)
    assert [(r["id"], r["document"]) for r in rows] == [(f"t{n}", "d") for n in range(1, 7)]
    assert [r["evidence"] for r in rows] == [None] * 6
    kept = carried({"shares": [], "timeline": [], "unregistered": 1.0, "evidence": []}, CHANGE)
    assert (kept["id"], kept["document"]) == (None, None), "a row of a log without names"
    assert (kept["evidence"], kept["evidence_reason"]) == ([], None), "it was looked for"


def test_what_is_carried_over_speaks_of_its_basis_in_todays_terms() -> None:
    old = row(1, "nothing")
    for item, basis in zip(old["shares"], ("resemblance", "contribution", "resemblance")):
        item["basis"] = basis
    kept = carried(old, CHANGE)
    assert {s["sub_dataset"]: s["basis"] for s in kept["shares"]} == {
        "a": "trained_on",
        "b": "resemblance",
    }


def test_nothing_written_names_what_was_removed(log: Path) -> None:
    run(log, Recorder())
    files = [f for f in (log.parent / "new").rglob("*") if f.is_file()]
    assert len(files) == 6 and not any("gone" in f.read_text() for f in files)
    lines = (log.parent / "new/difference/part-00000.jsonl").read_text().splitlines()
    assert len(lines) == 1
    difference = json.loads(lines[0])
    assert difference["removed_share"] == 0.4 and difference["id"] == "t1"
    assert difference["before"]["decision"] == "registered"
    assert difference["after"]["decision"] == "abstain"


def test_a_second_call_scores_nothing_and_a_killed_one_goes_on(log: Path) -> None:
    run(log, Recorder())
    before = {p.name: p.read_bytes() for p in (log.parent / "new").glob("part-*")}
    again = Recorder()
    run(log, again)
    assert again.asked == []
    (log.parent / "new/part-00001.jsonl.done.json").unlink()
    counts = run(log, again)
    assert sorted(again.asked) == ["evidence", "one stretch"]
    assert counts["verdicts"] == 6
    assert {p.name: p.read_bytes() for p in (log.parent / "new").glob("part-*")} == before


def test_files_may_be_done_in_any_order_and_elsewhere(log: Path) -> None:
    run(log, Recorder())
    place = str(log.parent / "apart")
    tasks = plan_rescoring(str(log), place, CHANGE, str(log.parent / "texts.jsonl"))
    change = Change.from_dict(json.loads(json.dumps(CHANGE.to_dict())))
    assert change == CHANGE
    for task in reversed(tasks):
        rescore_file(RescoreTask(**json.loads(json.dumps(asdict(task)))), change, Recorder())

    def files(folder: str) -> dict[str, bytes]:
        root = log.parent / folder
        return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*.jsonl")}

    assert files("apart") == files("new")
    assert len(files("new")) == 4
    # What is done needs no text any more.
    again = plan_rescoring(str(log), place, CHANGE, None)
    assert [(task.done, task.texts) for task in again] == [(True, {})] * 2


def test_a_file_whose_verdicts_have_evidence_keeps_having_it(log: Path) -> None:
    score = Recorder()
    run(log, score)
    assert score.with_evidence == [False, True]


def test_a_log_that_changes_meanwhile_is_told(log: Path) -> None:
    tasks = plan_rescoring(str(log), "new", CHANGE, str(log.parent / "texts.jsonl"))
    part = log / "part-00000.jsonl"
    part.write_text(part.read_text() * 2)
    with pytest.raises(SettlementError, match="has changed meanwhile"):
        rescore_file(tasks[0], CHANGE, Recorder())


def test_another_model_scores_everything_again(log: Path) -> None:
    score = Recorder()
    counts = run(log, score, Change("3", None, NEW))
    assert counts["rescored"] == 6 and sorted(score.asked) == sorted(CASES)


def test_missing_texts_and_wrong_versions_are_told_before_anything_is_written(log: Path) -> None:
    with pytest.raises(SettlementError, match=r"3 of 3 texts .* --texts"):
        run(log, Recorder(), texts=None)
    (log.parent / "few.jsonl").write_text(json.dumps({"text": "large share"}))
    with pytest.raises(SettlementError, match="2 of 3 texts"):
        run(log, Recorder(), texts="few.jsonl")
    with pytest.raises(SettlementError, match="version 3, not 2"):
        run(log, Recorder(), Change("2", CHANGE.removed, NEW))
    with pytest.raises(SettlementError, match="another folder"):
        rescore(str(log), str(log) + "/", CHANGE, None, Recorder())
    assert not (log.parent / "new").exists()


def test_the_statement_after_a_takedown_pays_the_others_and_says_what_was_carried(
    log: Path,
) -> None:
    run(log, Recorder())
    verdicts = read_log(str(log.parent / "new"))
    made = make_statement(verdicts, ScoringVersion(("a", "b"), certain(3), ""), Terms("100", "EUR"))
    assert {line["sub_dataset"] for line in made["lines"]} == {"a", "b", "unregistered"}
    assert made["log"]["carried"] == 3
    assert any("3 of 6 verdicts were carried over" in limit for limit in made["limits"])
