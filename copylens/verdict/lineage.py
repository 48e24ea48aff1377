"""What a model version descends from."""

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus import load_manifest, shard_uris
from copylens.probe.loading.identity import lm_identity
from copylens.states.shards import published, shard_uri


def lineage_of(config: RunConfig) -> dict[str, Any]:
    """Corpus, probe, configuration and code that a scorer was made from."""
    manifest = load_manifest(config.output)
    lm = lm_identity(config.probe) if config.probe.model else None
    return {
        "corpus_manifest": manifest.hash,
        "probe": config.probe.model,
        "probe_revision": config.probe.revision,
        "probe_adapter": config.probe.adapter,
        "probe_source": lm and lm.source,
        "probe_license": lm and lm.license,
        "probe_weights": lm and lm.hash,
        "probe_layers": _layers(config) if config.reads_lm else None,
        "config": fingerprint(config),
        "copylens": version("copylens"),
        "code": code_hash(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def _layers(config: RunConfig) -> str:
    """Which of the LM's layers the states were read from."""
    first = shard_uris(config.output, "train")[0]
    states = published(shard_uri(config.output, "train", first))
    return f"{', '.join(map(str, states.layers))} of {states.depth}"


def code_hash() -> str:
    """Hash of this package's sources: tells versions apart between two releases."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
