"""Matches of a text and one shard of an index: exact runs, and spans with changed words.

Axis legend: n words of the text, R runs, S pieces or spans. A place is a position in
`ShardArrays.words`; the diagonal of a match is place - text word, equal for all words of a run.
"""

import math
from dataclasses import dataclass

import numpy as np

from copylens.config.evidence import EvidenceConfig
from copylens.evidence.arrays import GUARANTEED, PHRASE, ShardArrays, bucket_of, phrase_hashes
from copylens.evidence.words import SEPARATOR, WordIds
from copylens.records import BoolArray, FloatArray, IntArray

MOST_PLACES = 20_000
"""Most places of a phrase in one shard that are looked at; the first ones."""

# The borders of a span maximise the sum of its words' log-odds, in nats, of being quoted against
# being there by chance. One in ten quoted words may be changed; the probability of a word at one
# place is taken as a tenth of that in a passage of hundreds of words.
_CHANGED, _BY_CHANCE = 0.1, 0.1
_LOSS = -math.log(_CHANGED)
# An extension stops once so many nats are lost: after five changed words in a row (the X-drop of
# Altschul et al., BLAST, 1990).
_DROP = 10.0
# Limits for joining two pieces: words between them, and words inserted or deleted.
_GAP, _SHIFT = 8, 6


@dataclass(frozen=True)
class Runs:
    """Stretches of equal position: text words [text, text + words), places likewise; [R] each."""

    text: IntArray
    place: IntArray
    words: IntArray

    def where(self, chosen: BoolArray | IntArray) -> "Runs":
        """Some of them."""
        return Runs(self.text[chosen], self.place[chosen], self.words[chosen])

    @property
    def diagonal(self) -> IntArray:
        """[R] place - text word."""
        return self.place - self.text

    @property
    def passage_order(self) -> IntArray:
        """Order by diagonal, then by place in the text."""
        return np.lexsort((self.text, self.diagonal))


@dataclass(frozen=True)
class Spans:
    """Spans of one shard: [S] each; ends exclusive.

    Attributes:
        start, end: words of the text.
        place_start, place_end: places in the shard.
        passage: number of the passage in the shard.
        matched: words that agree.
        weight: sum of the weights of the words that agree.
    """

    start: IntArray
    end: IntArray
    place_start: IntArray
    place_end: IntArray
    passage: IntArray
    matched: IntArray
    weight: FloatArray


def exact_runs(shard: ShardArrays, ids: WordIds) -> Runs:
    """Runs of equal words that cannot be made longer on either side, within one passage.

    Every run of at least GUARANTEED words is there; of shorter ones those with a kept phrase.
    """
    text, place = _seeds(shard, ids)
    seeds = Runs(text, place, np.full(len(text), PHRASE))
    # Neighbours that overlap are one stretch: no need to compare their words again.
    joined = _join(seeds.where(seeds.passage_order))
    left = _reach(shard.words, ids, joined.text, joined.place, -1)
    right = _reach(shard.words, ids, joined.text + joined.words, joined.place + joined.words, 1)
    whole = Runs(joined.text - left, joined.place - left, joined.words + left + right)
    return _join(whole.where(whole.passage_order))


def find_spans(
    shard: ShardArrays, ids: WordIds, runs: Runs, weights: FloatArray, settings: EvidenceConfig
) -> Spans:
    """Spans worth reporting: runs of `min_words`, and stretches in which enough words agree.

    Args:
        runs: what `exact_runs` gave for the same text.
        weights: [n] nats, >= 0: -ln(share of registered passages that have each word of the text).
    """
    pieces = _pieces(shard.words, ids, runs.where(runs.words >= GUARANTEED), _gains(weights))
    spans, longest = _chain(shard, ids, pieces, weights)
    length = np.maximum(spans.end - spans.start, spans.place_end - spans.place_start)
    near = (spans.matched >= settings.near_words) & (spans.matched >= settings.near_share * length)
    # A long run makes a span, however thin what was joined to it.
    chosen = near | (longest >= settings.min_words)
    return Spans(**{name: values[chosen] for name, values in vars(spans).items()})


def _seeds(shard: ShardArrays, ids: WordIds) -> tuple[IntArray, IntArray]:
    """Text words and places of equal phrases."""
    hashes = phrase_hashes(ids)
    bucket = bucket_of(hashes, shard.buckets)
    low = shard.buckets[bucket].astype(np.int64)
    counts = np.minimum(shard.buckets[bucket + 1].astype(np.int64) - low, MOST_PLACES)
    text = np.repeat(np.arange(len(hashes)), counts)
    place = shard.anchors[_ranges(low, counts)].astype(np.int64)
    for offset in range(PHRASE):
        same = shard.words[place + offset] == ids[text + offset]
        text, place = text[same], place[same]
    return text, place


def _ranges(starts: IntArray, counts: IntArray) -> IntArray:
    """All of start, start + 1, ... for each start and count, one after the other."""
    before = np.repeat(np.cumsum(counts) - counts, counts)
    return np.arange(len(before)) - before + np.repeat(starts, counts)


def _join(runs: Runs) -> Runs:
    """Runs in `passage_order`; those that overlap or touch on one diagonal become one."""
    if len(runs.text) == 0:
        return runs
    diagonal, end = runs.diagonal, runs.text + runs.words
    # On one diagonal the ends of what is sorted by its start may still lie inside each other.
    key = (diagonal - diagonal.min()) * (int(end.max()) + 1)
    reach = np.maximum.accumulate(key + end)
    opens = np.append(True, (key + runs.text)[1:] > reach[:-1])
    first = np.flatnonzero(opens)
    ends = np.maximum.reduceat(end, first)
    text = runs.text[first]
    return Runs(text, runs.place[first], ends - text)


def _reach(words: WordIds, ids: WordIds, text: IntArray, place: IntArray, step: int) -> IntArray:
    """How many equal words follow (step 1) or precede (step -1) each pair of positions."""
    reach = np.zeros(len(text), dtype=np.int64)
    active = np.arange(len(text))
    offset = 0 if step > 0 else -1
    while len(active):
        t, p = text[active] + offset, place[active] + offset
        inside = (t >= 0) & (t < len(ids)) & (p >= 0) & (p < len(words))
        active, t, p = active[inside], t[inside], p[inside]
        active = active[words[p] == ids[t]]
        reach[active] += 1
        offset += step
    return reach


def _gains(weights: FloatArray) -> FloatArray:
    """[n] nats, > 0: ln(P(equal | quoted) / P(equal by chance)) of each word of the text."""
    return np.asarray(np.log((1 - _CHANGED) / _BY_CHANCE) + weights)


def _pieces(words: WordIds, ids: WordIds, runs: Runs, gains: FloatArray) -> Runs:
    """Runs extended over changed words on their own diagonal; runs that they reach are merged."""
    left = _carry(words, ids, runs.text - 1, runs.place - 1, -1, gains)
    right = _carry(words, ids, runs.text + runs.words, runs.place + runs.words, 1, gains)
    wider = Runs(runs.text - left, runs.place - left, runs.words + left + right)
    return _join(wider.where(wider.passage_order))


def _carry(
    words: WordIds, ids: WordIds, text: IntArray, place: IntArray, step: int, gains: FloatArray
) -> IntArray:
    """Length of the extension from here on that maximises gains less losses."""
    best_length = np.zeros(len(text), dtype=np.int64)
    best, score = np.zeros(len(text)), np.zeros(len(text))
    active = np.arange(len(text))
    offset = 0
    while len(active):
        t, p = text[active] + offset * step, place[active] + offset * step
        inside = (t >= 0) & (t < len(ids)) & (p >= 0) & (p < len(words))
        inside[inside] &= words[p[inside]] != SEPARATOR
        active, t, p = active[inside], t[inside], p[inside]
        score[active] += np.where(words[p] == ids[t], gains[t], -_LOSS)
        offset += 1
        better = active[score[active] > best[active]]
        best[better], best_length[better] = score[better], offset
        active = active[score[active] > best[active] - _DROP]
    return best_length


def _chain(
    shard: ShardArrays, ids: WordIds, pieces: Runs, weights: FloatArray
) -> tuple[Spans, IntArray]:
    """Pieces that follow each other closely in one passage become one span.

    Returns:
        The spans, and the words of the longest run in each.
    """
    passage = np.searchsorted(shard.starts, pieces.place, side="right") - 1
    order = np.lexsort((pieces.text, passage))
    pieces, passage = pieces.where(order), passage[order]
    pieces = _apart(pieces, passage)
    matched, weight, longest = _agreement(shard.words, ids, pieces, weights)
    end, place_end = pieces.text + pieces.words, pieces.place + pieces.words
    follows = _follows(pieces, passage)
    first = np.flatnonzero(np.append(True, ~follows)[: len(passage)])
    last = np.append(first[1:], len(passage)) - 1
    if len(first) == 0:
        none = np.zeros(0, dtype=np.int64)
        return Spans(none, none, none, none, none, none, none.astype(float)), none
    spans = Spans(
        start=pieces.text[first],
        end=end[last],
        place_start=pieces.place[first],
        place_end=place_end[last],
        passage=passage[first],
        matched=np.add.reduceat(matched, first),
        weight=np.add.reduceat(weight, first),
    )
    return spans, np.maximum.reduceat(longest, first)


def _apart(pieces: Runs, passage: IntArray) -> Runs:
    """Trims each piece that overlaps the one before it by a few words, to begin at its end."""
    if len(passage) < 2:
        return pieces
    end, place_end = pieces.text + pieces.words, pieces.place + pieces.words
    overlap = np.maximum(end[:-1] - pieces.text[1:], place_end[:-1] - pieces.place[1:])
    close = (passage[1:] == passage[:-1]) & (np.abs(np.diff(pieces.diagonal)) <= _SHIFT)
    cut = np.where(close & (overlap > 0) & (overlap <= _SHIFT), overlap, 0)
    cut = np.append(0, np.minimum(cut, pieces.words[1:] - 1))
    return Runs(pieces.text + cut, pieces.place + cut, pieces.words - cut)


def _follows(pieces: Runs, passage: IntArray) -> BoolArray:
    """[S - 1] whether a piece goes on where the one before it, in the same passage, ended."""
    end, place_end = pieces.text + pieces.words, pieces.place + pieces.words
    gap, place_gap = pieces.text[1:] - end[:-1], pieces.place[1:] - place_end[:-1]
    close = (gap >= 0) & (gap <= _GAP) & (place_gap >= 0) & (place_gap <= _GAP)
    near = np.abs(gap - place_gap) <= _SHIFT
    return np.asarray(close & near & (passage[1:] == passage[:-1]))


def _agreement(
    words: WordIds, ids: WordIds, pieces: Runs, weights: FloatArray
) -> tuple[IntArray, FloatArray, IntArray]:
    """Words that agree in each piece, the sum of their weights, and the longest run of them."""
    if len(pieces.text) == 0:
        none = np.zeros(0, dtype=np.int64)
        return none, none.astype(float), none
    text = _ranges(pieces.text, pieces.words)
    same = words[_ranges(pieces.place, pieces.words)] == ids[text]
    first = np.cumsum(pieces.words) - pieces.words
    matched = np.add.reduceat(same.astype(np.int64), first)
    weight = np.add.reduceat(np.where(same, weights[text], 0.0), first)
    # Words since the last changed one, counted anew in every piece.
    index = np.arange(len(same))
    broken = np.where(same, -1, index)
    broken[first] = np.maximum(broken[first], first - 1)
    run = index - np.maximum.accumulate(broken)
    return matched, weight, np.maximum.reduceat(run, first)
