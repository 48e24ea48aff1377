"""A pool of Ray Data actors over one row per shard: the same for embed and score."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import ray

from copylens.config.schema import RunConfig
from copylens.errors import CopyLensError
from copylens.progress import progress
from ray_jobs.cluster.session import ray_session, user_errors


class ShardActor:
    """A worker of the pool; what it does with one row's task is `work`, of whoever derives."""

    def work(self, values: dict[str, Any]) -> int:
        """Publishes what the task asks for; returns how many items went in."""
        raise NotImplementedError

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Does the one task of a batch; returns its items and the seconds it took.

        A user's mistake comes back as data: an exception would lose its type on the way.
        """
        start = time.perf_counter()
        try:
            done, error = self.work(json.loads(str(batch["task"][0]))), ""
        except CopyLensError as fault:
            done, error = 0, str(fault).splitlines()[0]
        return {"done": [done], "seconds": [time.perf_counter() - start], "error": [error]}


def work_through(
    config: RunConfig,
    actor: type[ShardActor],
    tasks: Sequence[dict[str, Any]],
    title: str,
    total: int,
    unit: str = "passages",
) -> None:
    """Does the tasks on Ray, showing how far it is; without tasks Ray is not asked for.

    Args:
        tasks: JSON-ready values, what `actor.work` takes.
        title, total, unit: of the progress line; `total` counts what `work` returns.

    Raises:
        CopyLensError: an actor reports a user's mistake.
    """
    if not tasks:
        return
    rows = [{"task": json.dumps(task)} for task in tasks]
    with ray_session(config), user_errors(), progress(title, total, unit) as advance:
        for row in over_shards(config, actor, rows):
            advance(int(row["done"]))


def over_shards(
    config: RunConfig, actor: type[Any], rows: list[dict[str, str]]
) -> Iterator[dict[str, Any]]:
    """Yields what the actors return, in any order, as soon as it is there.

    One row per shard: no read tasks that could starve, and a lost worker costs one shard. All that
    an actor needs travels in its rows, so that one that is restarted finds it there.

    Args:
        actor: a class without constructor arguments, a ShardActor or one that answers likewise:
            its rows carry `error`, "" when all is well.

    Raises:
        CopyLensError: an actor reports a user's mistake.
    """
    if not rows:
        return
    resources = config.resources
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        actor,
        batch_size=1,
        compute=_pool(config, len(rows)),
        num_cpus=resources.cpus_per_worker,
        num_gpus=resources.gpus_per_worker,
    )
    for row in dataset.iter_rows():
        if row["error"]:
            raise CopyLensError(str(row["error"]))
        yield row


def _pool(config: RunConfig, shards: int) -> ray.data.ActorPoolStrategy:
    """A fixed pool, or one that grows with what waits; never more workers than shards."""
    most = min(config.resources.embed_workers, shards)
    least = config.resources.embed_workers_min
    if least is None or least >= most:
        return ray.data.ActorPoolStrategy(size=most)
    return ray.data.ActorPoolStrategy(min_size=least, max_size=most, initial_size=least)
