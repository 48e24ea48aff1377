"""`python -m benchmarks.scaling`: the embed job simulated, checked against a real run, scaled out.

The simulation is fed with what is measured apart from the run that it predicts: seconds per token
from an embed job on a third as many other texts, start-up and hand-out from Ray jobs that do no
work. Then it says how long a run of the embed stage takes; `simulated_vs_measured` is that over
what it does take. `efficiency_64` is
the simulated share of 64 workers' time that is work, on a job of 10^9 tokens, with failures and
stragglers as `LARGE` says.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.embed import SMALL_LM, WORKERS, prepared, seconds, tell
from benchmarks.support.simulation import Cluster, efficiency, simulate
from benchmarks.support.workload import TINY_LM, save_lm, standard_library
from copylens.config.schema import RunConfig
from copylens.states.embed import EmbedTask, plan
from copylens.states.shards import read_states
from ray_jobs.cluster.pool import over_shards
from ray_jobs.cluster.session import ray_session
from ray_jobs.embed import EmbedActor, embed_shards

PASSAGES = 1920
EMPTY_SHARDS = 1500
# A worker has one shard at a time: fewer would show how long a shard is on its way, not how many
# one driver hands out.
IDLE_WORKERS = 8
# Preemptible machines: a worker is lost every twelve hours, one in fifty is three times slower.
LARGE: dict[str, Any] = {"mean_time_to_failure": 12 * 3600, "stragglers": 0.02, "slowdown": 3.0}
LARGE_TOKENS = 10**9
SHARD_TOKENS = 256 * 400


class IdleActor:
    """Takes a shard's row and does nothing with it."""

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """Gives the row back, as if it were done."""
        return {"error": [""]}


def main() -> None:
    """Calibrates, predicts, measures, scales out; the JSON line comes last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=PASSAGES, help="of the measured job")
    parser.add_argument("--empty-shards", type=int, default=EMPTY_SHARDS)
    parser.add_argument("--tiny-lms", action="store_true", help="to see that it works")
    words = parser.parse_args()
    torch.set_num_threads(1)
    calibration = words.passages // 3
    texts = standard_library(words.passages + calibration)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = save_lm(folder / "lm", texts, TINY_LM if words.tiny_lms else SMALL_LM)
        small = prepared(folder / "calibration", model, texts[:calibration])
        large = prepared(folder / "measured", model, texts[calibration:])
        cluster = calibrated(small, words.empty_shards)
        with ray_session(large):
            took = seconds(lambda: embed_shards(large, plan(large)))
        tokens = [shard_tokens(task) for task in plan(large)]
        predicted = simulate(tokens, cluster).seconds
    tell({"measured": took, "simulated": predicted})
    figures = {"simulated_vs_measured": predicted / took, **scaled_out(cluster)}
    print(json.dumps({key: round(value, 4) for key, value in figures.items()}))


def calibrated(config: RunConfig, empty_shards: int) -> Cluster:
    """What this machine's workers cost: by a small embed job, and by jobs that do no work."""
    tasks = plan(config)
    with ray_session(config):
        timed = sorted(
            (row["seconds"], int(row["done"]))
            for row in over_shards(config, EmbedActor, rows(config, tasks))
        )
        startup = min(seconds(lambda: one_shard(config, tasks)) for _ in range(2))
        idle = [{"task": str(n)} for n in range(empty_shards)]
        empty = seconds(lambda: idle_job(config, idle))
        few = seconds(lambda: idle_job(config, idle[:10]))
    # A worker's first shard loads the LM, which is the start-up's part.
    warm = timed[:-WORKERS]
    passage_seconds = sum(took for took, _ in warm) / sum(passages for _, passages in warm)
    tokens = sum(map(shard_tokens, tasks)) / sum(task.passages for task in tasks)
    cluster = Cluster(
        workers=WORKERS,
        startup=startup,
        token_seconds=passage_seconds / tokens,
        shard_seconds=0.0,
        handout=max(empty - few, 0.0) / (empty_shards - len(idle[:10])),
    )
    tell({k: float(v) for k, v in vars(cluster).items() if v != float("inf")})
    return cluster


def rows(config: RunConfig, tasks: Sequence[EmbedTask]) -> list[dict[str, str]]:
    """The rows that the embed stage gives to its workers."""
    settings = config.model_dump(mode="json")
    return [{"task": json.dumps({"task": vars(task), "config": settings})} for task in tasks]


def one_shard(config: RunConfig, tasks: Sequence[EmbedTask]) -> None:
    """A job that only starts its workers: its shards are published already."""
    for _ in over_shards(config, EmbedActor, rows(config, tasks[:WORKERS])):
        pass


def idle_job(config: RunConfig, idle: list[dict[str, str]]) -> None:
    """A job that only hands shards out, to more workers than the machine has cores."""
    own = config.resources
    changes = {"embed_workers": IDLE_WORKERS, "cpus_per_worker": own.cpus_per_worker / IDLE_WORKERS}
    many = config.model_copy(update={"resources": own.model_copy(update=changes)})
    for _ in over_shards(many, IdleActor, idle):
        pass


def shard_tokens(task: EmbedTask) -> int:
    """Tokens of a published shard."""
    return sum(row.states.tokens for row in read_states(task.target))


def scaled_out(cluster: Cluster) -> dict[str, float]:
    """Efficiency on a large job by number of workers, and what shards of another size change."""
    shards = [SHARD_TOKENS] * (LARGE_TOKENS // SHARD_TOKENS)
    figures = {}
    for workers in (8, 64, 512):
        large = replace(cluster, workers=workers, **LARGE)
        figures[f"efficiency_{workers}"] = efficiency(shards, large)
    print(f"hand-out allows {1 / max(cluster.handout, 1e-6):,.0f} shards a second", file=sys.stderr)
    return figures


if __name__ == "__main__":
    main()
