"""The open time line: what of a text is unregistered, and how the rest of it is divided."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from copylens.attributor.attributor import shares_of
from copylens.detector.open_set import OpenScores, OpenTimeline, open_scores
from copylens.fit.detector import fit_open_timeline
from copylens.fit.held_out import HeldOut
from tests.detector.detector_samples import (
    NONE,
    attributor,
    channel_scores,
    foreign,
    held_out,
    joined,
    pure,
)

TEXTS = [*pure(6), *joined(6), *joined(6, second=(NONE,)), *foreign(6), [0], [NONE]]


@pytest.fixture(scope="module")
def read(detector) -> OpenScores:
    return open_scores(attributor(), detector, channel_scores(TEXTS, 7))


def fitted(detector, held: HeldOut) -> OpenTimeline:
    read = [open_scores(attributor(), detector, kind.scores) for kind in held.kinds]
    return fit_open_timeline(read, held)


def with_odds(read: OpenScores, text: float, segments: float) -> OpenScores:
    return replace(
        read,
        detection=replace(read.detection, log_odds=np.full_like(read.detection.log_odds, text)),
        segment_odds=[np.full_like(item, segments) for item in read.segment_odds],
    )


def test_shares_of_every_segment_sum_to_one(read) -> None:
    for timeline in (OpenTimeline(), OpenTimeline(1.0, 0.5, 0.01), OpenTimeline(0.05, 1.0, 0.9)):
        for text, shares in zip(TEXTS, timeline.shares(read), strict=True):
            assert shares.shape == (len(text), 4)
            np.testing.assert_allclose(shares.sum(axis=1), 1)
            assert shares.min() >= 0


@pytest.mark.parametrize(("odds", "bounds"), [(1e4, (0.999, 1)), (-1e4, (0, 0.001))])
def test_odds_beyond_doubt_decide(read, odds, bounds) -> None:
    for shares in OpenTimeline(mixture_prior=0.3).shares(with_odds(read, odds, odds)):
        assert np.isfinite(shares).all()
        assert bounds[0] <= shares[:, -1].min() and shares[:, -1].max() <= bounds[1]


def test_even_odds_leave_the_prior_of_one_half(read) -> None:
    """If neither the text nor its segments say anything, unregistered is as likely as not."""
    even = with_odds(read, 0.0, 0.0)
    for found in OpenTimeline().explanations(even):
        np.testing.assert_allclose(found.pure, [0.5, 0.5])


def test_a_text_of_one_source_is_unregistered_as_likely_as_its_odds_say(read) -> None:
    """By Bayes at the prior 1/2, however much any sub-dataset's words fit."""
    for found, odds in zip(OpenTimeline().explanations(read), read.detection.log_odds, strict=True):
        np.testing.assert_allclose(found.pure, [expit(-odds), expit(odds)], atol=1e-9)


def test_what_is_registered_is_divided_as_in_the_closed_time_line(read) -> None:
    scores = channel_scores(TEXTS, 7)
    for shares, closed in zip(OpenTimeline().shares(read), attributor().timelines(scores)):
        np.testing.assert_allclose(shares[:, :-1], closed * (1 - shares[:, -1:]), atol=1e-12)


def test_more_alarming_odds_never_lower_the_unregistered_part(read) -> None:
    timeline = OpenTimeline()
    parts = [
        np.concatenate([item[:, -1] for item in timeline.shares(with_odds(read, odds, odds))])
        for odds in (-6.0, -2.0, 0.0, 2.0, 6.0)
    ]
    assert (np.diff(parts, axis=0) >= -1e-12).all()


def test_the_foreign_half_is_found_where_it_is(detector) -> None:
    timeline = fitted(detector, held_out())
    texts = [[0] * 5 + [NONE] * 5, [NONE] * 5 + [2] * 5]
    first, second = timeline.shares(open_scores(attributor(), detector, channel_scores(texts, 8)))
    assert first[:4, 0].min() > 0.8 and first[6:, -1].min() > 0.8
    assert second[6:, 2].min() > 0.8 and second[:4, -1].min() > 0.8


def test_fitted_shares_are_near_the_truth_for_every_kind(detector) -> None:
    held = held_out()
    timeline = fitted(detector, held)
    for kind in held.kinds:
        read = open_scores(attributor(), detector, kind.scores)
        shares = shares_of(timeline.shares(read), kind.scores.spans)
        assert np.abs(shares - kind.truth).sum(axis=1).mean() < 0.3


def test_without_unregistered_texts_the_usual_time_line_stands(detector) -> None:
    assert fitted(detector, held_out(False)) == OpenTimeline()
