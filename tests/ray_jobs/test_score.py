"""The batch scorer gives what the in-process scorer gives, does nothing twice, and loses no row."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from copylens.errors import CorpusError, ModelError
from copylens.registry.reader import load_scorer
from ray_jobs.score import run

pytestmark = pytest.mark.ray

TEXTS = [
    "The ship and the crew.",
    "A court of law.",
    "An array.",
    "Salt the dough.",
    "Sail on.",
]
CHAMPION = "models:/copylens@champion"


def write_log(path: Path, rows: list[object]) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(path)


def verdicts_in(folder: Path) -> list[dict]:
    lines = [x for p in sorted(folder.glob("*.jsonl")) for x in p.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def test_a_log_is_scored_once_and_as_in_process(finished, tmp_path):
    config, _ = finished
    log = write_log(tmp_path / "log.jsonl", [{"text": text} for text in TEXTS])
    out = tmp_path / "verdicts"
    summary = run(config, log, str(out), CHAMPION, None, shard_rows=2)
    assert (summary["rows_in"], summary["verdicts"], summary["shards"]) == (5, 5, 3)
    lines = verdicts_in(out)
    scorer = load_scorer(CHAMPION, config.tracking.uri)
    for number, (line, verdict) in enumerate(zip(lines, scorer.verdicts(TEXTS), strict=True), 1):
        assert line["row"] == number
        assert line["text_sha256"] == verdict.text_sha256
        assert line["model"]["version"] == verdict.model.version
        for share, expected in zip(line["shares"], verdict.shares):
            assert share["share"] == pytest.approx(expected.share, abs=1e-5)
    assert not (out / "input").exists(), "the texts themselves are not kept"
    stamp = {p: p.stat().st_mtime_ns for p in out.glob("part-*")}
    Path(out / "part-00001.jsonl.done.json").unlink()
    assert run(config, log, str(out), CHAMPION, None, shard_rows=2)["shards_resumed"] == 2
    changed = {p.name for p in out.glob("part-*") if p.stat().st_mtime_ns != stamp.get(p)}
    assert changed == {"part-00001.jsonl", "part-00001.jsonl.done.json"}


def test_bad_rows_are_named_and_cost_only_themselves(finished, tmp_path):
    config, _ = finished
    rows = [{"text": TEXTS[0], "id": "a"}, "{broken", {"text": "  "}, {"words": 1}, {"text": "Ok."}]
    log = write_log(tmp_path / "log.jsonl", rows)
    out = tmp_path / "verdicts"
    summary = run(config, log, str(out), CHAMPION, None, shard_rows=2)
    assert (summary["rows_in"], summary["verdicts"], summary["quarantined"]) == (5, 2, 3)
    assert [(v["row"], v.get("id")) for v in verdicts_in(out)] == [(1, "a"), (5, None)]
    refused = (out / "quarantine" / "rows.jsonl").read_text().splitlines()
    reasons = {entry["line"]: entry["reason"] for entry in map(json.loads, refused)}
    assert reasons[2].startswith("broken_json")
    assert reasons[3].startswith("blank")
    assert reasons[4].startswith("no_text")


def test_parquet_gives_what_json_lines_give(finished, tmp_path):
    config, _ = finished
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "log.parquet")
    write_log(tmp_path / "log.jsonl", [{"text": text} for text in TEXTS])
    for kind in ("jsonl", "parquet"):
        run(config, str(tmp_path / f"log.{kind}"), str(tmp_path / kind), CHAMPION, None)
    assert verdicts_in(tmp_path / "jsonl") == verdicts_in(tmp_path / "parquet")


def test_a_shorter_log_leaves_no_verdicts_of_a_longer_one(finished, tmp_path):
    config, _ = finished
    out = tmp_path / "verdicts"
    for count in (5, 2):
        log = write_log(tmp_path / "log.jsonl", [{"text": text} for text in TEXTS[:count]])
        run(config, log, str(out), CHAMPION, None, shard_rows=2)
        assert len(verdicts_in(out)) == count


def test_an_empty_log_and_an_unknown_version_are_refused(finished, tmp_path):
    config, _ = finished
    empty = write_log(tmp_path / "log.jsonl", [])
    with pytest.raises(CorpusError, match="holds no row"):
        run(config, empty, str(tmp_path / "out"), CHAMPION, None)
    with pytest.raises(ModelError, match="not in the registry"):
        run(config, empty, str(tmp_path / "out"), "models:/copylens/99", None)
