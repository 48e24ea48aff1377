"""What a model version descends from."""

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus import load_manifest
from copylens.probe.loading.identity import lm_hash


def lineage_of(config: RunConfig) -> dict[str, Any]:
    """Corpus, probe, configuration and code that a scorer was made from."""
    return {
        "corpus_manifest": load_manifest(config.output).hash,
        "probe": config.probe.model,
        "probe_revision": config.probe.revision,
        "probe_weights": lm_hash(config.probe) if config.probe.model else None,
        "config": fingerprint(config),
        "copylens": version("copylens"),
        "code": code_hash(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def code_hash() -> str:
    """Hash of this package's sources: tells versions apart between two releases."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
