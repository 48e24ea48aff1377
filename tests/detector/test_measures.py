"""What is measured of texts: both readings by hand, and that a change of source is no alarm."""

from dataclasses import replace

import numpy as np
import pytest

from copylens.attributor.attributor import ChannelScores
from copylens.attributor.fusion import ChannelFusion
from copylens.detector.measures import SPACE, STYLE, SUPPORT, Measures, measure
from tests.detector.detector_samples import (
    NONE,
    K,
    attributor,
    channel_scores,
    foreign,
    joined,
    pure,
)


def measured(scores: ChannelScores) -> Measures:
    reader = attributor()
    return measure(reader, scores, reader.explanations(scores))


def test_both_readings_by_hand() -> None:
    scores = channel_scores([*pure(3), *joined(3), *foreign(2)], 0)
    got, explained = measured(scores), attributor().explanations(scores)
    assert set(got.whole) == set(got.changing) == set(got.segments) == {SUPPORT, STYLE}
    for name, read in ((SUPPORT, "lexical"), (STYLE, STYLE)):
        np.testing.assert_array_equal(got.whole[name], -scores.affinity[read].max(axis=1))
        for n, item in enumerate(scores.segment_affinity[read]):
            along = [-(explained[n].changing[s] @ item[s]) for s in range(len(item))]
            np.testing.assert_allclose(got.segments[name][n], along)
            assert got.changing[name][n] == pytest.approx(np.mean(along))
    odds = np.exp([item.log_odds for item in explained]) * 0.3 / 0.7
    np.testing.assert_allclose(got.mixed, odds / (1 + odds))
    np.testing.assert_array_equal(got.tokens, scores.tokens)


def test_a_text_joined_of_two_sources_is_no_more_alarming_read_as_changing() -> None:
    one, two, none = (measured(channel_scores(t(60), 1)) for t in (pure, joined, foreign))
    spread = one.whole[SUPPORT].std()
    assert two.whole[SUPPORT].mean() > one.whole[SUPPORT].mean() + 3 * spread
    assert two.changing[SUPPORT].mean() < one.changing[SUPPORT].mean() + spread
    assert none.changing[SUPPORT].min() > two.changing[SUPPORT].max()
    assert two.mixed.mean() > 0.9 > 0.5 > one.mixed.mean()


def test_segments_of_no_source_stand_out() -> None:
    texts = [[0] * 5 + [NONE] * 5, [NONE] * 6 + [2] * 4]
    first, second = measured(channel_scores(texts, 2)).segments[SUPPORT]
    assert first[:5].max() < first[5:].min()
    assert second[6:].max() < second[:6].min()


def test_the_order_of_the_sub_datasets_does_not_matter() -> None:
    scores, order = channel_scores([*pure(3), *joined(6), *foreign(3)], 3), [2, 0, 1]
    turned = replace(
        scores,
        text={name: values[:, order] for name, values in scores.text.items()},
        segments={n: tuple(i[:, order] for i in v) for n, v in scores.segments.items()},
        affinity={name: values[:, order] for name, values in scores.affinity.items()},
        segment_affinity={
            n: tuple(i[:, order] for i in v) for n, v in scores.segment_affinity.items()
        },
    )
    one, other = measured(scores), measured(turned)
    for name in one.whole:
        np.testing.assert_allclose(one.whole[name], other.whole[name])
        np.testing.assert_allclose(one.changing[name], other.changing[name])
    np.testing.assert_allclose(one.mixed, other.mixed)


def test_a_text_does_not_depend_on_those_beside_it() -> None:
    texts = [*pure(2), *joined(2), [1], *foreign(1)]
    together = channel_scores(texts, 4)
    alone = replace(
        together,
        text={name: values[4:5] for name, values in together.text.items()},
        segments={name: items[4:5] for name, items in together.segments.items()},
        spans=together.spans[4:5],
        affinity={name: values[4:5] for name, values in together.affinity.items()},
        segment_affinity={n: items[4:5] for n, items in together.segment_affinity.items()},
        tokens=together.tokens[4:5],
        features=together.features[4:5],
    )
    one, all_of_them = measured(alone), measured(together)
    for name in one.whole:
        assert one.whole[name][0] == all_of_them.whole[name][4]
        np.testing.assert_allclose(one.changing[name][0], all_of_them.changing[name][4])
    assert one.mixed[0] == pytest.approx(all_of_them.mixed[4])


def test_the_support_is_the_weighted_sum_of_the_channels_unnormalised() -> None:
    scores = channel_scores(pure(4), 5)
    more = {"attention": 2 * scores.affinity["lexical"] + 1}
    parts = {"attention": tuple(2 * i + 1 for i in scores.segment_affinity["lexical"])}
    scores = replace(
        scores,
        affinity=scores.affinity | more,
        segment_affinity=scores.segment_affinity | parts,
        text=scores.text | {"attention": scores.text["lexical"]},
        segments=scores.segments | {"attention": scores.segments["lexical"]},
    )
    both = ChannelFusion({"lexical": 0.5, "attention": 2.0})
    reader = replace(attributor(), text_fusion=both, segment_fusion=both)
    fits = 0.5 * scores.affinity["lexical"] + 2.0 * more["attention"]
    got = measure(reader, scores, reader.explanations(scores))
    np.testing.assert_allclose(got.whole[SUPPORT], -fits.max(axis=1))


def test_a_space_measures_whole_texts_alone() -> None:
    class Place:
        def distance(self, features):
            return np.abs(features - np.arange(K))

    scores = replace(channel_scores(pure(3), 6), features=np.array([[0.0], [1.25], [9.0]]))
    reader = attributor()
    got = measure(reader, scores, reader.explanations(scores), Place())
    np.testing.assert_allclose(got.whole[SPACE], [0, 0.25, 7])
    assert SPACE not in got.changing and SPACE not in got.segments
