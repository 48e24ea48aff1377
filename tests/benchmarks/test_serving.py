"""The arithmetic of the service's benchmark: what is counted, and what counts as different."""

import math
import statistics

import numpy as np
import pytest

from benchmarks.serving.faults import wrong
from benchmarks.serving.golden import difference
from benchmarks.serving.load import Answer, percentile, rate, refused_at_once
from benchmarks.serving.pressure import changes, recovered
from benchmarks.serving.texts import cut
from tests.generation.live_samples import verdict


def answer(begin, seconds=0.1, status=200, text=0, body=None):
    return Answer(begin, seconds, status, text, 1, body)


def test_percentiles_are_numpys_inverted_cdf():
    values = list(np.random.default_rng(0).random(37))
    for q in (0.05, 0.5, 0.95, 0.99, 1.0):
        assert percentile(values, q) == np.quantile(values, q, method="inverted_cdf")
    with pytest.raises(ValueError, match="no value"):
        percentile([], 0.5)


def test_the_rate_counts_good_answers_that_come_within_the_time():
    answers = [answer(n / 10, status=200 if n % 2 else 500) for n in range(100)]
    assert rate(answers, 2.0, 4.0) == pytest.approx(5, abs=0.3)
    assert rate([answer(0.0, 3.0)], 1.0, 4.0) == 0.25, "begun before, answered within"
    assert rate([answer(0.0, 9.0)], 1.0, 4.0) == 0


def test_refusals_are_told_from_answers_and_faults():
    answers = [answer(0, 0.1, s) for s in (200, 429, 503, 500, 0)]
    assert len(refused_at_once(answers)) == 2


def test_a_verdict_differs_in_its_numbers_or_not_at_all():
    one = verdict("sea").to_dict()
    other = verdict("sea").to_dict() | {"policy": {"action": "flag"}}
    assert difference(one, other) == 0
    assert difference(one, other | {"p_value": one["p_value"] + 0.25}) == pytest.approx(0.25)
    shares = [dict(share) for share in one["shares"]]
    shares[1]["share"] -= 0.125
    assert difference(one, other | {"shares": shares}) == pytest.approx(0.125)
    assert difference(one, verdict("law").to_dict()) == math.inf
    assert difference(one, {}) == math.inf


def test_wrong_answers_are_counted_and_missing_ones_are_not():
    expected = [verdict("sea").to_dict(), verdict("law").to_dict()]
    right = [answer(0, text=n, body=body) for n, body in enumerate(expected)]
    swapped = [answer(0, text=1 - n, body=body) for n, body in enumerate(expected)]
    assert wrong([*right, answer(1, status=503)], expected) == 0
    assert wrong([*right, *swapped], expected) == 2


def test_recovery_is_the_first_of_three_good_answers_in_a_row():
    slow, refused = answer(10.0, 2.0), answer(12.0, 0.01, 429)
    good = [answer(13.0 + n, 0.1) for n in range(3)]
    assert recovered([slow, good[0], refused, *good], 10.0, 0.2) == pytest.approx(3.1)
    assert recovered([slow, *good[:2]], 10.0, 0.2) is None


def test_a_curve_is_told_by_its_changes():
    curve = [(float(n), count) for n, count in enumerate([1, 1, 2, 2, 3, 1, 1])]
    assert changes(curve) == [(0.0, 1), (2.0, 2), (4.0, 3), (5.0, 1)]


class Words:
    """A tokenizer with a token a word."""

    def __call__(self, text, **_):
        offsets, place = [], 0
        for word in text.split():
            place = text.index(word, place)
            offsets.append((place, place + len(word)))
            place += len(word)
        return {"offset_mapping": offsets}


def test_texts_have_the_length_that_was_asked_for():
    passages = ["one two three", "four five", "six"]
    found = cut(passages, Words(), 4, 5)
    assert [len(text.split()) for text in found] == [4] * 5
    assert found[0] == "one two three\nfour"
    assert statistics.mode(found[1].split()) == "six"
