"""Intervals of shares: what they cover of texts that they were not calibrated on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copylens.detector.intervals import IntervalsByLength, ShareIntervals, fit_intervals

K = 4
PURE, MIXED, PARTLY, FOREIGN = range(4)


def true_shares(kind: int, n: int, generator: np.random.Generator) -> np.ndarray:
    """[n, K + 1], the last one of "unregistered"."""
    truth = np.zeros((n, K + 1))
    for row in truth:
        chosen = generator.choice(K, 2, replace=False)
        parts = generator.dirichlet(np.ones(2))
        if kind == PURE:
            row[chosen[0]] = 1
        elif kind == MIXED:
            row[chosen] = parts
        elif kind == PARTLY:
            row[[chosen[0], K]] = parts
        else:
            row[K] = 1
    return truth


def told(n: int, seed: int, wrong: float = 0.08, certainty: float = 12.0):
    """Shares, truth and kinds of n texts of each kind, as a reader sees them.

    The reader takes the sources of some texts for others, and is not sure of the proportions.
    """
    generator = np.random.default_rng(seed)
    truth = np.concatenate([true_shares(kind, n, generator) for kind in range(4)])
    read = truth.copy()
    for row in read:
        if generator.random() < wrong:
            row[:] = row[generator.permutation(K + 1)]
    seen = generator.gamma(certainty * read + 0.15) + 1e-12
    seen /= seen.sum(axis=1, keepdims=True)
    texts = np.repeat(np.arange(4), n * K), np.repeat(np.arange(4 * n), K)
    return seen[:, :K].ravel(), truth[:, :K].ravel(), texts


@pytest.mark.parametrize(("wrong", "certainty"), [(0.08, 6), (0.08, 30), (0.12, 12)])
def test_true_sources_of_new_texts_are_covered_as_asked(wrong, certainty) -> None:
    intervals = fit_intervals(*told(1500, 0, wrong, certainty), coverage=0.9, tokens=300)
    told_new = told(1500, 1, wrong, certainty)
    by_kind = covered(intervals, *told_new)
    assert np.mean(by_kind) == pytest.approx(0.9, abs=0.02)
    assert min(by_kind) >= 0.86 and max(by_kind) <= 0.96
    low, high = intervals.bounds(told_new[0])
    assert ((low <= told_new[1]) & (told_new[1] <= high))[told_new[1] == 0].mean() > 0.95
    assert (high - low).mean() < 0.4, "covering by saying nothing"


def covered(intervals: ShareIntervals, shares, truth, texts) -> list[float]:
    """Share of the true sources of each kind that lie in their interval."""
    low, high = intervals.bounds(shares)
    held, kinds = (low <= truth) & (truth <= high), texts[0]
    return [held[(truth > 0) & (kinds == kind)].mean() for kind in (PURE, MIXED, PARTLY)]


def test_few_texts_promise_no_more_than_they_keep() -> None:
    """Measured on the very texts that it was read off, the coverage of 40 texts is 3 points off."""
    new = told(1500, 100)
    kept = [
        np.mean(covered(fit_intervals(*told(40, seed), coverage=0.9, tokens=300), *new))
        for seed in range(12)
    ]
    assert 0.885 <= np.mean(kept) <= 0.935


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.integers(0, 10**6), st.floats(0.5, 0.99))
def test_bounds_contain_the_share_whatever_the_sample(n, seed, coverage) -> None:
    generator = np.random.default_rng(seed)
    shares, truth = generator.random((2, n)).round(int(generator.integers(1, 9)))
    truth[0] = 0.5
    texts = np.zeros(n, int), generator.integers(0, 9, n)
    intervals = fit_intervals(shares, truth, texts, coverage=coverage, tokens=9)
    asked = np.concatenate([shares, np.linspace(0, 1, 101)])
    low, high = intervals.bounds(asked)
    assert (low <= asked).all() and (asked <= high).all()
    assert low.min() >= 0 and high.max() <= 1


def test_a_larger_share_has_larger_bounds_and_a_higher_level_wider_ones() -> None:
    grid = np.linspace(0, 1, 21)
    fits = [fit_intervals(*told(1500, 2), coverage=c, tokens=300) for c in (0.6, 0.9)]
    (low, high), (wide_low, wide_high) = (fit.bounds(grid) for fit in fits)
    assert (np.diff(wide_high) >= 0).all() and (np.diff(wide_low) >= 0).all()
    assert (wide_high - wide_low).mean() > (high - low).mean() + 0.05


def test_kinds_weigh_the_same_however_many_texts_they_have() -> None:
    """One share of two kinds, one always wholly true and one half: the larger must not drown it."""
    shares = np.full(1020, 0.7)  # equal shares are not cut apart
    truth = np.repeat([1.0, 0.5], [1000, 20])
    texts = np.repeat([0, 1], [1000, 20]), np.arange(1020)
    intervals = fit_intervals(shares, truth, texts, coverage=0.9, tokens=9)
    low, high = intervals.bounds(np.array([0.7]))
    assert (low[0], high[0]) == (0.5, 1.0)


def test_levels_of_length_round_trip_and_meet_in_between() -> None:
    levels = tuple(
        fit_intervals(*told(200, seed), coverage=0.9, tokens=tokens)
        for seed, tokens in ((3, 20.0), (4, 80.0))
    )
    by_length = IntervalsByLength(levels)
    again = IntervalsByLength.from_arrays(by_length.arrays())
    shares = np.array([0.0, 0.1, 0.55, 0.9])
    for tokens in (3, 20, 40, 80, 500):
        for one, other in zip(by_length.bounds(shares, tokens), again.bounds(shares, tokens)):
            np.testing.assert_array_equal(one, other)
    ends = [level.bounds(shares) for level in levels]
    for side in range(2):
        np.testing.assert_allclose(by_length.bounds(shares, 3)[side], ends[0][side])
        np.testing.assert_allclose(by_length.bounds(shares, 80)[side], ends[1][side])
        halfway = (ends[0][side] + ends[1][side]) / 2
        np.testing.assert_allclose(by_length.bounds(shares, 40)[side], halfway)


def test_more_than_ten_levels_keep_their_order() -> None:
    none = np.array([0.5])
    levels = tuple(ShareIntervals(float(t), none, none / t, none) for t in range(1, 14))
    again = IntervalsByLength.from_arrays(IntervalsByLength(levels).arrays())
    assert [level.tokens for level in again.levels] == [float(t) for t in range(1, 14)]
