"""What workers have read so far, told to the driver while a shard is under way."""

import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.actor import ActorHandle

from copylens.config.schema import RunConfig
from copylens.probe.probe import OnPass, PassRead, ignore_pass
from copylens.progress import Meter, progress
from ray_jobs.cluster.pool import ShardActor, work_off
from ray_jobs.cluster.session import ray_session, user_errors
from ray_jobs.cluster.sums import Reading, Tally

_POLL_SECONDS = 1.0
_SEND_SECONDS = 0.5


class Reader:
    """Takes readings of the tally to a meter, which counts tokens."""

    def __init__(self, meter: Meter, characters: int, workers: int):
        """`characters`: that are to be read, by so many workers."""
        self._meter, self._characters, self._workers = meter, characters, workers
        self._told = Reading()

    def take(self, reading: Reading) -> None:
        """What has come since the last reading; the first one tells how long all will take."""
        if reading.passes == self._told.passes:
            return
        total = reading.tokens_of(self._characters)
        if not self._told.passes:
            seconds = reading.seconds / reading.tokens * total / self._workers
            rate = reading.tokens / reading.seconds
            self._meter.expect(total, f"{rate:,.0f} tokens a second and worker", seconds)
        else:
            self._meter.expect(total)
        self._meter(reading.tokens - self._told.tokens)
        self._told = reading


@contextmanager
def tallied(meter: Meter, characters: int, workers: int) -> Iterator[str]:
    """The name of a tally for workers to add to; the meter follows it until the block ends."""
    name = f"tally-{uuid.uuid4().hex}"
    tally, over = Tally.options(name=name).remote(), threading.Event()
    reader = Reader(meter, characters, workers)

    def follow() -> None:
        while not over.wait(_POLL_SECONDS):
            reader.take(ray.get(tally.read.remote()))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield name
    finally:
        over.set()
        thread.join()


def read_through(
    config: RunConfig,
    actor: type[ShardActor],
    tasks: Sequence[dict[str, Any]],
    title: str,
    characters: int,
) -> None:
    """Processes tasks whose texts an LM reads, if any; progress counts tokens, also within a task.

    Args:
        tasks: JSON-ready values; each gets the name of the tally that it adds to as `tally`.
        characters: that are to be read in all.

    Raises:
        CopyLensError: an actor reports one.
    """
    if not tasks:
        return
    workers = min(config.resources.embed_workers, len(tasks))
    with (
        ray_session(config),
        user_errors(),
        progress(title, 0, "tokens") as meter,
        tallied(meter, characters, workers) as tally,
    ):
        work_off(config, actor, [{**task, "tally": tally} for task in tasks])


class Adder:
    """Adds a worker's passes to a tally, first of all the first one.

    A message costs a millisecond of two processes, so quick passes share one; those of a worker's
    last half second are not told.
    """

    def __init__(self, tally: ActorHandle, clock: Callable[[], float] = time.monotonic):
        self._tally, self._clock = tally, clock
        self._sum, self._sent = Reading(), -math.inf

    def __call__(self, read: PassRead) -> None:
        """One pass more."""
        self._sum = self._sum.plus(Reading(1, **vars(read)))
        now = self._clock()
        if now - self._sent < _SEND_SECONDS:
            return
        self._tally.add.remote(self._sum)
        self._sum, self._sent = Reading(), now


def adder(name: str | None) -> OnPass:
    """What a worker calls after each pass to add it to the tally of this name, if there is one."""
    return ignore_pass if name is None else Adder(ray.get_actor(name))
