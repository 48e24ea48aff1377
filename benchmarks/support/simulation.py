"""A simulation of how the embed job's shards go over workers that start, fail and lag.

Discrete events: a free worker takes the next shard, and is busy for as long as the shard's tokens
take it. One driver hands the shards out, so their hand-outs queue. A worker that fails loses the
shard it is at, comes back after its start-up, and the shard is done again by whoever is free.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """What the job runs on; times in seconds.

    Attributes:
        workers: actors that hold the LM.
        startup: from the start of a worker to its first shard: process, imports, LM.
        token_seconds: of a worker at full speed.
        shard_seconds: what a shard costs beside its tokens: reading, writing, marker.
        handout: of the driver, per shard.
        mean_time_to_failure: of a worker; infinite = none fails.
        stragglers: share of workers that are slow.
        slowdown: how many times slower those are.
    """

    workers: int
    startup: float
    token_seconds: float
    shard_seconds: float
    handout: float
    mean_time_to_failure: float = float("inf")
    stragglers: float = 0.0
    slowdown: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """What a simulated job took: wall time, the work done twice, and failures."""

    seconds: float
    lost_seconds: float
    failures: int


def simulate(shard_tokens: Sequence[int], cluster: Cluster, seed: int = 0) -> Outcome:
    """Runs the shards through the cluster until the last one is published.

    Args:
        shard_tokens: tokens of each shard, in the order in which they are handed out.
    """
    rng = random.Random(seed)
    speed = [
        cluster.slowdown if rng.random() < cluster.stragglers else 1.0
        for _ in range(cluster.workers)
    ]
    waiting = list(reversed(shard_tokens))
    # (time at which the worker is free, worker, the shard it has done, or 0)
    events = [(cluster.startup, worker) for worker in range(cluster.workers)]
    heapq.heapify(events)
    driver_free = end = lost = 0.0
    failures = 0
    while waiting:
        now, worker = heapq.heappop(events)
        tokens = waiting.pop()
        driver_free = max(driver_free, now) + cluster.handout
        work = (tokens * cluster.token_seconds + cluster.shard_seconds) * speed[worker]
        survives = rng.expovariate(1 / cluster.mean_time_to_failure) if _fails(cluster) else work
        if survives < work:
            failures += 1
            lost += survives
            waiting.append(tokens)
            heapq.heappush(events, (driver_free + survives + cluster.startup, worker))
            continue
        end = max(end, driver_free + work)
        heapq.heappush(events, (driver_free + work, worker))
    return Outcome(end, lost, failures)


def efficiency(shard_tokens: Sequence[int], cluster: Cluster, seed: int = 0) -> float:
    """Work that one faultless worker would do, over what all workers' time costs; in (0, 1]."""
    work = sum(tokens * cluster.token_seconds + cluster.shard_seconds for tokens in shard_tokens)
    return work / (cluster.workers * simulate(shard_tokens, cluster, seed).seconds)


def _fails(cluster: Cluster) -> bool:
    return cluster.mean_time_to_failure != float("inf")
