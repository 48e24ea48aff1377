"""Passages by their words: how rare a word is, BM25, and the fusion of rankings."""

from collections.abc import Sequence

import numpy as np

from copylens.evidence.arrays import ShardArrays
from copylens.evidence.words import WordIds
from copylens.records import FloatArray, IntArray

_K1, _B = 1.5, 0.75
# Cormack, Clarke, Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank
# learning methods" (2009).
_RRF = 60


def passage_weights(shards: Sequence[ShardArrays], ids: WordIds, passages: int) -> FloatArray:
    """[n] nats: -ln of the share of all passages that hold each word; 0 for words of none."""
    terms, back = np.unique(ids, return_inverse=True)
    df = _frequencies(shards, terms)[back]
    return np.asarray(np.where(df > 0, np.log(max(1, passages) / np.maximum(1, df)), 0.0))


def bm25_scores(shards: Sequence[ShardArrays], terms: WordIds) -> FloatArray:
    """[all passages] BM25 of each passage, in the order of the shards; every query word once.

    Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), in
    Lucene's form: idf = ln(1 + (N - df + 0.5) / (df + 0.5)). Frequencies are summed over the shards
    at query time, so shards are independent and can be deleted one by one (bm25s keeps one
    index with one vocabulary of all passages).
    """
    lengths = [np.diff(shard.starts.astype(np.int64)) - 1 for shard in shards]
    passages = sum(map(len, lengths))
    if passages == 0:
        return np.zeros(0)
    mean = max(1.0, sum(int(some.sum()) for some in lengths) / passages)
    df = _frequencies(shards, terms)
    idf = np.log1p((passages - df + 0.5) / (df + 0.5))
    scores = []
    for shard, length in zip(shards, lengths):
        low, count = _entries(shard, terms)
        entry = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(count.sum())
        passage = shard.passages[entry]
        tf = shard.counts[entry].astype(np.float64)
        penalty = _K1 * (1 - _B + _B * length[passage] / mean)
        gain = np.repeat(idf, count) * tf / (tf + penalty)
        scores.append(np.bincount(passage, gain, minlength=len(length)))
    return np.concatenate(scores)


def fuse(rankings: Sequence[FloatArray], depth: int, most: int) -> list[tuple[int, float]]:
    """Passages with the highest sum of 1 / (60 + rank) over the rankings, best first.

    Args:
        rankings: scores of all passages, larger = nearer; those that are not > 0 are not ranked.
        depth: places of each ranking that count.
    """
    fused: dict[int, float] = {}
    for scores in rankings:
        best = np.argsort(-scores, kind="stable")[:depth]
        for rank, number in enumerate(best[scores[best] > 0].tolist(), start=1):
            fused[number] = fused.get(number, 0.0) + 1 / (_RRF + rank)
    return sorted(fused.items(), key=lambda item: (-item[1], item[0]))[:most]


def _frequencies(shards: Sequence[ShardArrays], terms: WordIds) -> IntArray:
    """[terms] passages that hold each term."""
    total = np.zeros(len(terms), dtype=np.int64)
    for shard in shards:
        total += _entries(shard, terms)[1]
    return total


def _entries(shard: ShardArrays, terms: WordIds) -> tuple[IntArray, IntArray]:
    """Where each term's entries begin, and how many there are."""
    if len(shard.terms) == 0:
        return np.zeros(len(terms), dtype=np.int64), np.zeros(len(terms), dtype=np.int64)
    place = np.minimum(np.searchsorted(shard.terms, terms), len(shard.terms) - 1)
    known = shard.terms[place] == terms
    low = shard.term_starts[place].astype(np.int64)
    count = shard.term_starts[place + 1].astype(np.int64) - low
    return low, np.where(known, count, 0)
