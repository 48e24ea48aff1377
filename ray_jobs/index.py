"""The evidence index, shard by shard: registered passages -> spans and nearest passages."""

import time
from dataclasses import asdict
from typing import Any

from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus import load_manifest, shard_uris
from copylens.evidence.arrays import LAYOUT
from copylens.evidence.building import (
    MEAN_STATES,
    ShardTask,
    add_vectors,
    build_task,
    evidence_uri,
    lacks_vectors,
    plan_index,
    publish_index,
    registered_passages,
)
from copylens.evidence.vectors import publish_mean_states
from copylens.records import REGISTERED_SPLITS
from copylens.states.shards import shard_uri
from copylens.store import storage
from copylens.store.stages import output_hash, run_once, upstream_hash
from ray_jobs.cluster.command import stage_main
from ray_jobs.cluster.pool import ShardActor, work_through


class IndexActor(ShardActor):
    """One worker: builds a shard at a time, each published as soon as it is complete."""

    def work(self, values: dict[str, Any]) -> int:
        """Builds a shard; returns its number of passages."""
        task = ShardTask(**values)
        build_task(task)
        return task.passages


class MeanStatesActor(ShardActor):
    """One worker: averages the states of a shard at a time."""

    def work(self, values: dict[str, Any]) -> int:
        """Publishes the mean states of a state shard; returns its number of passages."""
        return publish_mean_states(values["source"], values["target"])


def run(config: RunConfig) -> dict[str, Any]:
    """Builds what is new or changed since the last time, and publishes `<output>/evidence`."""
    corpus, states = upstream_hash(config, "index"), _states(config)
    inputs = fingerprint(corpus, states, LAYOUT)
    return run_once(config, "index", inputs, lambda: _work(config, states))


def _work(config: RunConfig, states: str) -> tuple[str, dict[str, Any]]:
    start = time.perf_counter()
    folder = evidence_uri(config.output)
    part_passages = config.evidence.part_passages
    corpus = load_manifest(config.output).hash
    tasks = plan_index(folder, registered_passages(config.output), part_passages)
    pending = [task for task in tasks if not task.done]
    total = sum(task.passages for task in pending)
    work_through(config, IndexActor, [asdict(task) for task in pending], "index", total)
    if states and lacks_vectors(tasks, states):
        add_vectors(tasks, states, _publish_mean_states(config, folder))
        storage.remove_tree(storage.join(folder, MEAN_STATES))
    manifest = publish_index(folder, tasks, corpus, part_passages, states)
    summary = {
        **manifest.summary(),
        "shards": len(tasks),
        "shards_resumed": len(tasks) - len(pending),
        "seconds": round(time.perf_counter() - start, 1),
    }
    return manifest.hash, summary


def _states(config: RunConfig) -> str:
    """Hash of what embed left; "" where it has not run or states are not asked for."""
    if not (config.evidence.states and config.reads_lm):
        return ""
    return output_hash(config, "embed") or ""


def _publish_mean_states(config: RunConfig, folder: str) -> list[str]:
    """Where the mean states of each state shard are, all published."""
    rows = []
    for split in REGISTERED_SPLITS:
        for uri in shard_uris(config.output, split):
            name = f"{split}-{storage.name_of(uri)}".removesuffix(".parquet")
            target = storage.join(folder, MEAN_STATES, f"{name}.safetensors")
            rows.append({"source": shard_uri(config.output, split, uri), "target": target})
    shards = load_manifest(config.output).shards
    passages = sum(s.passages for s in shards if s.split in REGISTERED_SPLITS)
    work_through(config, MeanStatesActor, rows, "states", passages)
    return [row["target"] for row in rows]


if __name__ == "__main__":
    stage_main(__doc__, run)
