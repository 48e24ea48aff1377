"""BM25: the registered passages nearest by words vote for their sub-dataset."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from copylens.records import IntArray

NEIGHBOURS = 20


def bm25_votes(
    train: Sequence[str],
    labels: IntArray,
    queries: Sequence[str],
    classes: int,
    neighbours: int = NEIGHBOURS,
) -> npt.NDArray[np.float64]:
    """Shares of the votes of each query's nearest training passages, weighted by BM25 score.

    Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), by
    bm25s. A query that shares no word with any passage gets even shares.

    Returns:
        [queries, K], rows sum to 1.
    """
    import bm25s

    retriever = bm25s.BM25()
    corpus = bm25s.tokenize(list(train), stopwords=None, show_progress=False)
    retriever.index(corpus, show_progress=False)
    tokens = bm25s.tokenize(list(queries), stopwords=None, show_progress=False)
    nearest, scores = retriever.retrieve(
        tokens, k=min(neighbours, len(train)), show_progress=False, n_threads=1
    )
    votes = np.zeros((len(queries), classes))
    rows = np.repeat(np.arange(len(queries)), nearest.shape[1])
    np.add.at(votes, (rows, labels[nearest.ravel()]), scores.ravel())
    total = votes.sum(axis=1, keepdims=True)
    even = np.full_like(votes, 1.0 / classes)
    return np.asarray(np.divide(votes, total, out=even, where=total > 0), dtype=np.float64)
