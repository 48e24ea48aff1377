"""The greedy batcher: order, what goes together, who pays for a bad item, and how much waits."""

import asyncio
import threading
import time

import pytest

from serve.replica.batcher import GreedyBatcher, OverloadedError


class Recorder:
    """Work that notes its batches, and can be held until a test lets it go."""

    def __init__(self, held=False):
        self.batches, self.threads = [], set()
        self.go, self.began = threading.Event(), threading.Event()
        if not held:
            self.go.set()

    def __call__(self, items):
        self.began.set()
        assert self.go.wait(5)
        self.threads.add(threading.get_ident())
        self.batches.append(list(items))
        if "bad" in items:
            raise ValueError("bad")
        return [item.upper() for item in items]


def make(work, max_items=4, max_size=100, max_waiting=50, max_seconds=float("inf")):
    return GreedyBatcher(work, len, max_items, max_size, max_waiting, max_seconds)


async def until_began(work):
    while not work.began.is_set():
        await asyncio.sleep(0.001)


def test_answers_keep_their_order_and_callers_their_own():
    work = Recorder()

    async def run():
        batcher = make(work)
        callers = [[f"c{n}-{m}" for m in range(n % 5 + 1)] for n in range(40)]
        many = make(work, max_waiting=1000)
        assert await batcher.submit([]) == []
        return callers, await asyncio.gather(*(many.submit(items) for items in callers))

    callers, answers = asyncio.run(run())
    assert answers == [[item.upper() for item in items] for items in callers]
    assert [item for batch in work.batches for item in batch] == [
        item for items in callers for item in items
    ]
    assert all(len(batch) <= 4 for batch in work.batches)
    assert len(work.threads) == 1


def test_what_waits_goes_together_and_a_lone_item_at_once():
    work = Recorder(held=True)

    async def run():
        batcher = make(work)
        first = asyncio.create_task(batcher.submit(["a"]))
        await until_began(work)
        rest = [asyncio.create_task(batcher.submit([item])) for item in "bcdefg"]
        await asyncio.sleep(0.01)
        assert batcher.waiting == 6
        assert batcher.busy_s >= 0.01
        work.go.set()
        await asyncio.gather(first, *rest)
        assert batcher.busy_s == 0

    asyncio.run(run())
    assert work.batches == [["a"], list("bcde"), list("fg")]


def test_a_batch_is_bounded_by_size_and_a_giant_goes_alone():
    work = Recorder(held=True)

    async def run():
        batcher = make(work, max_items=10, max_size=10)
        first = asyncio.create_task(batcher.submit(["a"]))
        await until_began(work)
        rest = asyncio.create_task(batcher.submit(["b" * 6, "c" * 4, "d", "e" * 30, "f" * 10, "g"]))
        await asyncio.sleep(0.01)
        work.go.set()
        await asyncio.gather(first, rest)

    asyncio.run(run())
    sizes = [[len(item) for item in batch] for batch in work.batches]
    assert sizes == [[1], [6, 4], [1], [30], [10], [1]]


def test_a_bad_item_costs_only_itself():
    work = Recorder()

    async def run():
        return await make(work).submit(["a", "bad", "c"])

    first, bad, last = asyncio.run(run())
    assert (first, last) == ("A", "C")
    assert isinstance(bad, ValueError)
    assert work.batches == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]


def test_too_few_results_are_nobodys_results():
    async def run():
        batcher = GreedyBatcher(lambda items: items[:1], len, 4, 100, 50)
        return await batcher.submit(["a", "b"])

    # Whoever is asked alone gets an answer that is surely its own.
    assert asyncio.run(run()) == ["a", "b"]


def test_a_full_queue_takes_all_of_a_request_or_nothing():
    work = Recorder(held=True)

    async def run():
        batcher = make(work, max_waiting=3)
        first = asyncio.create_task(batcher.submit(["a"]))
        await until_began(work)
        second = asyncio.create_task(batcher.submit(["b", "c"]))
        await asyncio.sleep(0.01)
        with pytest.raises(OverloadedError) as caught:
            await batcher.submit(["d", "e"])
        assert (caught.value.waiting, caught.value.limit) == (2, 3)
        third = asyncio.create_task(batcher.submit(["f"]))
        await asyncio.sleep(0)
        work.go.set()
        assert await asyncio.gather(first, second, third) == [["A"], ["B", "C"], ["F"]]

    asyncio.run(run())


def test_callers_who_leave_cost_no_work():
    work = Recorder(held=True)

    async def run():
        batcher = make(work)
        first = asyncio.create_task(batcher.submit(["a"]))
        await until_began(work)
        gone = asyncio.create_task(batcher.submit(["x", "y"]))
        stays = asyncio.create_task(batcher.submit(["b"]))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert batcher.waiting == 1
        work.go.set()
        assert await stays == ["B"]
        await first

    asyncio.run(run())
    assert work.batches == [["a"], ["b"]]


def test_the_wait_is_told_from_the_pace_of_the_last_batches():
    def work(items):
        time.sleep(0.02 * len(items))
        return items

    async def run():
        batcher = make(work, max_items=1)
        assert batcher.wait_s() == 0
        await batcher.submit(["a", "b", "c"])
        waiting = asyncio.create_task(batcher.submit(["d"] * 10))
        await asyncio.sleep(0.001)
        told, start = batcher.wait_s(), time.perf_counter()
        await waiting
        return told, time.perf_counter() - start

    told, took = asyncio.run(run())
    # Ten items wait, not one: a busy machine's pace may change, but not by so much.
    assert took / 4 < told < took * 4


def test_what_would_be_answered_too_late_is_refused_and_an_idle_batcher_takes_anything():
    work = Recorder()

    async def run():
        batcher = GreedyBatcher(work, len, 4, 1000, 50, max_seconds=1e-9)
        await batcher.submit(["a"])
        work.go.clear()
        work.began.clear()
        first = asyncio.create_task(batcher.submit(["long" * 9] * 3))
        await until_began(work)
        with pytest.raises(OverloadedError) as refusal:
            await batcher.submit(["b"])
        work.go.set()
        return refusal.value, await first, await batcher.submit(["c"])

    refusal, first, last = asyncio.run(run())
    assert refusal.waiting == 0
    # By then the batch in work is done, and an idle batcher takes anything.
    assert refusal.room_s == pytest.approx(max(refusal.wait_s, 0.005), abs=0.01)
    assert (len(first), last) == (3, ["C"])


def test_a_refused_request_is_told_when_it_would_be_taken():
    # A second for each item, as far as the batcher knows.
    work = Recorder(held=True)
    batcher = make(work, max_items=1, max_seconds=3.5)
    batcher._keep_pace(1.0, 1)

    async def run():
        tasks = [asyncio.create_task(batcher.submit(["x"])) for _ in range(3)]
        await asyncio.sleep(0.01)
        # One in work and two waiting are three seconds; another one makes four.
        with pytest.raises(OverloadedError) as one:
            await batcher.submit(["y"])
        with pytest.raises(OverloadedError) as three:
            await batcher.submit(["y"] * 3)
        work.go.set()
        await asyncio.gather(*tasks)
        return one.value, three.value

    one, three = asyncio.run(run())
    assert one.wait_s == pytest.approx(3.0, abs=0.3)
    assert one.room_s == pytest.approx(0.5, abs=0.3)
    assert three.room_s == pytest.approx(2.5, abs=0.3)


def test_closing_lets_nobody_wait_for_ever():
    work = Recorder(held=True)

    async def run():
        batcher = make(work)
        first = asyncio.create_task(batcher.submit(["a"]))
        await until_began(work)
        second = asyncio.create_task(batcher.submit(["b"]))
        await asyncio.sleep(0.01)
        assert not batcher.broken
        await batcher.close()
        await asyncio.sleep(0)
        assert batcher.broken
        with pytest.raises(asyncio.CancelledError):
            await second
        first.cancel()
        work.go.set()

    asyncio.run(run())
