import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from copylens.detector.auroc import auroc
from copylens.evaluation import metrics
from copylens.records import TimelineItem

RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 4, 200)
PREDICTIONS = np.where(RNG.random(200) < 0.6, LABELS, RNG.integers(0, 4, 200))
SCORES = st.lists(st.integers(0, 6), min_size=1, max_size=40).map(lambda x: np.array(x, float))


def test_classification_figures_match_sklearn() -> None:
    assert metrics.accuracy(LABELS, PREDICTIONS) == pytest.approx(
        reference.accuracy_score(LABELS, PREDICTIONS)
    )
    assert metrics.macro_f1(LABELS, PREDICTIONS) == pytest.approx(
        reference.f1_score(LABELS, PREDICTIONS, average="macro")
    )
    expected = reference.confusion_matrix(LABELS, PREDICTIONS, labels=range(5))
    assert (metrics.confusion_counts(LABELS, PREDICTIONS, 5) == expected).all()


def test_macro_f1_leaves_out_classes_that_occur_nowhere() -> None:
    assert metrics.macro_f1(np.array([0, 2]), np.array([0, 2])) == 1.0


def test_ece_and_bins_by_hand() -> None:
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.38, 0.62]])
    labels = np.array([0, 1, 1, 1])
    # Bin (0.867, 0.933]: confidence 0.9, half right. Bin (0.6, 0.667] holds 0.62; 0.6 lies below.
    assert metrics.ece(shares, labels) == pytest.approx((2 * 0.4 + 0.4 + 0.38) / 4)
    bins = metrics.reliability_bins(shares, labels)
    assert bins.count.tolist() == [0] * 8 + [1, 1, 0, 0, 0, 2, 0]
    assert bins.accuracy[13] == 0.5 and bins.confidence[13] == pytest.approx(0.9)
    assert np.isnan(bins.accuracy[0])


def test_ece_of_certain_answers_is_their_error() -> None:
    shares = np.eye(4)[PREDICTIONS]
    error = 1 - metrics.accuracy(LABELS, PREDICTIONS)
    assert metrics.ece(shares, LABELS) == pytest.approx(error)


@given(SCORES, SCORES)
def test_auroc_is_the_share_of_pairs_and_the_area_below_the_curve(
    inside: np.ndarray, outside: np.ndarray
) -> None:
    gaps = np.subtract.outer(outside, inside)
    pairs = np.mean((gaps > 0) + 0.5 * (gaps == 0))
    assert auroc(inside, outside) == pytest.approx(pairs)
    fpr, tpr = metrics.roc_curve(inside, outside)
    assert np.trapezoid(tpr, fpr) == pytest.approx(pairs)
    truth = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    expected = reference.roc_curve(truth, -np.r_[inside, outside], drop_intermediate=False)
    np.testing.assert_allclose(fpr, expected[0])
    np.testing.assert_allclose(tpr, expected[1])


@given(SCORES, SCORES)
def test_fpr95_is_the_least_fpr_with_95_percent_kept(
    inside: np.ndarray, outside: np.ndarray
) -> None:
    fpr, tpr = metrics.roc_curve(inside, outside)
    assert metrics.fpr95(inside, outside) == fpr[tpr >= 0.95 - 1e-12].min()


def test_fpr95_by_hand() -> None:
    inside = np.arange(1, 21, dtype=float)  # 19 of 20 are <= 19
    assert metrics.fpr95(inside, np.array([18.5, 19.0, 19.5, 30.0])) == 0.5
    assert "in-distribution is positive" in metrics.FPR95_CONVENTION


def test_border_error_charges_missing_and_invented_borders() -> None:
    assert metrics.border_error([100], [110], 500) == 10
    assert metrics.border_error([100], [100, 300], 500) == (0 + 100) / 2
    assert metrics.border_error([100, 300], [100], 500) == (100 + 0) / 2
    assert metrics.border_error([100], [], 500) == 500
    assert metrics.border_error([], [], 500) == 0


def test_timeline_borders_are_where_the_top_changes() -> None:
    tops = [{"a": 0.9, "b": 0.1}, {"a": 0.6, "b": 0.4}, {"a": 0.2, "b": 0.8}, {"a": 1.0}]
    timeline = [TimelineItem(10 * i, 10 * i + 10, shares) for i, shares in enumerate(tops)]
    assert metrics.timeline_borders(timeline) == [20, 30]
    assert metrics.timeline_borders([]) == []


def test_share_error_and_coverage_by_hand() -> None:
    true, predicted = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.8, 0.2], [0.5, 0.5]])
    assert metrics.mean_absolute_share_error(true, predicted) == pytest.approx(0.1)
    assert metrics.interval_coverage(true - 0.1, true + 0.1, predicted) == 0.5


def test_empty_input_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 in-distribution"):
        auroc(np.array([]), np.array([1.0]))
    with pytest.raises(ValueError, match="one length > 0"):
        metrics.accuracy(np.array([]), np.array([]))
