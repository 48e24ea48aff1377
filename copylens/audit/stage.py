"""The audit of a run: its inputs, and the content of audit.json."""

from collections.abc import Sequence
from typing import Any

from copylens.audit.battery import score_all
from copylens.audit.extraction import extraction
from copylens.audit.findings import find
from copylens.audit.passages import AuditPassage, audited
from copylens.audit.reading import ReadTask, load_reading
from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus import load_manifest
from copylens.corpus.sources.opening import open_source
from copylens.probe.loading.identity import lm_hash
from copylens.store import storage


def audit_inputs(config: RunConfig, corpus_hash: str) -> str:
    """Hash of what the audit depends on besides its settings: corpus, LM, files of `against`."""
    against = [[uri, open_source(uri).identity()] for uri in config.audit.against]
    return fingerprint(corpus_hash, lm_hash(config.probe), against)


def audit_uri(config: RunConfig) -> str:
    """URI of the findings of a run."""
    return storage.join(config.output, "audit.json")


def make_audit(
    config: RunConfig, items: dict[str, list[AuditPassage]], tasks: Sequence[ReadTask]
) -> dict[str, Any]:
    """The content of audit.json, from readings that are all published."""
    readings = {task.sub_dataset: load_reading(task) for task in tasks}
    scored = score_all(items, readings, config.audit, config.seed)
    names = [name for name in audited(config) if name in scored]
    found = find(scored, names, config.audit, config.seed)
    for name, entry in found.items():
        entry["extraction"] = extraction(name, items[name], readings[name].tokens, config.audit)
    return {
        "probe": {
            **config.probe.model_dump(include={"model", "revision"}),
            "weights": lm_hash(config.probe),
        },
        "corpus_manifest": load_manifest(config.output).hash,
        "alpha": config.audit.alpha,
        "reference": config.audit.reference or "n-grams of the other passages",
        "sub_datasets": found,
        "config": config.audit.model_dump(mode="json"),
    }
