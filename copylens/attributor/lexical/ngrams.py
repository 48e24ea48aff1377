"""N-grams as 64-bit ids, and texts as sparse rows over those that training has seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from copylens.records import FloatArray, IntArray
from copylens.store.arrays import Arrays
from copylens.text import Ids, ngram_ids, token_ids

_MIN_TEXTS = 2


def char_ngram_ids(text: str, low: int, high: int) -> Ids:
    """Ids of all character n-grams of `low` to `high` characters."""
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    return ngram_ids(codes.astype(np.uint64), low, high)


def word_ngram_ids(tokens: Sequence[str], low: int, high: int) -> Ids:
    """Ids of all n-grams of `low` to `high` tokens."""
    return ngram_ids(token_ids(tokens), low, high)


@dataclass(frozen=True)
class NgramView:
    """Square-root counts times inverse document frequency, at unit length.

    Attributes:
        vocabulary: [F] ids in ascending order.
        idf: [F].
        unseen: idf of an n-gram that training has not seen. It counts for the length, so a
            strange text gets low values all over.
    """

    vocabulary: Ids
    idf: FloatArray
    unseen: float

    @classmethod
    def fit(cls, documents: Sequence[Ids]) -> "NgramView":
        """Keeps the n-grams of at least two texts (of one, where no two texts share any)."""
        ids, df = np.unique(np.concatenate([np.unique(d) for d in documents]), return_counts=True)
        keep = df >= min(_MIN_TEXTS, int(df.max(initial=1)))
        idf = np.log((1 + len(documents)) / (1 + df[keep])) + 1
        return cls(ids[keep], idf, float(np.log((1 + len(documents)) / 2) + 1))

    def arrays(self) -> Arrays:
        """Every parameter by its name."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "NgramView":
        """The inverse of `arrays`."""
        return cls(arrays["vocabulary"], arrays["idf"], arrays["unseen"].item())

    def matrix(self, documents: Sequence[Ids]) -> sparse.csr_matrix:
        """[N, F] float32 rows of length <= 1."""
        rows = [self._row(document) for document in documents]
        values = np.concatenate([np.zeros(0, np.float32), *(value for _, value in rows)])
        columns = np.concatenate([np.zeros(0, np.int64), *(place for place, _ in rows)])
        ends = np.cumsum([0, *(len(value) for _, value in rows)])
        return sparse.csr_matrix((values, columns, ends), shape=(len(rows), len(self.vocabulary)))

    def scores(self, documents: Sequence[Ids], weights: FloatArray) -> FloatArray:
        """`matrix(documents) @ weights`, [N, F] and [F, K] -> [N, K], up to rounding.

        Without the matrix: for a single text building it takes longer than the product.
        """
        found = np.zeros((len(documents), weights.shape[1]), np.float32)
        for n, document in enumerate(documents):
            place, value = self._row(document)
            found[n] = value @ weights[place]
        return found

    def _row(self, document: Ids) -> tuple[IntArray, FloatArray]:
        """Columns and float32 values of a text's n-grams that training has seen."""
        ids, counts = np.unique(document, return_counts=True)
        place = np.minimum(np.searchsorted(self.vocabulary, ids), len(self.vocabulary) - 1)
        known = self.vocabulary[place] == ids
        value = np.sqrt(counts) * np.where(known, self.idf[place], self.unseen)
        length = max(float(np.sqrt(value @ value)), 1e-12)
        return place[known], (value[known] / length).astype(np.float32)
