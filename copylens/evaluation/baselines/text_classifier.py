"""A text-only baseline that is fitted once and then reads any texts."""

from collections.abc import Callable, Sequence

from copylens.evaluation.baselines.bm25 import bm25_votes
from copylens.evaluation.baselines.linear import fit_logistic
from copylens.evaluation.baselines.table import vectoriser
from copylens.fit.data import TextSet
from copylens.records import FloatArray
from copylens.text import mask_names

Classifier = Callable[[Sequence[str]], FloatArray]
"""Texts [N] -> probabilities [N, K]."""


def fit_text_baseline(
    name: str, train: TextSet, val: TextSet, classes: int, seed: int
) -> Classifier:
    """The baseline of this name as `run_text_baselines` fits it, ready for texts of any kind.

    Args:
        name: `bm25`, or `tfidf_<word|char>` with or without `_masked`.
        train: labels in 0..K-1.
        val: C is chosen on it.
        classes: K.
    """
    if name == "bm25":
        return lambda texts: bm25_votes(train.texts, train.labels, list(texts), classes)
    view: Callable[[str], str] = mask_names if name.endswith("_masked") else str
    reader = vectoriser(name.split("_")[1])
    rows = reader.fit_transform([view(text) for text in train.texts])
    held = reader.transform([view(text) for text in val.texts]) if len(val) else rows[:0]
    model = fit_logistic(rows, train.labels, held, val.labels, classes, seed)
    return lambda texts: model.probabilities(reader.transform([view(text) for text in texts]))
