"""A generation in this process: the LM writes in a thread, its events come out asynchronously."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import PurePath
from typing import TypeVar, cast

from copylens.verdict.scorer import Scorer
from serve.api.policy import Policy
from serve.replica.generation import Event, GenerateRequest, ModelCard, error_event
from serve.replica.generation_events import write_events

_T = TypeVar("_T")


class LocalBackend:
    """Serves generations with a scorer of this process; a `GenerationBackend`.

    Attributes:
        open: generations that are written or wait.
    """

    def __init__(self, current: Callable[[], Scorer], concurrency: int = 2, waiting: int = 16):
        """Nothing is loaded yet.

        Args:
            current: the scorer to use; asked once per generation, so that a change of the model
                leaves what is being written alone.
            concurrency: generations at a time, which take turns token by token ...
            waiting: ... while so many others wait; those beyond are refused.
        """
        self._current = current
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="generate")
        self._most, self._waiting = concurrency + waiting, waiting
        self.open = 0

    async def stream(self, request: GenerateRequest, policy: Policy) -> AsyncIterator[Event]:
        """Events of one generation; closing the iterator ends it within a token."""
        if self.open >= self._most:
            line = f"{self._waiting} generations are waiting already"
            yield error_event(429, "queue_full", line, "try again later")
            return
        self.open += 1
        events = in_thread(lambda: write_events(self._current(), request, policy), self._threads)
        try:
            async for event in events:
                yield event
        finally:
            self.open -= 1
            await events.aclose()

    async def card(self) -> ModelCard:
        """The LM by its folder's or hub id's last part."""
        loop = asyncio.get_running_loop()
        # The first to ask loads the LM.
        scorer = self._current()
        lm = await loop.run_in_executor(self._threads, lambda: scorer.probe.lm)
        identity = scorer.identity
        name = PurePath(identity.probe).name
        return ModelCard(name, lm.context, identity.name, identity.version)


class _End:
    """What a thread says last: that nothing follows, or why."""

    def __init__(self, error: BaseException | None = None):
        self.error = error


async def in_thread(
    make: Callable[[], Iterator[_T]], threads: ThreadPoolExecutor
) -> AsyncGenerator[_T, None]:
    """Items of an iterator that is made and run in a thread.

    When this generator is closed, the iterator is closed after the item under way.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[_T | _End] = asyncio.Queue()
    gone = threading.Event()

    def put(item: "_T | _End") -> None:
        # The loop may be closed by now; then nobody listens.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        end = _End()
        try:
            with closing(cast("Generator[_T, None, None]", make())) as items:
                for item in items:
                    if gone.is_set():
                        return
                    put(item)
        except BaseException as error:
            end = _End(error)
        finally:
            put(end)

    running = threads.submit(work)
    try:
        while not isinstance(item := await queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        gone.set()
        running.cancel()
