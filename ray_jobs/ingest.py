"""Stage 1: sources -> checked, deduplicated, split corpus shards and their manifest."""

from typing import Any

from copylens.config.schema import RunConfig
from copylens.corpus import ingest_corpus, sources_fingerprint
from copylens.store import storage
from copylens.store.stages import run_once
from ray_jobs.cluster.command import stage_main


def run(config: RunConfig) -> dict[str, Any]:
    """Ingests unless the same sources were ingested with the same settings."""
    return run_once(config, "ingest", sources_fingerprint(config), lambda: _work(config))


def _work(config: RunConfig) -> tuple[str, dict[str, Any]]:
    manifest = ingest_corpus(config)
    storage.write_bytes(storage.join(config.output, "config.yaml"), config.to_yaml().encode())
    return manifest.hash, manifest.summary()


if __name__ == "__main__":
    stage_main(__doc__, run)
