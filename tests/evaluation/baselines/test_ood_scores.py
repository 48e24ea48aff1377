import numpy as np
import pytest
from scipy.spatial.distance import cdist, cosine, mahalanobis
from scipy.special import logsumexp, softmax
from sklearn.covariance import LedoitWolf

from copylens.evaluation.baselines import ood_scores

RNG = np.random.default_rng(7)
LABELS = np.arange(60) % 3
FEATURES = RNG.normal(size=(60, 5)) + 3 * np.eye(5)[LABELS]
QUERIES = RNG.normal(size=(11, 5)) * 2
LOGITS = RNG.normal(size=(11, 4)) * 10


def test_logit_scores_match_scipy_and_survive_large_logits() -> None:
    logits = np.vstack([LOGITS, [[2000.0, 0.0, 0.0, 0.0]]])
    np.testing.assert_allclose(
        ood_scores.msp(logits), 1 - softmax(logits, axis=1).max(axis=1), atol=1e-12
    )
    np.testing.assert_allclose(ood_scores.max_logit(logits), -logits.max(axis=1))
    for t in (1.0, 2.5):
        expected = -t * logsumexp(logits / t, axis=1)
        np.testing.assert_allclose(ood_scores.energy(logits, t), expected)


def test_energy_refuses_temperature_zero() -> None:
    with pytest.raises(ValueError, match="temperature must be > 0, got 0"):
        ood_scores.energy(LOGITS, 0.0)


@pytest.mark.parametrize("k", [1, 4, 60])
def test_knn_is_the_kth_sorted_distance(k: int) -> None:
    unit = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)
    points = QUERIES / np.linalg.norm(QUERIES, axis=1, keepdims=True)
    expected = np.sort(cdist(points, unit), axis=1)[:, k - 1]
    np.testing.assert_allclose(ood_scores.Knn.fit(FEATURES, k).score(QUERIES), expected)


def test_knn_refuses_more_neighbours_than_references() -> None:
    with pytest.raises(ValueError, match=r"k must be in 1\.\.60"):
        ood_scores.Knn.fit(FEATURES, 61)


def test_cosine_to_the_nearest_class_mean() -> None:
    unit = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)
    means = [unit[k == LABELS].mean(axis=0) for k in range(3)]
    expected = [min(cosine(query, mean) for mean in means) for query in QUERIES]
    np.testing.assert_allclose(ood_scores.Cosine.fit(FEATURES, LABELS).score(QUERIES), expected)


def _brute_mahalanobis(
    features: np.ndarray, labels: np.ndarray, queries: np.ndarray = QUERIES
) -> np.ndarray:
    means = [features[labels == k].mean(axis=0) for k in range(labels.max() + 1)]
    centred = np.vstack([row - means[k] for row, k in zip(features, labels)])
    inverse = np.linalg.inv(LedoitWolf(assume_centered=True).fit(centred).covariance_)
    return np.array(
        [min(mahalanobis(query, mean, inverse) ** 2 for mean in means) for query in queries]
    )


def test_mahalanobis_and_relative_match_scipy() -> None:
    expected = _brute_mahalanobis(FEATURES, LABELS)
    score = ood_scores.Mahalanobis.fit(FEATURES, LABELS).score(QUERIES)
    np.testing.assert_allclose(score, expected)
    whole = _brute_mahalanobis(FEATURES, np.zeros(60, dtype=int))
    relative = ood_scores.RelativeMahalanobis.fit(FEATURES, LABELS).score(QUERIES)
    np.testing.assert_allclose(relative, expected - whole)


def test_mahalanobis_of_fp16_in_more_dimensions_than_passages_ranks_far_above_near() -> None:
    train = RNG.normal(size=(40, 300)).astype(np.float16)
    fitted = ood_scores.Mahalanobis.fit(train, np.arange(40) % 2)
    near, far = RNG.normal(size=(20, 300)), RNG.normal(size=(20, 300)) * 3
    assert fitted.whitening.dtype == np.float64
    assert fitted.score(far).min() > fitted.score(near).max()


def test_mahalanobis_counts_a_direction_without_variance_by_the_shrunk_covariance() -> None:
    padded = np.hstack([np.zeros((60, 1)), FEATURES])
    queries = np.hstack([np.ones((11, 1)), QUERIES])
    fitted = ood_scores.Mahalanobis.fit(padded, LABELS)
    expected = _brute_mahalanobis(padded, LABELS, queries)
    np.testing.assert_allclose(fitted.score(queries), expected)


def test_a_class_without_passages_is_refused() -> None:
    with pytest.raises(ValueError, match="every class"):
        ood_scores.Mahalanobis.fit(FEATURES[:2], np.array([0, 2]))
