"""What a model version descends from."""

from importlib.metadata import version
from typing import Any

from copylens.config import RunConfig, fingerprint
from copylens.corpus import load_manifest
from copylens.probe.lm import weight_hash


def lineage_of(config: RunConfig) -> dict[str, Any]:
    """Corpus, probe, configuration and code that a scorer was made from."""
    return {
        "corpus_manifest": load_manifest(config.output).hash,
        "probe": config.probe.model,
        "probe_revision": config.probe.revision,
        "probe_weights": weight_hash(config.probe),
        "config": fingerprint(config),
        "copylens": version("copylens"),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
