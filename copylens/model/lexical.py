"""The lexical channel: which words and letters a text uses, without any LM."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.model.experts import ExpertGate, fit_gate
from copylens.model.folds import fold_index
from copylens.model.names import TOKEN, NameRecord
from copylens.model.ngrams import Ids, NgramView, char_ids, word_ids
from copylens.model.ridge import gram, out_of_fold, ridge_duals
from copylens.records import FloatArray, IntArray

_WORDS, _CHARS = (1, 2), (3, 5)
_RIDGE = 0.03
_FOLDS = 5


@dataclass(frozen=True)
class LexicalClassifier:
    """Two ridge experts on n-grams, pooled by a gate.

    The masked expert reads the text with names and one-group words hidden: what carries over to
    an unseen work. The named expert reads it as it is: what gives a known work away.

    Attributes:
        names: how to hide names.
        views: four n-gram views: masked words, masked characters, named words, named characters.
        weights: four arrays [F, K].
        gate: pools the two experts' scores.
    """

    names: NameRecord
    views: tuple[NgramView, ...]
    weights: tuple[FloatArray, ...]
    gate: ExpertGate

    def log_probs(self, texts: Sequence[str]) -> FloatArray:
        """[N, K] log-probabilities of the sub-datasets."""
        if not texts:
            return np.zeros((0, self.weights[0].shape[1]))
        return self.gate.log_probs(self.scores(texts))

    def scores(self, texts: Sequence[str]) -> FloatArray:
        """[2, N, K] ridge scores of the masked and of the named expert; about 0 when clueless."""
        documents = read_views(self.names, texts)
        parts = [
            view.matrix(document) @ weight
            for view, document, weight in zip(self.views, documents, self.weights)
        ]
        return np.stack([parts[0] + parts[1], parts[2] + parts[3]]).astype(np.float64)


def fit_lexical(
    texts: Sequence[str], labels: IntArray, groups: IntArray, classes: int, seed: int
) -> LexicalClassifier:
    """Fits experts and gate on passages.

    Args:
        labels: [N] in 0..K-1, every class present.
        groups: [N] split groups; those of one class held out together simulate an unseen work.
    """
    names = NameRecord.learn(texts, groups)
    documents = read_views(names, texts)
    views = tuple(NgramView.fit(document) for document in documents)
    rows = [view.matrix(document) for view, document in zip(views, documents)]
    kernels = [(gram(rows[e]) + gram(rows[e + 1])) / 2 for e in (0, 2)]
    situations = []
    for units in (np.arange(len(labels)), groups):
        folds = fold_index(labels, units, _FOLDS, seed)
        held = [out_of_fold(kernel, labels, classes, _RIDGE, folds) for kernel in kernels]
        situations.append(np.stack(held))
    gate = fit_gate(situations[0], situations[1], (labels, labels))
    duals = [ridge_duals(kernel, labels, classes, _RIDGE) for kernel in kernels]
    weights = tuple(np.asarray(row.T @ duals[i // 2], np.float32) / 2 for i, row in enumerate(rows))
    return LexicalClassifier(names, views, weights, gate)


def read_views(names: NameRecord, texts: Sequence[str]) -> tuple[list[Ids], ...]:
    """N-gram ids of each text in each of the four views."""
    views: tuple[list[Ids], ...] = ([], [], [], [])
    for text in texts:
        masked = names.names_hidden(text)
        views[0].append(word_ids(names.rare_hidden(masked), *_WORDS))
        views[1].append(char_ids(" ".join(masked), *_CHARS))
        views[2].append(word_ids(TOKEN.findall(text), *_WORDS))
        views[3].append(char_ids(text, *_CHARS))
    return views
