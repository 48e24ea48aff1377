"""What a verdict publishes of a text: sums, intervals, quotations, and the three decisions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copylens.detector.intervals import IntervalsByLength, ShareIntervals
from copylens.records import Rights
from copylens.verdict.published import Published, decide, publish

K = 3
SPANS = np.array([[0, 10], [10, 40], [40, 50]])
GRID = np.array([0.0, 0.5, 1.0])
INTERVALS = IntervalsByLength(
    (
        ShareIntervals(30.0, GRID, np.array([0.0, 0.1, 0.4]), np.array([0.6, 0.9, 1.0])),
        ShareIntervals(300.0, GRID, np.array([0.0, 0.3, 0.8]), np.array([0.2, 0.7, 1.0])),
    )
)
NOTHING = np.zeros((3, K))


def timeline_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(K + 1, 0.5), 3)


def quoted_of(seed: int) -> np.ndarray:
    """Counted characters of three sub-datasets and of none, as parts of the segments."""
    generator = np.random.default_rng(seed)
    sizes = SPANS[:, 1] - SPANS[:, 0]
    parts = [generator.multinomial(n, generator.dirichlet(np.full(K + 1, 0.4))) for n in sizes]
    return np.array(parts)[:, :K] / sizes[:, None]


def of_shares(shares, unregistered: float) -> Published:
    shares = np.array(shares)
    row = np.append(shares, unregistered)[None]
    return Published(row, shares, shares, shares, 0 * shares, unregistered)


def test_without_quotations_shares_are_the_time_lines_means_by_characters() -> None:
    timeline = timeline_of(0)
    got = publish(timeline, SPANS, 300, INTERVALS, NOTHING)
    expected = np.array([0.2, 0.6, 0.2]) @ timeline
    np.testing.assert_allclose(got.shares, expected[:K])
    assert got.unregistered == pytest.approx(expected[K])
    low, high = INTERVALS.levels[1].bounds(got.shares)
    np.testing.assert_allclose(got.low, low)
    np.testing.assert_allclose(got.high, high)
    np.testing.assert_array_equal(got.timeline, timeline)
    assert not got.quoted.any()


@given(st.integers(0, 10**6), st.integers(1, 2000))
def test_numbers_of_a_verdict_agree_with_each_other(seed, tokens) -> None:
    quoted = quoted_of(seed)
    got = publish(timeline_of(seed), SPANS, tokens, INTERVALS, quoted)
    np.testing.assert_allclose(got.timeline.sum(axis=1), 1)
    assert got.shares.sum() + got.unregistered == pytest.approx(1)
    # Not by a rounding error either.
    assert (got.low >= 0).all() and (got.high <= 1).all()
    assert (got.low <= got.shares).all() and (got.shares <= got.high).all()
    assert 0 <= got.unregistered <= 1 and got.timeline.min() >= 0
    assert (got.timeline[:, :K] >= quoted - 1e-12).all()
    assert (got.quoted <= got.shares + 1e-12).all()


def test_what_is_quoted_is_certain_and_the_rest_is_divided_as_before() -> None:
    timeline, quoted = timeline_of(1), NOTHING.copy()
    quoted[1, 2] = 0.5
    got = publish(timeline, SPANS, 300, INTERVALS, quoted)
    expected = timeline.copy()
    expected[1] = 0.5 * timeline[1] + [0, 0, 0.5, 0]
    np.testing.assert_allclose(got.timeline, expected)
    np.testing.assert_allclose(got.quoted, [0, 0, 0.3])
    assert got.low[2] >= 0.3 - 1e-12
    # 0.7 of the text is open, and an interval spans what that may add.
    np.testing.assert_allclose(
        got.high[0], 0.7 * np.interp(got.shares[0] / 0.7, GRID, [0.2, 0.7, 1])
    )


def test_rounding_puts_no_number_outside_of_its_bounds() -> None:
    """Segments of odd lengths, quoted in full or nearly so, by up to six sub-datasets."""
    generator = np.random.default_rng(0)
    bounds = np.array([0.0, 1.0])
    exact = IntervalsByLength((ShareIntervals(9.0, bounds, bounds, bounds),))
    for _ in range(2000):
        sizes = generator.integers(1, 200, 7)
        ends = np.cumsum(sizes)
        parts = np.array([generator.multinomial(n, generator.dirichlet(np.ones(6))) for n in sizes])
        quoted = parts / sizes[:, None]
        if generator.random() < 0.5:
            quoted[generator.integers(7)] = 0
        timeline = generator.dirichlet(np.full(7, 0.3), 7)
        got = publish(timeline, np.stack([ends - sizes, ends], axis=1), 9, exact, quoted)
        assert (got.low >= 0).all() and (got.high <= 1).all()
        assert (got.low <= got.shares).all() and (got.shares <= got.high).all()
        assert 0 <= got.unregistered <= 1 and got.timeline.min() >= 0


@pytest.mark.parametrize("seed", range(5))
def test_a_text_quoted_in_full_is_certain_and_never_unregistered(seed) -> None:
    quoted = np.random.default_rng(seed).dirichlet(np.full(K, 0.5), 3)
    strange = np.tile([0.0, 0.0, 0.0, 1.0], (3, 1))
    got = publish(strange, SPANS, 300, INTERVALS, quoted)
    assert got.unregistered == pytest.approx(0, abs=1e-12)
    for side in (got.shares, got.low, got.high, got.quoted):
        np.testing.assert_allclose(side, np.array([0.2, 0.6, 0.2]) @ quoted, atol=1e-8)
    decision, reason = decide(got, p_value=0.001, alpha=0.05, abstain_below=0.0)
    assert (decision, reason) == ("registered", None)


def test_share_records_are_sorted_and_tell_which_part_is_quoted() -> None:
    quoted = NOTHING.copy()
    quoted[1, 2] = 1.0
    timeline = np.tile([0.5, 0.0, 0.25, 0.25], (3, 1))
    got = publish(timeline, SPANS, 300, INTERVALS, quoted)
    rights = [Rights(name, f"{name} Press", "all", "trained_on") for name in "abc"]
    first, second, third = got.share_records(rights)
    assert [first.sub_dataset, second.sub_dataset, third.sub_dataset] == ["c", "a", "b"]
    assert (first.share, first.quoted) == pytest.approx((0.7, 0.6 / 0.7))
    assert (second.share, second.quoted, third.share, third.quoted) == pytest.approx((0.2, 0, 0, 0))
    assert (first.holder, first.basis) == ("c Press", "trained_on")
    items = got.timeline_records(SPANS, ("a", "b", "c"))
    assert [(item.start, item.end) for item in items] == [(0, 10), (10, 40), (40, 50)]
    assert items[1].shares == {"a": 0, "b": 0, "c": 1} and items[1].unregistered == 0
    assert items[0].unregistered == 0.25


def test_mostly_unregistered_with_a_small_p_value_is_unregistered() -> None:
    assert decide(of_shares([0.3, 0.1, 0.1], 0.5), 0.049, 0.05, 0.3) == ("unregistered", None)


def test_mostly_unregistered_without_such_a_p_value_is_left_open() -> None:
    for p_value in (0.05, 0.6):
        decision, reason = decide(of_shares([0.2, 0.1, 0.1], 0.6), p_value, 0.05, 0.3)
        assert decision == "abstain"
        assert "60% of it may be of none of them" in reason and f"p = {p_value}" in reason
    assert decide(of_shares([0.0, 0.0, 0.0], 1.0), 0.2, 0.05, 0.3)[0] == "abstain"


def test_a_small_p_value_alone_does_not_make_a_text_unregistered() -> None:
    assert decide(of_shares([0.5, 0.01, 0.0], 0.49), 0.001, 0.05, 0.3) == ("registered", None)


@pytest.mark.parametrize(("bound", "decision"), [(0.5, "registered"), (0.51, "abstain")])
def test_no_sub_dataset_is_named_without_a_share_that_is_large_enough(bound, decision) -> None:
    """Of what is registered: 0.4 of 0.8."""
    got, reason = decide(of_shares([0.4, 0.2, 0.2], 0.2), 0.5, 0.05, bound)
    assert got == decision
    assert (reason is None) == (decision == "registered")
    assert reason is None or "no sub-dataset has 51% of what is registered" in reason
