"""Stage 1: sources -> checked, deduplicated, split corpus shards and their manifest."""

from typing import Any

from copylens import storage
from copylens.config import RunConfig
from copylens.corpus import ingest_corpus, sources_fingerprint
from copylens.stages import complete, completed
from ray_jobs.command import stage_main


def run(config: RunConfig) -> dict[str, Any]:
    """Ingests unless the same sources were ingested with the same settings."""
    inputs = sources_fingerprint(config)
    done = completed(config, "ingest", inputs)
    if done is not None:
        return {"stage": "ingest", "skipped": True, **done}
    manifest = ingest_corpus(config)
    storage.write_bytes(storage.join(config.output, "config.yaml"), config.to_yaml().encode())
    summary = manifest.summary()
    complete(config, "ingest", inputs, manifest.hash, summary)
    return {"stage": "ingest", "skipped": False, **summary}


if __name__ == "__main__":
    stage_main(__doc__, run)
