"""The lexical channel: which words and letters a text uses, without any LM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from copylens.records import FloatArray, IntArray
from copylens.textviews import mask_names

_BITS = 18


@dataclass(frozen=True)
class LexicalClassifier:
    """Multinomial logistic regression on hashed TF-IDF n-grams.

    Words (1-2 grams) are read from the text as it is, characters (3-5 grams inside words) with
    names masked: names carry texts of a known book, style carries those of an unknown one.

    Attributes:
        idf: [2 * 2^18] inverse document frequencies, 0 for n-grams never seen in training.
        weights: [K, 2 * 2^18].
        bias: [K].
    """

    idf: FloatArray
    weights: FloatArray
    bias: FloatArray

    def log_probs(self, texts: Sequence[str]) -> FloatArray:
        """[N, K] log-probabilities of the sub-datasets."""
        if not texts:
            return np.zeros((0, len(self.bias)))
        logits = weighted(counts(texts), self.idf) @ self.weights.T + self.bias
        peak = logits.max(axis=1, keepdims=True)
        normaliser = peak + np.log(np.exp(logits - peak).sum(axis=1, keepdims=True))
        return np.asarray(logits - normaliser)


def fit_lexical(
    texts: Sequence[str], labels: IntArray, classes: int, seed: int
) -> LexicalClassifier:
    """Fits the channel on passages; labels [N] in 0..K-1, every class present."""
    from sklearn.linear_model import LogisticRegression

    raw = counts(texts)
    seen = np.asarray((raw > 0).sum(axis=0)).ravel()
    idf = np.where(seen > 0, np.log((1 + len(texts)) / (1 + seen)) + 1, 0).astype(np.float32)
    model = LogisticRegression(C=10.0, max_iter=200, random_state=seed)
    model.fit(weighted(raw, idf), labels)
    weights, bias = model.coef_, model.intercept_
    if classes == 2:
        # scikit-learn keeps one row for two classes.
        weights, bias = np.vstack([-weights, weights]) / 2, np.hstack([-bias, bias]) / 2
    return LexicalClassifier(idf, weights.astype(np.float32), bias.astype(np.float32))


def counts(texts: Sequence[str]) -> sparse.csr_matrix:
    """[N, 2 * 2^18] n-gram counts: words as they are, characters with names masked."""
    words = _hasher(analyzer="word", ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    chars = _hasher(analyzer="char_wb", ngram_range=(3, 5))
    blocks = [words.transform(texts), chars.transform([mask_names(text) for text in texts])]
    return sparse.csr_matrix(sparse.hstack(blocks))


def weighted(raw: sparse.csr_matrix, idf: FloatArray) -> sparse.csr_matrix:
    """Sublinear TF-IDF; each of the two views has length 1 per text."""
    result = raw.astype(np.float32)
    result.data = 1 + np.log(result.data)
    result = sparse.csr_matrix(result.multiply(idf[None, :]))
    half = result.shape[1] // 2
    views = [_unit_rows(result[:, :half]), _unit_rows(result[:, half:])]
    return sparse.csr_matrix(sparse.hstack(views))


def _unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    from sklearn.preprocessing import normalize

    return sparse.csr_matrix(normalize(matrix))


def _hasher(**options: Any) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        n_features=2**_BITS, alternate_sign=False, norm=None, lowercase=True, **options
    )
