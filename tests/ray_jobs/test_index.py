"""The index as a job: in shards on actors, resumed, brought up to date, and in a version."""

import json
import shutil
from pathlib import Path

import pytest

from copylens.evidence.building import build_index, evidence_uri, registered_passages
from copylens.evidence.manifest import find_manifest
from copylens.registry.reader import load_scorer
from copylens.store import storage
from copylens.store.stages import marker_uri
from copylens.verdict.evidence import NO_INDEX
from ray_jobs import index
from ray_jobs.pipeline import run_stages
from tests.evidence.evidence_samples import files

pytestmark = pytest.mark.ray


@pytest.fixture
def copied(finished, tmp_path):
    """A finished run that may be changed, and registers under a name of its own."""
    config, _ = finished
    shutil.copytree(config.output, tmp_path / "run")
    evidence = config.evidence.model_copy(update={"part_passages": 24})
    tracking = config.tracking.model_copy(update={"model_name": "indexed"})
    changed = {"output": str(tmp_path / "run"), "evidence": evidence, "tracking": tracking}
    return config.model_copy(update=changed)


def test_the_job_makes_what_the_library_makes_and_does_it_once(copied, tmp_path):
    words = copied.evidence.model_copy(update={"states": False})
    copied = copied.model_copy(update={"evidence": words})
    first = index.run(copied)
    assert (first["shards"], first["shards_resumed"], first["sub_datasets"]) == (6, 0, 3)
    passages = registered_passages(copied.output)
    assert first["passages"] == len(passages) == 120
    build_index(str(tmp_path / "library"), passages, 24)
    made, expected = files(Path(evidence_uri(copied.output))), files(tmp_path / "library")
    assert {n: d for n, d in made.items() if n != "manifest.json"} == {
        n: d for n, d in expected.items() if n != "manifest.json"
    }
    again = index.run(copied)
    assert again["skipped"] and again["hash"] == first["hash"]
    # Another corpus with the same passages: all shards are there already.
    storage.remove_file(storage.join(evidence_uri(copied.output), "manifest.json"))
    storage.remove_file(marker_uri(copied, "index"))
    resumed = index.run(copied)
    assert (resumed["shards_resumed"], resumed["hash"]) == (6, first["hash"])


def test_a_version_carries_its_index_and_its_verdicts_their_evidence(copied):
    promoted = list(run_stages(copied, ("index", "promote")))[1]
    assert promoted["attached"] == ["evidence"]
    scorer = load_scorer(f"models:/indexed/{promoted['version']}", copied.tracking.uri)
    source = registered_passages(copied.output)[5]
    text = " ".join(source.text.split()[20:60])
    assert scorer.verdicts([text])[0].evidence is None
    verdict = scorer.verdicts([text], evidence=True)[0]
    assert verdict.evidence[0]["passage_id"] == source.id
    assert verdict.evidence[0]["kind"] == "verbatim"
    assert json.dumps(verdict.to_dict())
    manifest = find_manifest(evidence_uri(copied.output))
    assert manifest is not None
    assert scorer.attachments["evidence"]["hash"] == manifest.hash
    # Where embed has run, mean states rank passages too, and what they were made from is gone.
    assert manifest.states and all(p.states_sha256 for e in manifest.sub_datasets for p in e.shards)
    assert {e.folder for e in manifest.sub_datasets} | {"manifest.json"} == {
        path.name for path in Path(evidence_uri(copied.output)).iterdir()
    }
    assert "evidence" in scorer.lineage
    # A version without an index gives verdicts as before.
    plain = load_scorer("models:/copylens/1", copied.tracking.uri)
    without = plain.verdicts([text], evidence=True)[0]
    assert (without.evidence, without.evidence_reason) == (None, NO_INDEX)
