"""Generations in this process: the LM runs in a thread, its events arrive on the event loop."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import PurePath
from typing import TypeVar, cast

from copylens.verdict.scorer import Scorer
from serve.api.policy import ContentPolicy
from serve.replica.generation import Event, GenerateRequest, ModelCard, error_event
from serve.replica.generation_events import write_events

_T = TypeVar("_T")


class LocalGenerationBackend:
    """A `GenerationBackend` that uses a scorer of this process.

    Attributes:
        open: generations that run or wait.
    """

    def __init__(self, current: Callable[[], Scorer], concurrency: int = 2, waiting: int = 16):
        """Loads nothing yet.

        Args:
            current: returns the scorer; called once per generation, so a running generation keeps
                its model when the model is reloaded.
            concurrency: generations that run at a time, interleaved token by token.
            waiting: generations that may wait; further ones are refused.
        """
        self._current = current
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="generate")
        self._most, self._waiting = concurrency + waiting, waiting
        self.open = 0

    async def stream(self, request: GenerateRequest, policy: ContentPolicy) -> AsyncIterator[Event]:
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

    async def card(self) -> ModelCard | None:
        """The LM, named by the last part of its folder or hub id; None without one."""
        scorer = self._current()
        identity = scorer.identity
        if identity.probe is None:
            return None
        loop = asyncio.get_running_loop()
        # The first call loads the LM.
        lm = await loop.run_in_executor(self._threads, lambda: scorer.probe.lm)
        return ModelCard(PurePath(identity.probe).name, lm.context, identity.name, identity.version)


class _End:
    """Sentinel in the queue: the iterator has ended, with `error` if it raised."""

    def __init__(self, error: BaseException | None = None):
        self.error = error


async def in_thread(
    make: Callable[[], Iterator[_T]], threads: ThreadPoolExecutor
) -> AsyncGenerator[_T, None]:
    """Items of an iterator that is created and consumed in a thread.

    When this generator is closed, the iterator is closed after its current item.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[_T | _End] = asyncio.Queue()
    closed = threading.Event()

    def put(item: "_T | _End") -> None:
        # RuntimeError: the loop is closed, so nothing reads the queue.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        end = _End()
        try:
            with closing(cast("Generator[_T, None, None]", make())) as items:
                for item in items:
                    if closed.is_set():
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
        closed.set()
        running.cancel()
