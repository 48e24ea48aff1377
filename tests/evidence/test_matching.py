"""Runs and spans against a search that tries every pair of positions."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from copylens.config.evidence import EvidenceConfig
from copylens.evidence.arrays import GUARANTEED, build_arrays
from copylens.evidence.matching import exact_runs, find_spans
from copylens.evidence.words import WordIds

# Few different words, so that runs, repeats and near misses are everywhere.
WORD_LISTS = st.lists(st.integers(1, 3), max_size=40)


def as_ids(words) -> WordIds:
    return np.array(words, dtype=np.uint32)


def maximal_runs(passages: list[list[int]], text: list[int], least: int) -> set[tuple]:
    """(first word of the text, passage, first word of it, length), by trying everything."""
    found = set()
    for number, words in enumerate(passages):
        for i in range(len(text)):
            for j in range(len(words)):
                if i and j and text[i - 1] == words[j - 1]:
                    continue
                length = 0
                while (
                    i + length < len(text)
                    and j + length < len(words)
                    and text[i + length] == words[j + length]
                ):
                    length += 1
                if length >= least:
                    found.add((i, number, j, length))
    return found


@settings(max_examples=300)
@given(st.lists(WORD_LISTS, max_size=5), WORD_LISTS)
def test_every_maximal_run_of_the_guaranteed_length_is_found_and_no_other(passages, text):
    shard = build_arrays([as_ids(p) for p in passages], list(range(len(passages))))
    runs = exact_runs(shard, as_ids(text))
    passage = np.searchsorted(shard.starts, runs.place, side="right") - 1
    rows = zip(runs.text, passage, runs.place - shard.starts[passage], runs.words)
    found = [tuple(map(int, row)) for row in rows]
    assert len(set(found)) == len(found)
    assert {r for r in found if r[3] >= GUARANTEED} == maximal_runs(passages, text, GUARANTEED)
    # The shorter ones are maximal too, but not all are there.
    assert set(found) <= maximal_runs(passages, text, 1)


def spans_of(passage, text, weights=None, **changes):
    shard = build_arrays([as_ids(passage)], [0])
    ids = as_ids(text)
    runs = exact_runs(shard, ids)
    config = EvidenceConfig(**changes)
    weights = np.ones(len(ids)) if weights is None else np.array(weights)
    return find_spans(shard, ids, runs, weights, config)


OUTSIDE = list(range(1000, 1050))
QUOTED = list(range(1, 61))


@pytest.mark.parametrize("places", [(30,), (10, 20, 30, 40, 50), (20, 21, 22)])
def test_changed_words_do_not_break_a_span(places):
    changed = [2000 + n if n in places else word for n, word in enumerate(QUOTED)]
    spans = spans_of(QUOTED, OUTSIDE[:25] + changed + OUTSIDE[25:])
    assert spans.start.tolist() == [25] and spans.end.tolist() == [85]
    assert spans.place_start.tolist() == [0] and spans.place_end.tolist() == [60]
    assert spans.matched.tolist() == [60 - len(places)] == spans.weight.tolist()


@pytest.mark.parametrize("left_out", [(30,), (30, 31, 32)])
@pytest.mark.parametrize("from_text", [True, False])
def test_words_left_out_or_put_in_do_not_break_a_span(left_out, from_text):
    shorter = [word for n, word in enumerate(QUOTED) if n not in left_out]
    passage, quoted = (QUOTED, shorter) if from_text else (shorter, QUOTED)
    spans = spans_of(passage, OUTSIDE[:25] + quoted + OUTSIDE[25:])
    assert spans.start.tolist() == [25] and spans.end.tolist() == [25 + len(quoted)]
    assert spans.place_end.tolist() == [len(passage)]
    assert spans.matched.tolist() == [60 - len(left_out)]


def likeliest_reach(side) -> int:
    """How many of the words beside a run belong to it, by the formulas of docs/evidence.md.

    Args:
        side: (equal, share of passages that have the word) from the run outward.
    """
    odds = [0.9 / (0.1 * share) if equal else 0.1 for equal, share in side]
    totals = [sum(math.log(o) for o in odds[:n]) for n in range(len(odds) + 1)]
    # No further than where ten nats are lost.
    lost = [n for n in range(len(totals)) if max(totals[: n + 1]) - totals[n] >= 10]
    within = totals[: lost[0]] if lost else totals
    return within.index(max(within))


# Beside the run so many changed words, one equal word, and so on; a share for every word. No six
# equal words in a row, which would be a run of its own.
SIDES = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([1e-4, 0.003, 0.05, 0.3, 0.8])), max_size=5
).map(lambda steps: [w for n, share in steps for w in [(False, 0.5)] * n + [(True, share)]])


@settings(max_examples=500)
@given(SIDES, SIDES)
def test_borders_are_the_likeliest_of_all(left, right):
    assume(all(not all(e for e, _ in s[:5]) or len(s) < 5 for s in (left, right)))
    sides = [*left[::-1], *[(True, 0.5)] * 8, *right]
    text = [n + 1 if equal else 1000 + n for n, (equal, _) in enumerate(sides)]
    spans = spans_of(range(1, len(sides) + 1), text, [-math.log(share) for _, share in sides])
    first = len(left)
    assert spans.start.tolist() == [first - likeliest_reach(left)]
    assert spans.end.tolist() == [first + 8 + likeliest_reach(right)]


@pytest.mark.parametrize(("share", "reaches"), [(0.8, 1), (0.3, 1), (0.001, 3)])
def test_rare_words_carry_a_span_over_changed_words_and_common_ones_hardly(share, reaches):
    """A word that most passages have pays for one changed word, a rare one for several."""
    for changed in range(1, 5):
        text = [*QUOTED[:8], *range(1000, 1000 + changed), QUOTED[8 + changed], *OUTSIDE[20:]]
        spans = spans_of(QUOTED, text, np.full(len(text), -math.log(share)))
        assert (spans.end.tolist() == [9 + changed]) == (changed <= reaches)


def test_short_runs_are_reported_only_when_enough_words_around_them_agree():
    seven = OUTSIDE[:5] + QUOTED[:7] + OUTSIDE[5:]
    assert len(spans_of(QUOTED, seven, min_words=8).start) == 0
    assert spans_of(QUOTED, seven, min_words=7).matched.tolist() == [7]
    twice = OUTSIDE[:5] + QUOTED[:7] + [3000, 3001] + QUOTED[9:15] + OUTSIDE[5:]
    assert spans_of(QUOTED, twice, min_words=8).matched.tolist() == [13]


def test_no_span_crosses_from_one_passage_into_the_next():
    shard = build_arrays([as_ids(QUOTED[:30]), as_ids(QUOTED[30:])], [0, 0])
    ids = as_ids(QUOTED)
    spans = find_spans(shard, ids, exact_runs(shard, ids), np.ones(60), EvidenceConfig())
    assert sorted(zip(spans.passage, spans.start, spans.end)) == [(0, 0, 30), (1, 30, 60)]
