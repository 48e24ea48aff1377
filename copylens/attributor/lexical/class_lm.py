"""One n-gram language model per sub-dataset: how likely a text is under each of them (ours).

Two scores are read from them. Under which sub-dataset is the text likeliest: beside the ridge
experts that gains two to three points on unseen novels. And is the text likely under any of them:
a chat log may use a forum's words and still be no forum post. docs/experiments.md has both figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from copylens.records import FloatArray, IntArray
from copylens.store.arrays import Arrays, parts_of, sequence
from copylens.text import Ids, mix

_START = np.uint64(1)
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Level:
    """Counts of all n-grams of one length.

    Attributes:
        ids: [V] n-grams, ascending.
        counts: [V + 1, K]; the last row stands for every n-gram that was not seen.
        contexts: [C] what stands before the last token, ascending.
        context_of: [V] position of each n-gram's context in `contexts`.
    """

    ids: Ids
    counts: sparse.csr_matrix
    contexts: Ids
    context_of: IntArray

    @classmethod
    def fit(cls, contexts: Ids, ids: Ids, labels: IntArray, classes: int) -> "Level":
        """Counts n-grams [T] with their contexts [T] under the labels [T] of their texts."""
        seen, place = np.unique(ids, return_inverse=True)
        before, context = np.unique(contexts, return_inverse=True)
        context_of = np.zeros(len(seen), np.int32)
        context_of[place] = context
        ones = np.ones(len(ids), np.float32)
        shape = (len(seen) + 1, classes)
        counts = sparse.coo_matrix((ones, (place, labels)), shape=shape).tocsr()
        return cls(seen, counts, before, context_of)

    def arrays(self) -> Arrays:
        """Every parameter by its name; the sparse counts as their data, columns and row ends."""
        return {
            "ids": self.ids,
            "contexts": self.contexts,
            "context_of": self.context_of,
            "counts": self.counts.data,
            "columns": self.counts.indices,
            "ends": self.counts.indptr,
            "shape": np.array(self.counts.shape),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Level":
        """The inverse of `arrays`."""
        counts = sparse.csr_matrix(
            (arrays["counts"], arrays["columns"], arrays["ends"]), shape=tuple(arrays["shape"])
        )
        return cls(arrays["ids"], counts, arrays["contexts"], arrays["context_of"])

    @cached_property
    def _followers(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Per context the number of tokens after it, and of distinct ones; both [C + 1, K]."""
        V, C = len(self.ids), len(self.contexts)
        where = (np.ones(V, np.float32), (self.context_of, np.arange(V)))
        gather = sparse.coo_matrix(where, shape=(C + 1, V + 1)).tocsr()
        return (gather @ self.counts).tocsr(), (gather @ self.counts.sign()).tocsr()

    def interpolate(self, contexts: Ids, ids: Ids, lower: FloatArray) -> FloatArray:
        """Witten-Bell: (count + distinct * lower) / (total + distinct), or `lower` where the
        context is new; [T] n-grams and the shorter ones' probabilities [T, K] -> [T, K]."""
        row, context = _place(self.ids, ids), _place(self.contexts, contexts)
        total, distinct = (dense_rows(table, context) for table in self._followers)
        mass = total + distinct
        mixed = (dense_rows(self.counts, row) + distinct * lower) / np.maximum(mass, 1)
        return np.where(mass > 0, mixed, lower)


@dataclass(frozen=True)
class ClassLanguageModel:
    """Interpolated n-gram models of all sub-datasets (Witten and Bell 1991, there per document
    compression; here per sub-dataset).

    Attributes:
        levels: of 1, 2, ... tokens.
    """

    levels: tuple[Level, ...]

    @property
    def classes(self) -> int:
        """K."""
        return int(self.levels[0].counts.shape[1])

    def arrays(self) -> Arrays:
        """Every level's counts by its number."""
        return sequence(level.arrays() for level in self.levels)

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "ClassLanguageModel":
        """The inverse of `arrays`."""
        return cls(tuple(map(Level.from_arrays, parts_of(arrays))))

    @classmethod
    def fit(
        cls, documents: Sequence[Ids], labels: IntArray, classes: int, order: int
    ) -> "ClassLanguageModel":
        """Counts the n-grams of up to `order` tokens in documents [N] of labels [N]."""
        repeated = np.repeat(labels, [len(d) for d in documents])
        grams = _grams(documents, order)
        return cls(tuple(Level.fit(c, ids, repeated, classes) for c, ids in grams))

    def mean_log_probs(self, documents: Sequence[Ids]) -> FloatArray:
        """Mean log-probability per token under each sub-dataset, [N, K] nats, <= 0; NaN for an
        empty document."""
        lengths = np.array([len(d) for d in documents], np.int64)
        grams = list(_grams(documents, len(self.levels)))
        total = np.zeros((len(documents), self.classes))
        owner = np.repeat(np.arange(len(documents)), lengths)
        for start in range(0, len(owner), _BLOCK):
            block = slice(start, start + _BLOCK)
            p = np.full((len(owner[block]), self.classes), 1 / len(self.levels[0].ids), np.float32)
            for level, (contexts, ids) in zip(self.levels, grams):
                p = level.interpolate(contexts[block], ids[block], p)
            where = (np.ones(len(p)), (owner[block], np.arange(len(p))))
            total += sparse.coo_matrix(where, shape=(len(documents), len(p))).tocsr() @ np.log(p)
        mean = total / np.maximum(lengths, 1)[:, None]
        return np.asarray(np.where(lengths[:, None] > 0, mean, np.nan))


def dense_rows(table: sparse.csr_matrix, rows: IntArray) -> FloatArray:
    """Rows [T] of a table without double entries, as an array [T, K].

    The library's own way builds a sparse matrix in between: for few rows, as in a single text,
    that takes most of the time.
    """
    first = table.indptr[rows]
    size = table.indptr[rows + 1] - first
    owner = np.repeat(np.arange(len(rows)), size)
    place = np.arange(len(owner)) + np.repeat(first - (np.cumsum(size) - size), size)
    found = np.zeros((len(rows), table.shape[1]), table.dtype)
    found[owner, table.indices[place]] = table.data[place]
    return found


def _grams(documents: Sequence[Ids], order: int) -> list[tuple[Ids, Ids]]:
    """For n = 1..order and every token: the n-1 tokens before it, and they with it. Texts are
    told apart: each begins with `order - 1` start signs."""
    start = np.full(order - 1, _START)
    padded = np.concatenate([np.zeros(0, np.uint64), *(x for d in documents for x in (start, d))])
    lengths = np.array([len(d) for d in documents], np.int64)
    first = np.cumsum(lengths + order - 1) - lengths
    place = np.concatenate(
        [np.zeros(0, np.int64)] + [f + np.arange(n) for f, n in zip(first, lengths)]
    )
    grams = []
    for n in range(1, order + 1):
        context = np.full(len(place), n, np.uint64)
        for back in range(n - 1, 0, -1):
            context = mix(context, padded[place - back])
        grams.append((context, mix(context, padded[place])))
    return grams


def _place(keys: Ids, wanted: Ids) -> IntArray:
    """Position of each wanted id among ascending keys; len(keys) where it is not there."""
    place = np.searchsorted(keys, wanted)
    found = keys[np.minimum(place, len(keys) - 1)] == wanted
    return np.where(found, place, len(keys))
