"""What the takedown benchmark counts as a kept order."""

import numpy as np
import pytest

from benchmarks.takedown import compared


def test_shares_too_small_to_be_seen_may_change_places():
    before, after = np.array([0.9, 0.05, 0.004, 0.003]), np.array([0.9, 0.05, 0.003, 0.004])
    same, pairs, gap = compared(before, after)
    assert same
    assert pairs == pytest.approx(5 / 6)
    assert gap == pytest.approx(0.001)


def test_two_seen_shares_that_change_places_are_told_with_their_distance():
    same, pairs, gap = compared(np.array([0.5, 0.3, 0.2]), np.array([0.5, 0.24, 0.26]))
    assert not same
    assert pairs == pytest.approx(2 / 3)
    assert gap == pytest.approx(0.1)


def test_nothing_that_moved_but_kept_its_place_counts():
    assert compared(np.array([0.6, 0.4]), np.array([0.7, 0.3])) == (True, 1.0, 0.0)
