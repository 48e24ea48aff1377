"""What a version carries beside its model, and the basis that follows from it."""

import json
import shutil
from pathlib import Path

import pytest

from copylens.client.records import ServedVerdict, parse
from copylens.corpus import load_manifest
from copylens.errors import ModelError
from copylens.records import Rights
from copylens.store import storage
from copylens.verdict import attachments
from copylens.verdict.bundle import SCORER_FILE
from copylens.verdict.scorer import Scorer

RIGHTS = [Rights(name, f"{name} Press", "all rights reserved") for name in ("sea", "law", "code")]
LINEAGE = {"corpus_manifest": "c0ffee", "probe_weights": "abc"}


def audit(**findings: str) -> dict:
    entries = {name: {"finding": finding} for name, finding in findings.items()}
    return {"probe": {"weights": "abc"}, "corpus_manifest": "c0ffee", "sub_datasets": entries}


def test_only_what_the_audit_found_has_the_basis_trained_on():
    block = audit(sea="trained on", law="cannot tell", code="no evidence")
    bases = [item.basis for item in attachments.with_basis(RIGHTS, {"audit": block})]
    assert bases == ["trained_on", "resemblance", "resemblance"]
    assert attachments.with_basis(RIGHTS, {}) == tuple(RIGHTS)


def test_the_corpus_knows_no_basis():
    """So that an audit changes no corpus' hash."""
    assert Rights("sea", "h", "l", "trained_on").entry() == Rights("sea", "h", "l").entry()


def test_a_run_without_them_has_none(tmp_path):
    assert attachments.read_attachments(str(tmp_path), LINEAGE) == {}


def test_they_are_read_with_place_and_hash(tmp_path):
    storage.write_json(str(tmp_path / "audit.json"), audit(sea="trained on"))
    storage.write_json(str(tmp_path / "evidence" / "manifest.json"), {"passages": 3})
    found = attachments.read_attachments(str(tmp_path), LINEAGE)
    assert found["evidence"]["passages"] == 3
    assert found["evidence"]["uri"] == str(tmp_path / "evidence" / "manifest.json")
    for name, sha256 in attachments.hashes(found).items():
        file = tmp_path.joinpath(*attachments.FILES[name])
        assert sha256 == storage.sha256(file.read_bytes())


def test_new_ones_take_the_place_of_old_ones(tmp_path):
    storage.write_json(str(tmp_path / "audit.json"), audit(sea="trained on"))
    found = attachments.read_attachments(str(tmp_path), LINEAGE)
    once = attachments.attach({"format": 3, "lineage": LINEAGE}, found)
    assert attachments.attached(once) == found
    assert once["lineage"] == LINEAGE | {"audit": found["audit"]["sha256"]}
    assert attachments.attach(once, {}) == {"format": 3, "lineage": LINEAGE}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probe": {"weights": "other"}}, "is of another LM than the trained model"),
        ({"corpus_manifest": "other"}, "is of another corpus than the trained model"),
    ],
)
def test_those_of_another_origin_are_refused(change, message, tmp_path):
    storage.write_json(str(tmp_path / "audit.json"), audit(sea="trained on") | change)
    with pytest.raises(ModelError, match=message):
        attachments.read_attachments(str(tmp_path), LINEAGE)


def test_a_damaged_one_is_named(tmp_path):
    (tmp_path / "audit.json").write_text("{")
    with pytest.raises(ModelError, match=r"audit\.json' is damaged"):
        attachments.read_attachments(str(tmp_path), LINEAGE)


@pytest.mark.ray
def test_a_version_promoted_after_an_audit_says_trained_on(finished, tmp_path):
    """From the run's file through the registry into verdicts; once more there is nothing to do."""
    from copylens.registry.reader import load_scorer
    from ray_jobs.pipeline import run_stages

    config, _ = finished
    shutil.copytree(config.output, tmp_path / "run")
    config = config.model_copy(update={"output": str(tmp_path / "run")})
    name = config.tracking.model_copy(update={"model_name": "audited"})
    config = config.model_copy(update={"tracking": name})
    lineage = json.loads((Path(config.output) / "model" / SCORER_FILE).read_text())["lineage"]
    first = next(run_stages(config, ("promote",)))
    block = audit(sea="trained on", law="no evidence", code="cannot tell")
    block |= {key: lineage[key] for key in ("corpus_manifest",)}
    block["probe"]["weights"] = lineage["probe_weights"]
    storage.write_json(storage.join(config.output, "audit.json"), block)
    second, again = (next(run_stages(config, ("promote",))) for _ in range(2))
    assert (first["attached"], second["attached"]) == ([], ["audit"])
    assert second["version"] != first["version"] and not second["skipped"] and again["skipped"]

    scorer = load_scorer("models:/audited@champion", config.tracking.uri)
    assert scorer.lineage["audit"] == storage.sha256(
        storage.read_bytes(storage.join(config.output, "audit.json"))
    )
    verdict = scorer.verdicts(["The captain and the crew sail to the harbour. " * 4])[0]
    bases = {share.sub_dataset: share.basis for share in verdict.shares}
    assert bases == {"sea": "trained_on", "law": "resemblance", "code": "resemblance"}
    assert parse(ServedVerdict, json.loads(json.dumps(verdict.to_dict()))).shares == verdict.shares
    # What was saved before there was an audit loads as ever, and promises nothing.
    before = Scorer.load(storage.join(config.output, "model"))
    assert {item.basis for item in before.rights.values()} == {"resemblance"}
    scorer.save(str(tmp_path / "copy"))
    copy = Scorer.load(str(tmp_path / "copy"))
    assert (copy.rights, copy.lineage) == (scorer.rights, scorer.lineage)
    assert load_manifest(config.output).hash == lineage["corpus_manifest"]
