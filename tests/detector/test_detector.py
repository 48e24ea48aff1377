"""The detector on scores made by rule: signs, lengths, calibration, and what it is saved as."""

from dataclasses import replace

import numpy as np
import pytest

from copylens.detector.auroc import auroc
from copylens.detector.detector import WEIGHTS, detector_from_arrays, surprise
from copylens.detector.measures import STYLE, SUPPORT, Measures, measure
from copylens.fit.detector import fit_detector
from copylens.fit.held_out import is_shorter
from copylens.records import FloatArray
from tests.detector.detector_samples import (
    NONE,
    TOKENS,
    attributor,
    channel_scores,
    foreign,
    held_out,
    joined,
    pure,
)


def measured(texts, seed: int) -> Measures:
    reader, scores = attributor(), channel_scores(texts, seed)
    return measure(reader, scores, reader.explanations(scores))


def of_length(given: Measures, tokens: float) -> Measures:
    return replace(given, tokens=np.full(len(given.tokens), tokens))


def test_texts_of_no_sub_dataset_score_highest_and_joined_ones_like_pure_ones(detector) -> None:
    one, two, none = (detector.detect(measured(t(90), 11)).score for t in (pure, joined, foreign))
    assert auroc(one, none) > 0.99 and auroc(two, none) > 0.99
    assert auroc(one, two) < 0.75
    assert one.min() >= 0


def test_the_whole_reading_alone_would_take_joined_texts_for_strangers(detector) -> None:
    level = detector.levels[-1]
    one, two = measured(pure(90), 12), measured(joined(90), 12)
    whole = [surprise(level.whole, item.whole) for item in (one, two)]
    both = [level.score(item) for item in (one, two)]
    assert auroc(*whole) > 0.95
    assert auroc(*both) < auroc(*whole) - 0.2


def test_a_text_less_like_everything_scores_higher(detector) -> None:
    base = measured([*pure(20), *joined(20)], 13)
    scores = []
    for worse in (0.0, 0.1, 0.3, 1.0, 5.0):
        moved = replace(
            base,
            whole={n: v + worse for n, v in base.whole.items()},
            changing={n: v + worse for n, v in base.changing.items()},
        )
        scores.append(detector.detect(moved).score)
        assert np.isfinite(detector.detect(moved).log_odds).all()
    assert (np.diff(scores, axis=0) >= 0).all()
    assert (scores[-1] > scores[0] + 1).all()


def test_false_alarms_are_about_alpha_and_strangers_are_flagged(detector) -> None:
    known = measured([*pure(300), *joined(300)], 14)
    p = detector.detect(known).p_value
    for alpha in (0.05, 0.1, 0.2):
        for kind in (p[:300], p[300:]):
            assert (kind < alpha).mean() == pytest.approx(alpha, abs=0.06)
    assert (detector.detect(measured(foreign(100), 15)).p_value < 0.05).mean() > 0.95


def test_a_p_value_is_read_off_pure_and_mixed_texts_as_the_text_seems_to_be(detector) -> None:
    level, given = detector.levels[-1], measured([*pure(10), *joined(10), *foreign(10)], 16)
    score, mixed = level.score(given), given.mixed
    by_hand = (1 - mixed) * level.pure.p_value(score) + mixed * level.mixed.p_value(score)
    got = detector.detect(given).p_value
    np.testing.assert_allclose(got, np.maximum(by_hand, 1 / 121))
    np.testing.assert_allclose(detector.detect(of_length(given, 10**6)).p_value, got)


def test_log_odds_are_those_against_what_the_text_seems_to_be(detector) -> None:
    given, level = measured([*pure(4), *foreign(4)], 16), detector.levels[-1]
    assert vars(level.pure_odds) != vars(level.mixed_odds)
    score = level.score(replace(given, mixed=np.zeros(8)))
    for mixed in (0.0, 1.0, 0.25):
        level = replace(level, changing=level.whole)  # both readings alike: one score
        seen = replace(given, mixed=np.full(8, mixed), changing=given.whole)
        expected = (1 - mixed) * level.pure_odds(score) + mixed * level.mixed_odds(score)
        np.testing.assert_allclose(level.detect(seen).log_odds, expected)


def test_no_p_value_is_smaller_than_the_calibration_passages_allow(detector) -> None:
    """Mixtures are many, but they are made of the same passages."""
    worst = measured([[NONE] * 4 + [0] * 3 + [NONE] * 4], 17)
    worst = replace(
        worst,
        whole={n: v + 100 for n, v in worst.whole.items()},
        changing={n: v + 100 for n, v in worst.changing.items()},
    )
    many = replace(detector.levels[-1], mixed=replace(detector.levels[-1].pure))
    more = np.linspace(0, 9, 1000)
    many = replace(many, mixed=type(many.mixed).fit(more, np.arange(1000)))
    for mixed in (0.0, 0.5, 1.0):
        given = replace(worst, mixed=np.array([mixed]))
        for judge in (detector, replace(detector, levels=(many,))):
            assert judge.detect(given).p_value[0] == pytest.approx(judge.smallest_p) == 1 / 121


def test_short_texts_have_a_level_of_their_own(detector) -> None:
    assert [level.tokens for level in detector.levels] == [2 * TOKENS, 10 * TOKENS]
    given = measured([*pure(8), *foreign(8)], 18)
    for values in ("score", "p_value", "log_odds"):
        short, long = (getattr(level.detect(given), values) for level in detector.levels)

        def ask(texts: Measures, values: str = values) -> FloatArray:
            return getattr(detector.detect(texts), values)

        np.testing.assert_array_equal(ask(of_length(given, 2 * TOKENS)), short)
        np.testing.assert_array_equal(ask(of_length(given, 1)), short)
        np.testing.assert_array_equal(ask(of_length(given, 10 * TOKENS)), long)
        between = ask(of_length(given, 20**0.5 * TOKENS))
        np.testing.assert_allclose(between, (short + long) / 2)


def test_passages_as_short_as_a_cut_need_no_level_for_it() -> None:
    held = held_out()
    same = replace(held, cuts={4: (held.pure, held.foreign)})
    assert len(fit_detector(attributor(), None, same).levels) == 1
    assert is_shorter(79, 100) and not is_shorter(80, 100)


def test_without_unregistered_texts_the_odds_are_the_usual_ones() -> None:
    blind = fit_detector(attributor(), None, held_out(False))
    for level in blind.levels:
        assert vars(level.pure_odds) == {"intercept": -3.0, "slope": 1.9} == vars(level.mixed_odds)
    assert (blind.segment_odds.intercept, blind.segment_odds.slope) == (-1.9, 1.2)
    none, one = (blind.detect(measured(t(30), 19)).log_odds for t in (foreign, pure))
    assert none.min() > 0 > np.median(one)


def test_segments_of_no_sub_dataset_have_the_higher_odds(detector) -> None:
    texts = [[0] * 5 + [NONE] * 5, [2] * 3, [NONE]]
    first, second, third = detector.segment_log_odds(measured(texts, 20))
    assert [len(first), len(second), len(third)] == [10, 3, 1]
    assert first[5:].min() > 0 > first[:5].max()
    assert second.max() < 0 < third[0]


def test_only_the_leading_measure_has_full_weight(detector) -> None:
    assert max(WEIGHTS, key=WEIGHTS.__getitem__) == SUPPORT
    assert set(detector.levels[0].whole) == {SUPPORT, STYLE} <= set(WEIGHTS)


def test_what_comes_back_judges_the_same_to_the_last_bit(detector) -> None:
    again = detector_from_arrays(detector.arrays(), None)
    given = measured([*pure(5, 2), *joined(5), *foreign(5, 4)], 21)
    mine, theirs = again.detect(given), detector.detect(given)
    for values in ("score", "p_value", "log_odds"):
        np.testing.assert_array_equal(getattr(mine, values), getattr(theirs, values))
    for one, other in zip(again.segment_log_odds(given), detector.segment_log_odds(given)):
        np.testing.assert_array_equal(one, other)
