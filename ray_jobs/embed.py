"""Stage 2: corpus shards -> state shards, on a pool of Ray Data actors that hold the LM."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch

from copylens.config.load import build_config
from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus import load_manifest
from copylens.progress import progress
from copylens.states.embed import (
    EmbedTask,
    ReadOutTask,
    ShardEmbedder,
    fit_and_publish_readout,
    output_hash,
    plan,
    plan_readout,
    publish_quarantine,
)
from copylens.states.shards import published
from copylens.store.stages import run_once, upstream_hash
from ray_jobs.cluster.command import stage_main
from ray_jobs.cluster.pool import ShardActor, over_shards
from ray_jobs.cluster.session import ray_session, user_errors


class EmbedActor(ShardActor):
    """One worker: loads the LM at its first shard, publishes each shard as soon as it is read."""

    def __init__(self) -> None:
        self._embedder: ShardEmbedder | None = None

    def work(self, values: dict[str, Any]) -> int:
        """Embeds a shard; returns its number of passages."""
        if self._embedder is None:
            config = build_config(values["config"])
            # Workers share the machine's cores: more threads than asked for only fight.
            torch.set_num_threads(config.resources.threads)
            self._embedder = ShardEmbedder(config)
        task = EmbedTask(**values["task"])
        self._embedder(task)
        return task.passages


class ReadOutActor(ShardActor):
    """Fits the read-out where the embed workers run: on a GPU, if they have one."""

    def work(self, values: dict[str, Any]) -> int:
        """Fits and publishes the one read-out."""
        config = build_config(values["config"])
        torch.set_num_threads(config.resources.threads)
        fit_and_publish_readout(config, ReadOutTask(**values["task"]))
        return 1


def run(config: RunConfig) -> dict[str, Any]:
    """Embeds what is not yet complete; a re-run after a crash goes on where it stopped."""
    inputs = upstream_hash(config, "embed")
    return run_once(config, "embed", inputs, lambda: _work(config))


def _work(config: RunConfig) -> tuple[str, dict[str, Any]]:
    start = time.perf_counter()
    readout = plan_readout(config)
    with ray_session(config), user_errors():
        if readout is not None and not readout.done:
            _over(config, ReadOutActor, [readout])
        readout_seconds = time.perf_counter() - start
        tasks = plan(config)
        pending = [task for task in tasks if not task.done]
        embed_shards(config, pending)
    summary = {
        "shards": len(tasks),
        "shards_resumed": len(tasks) - len(pending),
        **_reconcile(config, tasks),
        "readout_seconds": round(readout_seconds, 1),
        "seconds": round(time.perf_counter() - start, 1),
    }
    # The background is not embedded, but what comes next reads it.
    corpus = load_manifest(config.output).hash
    return fingerprint(output_hash(tasks), corpus), summary


def embed_shards(config: RunConfig, pending: list[EmbedTask]) -> None:
    """Publishes the state shards, in any order."""
    total = sum(task.passages for task in pending)
    with progress("embed", total, "passages") as advance:
        _over(config, EmbedActor, pending, lambda row: advance(int(row["done"])))


def _over(
    config: RunConfig,
    actor: type[Any],
    tasks: Sequence[EmbedTask | ReadOutTask],
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> None:
    settings = config.model_dump(mode="json")
    rows = [{"task": json.dumps({"task": asdict(task), "config": settings})} for task in tasks]
    for row in over_shards(config, actor, rows):
        on_row(row)


def _reconcile(config: RunConfig, tasks: Sequence[EmbedTask]) -> dict[str, int]:
    """Passages in = states out + quarantined, counted from what was published."""
    rows_in = sum(task.passages for task in tasks)
    rows_out = sum(published(task.target).rows for task in tasks)
    quarantined = publish_quarantine(config, tasks)
    assert rows_in == rows_out + quarantined, (rows_in, rows_out, quarantined)
    return {"passages_in": rows_in, "states_out": rows_out, "quarantined": quarantined}


if __name__ == "__main__":
    stage_main(__doc__, run)
