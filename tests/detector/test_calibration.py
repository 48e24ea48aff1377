"""P-values by counting and by simulation, log-odds against known laws, levels of length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from copylens.detector.calibration import (
    Conformal,
    LogOdds,
    between_lengths,
    fit_log_odds,
    unreachable,
)

USUAL = LogOdds(-3.0, 1.9)


def test_p_values_by_counting() -> None:
    """Every group of one: p = (1 + number of scores at or above) / (N + 1)."""
    scores = np.array([0.1, 0.4, 0.2, 0.9])
    conformal = Conformal.fit(scores, np.arange(4))
    for value in (0.0, 0.2, 0.3, 0.9, 1.0):
        expected = (1 + (scores >= value).sum()) / 5
        assert conformal.p_value(np.array([value]))[0] == pytest.approx(expected)
    assert conformal.smallest == pytest.approx(1 / 5)


def test_groups_of_different_sizes_have_the_same_weight() -> None:
    """The part at or above of each group, averaged over the groups, by hand."""
    groups = [np.array([0.3]), np.array([0.1, 0.5, 0.9]), np.linspace(0, 1, 20)]
    number = np.repeat(np.arange(3), [1, 3, 20])
    conformal = Conformal.fit(np.concatenate(groups), number)
    for value in (-1.0, 0.0, 0.3, 0.5, 0.77, 1.0):
        above = np.mean([(group >= value).mean() for group in groups])
        expected = (1 + 24 * above) / 25
        assert conformal.p_value(np.array([value]))[0] == pytest.approx(expected)


@given(
    arrays(float, 30, elements=st.floats(0, 50)),
    arrays(int, 30, elements=st.integers(0, 6)),
    arrays(float, 20, elements=st.floats(-1, 60)),
)
def test_p_values_fall_from_one_to_the_smallest(scores, groups, asked) -> None:
    conformal = Conformal.fit(scores, groups)
    p = conformal.p_value(np.sort(asked))
    assert (np.diff(p) <= 0).all()
    assert conformal.p_value(np.array([-2.0]))[0] == pytest.approx(1)
    assert conformal.p_value(np.array([100.0]))[0] == pytest.approx(1 / 31, rel=1e-9)
    assert p.min() >= conformal.smallest * (1 - 1e-12)


def test_the_order_of_the_calibration_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    scores, groups = generator.normal(size=60).round(1), generator.integers(0, 9, 60)
    order, asked = generator.permutation(60), np.linspace(-3, 3, 61)
    shuffled = Conformal.fit(scores[order], groups[order])
    renamed = Conformal.fit(scores, 100 - 7 * groups)
    for other in (shuffled, renamed):
        np.testing.assert_allclose(
            other.p_value(asked), Conformal.fit(scores, groups).p_value(asked), atol=1e-12
        )


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_false_alarms_are_about_alpha_for_texts_of_new_groups(alpha) -> None:
    """Twenty works, whose scores vary between them as much as within."""
    generator = np.random.default_rng(0)
    alarms = []
    for _ in range(1500):
        sizes = generator.integers(3, 20, 20)
        between = np.repeat(generator.normal(size=20), sizes)
        groups = np.repeat(np.arange(20), sizes)
        conformal = Conformal.fit(between + generator.normal(size=len(groups)), groups)
        new = generator.normal() + generator.normal(size=10)
        alarms.append((conformal.p_value(new) < alpha).mean())
    assert np.mean(alarms) == pytest.approx(alpha, abs=0.02)


def normal_sides(n: int, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """N(0, 1) and N(2, 1), whose log-odds at equal parts are 2 x - 2."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=n), 2 + generator.normal(size=m)


def test_known_log_odds_are_recovered_however_the_sides_are_sized() -> None:
    for n, m in ((20_000, 20_000), (40_000, 4_000)):
        got = fit_log_odds(*normal_sides(n, m, 1), USUAL, texts=10**7)
        assert (got.intercept, got.slope) == pytest.approx((-2.0, 2.0), abs=0.15)


def test_without_unregistered_texts_the_usual_log_odds_stand() -> None:
    assert fit_log_odds(np.arange(5.0), np.zeros(0), USUAL, texts=0) == USUAL


def test_few_texts_are_drawn_to_the_usual_log_odds() -> None:
    sides = normal_sides(200, 200, 2)

    def far(texts: int) -> float:
        found = fit_log_odds(*sides, USUAL, texts)
        return float(np.hypot(found.intercept + 3.0, np.log(found.slope / 1.9)))

    distances = [far(texts) for texts in (1, 4, 20, 200, 10**6)]
    assert distances == sorted(distances)
    assert distances[0] < 0.25 * distances[-1]


@settings(deadline=None, max_examples=60)
@given(
    arrays(float, st.integers(1, 20), elements=st.floats(0, 500)),
    arrays(float, st.integers(1, 20), elements=st.floats(0, 500)),
    st.integers(1, 20),
)
def test_the_slope_is_positive_whatever_the_sample(registered, unregistered, texts) -> None:
    found = fit_log_odds(registered, unregistered, USUAL, texts)
    assert found.slope > 0
    assert np.isfinite([found.intercept, found.slope]).all()


def test_a_score_that_tells_nothing_gives_flatter_odds_than_one_that_tells_much() -> None:
    same, apart = np.linspace(0, 6, 60), np.linspace(4, 10, 60)
    flat, steep = (fit_log_odds(same, other, USUAL, 60) for other in (same, apart))
    assert flat.slope < 0.3 < steep.slope
    assert flat(np.array([3.0]))[0] == pytest.approx(0, abs=0.3)


def test_log_odds_round_trip() -> None:
    assert LogOdds.from_arrays(USUAL.arrays()) == USUAL
    np.testing.assert_allclose(USUAL(np.array([[0.0, 2.0]])), [[-3.0, 0.8]])


def test_between_lengths_is_exact_at_the_levels_and_constant_beyond() -> None:
    values = [np.full(7, 1.0), np.full(7, 3.0), np.full(7, 11.0)]
    tokens = np.array([1, 16, 64, 256, 1000, 32, 128])
    got = between_lengths([16, 64, 256], values, tokens)
    # 32 and 128 tokens lie halfway between the levels by the logarithm.
    np.testing.assert_allclose(got, [1, 1, 3, 11, 11, 2, 7])


def test_between_lengths_of_matrices_takes_each_text_by_itself() -> None:
    generator = np.random.default_rng(3)
    low, high = generator.normal(size=(2, 5, 2, 3))
    tokens = np.array([5, 10, 30, 90, 200])
    got = between_lengths([10, 90], [low, high], tokens)
    for n, part in enumerate([0, 0, 0.5, 1, 1]):
        np.testing.assert_allclose(got[n], (1 - part) * low[n] + part * high[n])
    alone = between_lengths([10], [low], tokens)
    np.testing.assert_array_equal(alone, low)


def test_a_level_that_no_p_value_is_below_is_told_with_the_passages() -> None:
    """p < alpha can hold for alpha above 1 / (N + 1) alone."""
    assert unreachable(0.05, 1 / 21) is None
    for alpha in (0.05, 0.01):
        said = unreachable(alpha, 1 / 20)
        assert said is not None and f"alpha = {alpha:g}" in said and "19 val passages" in said
