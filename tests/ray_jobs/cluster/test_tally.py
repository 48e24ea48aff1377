"""Progress in tokens while shards are under way: what workers add is what the meter shows."""

import io
import time

import pytest

from copylens.probe.probe import PassRead, ignore_pass
from copylens.progress import LogLines
from ray_jobs.cluster.sums import Reading
from ray_jobs.cluster.tally import Adder, Reader, adder, tallied


def test_what_is_left_is_right_within_a_third_after_thirty_seconds():
    """Two workers, 1,000 tokens a second each, 4.5 characters a token, a minute to load the LM."""
    now, out = [0.0], io.StringIO()
    total = 200_000
    meter = LogLines("embed", 0, "tokens", out, clock=lambda: now[0])
    reader, reading = Reader(meter, round(4.5 * total), workers=2), Reading()
    while now[0] < 60 + 30:
        now[0] += 1
        if now[0] >= 60 and now[0] % 4 == 0:
            reading = Reading(
                reading.passes + 2,
                reading.tokens + 8000,
                reading.characters + 36_000,
                reading.seconds + 8,
            )
        reader.take(reading)
    lines = out.getvalue().splitlines()
    assert lines[0] == "embed: 1,000 tokens a second and worker: about 100 s"
    told = lines[-1]
    assert " of 200,000 tokens, 2,000.0 a second" in told
    left = int(told.split(", ")[-1].split()[0])
    done = int(told.split()[1].replace(",", ""))
    assert left == pytest.approx((total - done) / 2000, rel=0.3)


def test_the_total_follows_what_a_token_has_been_so_far():
    seen = []

    class Meter:
        def __call__(self, count):
            seen.append(count)

        def expect(self, total, pace="", seconds=0.0):
            seen.append((total, bool(pace)))

    reader = Reader(Meter(), 1000, workers=1)
    reader.take(Reading())
    reader.take(Reading(1, 100, 400, 1.0))
    reader.take(Reading(1, 100, 400, 1.0))
    reader.take(Reading(2, 200, 500, 2.0))
    assert seen == [(250, True), 100, (400, False), 100]


def test_quick_passes_share_a_message_and_none_is_lost_or_counted_twice():
    now, sent = [0.0], []

    class Fake:
        class add:  # noqa: N801 (as Ray calls a method of an actor)
            remote = sent.append

    add = Adder(Fake, clock=lambda: now[0])
    for _ in range(25):
        add(PassRead(10, 40, 0.125))
        now[0] += 0.125
    first, *others = sent
    assert first == Reading(1, 10, 40, 0.125)
    assert others == [Reading(4, 40, 160, 0.5)] * 6


@pytest.mark.ray
def test_workers_add_up_by_name(cluster):
    import ray

    seen = []

    class Meter:
        def __call__(self, count):
            seen.append(count)

        def expect(self, total, pace="", seconds=0.0):
            pass

    @ray.remote
    def work(name):
        add = adder(name)
        for _ in range(5):
            add(PassRead(10, 40, 0.1))
            time.sleep(0.51)  # so that each has a message of its own

    with tallied(Meter(), 400, workers=2) as name:
        ray.get([work.remote(name) for _ in range(2)])
        deadline = time.monotonic() + 10
        while sum(seen) < 100 and time.monotonic() < deadline:
            time.sleep(0.2)
    assert sum(seen) == 100
    assert adder(None) is ignore_pass
