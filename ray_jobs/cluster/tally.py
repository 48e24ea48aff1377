"""What workers have read so far, told to the driver while a shard is under way."""

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray

from copylens.config.schema import RunConfig
from copylens.probe.probe import OnPass, ignore_pass
from copylens.progress import Meter, progress
from ray_jobs.cluster.pool import ShardActor, work_off
from ray_jobs.cluster.session import ray_session, user_errors

_POLL_SECONDS = 1.0


@dataclass
class Reading:
    """Sums over all passes of all workers.

    Attributes:
        passes, tokens, characters, seconds: of the passes that have ended.
    """

    passes: int = 0
    tokens: int = 0
    characters: int = 0
    seconds: float = 0.0

    def tokens_of(self, characters: int) -> int:
        """How many tokens so many characters will be, by what has been read."""
        return round(characters * self.tokens / max(self.characters, 1))


@ray.remote(num_cpus=0)
class Tally:
    """Adds up; a message per pass of an LM is nothing beside the pass."""

    def __init__(self) -> None:
        self._sum = Reading()

    def add(self, tokens: int, characters: int, seconds: float) -> None:
        """One pass more."""
        self._sum.passes += 1
        self._sum.tokens += tokens
        self._sum.characters += characters
        self._sum.seconds += seconds

    def read(self) -> Reading:
        """The sums."""
        return self._sum


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


def adder(name: str | None) -> OnPass:
    """What a worker calls after each pass to add it to the tally of this name, if there is one."""
    if name is None:
        return ignore_pass
    tally = ray.get_actor(name)
    return lambda read: tally.add.remote(**vars(read))
