"""One tiny run of four sub-datasets, before and after one of them is taken down."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest
from copylens.evidence.building import (
    build_task,
    evidence_uri,
    plan_index,
    publish_index,
    registered_passages,
)
from copylens.verdict.scorer import Scorer
from tests.audit.audit_samples import audit
from tests.pipeline_samples import WITHOUT_INDEX, WORDS, tiny_config, write_corpus

GONE = "qorvex"
CANARY = "zyxquilom"
_WORDS = {**WORDS, GONE: [CANARY, *"vrandel ospith karnobe tulvig melkatro ferzan".split()]}


@dataclass(frozen=True)
class Taken:
    config: RunConfig
    before: Scorer
    after: Scorer
    parent: Path
    summary: dict


@pytest.fixture(scope="session")
def taken(cluster, lm_folder, tmp_path_factory) -> Taken:
    from ray_jobs import remove
    from ray_jobs.pipeline import run_stages

    folder = tmp_path_factory.mktemp("taken")
    write_corpus(folder, per_class=24, words=_WORDS)
    config = tiny_config(
        folder,
        lm_folder("gpt_neox"),
        **{"tracking.gates": {"attribution.n": ">= 1", "conformal.smallest_p": "<= 0.2"}},
    )
    list(run_stages(config, WITHOUT_INDEX))
    output = Path(config.output)
    corpus = load_manifest(config.output).hash
    index = evidence_uri(config.output)
    tasks = plan_index(index, registered_passages(config.output), 50)
    for task in tasks:
        build_task(task)
    publish_index(index, tasks, corpus, 50)
    found = audit(dict.fromkeys(_WORDS, "trained on"), corpus)
    (output / "audit.json").write_text(json.dumps(found))
    (output / "audit.done.json").write_text(json.dumps({"findings": list(_WORDS)}))
    (output / "audit").mkdir()
    (output / "audit" / "reading.safetensors").write_text(" ".join(_WORDS))
    list(run_stages(config, ("promote",)))
    parent = folder / "parent"
    shutil.copytree(output, parent)
    before = Scorer.load(str(parent / "model"))
    summary = remove.run(config, GONE)
    return Taken(config, before, Scorer.load(str(output / "model")), parent, summary)
