"""A pool of Ray Data actors over one row per shard: the same for embed and score."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import ray

from copylens.config.schema import RunConfig
from copylens.errors import CopyLensError
from copylens.progress import progress
from ray_jobs.cluster.session import ray_session, user_errors


class ShardActor:
    """An actor of the pool. Subclasses implement `work`, which processes the task of one row."""

    def work(self, values: dict[str, Any]) -> int:
        """Publishes what the task asks for; returns how many items went in."""
        raise NotImplementedError

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Does the one task of a batch; returns its items and the seconds it took.

        A CopyLensError is returned as data: as an exception it would lose its type on the way.
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
    """Processes the tasks on Ray and shows progress; without tasks no Ray is started.

    Args:
        tasks: JSON-ready values, what `actor.work` takes.
        title, total, unit: of the progress line; `total` counts what `work` returns.

    Raises:
        CopyLensError: an actor reports one.
    """
    if not tasks:
        return
    with ray_session(config), user_errors(), progress(title, total, unit) as advance:
        work_off(config, actor, tasks, advance)


def work_off(
    config: RunConfig,
    actor: type[ShardActor],
    tasks: Sequence[dict[str, Any]],
    advance: Callable[[int], None] = lambda done: None,
) -> None:
    """Processes the tasks on the Ray that is connected; `advance` gets what `work` returns."""
    rows = [{"task": json.dumps(task)} for task in tasks]
    for row in over_shards(config, actor, rows):
        advance(int(row["done"]))


def over_shards(
    config: RunConfig, actor: type[Any], rows: list[dict[str, str]]
) -> Iterator[dict[str, Any]]:
    """Yields what the actors return, in order of completion.

    One row per shard: no read tasks that could starve, and a lost worker costs one shard. A row
    holds all that an actor needs, so that a restarted actor needs nothing else.

    Args:
        actor: a class without constructor arguments: a ShardActor, or one with the same output:
            its rows carry `error`, "" when all is well.

    Raises:
        CopyLensError: an actor reports one.
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
    # Without prefetching: its thread may outlive `ray.shutdown`, and Ray then starts itself again.
    batches = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    for row in (row for batch in batches for row in batch.to_pylist()):
        if row["error"]:
            raise CopyLensError(str(row["error"]))
        yield row


def _pool(config: RunConfig, shards: int) -> ray.data.ActorPoolStrategy:
    """A pool of fixed size, or one that grows with the queue; never more actors than shards."""
    most = min(config.resources.embed_workers, shards)
    least = config.resources.embed_workers_min
    if least is None or least >= most:
        # No shard waits for a busy actor: at the end the others would be idle meanwhile. (A pool
        # that may grow needs shards that wait, as the sign that it should.)
        return ray.data.ActorPoolStrategy(size=most, max_tasks_in_flight_per_actor=1)
    return ray.data.ActorPoolStrategy(min_size=least, max_size=most, initial_size=least)
