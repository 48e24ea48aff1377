"""The simulation against what can be worked out by hand."""

import math

import pytest

from benchmarks.support.simulation import Cluster, efficiency, simulate

PLAIN = Cluster(workers=4, startup=5.0, token_seconds=0.01, shard_seconds=0.5, handout=0.0)


@pytest.mark.parametrize("shards", [1, 4, 5, 97])
@pytest.mark.parametrize("workers", [1, 4])
def test_equal_shards_go_in_rounds(shards, workers):
    cluster = Cluster(workers, 5.0, 0.01, 0.5, handout=0.0)
    expected = 5.0 + math.ceil(shards / workers) * (100 * 0.01 + 0.5)
    assert simulate([100] * shards, cluster).seconds == pytest.approx(expected)


def test_the_driver_limits_what_is_handed_out():
    cluster = Cluster(1000, 0.0, 0.001, 0.0, handout=0.2)
    assert simulate([1] * 500, cluster).seconds == pytest.approx(500 * 0.2 + 0.001)


def test_a_slow_worker_gets_fewer_shards():
    all_slow = Cluster(4, 5.0, 0.01, 0.5, 0.0, stragglers=1.0, slowdown=3.0)
    assert simulate([100] * 40, all_slow).seconds == pytest.approx(5 + 10 * 3 * 1.5)
    some = Cluster(4, 5.0, 0.01, 0.5, 0.0, stragglers=0.5, slowdown=3.0)
    between = simulate([100] * 400, some, seed=1).seconds
    assert simulate([100] * 400, PLAIN).seconds < between < 5 + 100 * 3 * 1.5


def test_failures_cost_what_memoryless_work_must_cost():
    """One worker, exponential failures: E[time per shard] = (1/r + s) (e^(r w) - 1).

    (A restart from nothing after each failure; s = start-up, w = work, r = rate.)
    """
    work, rate, startup = 10.0, 1 / 20.0, 2.0
    cluster = Cluster(1, startup, 0.0, work, 0.0, mean_time_to_failure=1 / rate)
    outcome = simulate([1] * 20_000, cluster)
    expected = (1 / rate + startup) * (math.exp(rate * work) - 1)
    assert outcome.seconds / 20_000 == pytest.approx(expected, rel=0.03)
    assert outcome.failures / 20_000 == pytest.approx(math.exp(rate * work) - 1, rel=0.05)


def test_efficiency_is_one_without_any_cost_beside_the_work():
    free = Cluster(4, 0.0, 0.01, 0.5, 0.0)
    assert efficiency([100] * 40, free) == pytest.approx(1.0)
    assert efficiency([100] * 41, free) == pytest.approx(41 / 44)
    assert efficiency([100] * 40, PLAIN) == pytest.approx(15 / 20)


def test_same_seed_same_outcome():
    cluster = Cluster(8, 3.0, 0.01, 0.5, 0.001, 50.0, 0.2, 3.0)
    assert simulate([100] * 300, cluster, 7) == simulate([100] * 300, cluster, 7)
