"""Twenty random kills of workers, nodes and drivers: nothing is lost, doubled, or different."""

import pytest

from benchmarks.chaos import KILLS, KINDS, chaos

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]


def test_jobs_survive_what_is_killed_under_them(tmp_path):
    found = chaos(tmp_path, seed=0)
    assert found["kills"] == sum(KILLS.values()) >= 20
    assert set(found["by_kind"]) == set(KINDS)
    assert (found["lost"], found["doubled"]) == (0, 0)
    assert found["identical"] is True
