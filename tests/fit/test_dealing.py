"""Who judges what, and joined texts that are read as a whole."""

from dataclasses import replace

import numpy as np

from copylens.fit.data import TrainingData
from copylens.fit.dealing import MOST_JOINED, deal, joined_texts
from copylens.fit.held_out import fit_channels, held_out_scores
from copylens.fit.networks import FitState, fit_networks
from copylens.records import States
from copylens.states.words import word_states
from tests.fit.fit_samples import NAMES, WINDOW, config_of, outside, part, training_data

CONFIG = config_of(lm=True)
FEATURES = 6


def sharing() -> TrainingData:
    """Val and train are passages of the same works, so that several fits judge."""
    parts = part("", 4, 4, FEATURES), part("", 4, 5, FEATURES)
    return TrainingData(NAMES, *parts, outside(2, 6, FEATURES))


def marked(texts):
    """States that tell which text they are of: the last one's in all features."""
    return [
        States(np.full((len(item.spans), FEATURES), n, np.float16), item.spans, item.tokens)
        for n, item in enumerate(word_states(texts, WINDOW))
    ]


def test_joined_texts_are_read_as_they_stand_and_at_once() -> None:
    calls = []

    def read(texts):
        calls.append(list(texts))
        return marked(texts)

    data = sharing()
    hands, unread = deal(CONFIG, data, read), deal(CONFIG, data)
    (asked,) = calls
    found = [mixture for hand in hands for mixture in hand.joined]
    assert len(hands) == 2 and len(found) == len(asked) == 2 * joined_texts(len(data.val))
    for number, (mixture, text) in enumerate(zip(found, asked)):
        assert mixture.text == text
        assert (mixture.states.values == number).all()
        assert mixture.states.spans.max() <= len(text)
    # What they are made of does not depend on who reads them.
    for hand, other in zip(hands, unread):
        np.testing.assert_array_equal(hand.val, other.val)
        assert [m.borders for m in hand.mixed] == [m.borders for m in other.mixed]
        assert [m.text for m in hand.joined] == [m.text for m in other.joined]


def test_what_is_read_is_what_is_judged() -> None:
    """Read as strangers, joined texts lose the support that their passages' own states had."""
    data = training_data(features=FEATURES)
    state = fit_networks(CONFIG, data, FitState())
    channels = fit_channels(CONFIG, data, state)

    def nothing(texts):
        return [replace(item, values=np.zeros_like(item.values)) for item in marked(texts)]

    own, lost = (held_out_scores(CONFIG, data, state, channels, r) for r in (None, nothing))
    for kind in ("mixed", "partly"):
        before, after = getattr(own, kind), getattr(lost, kind)
        np.testing.assert_array_equal(before.truth, after.truth)
        gap = [s.scores.affinity["attention"].max(axis=1).mean() for s in (before, after)]
        assert gap[0] > gap[1] + 0.1
    for kind in ("pure", "foreign"):
        np.testing.assert_array_equal(
            getattr(own, kind).scores.affinity["attention"],
            getattr(lost, kind).scores.affinity["attention"],
        )


def test_few_passages_are_joined_to_fewer_texts() -> None:
    counts = [joined_texts(passages) for passages in (1, 36, 100, 150, 5000)]
    assert counts == [100, 100, 100, 150, MOST_JOINED]
