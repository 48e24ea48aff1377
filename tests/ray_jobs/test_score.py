"""The batch scorer gives what the in-process scorer gives, and does nothing twice."""

import json
from pathlib import Path

import pytest

from ray_jobs.score import run
from serve.registry import load_scorer

pytestmark = pytest.mark.ray


def test_a_log_is_scored_once_and_as_in_process(finished, tmp_path, monkeypatch):
    config, _ = finished
    monkeypatch.setattr("ray_jobs.score._SHARD", 2)
    texts = [
        "The ship and the crew.",
        "A court of law.",
        "An array.",
        "Salt the dough.",
        "Sail on.",
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    out = tmp_path / "verdicts"
    summary = run(config, str(log), str(out), "models:/copylens@champion", None)
    assert (summary["texts"], summary["shards"]) == (5, 3)
    lines = [json.loads(x) for p in sorted(out.glob("*.jsonl")) for x in p.read_text().splitlines()]
    scorer = load_scorer("models:/copylens@champion", config.tracking.uri)
    for line, verdict in zip(lines, scorer.verdicts(texts), strict=True):
        assert line["text_sha256"] == verdict.text_sha256
        assert line["model"]["version"] == verdict.model.version
        for share, expected in zip(line["shares"], verdict.shares):
            assert share["share"] == pytest.approx(expected.share, abs=1e-5)
    stamp = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    Path(out / "part-00001.jsonl.done.json").unlink()
    run(config, str(log), str(out), "models:/copylens@champion", None)
    changed = {p.name for p in out.iterdir() if p.stat().st_mtime_ns != stamp.get(p)}
    assert changed == {"part-00001.jsonl", "part-00001.jsonl.done.json"}
