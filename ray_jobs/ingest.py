"""Stage 1: sources -> checked, deduplicated, split corpus shards and their manifest."""

from typing import Any

from copylens.config.schema import RunConfig
from copylens.corpus import ingest_corpus, sources_fingerprint
from copylens.corpus.manifest import Manifest
from copylens.detector.calibration import unreachable
from copylens.store import storage
from copylens.store.stages import run_once
from ray_jobs.cluster.command import stage_main


def run(config: RunConfig) -> dict[str, Any]:
    """Ingests unless the same sources were ingested with the same settings."""
    return run_once(config, "ingest", sources_fingerprint(config), lambda: _work(config))


def _work(config: RunConfig) -> tuple[str, dict[str, Any]]:
    manifest = ingest_corpus(config)
    storage.write_bytes(storage.join(config.output, "config.yaml"), config.to_yaml().encode())
    return manifest.hash, manifest.summary() | _level(config, manifest)


def _level(config: RunConfig, manifest: Manifest) -> dict[str, Any]:
    """The smallest false-alarm level that a model of this corpus can be asked for.

    Its detector is calibrated on the val passages, see `Conformal.smallest`.
    """
    val = sum(shard.passages for shard in manifest.shards if shard.split == "val")
    smallest = 1 / (val + 1)
    cannot = unreachable(config.calibration.alpha, smallest)
    return {"smallest_level": round(smallest, 5), "cannot": cannot}


if __name__ == "__main__":
    stage_main(__doc__, run)
