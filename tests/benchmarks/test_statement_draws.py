"""The logs that the statement's benchmark draws from a run: whole works, no passage twice."""

import numpy as np
import pytest

from benchmarks.statement import draw, parted
from copylens.fit.confusion import HeldOutShares

# Origins of single passages, of works of five, and of two works of thirty.
WORKS = ([1] * 150, [5] * 40, [30] * 2)
LABELS = np.repeat(np.arange(3), [sum(works) for works in WORKS])
GROUPS = np.repeat(np.arange(192), np.concatenate(WORKS))
# Every passage is told by its share.
KNOWN = HeldOutShares(np.arange(len(LABELS))[:, None] * np.ones(3), LABELS, GROUPS)


def test_works_are_parted_whole_and_anew():
    rng = np.random.default_rng(0)
    partings = [parted(KNOWN, np.array([60, 58, 20]), rng) for _ in range(20)]
    for first, rest in partings:
        assert first.counts.tolist() == [60, 60, 30]
        assert not set(first.groups) & set(rest.groups)
        both = np.concatenate([first.shares, rest.shares])[:, 0]
        assert sorted(both) == list(range(len(LABELS)))
    assert len({tuple(first.groups) for first, _ in partings}) == 20


@pytest.mark.parametrize("mixture", [[0.6, 0.3, 0.1], [1.0, 0.0, 0.0], [0.01, 0.01, 0.98]])
def test_a_log_is_of_its_mixture_and_takes_no_passage_twice(mixture):
    rng = np.random.default_rng(1)
    logs = [draw(KNOWN, np.array(mixture), rng) for _ in range(300)]
    assert all(len(set(rows)) == len(rows) for rows in logs)
    shares = [np.bincount(LABELS[rows], minlength=3) / len(rows) for rows in logs]
    assert np.mean(shares, axis=0) == pytest.approx(mixture, abs=0.01)
    # As large as three standard deviations allow, no larger.
    size, p = len(logs[0]), np.array(mixture)
    needed = [n * p + 3 * np.sqrt(n * p * (1 - p)) for n in (size, size + 2)]
    assert (needed[0] <= KNOWN.counts + 1e-6).all() and (needed[1] > KNOWN.counts).any()
