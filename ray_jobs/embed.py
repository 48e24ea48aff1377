"""Stage 2: corpus shards -> state shards, on a pool of Ray Data actors that hold the LM."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from copylens.config import RunConfig, fingerprint
from copylens.config_files import build_config
from copylens.corpus import load_manifest
from copylens.embedding import (
    EmbedTask,
    ReadOutTask,
    ShardEmbedder,
    fit_and_publish_readout,
    output_hash,
    plan,
    plan_readout,
)
from copylens.errors import CopyLensError
from copylens.progress import progress
from copylens.stages import run_once, upstream_hash
from ray_jobs.command import stage_main
from ray_jobs.pool import over_shards
from ray_jobs.session import ray_session, user_errors


class EmbedActor:
    """One worker: loads the LM at its first shard, publishes each shard as soon as it is read."""

    def __init__(self) -> None:
        self._embedder: ShardEmbedder | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[int] | list[str]]:
        """Embeds the shards of a batch; returns their numbers of passages.

        A user's mistake comes back as data: an exception would lose its type on the way.
        """
        try:
            return {"passages": self._embed(batch), "error": [""] * len(batch["source"])}
        except CopyLensError as error:
            message = str(error).splitlines()[0]
            rows = len(batch["source"])
            return {"passages": [0] * rows, "error": [message] * rows}

    def _embed(self, batch: dict[str, np.ndarray]) -> list[int]:
        if self._embedder is None:
            config = build_config(json.loads(str(batch["config"][0])))
            # Workers share the machine's cores: more threads than asked for only fight.
            torch.set_num_threads(config.resources.threads)
            self._embedder = ShardEmbedder(config)
        rows = zip(batch["source"], batch["target"], batch["key"])
        return [self._embedder(EmbedTask(*map(str, row))) for row in rows]


class ReadOutActor:
    """Fits the read-out where the embed workers run: on a GPU, if they have one."""

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """Fits and publishes; a user's mistake comes back as data."""
        try:
            config = build_config(json.loads(str(batch["config"][0])))
            torch.set_num_threads(config.resources.threads)
            task = ReadOutTask(str(batch["output"][0]), str(batch["key"][0]))
            fit_and_publish_readout(config, task)
            return {"error": [""]}
        except CopyLensError as error:
            return {"error": [str(error).splitlines()[0]]}


def run(config: RunConfig) -> dict[str, Any]:
    """Embeds what is not yet complete; a re-run after a crash goes on where it stopped."""
    inputs = upstream_hash(config, "embed")
    return run_once(config, "embed", inputs, lambda: _work(config))


def _work(config: RunConfig) -> tuple[str, dict[str, Any]]:
    start = time.perf_counter()
    readout = plan_readout(config)
    passages = 0
    with ray_session(config), user_errors():
        if readout is not None and not readout.done:
            _fit_readout(config, readout)
        readout_seconds = time.perf_counter() - start
        tasks = plan(config)
        pending = [task for task in tasks if not task.done]
        with progress("embed", len(pending), "shards") as advance:
            for count in embed_shards(config, pending):
                passages += count
                advance(1)
    summary = {
        "shards": len(tasks),
        "shards_resumed": len(tasks) - len(pending),
        "passages": passages,
        "readout_seconds": round(readout_seconds, 1),
        "seconds": round(time.perf_counter() - start, 1),
    }
    # The background is not embedded, but what comes next reads it.
    corpus = load_manifest(config.output).hash
    return fingerprint(output_hash(tasks), corpus), summary


def _fit_readout(config: RunConfig, task: ReadOutTask) -> None:
    settings = json.dumps(config.model_dump(mode="json"))
    for _ in over_shards(config, ReadOutActor, [{**asdict(task), "config": settings}]):
        pass


def embed_shards(config: RunConfig, pending: list[EmbedTask]) -> Iterator[int]:
    """Yields the number of passages of each shard as it is published, in any order."""
    settings = json.dumps(config.model_dump(mode="json"))
    rows = [{**asdict(task), "config": settings} for task in pending]
    for row in over_shards(config, EmbedActor, rows):
        yield int(row["passages"])


if __name__ == "__main__":
    stage_main(__doc__, run)
