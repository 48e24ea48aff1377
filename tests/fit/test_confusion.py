"""The soft confusion matrix: means by hand, and the variance of a mean over split groups."""

import numpy as np
import pytest

from copylens.fit.confusion import HeldOutShares


def by_groups(sizes: list[int], spread: float, seed: int) -> HeldOutShares:
    """Passages of sub-dataset 0 in groups of these sizes, and two of `unregistered`."""
    rng = np.random.default_rng(seed)
    own = np.concatenate([np.full(n, 0.6 + spread * rng.normal()) for n in sizes])
    shares = np.concatenate([np.stack([own, 1 - own], axis=1), [[0.1, 0.9], [0.3, 0.7]]])
    labels = np.repeat([0, 1], [len(own), 2])
    groups = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), [90, 91]])
    return HeldOutShares(shares, labels, groups)


HELD = HeldOutShares(
    shares=np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.0, 0.7, 0.3], [0.2, 0.2, 0.6]]),
    labels=np.array([0, 0, 1, 2]),
    groups=np.array([4, 4, 5, 6]),
)


def test_rows_are_mean_shares_of_the_passages_of_an_origin() -> None:
    expected = [[0.7, 0.15, 0.15], [0.0, 0.7, 0.3], [0.2, 0.2, 0.6]]
    np.testing.assert_allclose(HELD.matrix(), expected)


def test_passages_and_groups_are_counted_by_origin() -> None:
    assert HELD.counts.tolist() == [2, 1, 1]
    assert HELD.group_counts.tolist() == [1, 1, 1]
    # One group number under two origins is two groups.
    both = HeldOutShares(np.eye(2)[[0, 0, 1]], np.array([0, 0, 1]), np.array([1, 2, 2]))
    assert both.group_counts.tolist() == [2, 1]


def test_without_unregistered_passages_its_row_is_assumed() -> None:
    registered = HeldOutShares(HELD.shares[:3], HELD.labels[:3], HELD.groups[:3])
    usual = registered.shares.mean(axis=0)
    row = registered.matrix()[2]
    assert row[2] == pytest.approx((1 + usual[2]) / 2)
    assert row[:2] / row[:2].sum() == pytest.approx(usual[:2] / usual[:2].sum())
    assert row.sum() == pytest.approx(1)
    np.testing.assert_array_equal(registered.matrix()[:2], HELD.matrix()[:2])


def test_every_drawn_row_is_a_distribution_and_their_mean_is_the_matrix() -> None:
    held = by_groups([3] * 12, 0.1, seed=0)
    drawn = held.resampled(np.random.default_rng(1), 4000)
    assert drawn.shape == (4000, 2, 2)
    np.testing.assert_allclose(drawn.sum(axis=2), 1)
    assert (drawn >= 0).all()
    np.testing.assert_allclose(drawn.mean(axis=0), held.matrix(), atol=0.005)


@pytest.mark.parametrize("groups", [3, 10, 40])
def test_the_spread_is_that_of_a_mean_over_groups_not_over_passages(groups) -> None:
    """Against the textbook's unbiased variance of a mean: s^2 / G."""
    held = by_groups([5] * groups, 0.1, seed=2)
    means = held.shares[held.labels == 0, 0].reshape(groups, 5)[:, 0]
    expected = means.std(ddof=1) / np.sqrt(groups)
    drawn = held.resampled(np.random.default_rng(3), 20_000)[:, 0, 0]
    assert drawn.std() == pytest.approx(expected, rel=0.15)
    alone = HeldOutShares(held.shares, held.labels, np.arange(len(held.labels)))
    finer = alone.resampled(np.random.default_rng(3), 20_000)[:, 0, 0]
    assert finer.std() < 0.7 * drawn.std()


def test_a_large_group_counts_by_its_passages() -> None:
    held = HeldOutShares(
        np.array([[0.9, 0.1]] * 30 + [[0.1, 0.9]] * 10 + [[0.0, 1.0]]),
        np.repeat([0, 1], [40, 1]),
        np.repeat([0, 1, 2], [30, 10, 1]),
    )
    assert held.matrix()[0, 0] == pytest.approx((30 * 0.9 + 10 * 0.1) / 40)


def test_passages_stand_for_a_single_group() -> None:
    """One work says nothing about other works; its passages at least say something."""
    rng = np.random.default_rng(4)
    own = np.clip(0.6 + 0.1 * rng.normal(size=50), 0, 1)
    shares = np.concatenate([np.stack([own, 1 - own], axis=1), [[0.1, 0.9]]])
    held = HeldOutShares(shares, np.repeat([0, 1], [50, 1]), np.repeat([0, 1], [50, 1]))
    drawn = held.resampled(np.random.default_rng(5), 20_000)[:, 0, 0]
    assert drawn.std() == pytest.approx(own.std(ddof=1) / np.sqrt(50), rel=0.15)


def test_the_assumed_row_is_drawn_with_the_trust_of_ten_passages() -> None:
    """Dirichlet(10 m): a coordinate m has the variance m (1 - m) / 11."""
    registered = HeldOutShares(HELD.shares[:3], HELD.labels[:3], HELD.groups[:3])
    row = registered.matrix()[2]
    drawn = registered.resampled(np.random.default_rng(6), 40_000)[:, 2]
    np.testing.assert_allclose(drawn.mean(axis=0), row, atol=0.01)
    np.testing.assert_allclose(drawn.var(axis=0), row * (1 - row) / 11, rtol=0.05)
