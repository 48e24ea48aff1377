"""The greedy batcher: order, what goes together, who pays for a bad item, and how much waits."""

import asyncio
import threading

import pytest

from serve.replica.batcher import GreedyBatcher, OverloadedError


class Recorder:
    """Work that records its batches, and can be held until a test lets it go.

    It is also the batcher's clock: each unit of size takes `pace` seconds.
    """

    def __init__(self, held=False, pace=0.0):
        self.batches, self.threads = [], set()
        self.go, self.began = threading.Event(), threading.Event()
        self.pace, self.now = pace, 0.0
        if not held:
            self.go.set()

    def hold(self):
        self.go.clear()
        self.began.clear()

    def __call__(self, items):
        self.began.set()
        assert self.go.wait(60)
        self.now += self.pace * sum(map(len, items))
        self.threads.add(threading.get_ident())
        self.batches.append(list(items))
        if "bad" in items:
            raise ValueError("bad")
        return [item.upper() for item in items]


def make(work, max_items=4, max_size=100, max_waiting=50, max_seconds=float("inf")):
    return GreedyBatcher(
        work, len, max_items, max_size, max_waiting, max_seconds, clock=lambda: work.now
    )


async def until_began(work):
    assert await asyncio.to_thread(work.began.wait, 60)


async def queued():
    """Lets every task that was created run until it waits for its results."""
    await asyncio.sleep(0)


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
        await queued()
        assert batcher.waiting == 6
        assert batcher.busy_s == 0
        work.now += 0.25
        assert batcher.busy_s == 0.25
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
        await queued()
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
        await queued()
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
        await queued()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert batcher.waiting == 1
        work.go.set()
        assert await stays == ["B"]
        await first

    asyncio.run(run())
    assert work.batches == [["a"], ["b"]]


def test_the_wait_is_estimated_from_the_pace_of_the_last_batches():
    work = Recorder(pace=0.02)

    async def run():
        batcher = make(work, max_items=1)
        assert batcher.wait_s() == 0
        await batcher.submit(["a", "b", "c"])
        work.hold()
        waiting = asyncio.create_task(batcher.submit(["d"] * 10))
        await until_began(work)
        # One runs and nine wait; then half of the first one's time has passed.
        assert batcher.wait_s() == pytest.approx(0.2)
        work.now += 0.01
        assert batcher.wait_s() == pytest.approx(0.19)
        # A batch that takes longer than estimated leaves the others' time.
        work.now += 5
        assert batcher.wait_s() == pytest.approx(0.18)
        work.go.set()
        await waiting

    asyncio.run(run())


def test_the_pace_is_smoothed():
    work = Recorder(pace=1.0)

    async def run():
        batcher = make(work)
        await batcher.submit(["a"])
        work.pace = 2.0
        await batcher.submit(["a"])
        work.hold()
        waiting = asyncio.create_task(batcher.submit(["b"]))
        await until_began(work)
        assert batcher.wait_s() == pytest.approx(0.8 * 1.0 + 0.2 * 2.0)
        work.go.set()
        await waiting

    asyncio.run(run())


def test_what_would_be_answered_too_late_is_refused_and_an_idle_batcher_takes_anything():
    work = Recorder(pace=1.0)

    async def run():
        batcher = make(work, max_size=1000, max_seconds=0.5)
        await batcher.submit(["a"])
        work.hold()
        first = asyncio.create_task(batcher.submit(["long" * 9] * 3))
        await until_began(work)
        with pytest.raises(OverloadedError) as refusal:
            await batcher.submit(["b"])
        work.go.set()
        return refusal.value, await first, await batcher.submit(["c"])

    refusal, first, last = asyncio.run(run())
    assert refusal.waiting == 0
    # After 108 s the running batch is done, and an idle batcher takes anything.
    assert (refusal.wait_s, refusal.room_s) == pytest.approx((108, 108))
    assert (len(first), last) == (3, ["C"])


def test_a_refused_request_is_told_when_it_would_be_taken():
    work = Recorder(pace=1.0)

    async def run():
        batcher = make(work, max_items=1, max_seconds=3.5)
        await batcher.submit(["x"])
        work.hold()
        tasks = [asyncio.create_task(batcher.submit(["x"])) for _ in range(3)]
        await until_began(work)
        # One in work and two waiting are three seconds; another one makes four.
        with pytest.raises(OverloadedError) as one:
            await batcher.submit(["y"])
        with pytest.raises(OverloadedError) as three:
            await batcher.submit(["y"] * 3)
        work.go.set()
        await asyncio.gather(*tasks)
        return one.value, three.value

    one, three = asyncio.run(run())
    assert one.wait_s == pytest.approx(3.0)
    assert one.room_s == pytest.approx(0.5)
    assert three.room_s == pytest.approx(2.5)


def test_closing_lets_nobody_wait_for_ever():
    work = Recorder(held=True)

    async def run():
        batcher = make(work)
        first = asyncio.create_task(batcher.submit(["a"]))
        await until_began(work)
        second = asyncio.create_task(batcher.submit(["b"]))
        await queued()
        assert not batcher.broken
        await batcher.close()
        await asyncio.sleep(0)
        assert batcher.broken
        with pytest.raises(asyncio.CancelledError):
            await second
        first.cancel()
        work.go.set()

    asyncio.run(run())
