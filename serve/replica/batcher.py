"""Dynamic batching without a timer: when the LM is free, all waiting items form the next batch.

`@serve.batch` of Ray Serve closes a batch by a timer even while another one runs: that makes small
batches under load, and adds idle waits without load.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
U = TypeVar("U")

# Least wait to report where the estimate says that there is none left.
_SOON_S = 0.005


class OverloadedError(Exception):
    """The queue has no room for all of a request's items, so none was queued."""

    def __init__(self, waiting: int, limit: int, wait_s: float, room_s: float):
        """Seconds: `wait_s` until the queue is done; `room_s` until the request would fit."""
        super().__init__(f"{waiting} of {limit} places are taken")
        self.waiting, self.limit, self.wait_s, self.room_s = waiting, limit, wait_s, room_s


@dataclass
class _Entry(Generic[T, R]):
    item: T
    size: int
    answer: "asyncio.Future[R]"


class GreedyBatcher(Generic[T, R]):
    """Batches the items of many callers; one thread works on one batch at a time.

    First in, first out; each caller gets its results in the order of its items.
    """

    def __init__(
        self,
        work: Callable[[list[T]], list[R]],
        size: Callable[[T], int],
        max_items: int,
        max_size: int,
        max_waiting: int,
        max_seconds: float = float("inf"),
        clock: Callable[[], float] = time.perf_counter,
    ):
        """Starts nothing; the first `submit` starts the batching task on its event loop.

        Args:
            work: a batch -> one result per item, in order; runs in the thread.
            size: of an item; `max_size` bounds a batch's sum. A larger item is a batch of its own.
            max_waiting: items in the queue, not counting the batch that runs.
            max_seconds: estimated time until an item's result, queueing included; not applied
                where nothing runs and nothing waits.
            clock: seconds; replaced in tests.
        """
        self._work, self._size = work, size
        self._max_items, self._max_size, self._max_waiting = max_items, max_size, max_waiting
        self._max_seconds, self._clock = max_seconds, clock
        self._waiting: deque[_Entry[T, R]] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scorer")
        self._loop: asyncio.Task[None] | None = None
        # Seconds per unit of size, exponentially smoothed; 0 before the first batch.
        self._pace = 0.0
        self._began: float | None = None
        self._running_size = 0  # of the batch that runs

    @property
    def waiting(self) -> int:
        """Items in the queue."""
        return len(self._waiting)

    @property
    def broken(self) -> bool:
        """True where the batching task has ended, so nothing will be processed any more."""
        return self._loop is not None and self._loop.done()

    @property
    def busy_s(self) -> float:
        """Seconds that the current batch has run so far; 0 where none runs."""
        return 0.0 if self._began is None else self._clock() - self._began

    async def submit(self, items: Sequence[T]) -> list[R | Exception]:
        """Results in order; of an item that fails its exception, without effect on the others.

        When the caller is cancelled, its items leave the queue.

        Raises:
            OverloadedError: the queue has no room for all of them.
        """
        sizes = [self._size(item) for item in items]
        if (room_s := self._room_s(len(items), sum(sizes))) > 0:
            waiting = len(self._waiting)
            raise OverloadedError(waiting, self._max_waiting, self.wait_s(), room_s)
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop.create_task(self._serve())
        entries = [_Entry(item, n, loop.create_future()) for item, n in zip(items, sizes)]
        self._waiting.extend(entries)
        self._wake.set()
        try:
            results = await asyncio.gather(*(e.answer for e in entries), return_exceptions=True)
        except asyncio.CancelledError:
            self._waiting = deque(e for e in self._waiting if not e.answer.cancelled())
            raise
        return [_without_cancellation(result) for result in results]

    async def run(self, call: Callable[[], U]) -> U:
        """Runs a function in the batching thread, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def wait_s(self) -> float:
        """Estimated seconds until the queue is done, by the speed of the last batches."""
        return self._rest_s() + self._pace * sum(entry.size for entry in self._waiting)

    def _rest_s(self) -> float:
        """Estimated seconds until the current batch is done."""
        return max(0.0, self._pace * self._running_size - self.busy_s)

    def _room_s(self, items: int, size: int) -> float:
        """Seconds until a request of so many items and this total size would fit; 0 = now."""
        if len(self._waiting) + items > self._max_waiting:
            # Queue places become free when the next batch starts.
            return max(self._rest_s(), _SOON_S)
        if self._began is None and not self._waiting:
            return 0.0
        # Items of one batch finish together, so the new items' work counts as well.
        wait = self.wait_s()
        excess = wait + self._pace * size - self._max_seconds
        # After `wait` the thread is idle, and an idle thread accepts any item.
        return 0.0 if excess <= 0 else max(min(excess, wait), _SOON_S)

    async def close(self) -> None:
        """Ends the batching task; waiting callers are cancelled."""
        if self._loop is not None:
            self._loop.cancel()
        for entry in self._waiting:
            entry.answer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = self._next_batch()
            if not batch:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._began = self._clock()
            self._running_size = sum(entry.size for entry in batch)
            items = [entry.item for entry in batch]
            results = await loop.run_in_executor(self._thread, self._results, items)
            self._update_pace(self.busy_s, self._running_size)
            self._began, self._running_size = None, 0
            for entry, result in zip(batch, results, strict=True):
                _resolve(entry.answer, result)

    def _next_batch(self) -> list[_Entry[T, R]]:
        """In order, as much as fits; items of cancelled callers are skipped."""
        batch: list[_Entry[T, R]] = []
        size = 0
        while self._waiting and len(batch) < self._max_items:
            entry = self._waiting[0]
            if batch and size + entry.size > self._max_size:
                break
            self._waiting.popleft()
            if not entry.answer.done():
                batch.append(entry)
                size += entry.size
        return batch

    def _results(self, items: list[T]) -> list[R | Exception]:
        """Runs in the thread. Where a batch fails, its items are tried one by one."""
        try:
            results = self._work(items)
            if len(results) != len(items):
                raise RuntimeError(f"{len(results)} results for {len(items)} items")
        except Exception as error:
            if len(items) == 1:
                return [error]
            return list(itertools.chain.from_iterable(self._results([item]) for item in items))
        return [*results]

    def _update_pace(self, seconds: float, size: int) -> None:
        now = seconds / max(1, size)
        self._pace = now if self._pace == 0 else 0.8 * self._pace + 0.2 * now


def _resolve(answer: "asyncio.Future[R]", result: R | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _without_cancellation(result: R | BaseException) -> R | Exception:
    if isinstance(result, BaseException) and not isinstance(result, Exception):
        raise result
    return result
