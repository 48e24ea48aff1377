"""Stage 2: corpus shards -> state shards, on a pool of Ray Data actors that hold the LM."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from copylens.config.load import build_config
from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus import load_manifest
from copylens.errors import ConfigError
from copylens.states.embed import EmbedTask, ShardEmbedder, plan, publish_quarantine, shards_hash
from copylens.states.shards import published
from copylens.store.stages import run_once, upstream_hash
from ray_jobs.cluster.command import stage_main
from ray_jobs.cluster.pool import ShardActor
from ray_jobs.cluster.tally import adder, read_through


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
            self._embedder = ShardEmbedder(config, adder(values.get("tally")))
        task = EmbedTask(**values["task"])
        self._embedder(task)
        return task.passages


def run(config: RunConfig) -> dict[str, Any]:
    """Embeds what is not yet complete; a re-run after a crash goes on where it stopped.

    Raises:
        ConfigError: no channel reads the LM, so nothing would read the states.
    """
    if not config.reads_lm:
        raise ConfigError(
            "embed: no channel reads the LM (channels.attention=false); go on to train"
        )
    inputs = upstream_hash(config, "embed")
    return run_once(config, "embed", inputs, lambda: _work(config))


def _work(config: RunConfig) -> tuple[str, dict[str, Any]]:
    start = time.perf_counter()
    tasks = plan(config)
    pending = [task for task in tasks if not task.done]
    embed_shards(config, pending)
    summary = {
        "shards": len(tasks),
        "shards_resumed": len(tasks) - len(pending),
        **_reconcile(config, tasks),
        "seconds": round(time.perf_counter() - start, 1),
    }
    # The background is not embedded, but what comes next reads it.
    corpus = load_manifest(config.output).hash
    return fingerprint(shards_hash(tasks), corpus), summary


def embed_shards(config: RunConfig, pending: list[EmbedTask], title: str = "embed") -> None:
    """Publishes the state shards, in any order; progress counts tokens."""
    settings = config.model_dump(mode="json")
    # The largest first, so that the workers end together.
    ordered = sorted(pending, key=lambda task: -task.characters)
    tasks = [{"task": asdict(task), "config": settings} for task in ordered]
    read_through(config, EmbedActor, tasks, title, sum(task.characters for task in pending))


def _reconcile(config: RunConfig, tasks: Sequence[EmbedTask]) -> dict[str, int]:
    """Passages in = states out + quarantined + unread, counted from what was published."""
    rows_in = sum(task.passages for task in tasks)
    done = [published(task.target) for task in tasks]
    rows_out = sum(shard.rows for shard in done)
    unread = sum(shard.unread for shard in done)
    quarantined = publish_quarantine(config, tasks)
    assert rows_in == rows_out + quarantined + unread, (rows_in, rows_out, quarantined, unread)
    counts = {"passages_in": rows_in, "states_out": rows_out, "quarantined": quarantined}
    return counts | ({"unread": unread} if config.probe.max_passages else {})


if __name__ == "__main__":
    stage_main(__doc__, run)
