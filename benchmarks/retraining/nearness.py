"""What every method but the shares does: likeness to each training passage, summed up by owner."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from copylens.evaluation.studies.refit import embed_passages
from copylens.probe.probe import Probe
from copylens.records import FloatArray, IntArray, States

NEIGHBOURS = (5, 20, 100, 500, None)
"""How many of the nearest passages speak, None = all; chosen on val for every method alike."""

Likeness = Callable[[Sequence[str]], FloatArray]
"""Texts [Q] -> [Q, N], larger = more like that training passage."""


def nearest_sums(
    likeness: FloatArray, labels: IntArray, classes: int, neighbours: int | None
) -> FloatArray:
    """Per sub-dataset the summed likeness of those of its passages that are among the nearest.

    Args:
        likeness: [Q, N].
        labels: [N] the passages' sub-datasets.

    Returns:
        [Q, K].
    """
    owners = np.eye(classes)[labels]  # [N, K]
    N = likeness.shape[1]
    if neighbours is None or neighbours >= N:
        return np.asarray(likeness @ owners)
    chosen = np.argpartition(-likeness, neighbours - 1, axis=1)[:, :neighbours]
    kept = np.zeros_like(likeness)
    rows = np.arange(len(likeness))[:, None]
    kept[rows, chosen] = likeness[rows, chosen]
    return np.asarray(kept @ owners)


def bm25(train: Sequence[str]) -> Likeness:
    """BM25 score of each passage, over words; Robertson and Zaragoza (2009), by bm25s."""
    import bm25s

    retriever = bm25s.BM25()
    retriever.index(_words(train), show_progress=False)

    def likeness(texts: Sequence[str]) -> FloatArray:
        tokens = _words(texts, ids=False)
        return np.stack([retriever.get_scores(words) for words in tokens]).astype(np.float64)

    return likeness


def tfidf(train: Sequence[str]) -> Likeness:
    """Cosine of TF-IDF over words, term frequencies damped by the logarithm."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True)
    rows = vectorizer.fit_transform(train)

    def likeness(texts: Sequence[str]) -> FloatArray:
        return np.asarray((vectorizer.transform(texts) @ rows.T).toarray())

    return likeness


def states(probe: Probe, train: Sequence[str]) -> Likeness:
    """Cosine of the probe's states, means over windows, each feature standardised over train."""
    raw = _pooled(embed_passages(probe, train))
    mean, spread = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-6)

    def units(rows: FloatArray) -> FloatArray:
        scaled = (rows - mean) / spread
        return np.asarray(scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12))

    known = units(raw)
    return lambda texts: units(_pooled(embed_passages(probe, texts))) @ known.T


def _pooled(states: Sequence[States]) -> FloatArray:
    return np.stack([item.values.mean(axis=0, dtype=np.float64) for item in states])


def _words(texts: Sequence[str], ids: bool = True) -> Any:
    import bm25s

    return bm25s.tokenize(list(texts), stopwords=None, return_ids=ids, show_progress=False)
