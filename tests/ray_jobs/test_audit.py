"""The audit stage end to end: Ray, a tiny LM that has read nothing, the report, the command."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from copylens.audit.findings import TESTS
from copylens.audit.passages import audit_passages
from copylens.audit.reading import Reader, load_reading, plan_readings
from copylens.audit.stage import make_audit
from copylens.cli import app
from copylens.errors import CorpusError
from copylens.store import storage
from ray_jobs import audit
from ray_jobs.cluster import pool
from tests.pipeline_samples import tiny_config

pytestmark = pytest.mark.ray

# Tokens of a text that have no prediction: the tiny LM has no BOS token.
FIRST = 1


@pytest.fixture(scope="module")
def audited(finished, lm_folder, tmp_path_factory):
    config, _ = finished
    folder = tmp_path_factory.mktemp("audited")
    shutil.copytree(config.output, folder / "run")
    changes = {"audit.unread_splits": ["val", "ood_val"], "audit.permutations": 499}
    changes |= {"corpus.paths": list(config.corpus.paths), "output": str(folder / "run")}
    again = tiny_config(folder, lm_folder("gpt_neox"), **changes)
    return again, audit.run(again)


def found(config) -> dict:
    return storage.read_json(storage.join(config.output, "audit.json"))


def test_an_lm_that_has_read_nothing_is_not_said_to_have(audited):
    config, summary = audited
    entries = found(config)["sub_datasets"]
    assert set(entries) == {"sea", "law", "code"}
    for entry in entries.values():
        assert entry["finding"] != "trained on"
        assert set(entry["tests"]) == set(TESTS)
        assert entry["exchanged"] == "split groups" and entry["non_members"] == "matched"
    assert sum(map(len, summary["findings"].values())) == 3
    lineage = storage.read_json(storage.join(config.output, "model/scorer.json"))["lineage"]
    assert found(config)["probe"]["weights"] == lineage["probe_weights"]
    assert found(config)["corpus_manifest"] == lineage["corpus_manifest"]


def test_the_report_shows_it_in_place_of_saying_that_there_was_none(audited, finished):
    config, _ = audited
    before = (Path(finished[0].output) / "report.html").read_text()
    after = (Path(config.output) / "report.html").read_text()
    assert "No audit was made" in before and "No audit was made" not in after
    assert "Self-Comparison" in after and after.count("<!-- audit -->") == 1
    for entry in found(config)["sub_datasets"].values():
        assert entry["sentence"].replace("'", "&#39;") in after


def test_once_more_there_is_nothing_to_do_and_other_tests_read_nothing(audited, monkeypatch):
    config, _ = audited
    assert audit.run(config)["skipped"]
    monkeypatch.setattr(pool, "over_shards", lambda *_: pytest.fail("nothing is to be read"))
    other = config.model_copy(update={"audit": config.audit.model_copy(update={"min_k": 0.5})})
    before = found(config)
    assert audit.run(other)["skipped"] is False
    assert found(config)["config"]["min_k"] == 0.5
    assert found(config)["sub_datasets"] != before["sub_datasets"]


def test_what_cannot_be_told_is_said_before_anything_is_read(audited, tmp_path, monkeypatch, capfd):
    config, _ = audited
    shutil.copytree(config.output, tmp_path / "run")
    asked = config.audit.model_copy(update={"unread_splits": (), "sub_datasets": ("sea",)})
    other = config.model_copy(update={"audit": asked, "output": str(tmp_path / "run")})
    said = []
    read = audit._read
    monkeypatch.setattr(audit, "_read", lambda *a: (said.append(capfd.readouterr().err), read(*a)))
    audit.run(other)
    assert "audit: of sea the answer can only be 'cannot tell': there are no passages" in said[0]
    assert found(other)["sub_datasets"]["sea"]["finding"] == "cannot tell"


def test_a_damaged_reading_is_named(audited, tmp_path):
    audited_config, _ = audited
    shutil.copytree(audited_config.output, tmp_path / "run")
    config = audited_config.model_copy(update={"output": str(tmp_path / "run")})
    items = audit_passages(config)
    task = plan_readings(config, items)[0]
    assert len(load_reading(task).tokens) == len(items[task.sub_dataset])
    Path(task.target).write_bytes(Path(task.target).read_bytes()[:-4])
    with pytest.raises(CorpusError, match="is damaged; delete it and audit again"):
        load_reading(task)


def test_without_a_paraphraser_every_passage_is_read_once(audited, tmp_path):
    config, _ = audited
    shutil.copytree(config.output, tmp_path / "run")
    asked = config.audit.model_copy(update={"paraphraser": None})
    plain = config.model_copy(update={"audit": asked, "output": str(tmp_path / "run")})
    items = audit_passages(plain)
    tokens: list[int] = []
    reader = Reader(plain, lambda read: tokens.append(read.tokens))
    for with_rules, task in zip(plan_readings(config, items), plan_readings(plain, items)):
        reader(task)
        read, before = load_reading(task), load_reading(with_rules)
        assert np.isnan(read.increases).all() and not np.isnan(before.increases).all()
        for one, other in zip(read.tokens, before.tokens, strict=True):
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-5)
        assert sum(tokens) == sum(map(len, read.tokens)) + FIRST * len(read.tokens)
        assert task.characters == sum(len(item.text) for item in items[task.sub_dataset])
        tokens.clear()
    tests = make_audit(plain, items, plan_readings(plain, items))["sub_datasets"]["sea"]["tests"]
    assert tests["self_comparison"]["p_value"] is None
    assert tests["dataset_inference"]["p_value"] is not None


def test_the_command_asks_about_one_against_passages_of_ones_own(audited, tmp_path):
    config, _ = audited
    shutil.copytree(config.output, tmp_path / "run")
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    held = tmp_path / "held.jsonl"
    rows = [
        {
            "text": f"The {n}th deck of the ship was washed before the storm came. " * 4,
            "id": f"h{n}",
        }
        for n in range(12)
    ]
    held.write_text("\n".join(json.dumps(row | {"sub_dataset": "sea"}) for row in rows))
    words = ["audit", "-c", str(tmp_path / "config.yaml"), "--sub-dataset", "sea"]
    words += ["--against", str(held), "-s", f"output={tmp_path / 'run'}"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "Trained on sea: " in done.output
    entry = storage.read_json(str(tmp_path / "run" / "audit.json"))["sub_datasets"]["sea"]
    val = entry["passages"]["non_members"] - 12
    assert val == len([i for i in audit_passages(config)["sea"] if i.kind == "non-member"])
    assert entry["tests"]["dataset_inference"]["learned_on"] == 0
