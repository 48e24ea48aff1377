"""A greedy batcher: whatever waits when the LM is free goes together, and nothing waits longer.

Ray's own @serve.batch closes a batch by a timer even while another one runs, which makes small
batches under load and idle waits without it.
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

# What should be over by now will be over soon.
_SOON_S = 0.005


class OverloadedError(Exception):
    """The queue has no room for all of a request's items, so it takes none."""

    def __init__(self, waiting: int, limit: int, wait_s: float, room_s: float):
        """`wait_s`: until what was taken is done; `room_s`: until the request would be taken."""
        super().__init__(f"{waiting} of {limit} places are taken")
        self.waiting, self.limit, self.wait_s, self.room_s = waiting, limit, wait_s, room_s


@dataclass
class _Entry(Generic[T, R]):
    item: T
    size: int
    answer: "asyncio.Future[R]"


class GreedyBatcher(Generic[T, R]):
    """Items of many callers -> batches -> one thread that works on one batch at a time.

    First come, first served; answers go back in the order of each caller's items.
    """

    def __init__(
        self,
        work: Callable[[list[T]], list[R]],
        size: Callable[[T], int],
        max_items: int,
        max_size: int,
        max_waiting: int,
        max_seconds: float = float("inf"),
    ):
        """Starts nothing: the first `submit` does, on the loop it is called on.

        Args:
            work: one result per item, in order; runs in a thread.
            size: what `max_size` bounds the sum of; a larger item goes alone.
            max_waiting: items that may wait, those in work not counted.
            max_seconds: that an item may be foreseen to take, those before it included; where
                nothing is in work and nothing waits any item is taken.
        """
        self._work, self._size = work, size
        self._max_items, self._max_size, self._max_waiting = max_items, max_size, max_waiting
        self._max_seconds = max_seconds
        self._waiting: deque[_Entry[T, R]] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scorer")
        self._loop: asyncio.Task[None] | None = None
        # Seconds that a unit of size takes, smoothed; 0 until a batch was done.
        self._pace = 0.0
        self._began: float | None = None
        self._in_work = 0  # size of the batch under way

    @property
    def waiting(self) -> int:
        """Items that nobody works on yet."""
        return len(self._waiting)

    @property
    def broken(self) -> bool:
        """True when nothing will ever be worked on again."""
        return self._loop is not None and self._loop.done()

    @property
    def busy_s(self) -> float:
        """Seconds that the batch in work has taken so far; 0 when there is none."""
        return 0.0 if self._began is None else time.perf_counter() - self._began

    async def submit(self, items: Sequence[T]) -> list[R | Exception]:
        """Results in order; an item that fails has its exception and costs no other.

        When the caller is cancelled, its items that wait are dropped.

        Raises:
            OverloadedError: there is no room for all of them.
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
        return [_plain(result) for result in results]

    async def run(self, call: Callable[[], U]) -> U:
        """Runs something else on the same thread, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def wait_s(self) -> float:
        """Seconds until all that was taken will be done, by the pace of the last batches."""
        return self._rest_s() + self._pace * sum(entry.size for entry in self._waiting)

    def _rest_s(self) -> float:
        """Seconds until the batch in work will be done."""
        return max(0.0, self._pace * self._in_work - self.busy_s)

    def _room_s(self, items: int, size: int) -> float:
        """Seconds until so many more, of this size together, would be answered in time; 0 = now."""
        if len(self._waiting) + items > self._max_waiting:
            # Places become free when the next batch is taken.
            return max(self._rest_s(), _SOON_S)
        if self._began is None and not self._waiting:
            return 0.0
        # What waits goes together, so a later item's work is also an earlier one's wait.
        wait = self.wait_s()
        excess = wait + self._pace * size - self._max_seconds
        # An idle thread takes anything.
        return 0.0 if excess <= 0 else max(min(excess, wait), _SOON_S)

    async def close(self) -> None:
        """Ends the loop; whoever waits is cancelled."""
        if self._loop is not None:
            self._loop.cancel()
        for entry in self._waiting:
            entry.answer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = self._drain()
            if not batch:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._began = time.perf_counter()
            self._in_work = sum(entry.size for entry in batch)
            items = [entry.item for entry in batch]
            results = await loop.run_in_executor(self._thread, self._results, items)
            self._keep_pace(self.busy_s, self._in_work)
            self._began, self._in_work = None, 0
            for entry, result in zip(batch, results, strict=True):
                _give(entry.answer, result)

    def _drain(self) -> list[_Entry[T, R]]:
        """The next batch: in order, as much as fits; callers who left are passed over."""
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
        """In the thread. Where a batch fails its items go one by one, to find the bad one."""
        try:
            results = self._work(items)
            if len(results) != len(items):
                raise RuntimeError(f"{len(results)} results for {len(items)} items")
        except Exception as error:
            if len(items) == 1:
                return [error]
            return list(itertools.chain.from_iterable(self._results([item]) for item in items))
        return [*results]

    def _keep_pace(self, seconds: float, size: int) -> None:
        now = seconds / max(1, size)
        self._pace = now if self._pace == 0 else 0.8 * self._pace + 0.2 * now


def _give(answer: "asyncio.Future[R]", result: R | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _plain(result: R | BaseException) -> R | Exception:
    if isinstance(result, BaseException) and not isinstance(result, Exception):
        raise result
    return result
