"""One shard of an index as arrays: positions of phrases of four words, and an inverted index of
words.

Places are sampled by winnowing (Schleimer, Wilkerson, Aiken, "Winnowing: local algorithms for
document fingerprinting", 2003): of three neighbouring phrases the one with the smallest hash is
kept. The choice depends on the words alone, so every run of six words that two texts share has a
kept phrase in it, for half the bytes of an index of all places.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from copylens.evidence.words import SEPARATOR, WORDS_VERSION, WordIds
from copylens.records import AnyArray, IntArray
from copylens.text import ngram_ids

PHRASE = 4
"""Words in a phrase that is looked up."""

WINDOW = 3
"""Neighbouring phrases of which one is kept."""

GUARANTEED = PHRASE + WINDOW - 1
"""Every shared run of so many words is found."""

LAYOUT = [2, WORDS_VERSION, PHRASE, WINDOW]
"""What arrays depend on besides the passages; part of their key."""

Hashes = npt.NDArray[np.uint64]

_NONE = np.uint64(0xFFFFFFFFFFFFFFFF)
_PER_BUCKET = 8
_MOST = 255


@dataclass(frozen=True)
class ShardArrays:
    """The index of at most 65,535 passages; a place is a position in `words`.

    Attributes:
        words: [n] uint32, the passages' words, a SEPARATOR after each passage.
        starts: [P + 1] uint32, the place where each passage begins.
        groups: [P] uint16, the number of each passage's split group in this shard.
        anchors: [a] uint32, kept places, by bucket.
        buckets: [2^k + 1] uint32, where in `anchors` each bucket begins; the bucket of a place is
            given by the top k bits of its phrase's hash.
        terms: [V] uint32, the distinct words, sorted.
        term_starts: [V + 1] uint32, where the entries of each of them begin.
        passages: [e] uint16, entries: passages that hold the word, ascending.
        counts: [e] uint8, how often; 255 = at least so often.
    """

    words: WordIds
    starts: IntArray
    groups: IntArray
    anchors: IntArray
    buckets: IntArray
    terms: WordIds
    term_starts: IntArray
    passages: IntArray
    counts: IntArray

    def to_dict(self) -> dict[str, AnyArray]:
        """The arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def build_arrays(passages: Sequence[WordIds], groups: Sequence[int]) -> ShardArrays:
    """The index of some passages, given as the ids of their words.

    Args:
        groups: number of the split group of each.
    """
    assert len(passages) == len(groups) <= _MOST * 257
    lengths = np.array([len(ids) + 1 for ids in passages], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    words = np.zeros(starts[-1], dtype=np.uint32)
    for start, ids in zip(starts, passages):
        words[start : start + len(ids)] = ids
    lookups = (*_anchors(words), *_postings(words, lengths))
    return ShardArrays(words, starts.astype(np.uint32), np.array(groups, np.uint16), *lookups)


def phrase_hashes(words: WordIds) -> Hashes:
    """[n] ids -> [max(0, n - 3)] hashes; the largest value where a SEPARATOR is among the four."""
    hashes = ngram_ids(words.astype(np.uint64), PHRASE, PHRASE)
    for offset in range(PHRASE):
        hashes[words[offset : offset + len(hashes)] == SEPARATOR] = _NONE
    return hashes


def bucket_of(hashes: Hashes, buckets: IntArray) -> IntArray:
    """The bucket of each hash: its top bits."""
    bits = (len(buckets) - 1).bit_length() - 1
    # Shifting by all 64 bits is undefined.
    return (hashes >> np.uint64(1) >> np.uint64(63 - bits)).astype(np.int64)


def _anchors(words: WordIds) -> tuple[IntArray, IntArray]:
    """`anchors` and `buckets` of the index."""
    hashes = phrase_hashes(words)
    kept = _winnow(hashes)
    bits = max(1, int(len(kept) // _PER_BUCKET).bit_length())
    buckets = np.zeros(2**bits + 1, dtype=np.uint32)
    bucket = bucket_of(hashes[kept], buckets)
    # One sort of bucket and place together: the same order whatever sorts.
    packed = np.sort((bucket.astype(np.uint64) << np.uint64(32)) | kept.astype(np.uint64))
    buckets[1:] = np.cumsum(np.bincount(bucket, minlength=2**bits))
    return (packed & np.uint64(0xFFFFFFFF)).astype(np.uint32), buckets


def _winnow(hashes: Hashes) -> IntArray:
    """Places of the smallest hash (of equal ones the last) in every window; none of a window that
    a SEPARATOR fills.
    """
    padded = np.concatenate([hashes, np.full(WINDOW - 1, _NONE)])
    count = len(hashes)
    smallest = padded[:count].copy()
    place = np.arange(count)
    for offset in range(1, WINDOW):
        other = padded[offset : offset + count]
        better = (other <= smallest) & (other != _NONE)
        smallest[better] = other[better]
        place[better] = np.flatnonzero(better) + offset
    chosen = np.zeros(count, dtype=bool)
    chosen[place[smallest != _NONE]] = True
    return np.flatnonzero(chosen)


def _postings(words: WordIds, lengths: IntArray) -> tuple[WordIds, IntArray, IntArray, IntArray]:
    """`terms`, `term_starts`, `passages` and `counts` of the index."""
    passage = np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
    packed = np.sort((words.astype(np.uint64) << np.uint64(32)) | passage)
    packed = packed[(packed >> np.uint64(32)) != SEPARATOR]
    entry = _changes(packed)
    pairs, counts = packed[entry], np.diff(np.append(entry, len(packed)))
    ids = (pairs >> np.uint64(32)).astype(np.uint32)
    first = _changes(ids)
    return (
        ids[first],
        np.append(first, len(ids)).astype(np.uint32),
        (pairs & np.uint64(0xFFFF)).astype(np.uint16),
        np.minimum(counts, _MOST).astype(np.uint8),
    )


def _changes(values: AnyArray) -> IntArray:
    """Where a sorted array has a value for the first time."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])
