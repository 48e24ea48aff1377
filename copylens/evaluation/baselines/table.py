"""What CopyLens must be compared with: text-only classifiers on the very same splits.

TF-IDF over words and characters, both again with names masked, each under a logistic regression;
a vote of the BM25-nearest passages; and a linear probe on pooled states. They fit on train,
choose C, k and the OOD score on val, and see test once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from copylens.evaluation.baselines.bm25 import bm25_votes
from copylens.evaluation.baselines.linear import Split, fit_logistic
from copylens.evaluation.baselines.text_ood import OodScore, ood_figures
from copylens.evaluation.metrics import accuracy, macro_f1
from copylens.fit.data import TextSet
from copylens.records import FloatArray, IntArray, Passage
from copylens.text import mask_names

MAX_WORD_FEATURES = 30_000
MAX_CHAR_FEATURES = 120_000

_WORD_OR_MARK = r"(?u)\b\w+\b|[^\w\s]"


Classifier = Callable[[Sequence[str]], FloatArray]
"""Texts [N] -> probabilities [N, K]."""


@dataclass(frozen=True)
class BaselineResult:
    """One baseline on the test split, and on OOD texts where it scores them.

    Attributes:
        name: as in report.json.
        probabilities: [N, K] over the test passages, columns in the order of the labels.
        correct: [N] bool, for paired differences.
        accuracy, macro_f1: on test.
        auroc, fpr95: of the OOD score that was best on val; None where there is no OOD text, or
            the baseline gives no score.
        ood: every OOD score of the baseline by name, e.g. `msp`, `knn`.
    """

    name: str
    probabilities: FloatArray
    correct: npt.NDArray[np.bool_]
    accuracy: float
    macro_f1: float
    auroc: float | None
    fpr95: float | None
    ood: dict[str, OodScore]

    def to_report(self) -> dict[str, float | None]:
        """The figures report.json holds."""
        return {key: getattr(self, key) for key in ("accuracy", "macro_f1", "auroc", "fpr95")}


def run_text_baselines(
    train: Sequence[Passage],
    val: Sequence[Passage],
    test: Sequence[Passage],
    ood_val: Sequence[Passage],
    ood_test: Sequence[Passage],
    labels: Sequence[str],
    seed: int,
) -> dict[str, BaselineResult]:
    """All text-only baselines by name.

    Args:
        train, val, test: registered passages; train must hold every label.
        ood_val, ood_test: passages of nothing registered; may be empty, then OOD figures are None.
        labels: the K sub-datasets; fixes the order of the columns of `probabilities`.
        seed: of the logistic regression's solver.
    """
    sets = (train, val, test, ood_val, ood_test)
    plain = [[passage.text for passage in part] for part in sets]
    masked = [[mask_names(text) for text in part] for part in plain]
    places = {label: i for i, label in enumerate(labels)}
    targets = [np.array([places[p.sub_dataset] for p in part], np.int64) for part in sets[:3]]
    views = {"": plain, "_masked": masked}
    results: dict[str, BaselineResult] = {}
    for suffix, texts in views.items():
        for kind in ("word", "char"):
            name = f"tfidf_{kind}{suffix}"
            results[name] = _classify(name, _tfidf(kind, texts, targets), len(labels), seed)
    votes = bm25_votes(plain[0], targets[0], plain[2], len(labels))
    results["bm25"] = _result("bm25", votes, targets[2], {})
    return results


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


def run_linear_probe(name: str, split: Split, classes: int, seed: int) -> BaselineResult:
    """Logistic regression on standardised dense features [N, F], as mean states or embeddings."""
    train = np.asarray(split.train, dtype=np.float64)  # states are fp16: their sums overflow
    mean, spread = train.mean(axis=0), train.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)

    def standardise(states: FloatArray) -> FloatArray:
        return np.asarray((np.asarray(states) - mean) / scale, dtype=np.float32)

    parts = ("train", "val", "test", "ood_val", "ood_test")
    scaled: dict[str, Any] = {name: standardise(getattr(split, name)) for name in parts}
    return _classify(name, replace(split, **scaled), classes, seed)


def best_text(results: dict[str, BaselineResult]) -> BaselineResult:
    """The text baseline with the highest accuracy: the one to beat."""
    return max(results.values(), key=lambda result: result.accuracy)


def _tfidf(kind: str, texts: list[list[str]], targets: Sequence[IntArray]) -> Split:
    reader = vectoriser(kind)
    train = reader.fit_transform(texts[0])
    # An empty set keeps its columns: the vectoriser itself refuses to transform nothing.
    rest = [reader.transform(part) if part else train[:0] for part in texts[1:]]
    return Split(train, targets[0], rest[0], targets[1], rest[1], targets[2], rest[2], rest[3])


def vectoriser(kind: str) -> Any:
    """TF-IDF with logarithmic counts, the same for every baseline of a kind.

    Punctuation marks count as words: with one novel per author held out of train that was worth 1
    to 4 points. Characters keep their case: no difference there within 1 point, unmasked. Rare
    features go: they name books, not authors.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    shared: dict[str, Any] = {"sublinear_tf": True, "dtype": np.float32}
    if kind == "word":
        return TfidfVectorizer(
            ngram_range=(1, 2),
            token_pattern=_WORD_OR_MARK,
            min_df=2,
            max_features=MAX_WORD_FEATURES,
            **shared,
        )
    return TfidfVectorizer(
        analyzer="char",
        ngram_range=(3, 5),
        lowercase=False,
        min_df=3,
        max_features=MAX_CHAR_FEATURES,
        **shared,
    )


def _classify(name: str, split: Split, classes: int, seed: int) -> BaselineResult:
    model = fit_logistic(
        split.train, split.train_labels, split.val, split.val_labels, classes, seed
    )
    test = model.probabilities(split.test)
    return _result(name, test, split.test_labels, ood_figures(split, model))


def _result(
    name: str, probabilities: FloatArray, labels: IntArray, ood: dict[str, OodScore]
) -> BaselineResult:
    chosen = max(ood.values(), key=lambda score: score.val_auroc, default=None)
    predictions = probabilities.argmax(axis=1)
    return BaselineResult(
        name=name,
        probabilities=probabilities,
        correct=predictions == labels,
        accuracy=accuracy(labels, predictions),
        macro_f1=macro_f1(labels, predictions),
        auroc=chosen.auroc if chosen else None,
        fpr95=chosen.fpr95 if chosen else None,
        ood=ood,
    )
