"""Figures of merit: plain numbers from plain arrays. Every convention is stated where it lives.

Labels and predictions are integers in 0..K-1, [N]; probabilities are [N, K]; an OOD score is
larger for a text that is less likely to draw on anything registered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from copylens.detector.auroc import both_sides
from copylens.records import FloatArray, IntArray, TimelineItem

Float64 = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

ID_RECALL = 0.95
FPR95_CONVENTION = (
    "in-distribution is positive: the threshold keeps 95 % of the in-distribution texts, "
    "FPR95 is the share of out-of-distribution texts that it still accepts"
)


def accuracy(labels: IntArray, predictions: IntArray) -> float:
    """Share of passages whose prediction is the label, in [0, 1]."""
    from sklearn.metrics import accuracy_score

    _need_rows(labels, predictions)
    return float(accuracy_score(labels, predictions))


def confusion_counts(labels: IntArray, predictions: IntArray, classes: int) -> Counts:
    """Counts [K, K]: row = true sub-dataset, column = predicted one."""
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(labels, predictions, labels=range(classes)))


def macro_f1(labels: IntArray, predictions: IntArray) -> float:
    """Mean F1 over the classes that occur among labels or predictions, in [0, 1]."""
    from sklearn.metrics import f1_score

    _need_rows(labels, predictions)
    return float(f1_score(labels, predictions, average="macro", zero_division=0))


@dataclass(frozen=True)
class ReliabilityBins:
    """Confidence against accuracy, per bin of the largest share.

    Attributes:
        edges: [bins + 1] from 0 to 1, equal widths; a bin is (low, high].
        confidence: [bins] mean largest share, NaN where a bin is empty.
        accuracy: [bins] share that is right, NaN where a bin is empty.
        count: [bins] passages.
    """

    edges: Float64
    confidence: Float64
    accuracy: Float64
    count: Counts


def reliability_bins(
    probabilities: FloatArray, labels: IntArray, bins: int = 15
) -> ReliabilityBins:
    """Sorts passages by their largest share into equal-width bins."""
    shares = np.asarray(probabilities, dtype=np.float64)
    _need_rows(labels, shares)
    top = np.clip(shares.max(axis=1), 0.0, 1.0)
    right = shares.argmax(axis=1) == np.asarray(labels)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, top, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, weights=top, minlength=bins) / count
        correct = np.bincount(place, weights=right, minlength=bins) / count
    return ReliabilityBins(edges, confidence, correct, count)


def ece(probabilities: FloatArray, labels: IntArray, bins: int = 15) -> float:
    """Expected calibration error of the largest share: sum_b n_b/N |accuracy_b - confidence_b|.

    In [0, 1], 0 = calibrated. Guo et al., arXiv 1706.04599; 15 equal-width bins as there.
    """
    table = reliability_bins(probabilities, labels, bins)
    filled = table.count > 0
    gaps = np.abs(table.accuracy[filled] - table.confidence[filled])
    return float(np.sum(table.count[filled] * gaps) / table.count.sum())


def threshold_at_recall(id_scores: FloatArray, recall: float = ID_RECALL) -> float:
    """The smallest score t such that at least `recall` of the in-distribution texts have <= t."""
    ordered = np.sort(np.asarray(id_scores, dtype=np.float64))
    # The tolerance keeps 0.95 * 20 = 19.000000000000004 from asking for a 20th text.
    needed = int(np.ceil(recall * len(ordered) - 1e-9))
    return float(ordered[max(needed, 1) - 1])


def fpr95(id_scores: FloatArray, ood_scores: FloatArray) -> float:
    """Share of OOD texts accepted at 95 % in-distribution recall; see FPR95_CONVENTION."""
    both_sides(id_scores, ood_scores)
    return float(np.mean(np.asarray(ood_scores) <= threshold_at_recall(id_scores)))


def roc_curve(id_scores: FloatArray, ood_scores: FloatArray) -> tuple[Float64, Float64]:
    """Points (fpr, tpr) of accepting every text with score <= t, t from -inf to inf.

    In-distribution is positive: tpr = share of in-distribution texts accepted, fpr = share of OOD
    texts accepted. From (0, 0) to (1, 1), both ascending; the area below is `auroc`.
    """
    from sklearn.metrics import roc_curve as roc

    is_ood, scores = both_sides(id_scores, ood_scores)
    fpr, tpr, _ = roc(1 - is_ood, -scores, drop_intermediate=False)
    return fpr, tpr


def mean_absolute_share_error(true: FloatArray, predicted: FloatArray) -> float:
    """Mean |predicted share - true share| over texts and sub-datasets, in [0, 1]. [N, K] each."""
    _need_rows(true, predicted)
    return float(np.mean(np.abs(np.asarray(true) - np.asarray(predicted))))


def timeline_borders(timeline: Sequence[TimelineItem]) -> list[int]:
    """Character offsets at which the largest share of a time line passes to another sub-dataset."""
    tops = [max(item.shares, key=lambda name: item.shares[name]) for item in timeline]
    return [
        item.start
        for item, top, before in zip(timeline[1:], tops[1:], tops[:-1], strict=True)
        if top != before
    ]


def border_error(true: Sequence[int], predicted: Sequence[int], length: int) -> float:
    """How far true and predicted borders lie apart, in characters, >= 0.

    The mean of two directions: each true border to the nearest predicted one, and each predicted
    one to the nearest true one, so that neither missing nor inventing borders pays. Where one side
    has none the error is the text's `length`; where both have none it is 0.
    """
    if not true and not predicted:
        return 0.0
    if not true or not predicted:
        return float(length)
    gaps = np.abs(np.subtract.outer(np.asarray(true), np.asarray(predicted)))
    return float((gaps.min(axis=1).mean() + gaps.min(axis=0).mean()) / 2)


def interval_coverage(low: FloatArray, high: FloatArray, truth: FloatArray) -> float:
    """Share of true values inside [low, high], ends included; arrays of one shape."""
    _need_rows(low, truth)
    inside = (np.asarray(low) <= np.asarray(truth)) & (np.asarray(truth) <= np.asarray(high))
    return float(np.mean(inside))


def _need_rows(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> None:
    if len(first) != len(second) or len(first) == 0:
        raise ValueError(f"need two arrays of one length > 0, got {len(first)} and {len(second)}")
