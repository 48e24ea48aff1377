"""Passages by their words: how rare a word is, BM25, and the fusion of rankings."""

from collections.abc import Sequence

import numpy as np

from copylens.evidence.arrays import PartArrays
from copylens.evidence.words import Ids
from copylens.records import FloatArray, IntArray

_K1, _B = 1.5, 0.75
# Cormack, Clarke, Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank
# learning methods" (2009).
_RRF = 60


def passage_weights(parts: Sequence[PartArrays], ids: Ids, passages: int) -> FloatArray:
    """[n] nats: -ln of the share of all passages that hold each word; 0 for words of none."""
    terms, back = np.unique(ids, return_inverse=True)
    df = _frequencies(parts, terms)[back]
    return np.asarray(np.where(df > 0, np.log(max(1, passages) / np.maximum(1, df)), 0.0))


def bm25_scores(parts: Sequence[PartArrays], terms: Ids) -> FloatArray:
    """[all passages] BM25 of each passage, in the order of the parts; every query word once.

    Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), in
    Lucene's form: idf = ln(1 + (N - df + 0.5) / (df + 0.5)). Frequencies are summed over the parts
    when asked for, so none of them knows of another, and each can go by itself.
    """
    lengths = [np.diff(part.starts.astype(np.int64)) - 1 for part in parts]
    passages = sum(map(len, lengths))
    if passages == 0:
        return np.zeros(0)
    mean = max(1.0, sum(int(some.sum()) for some in lengths) / passages)
    df = _frequencies(parts, terms)
    idf = np.log1p((passages - df + 0.5) / (df + 0.5))
    scores = []
    for part, length in zip(parts, lengths):
        low, count = _entries(part, terms)
        entry = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(count.sum())
        passage = part.passages[entry]
        tf = part.counts[entry].astype(np.float64)
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


def _frequencies(parts: Sequence[PartArrays], terms: Ids) -> IntArray:
    """[terms] passages that hold each term."""
    total = np.zeros(len(terms), dtype=np.int64)
    for part in parts:
        total += _entries(part, terms)[1]
    return total


def _entries(part: PartArrays, terms: Ids) -> tuple[IntArray, IntArray]:
    """Where each term's entries begin, and how many there are."""
    if len(part.terms) == 0:
        return np.zeros(len(terms), dtype=np.int64), np.zeros(len(terms), dtype=np.int64)
    place = np.minimum(np.searchsorted(part.terms, terms), len(part.terms) - 1)
    known = part.terms[place] == terms
    low = part.term_starts[place].astype(np.int64)
    count = part.term_starts[place + 1].astype(np.int64) - low
    return low, np.where(known, count, 0)
