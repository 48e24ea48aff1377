"""Out-of-distribution scores on logits and features, each with its formula and its source.

One sign for all: a larger score means less likely to draw on anything registered. Where a paper
scores the other way round, the docstring says so. Arithmetic is float64: covariances of many
features from few passages lose their sign in float32.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax

from copylens.records import FloatArray, IntArray

Float64 = npt.NDArray[np.float64]


def msp(logits: FloatArray) -> Float64:
    """Maximum softmax probability: 1 - max_k softmax(logits)_k, in [0, 1 - 1/K].

    Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution
    Examples", arXiv 1610.02136 (there: the probability itself). logits [N, K] -> [N].
    """
    return np.asarray(1.0 - softmax(_float64(logits), axis=1).max(axis=1))


def max_logit(logits: FloatArray) -> Float64:
    """Negative maximum logit: -max_k logits_k, unbounded.

    Hendrycks et al., "Scaling Out-of-Distribution Detection for Real-World Settings",
    arXiv 1911.11132. logits [N, K] -> [N].
    """
    return np.asarray(-_float64(logits).max(axis=1), dtype=np.float64)


def energy(logits: FloatArray, temperature: float = 1.0) -> Float64:
    """Free energy: -T log sum_k exp(logits_k / T), unbounded.

    Liu et al., "Energy-based Out-of-distribution Detection", arXiv 2010.03759.
    logits [N, K] -> [N].
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    return np.asarray(-temperature * logsumexp(_float64(logits) / temperature, axis=1))


@dataclass(frozen=True)
class Knn:
    """Distance to the k-th nearest training passage, on L2-normalised features, in [0, 2].

    score(x) = || x/|x| - r_(k) ||, r_(k) the k-th nearest of the normalised references.
    Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", arXiv 2204.06507.

    Attributes:
        references: [N, F] L2-normalised training features.
        k: which neighbour counts, 1 = the nearest.
    """

    references: Float64
    k: int

    @classmethod
    def fit(cls, features: FloatArray, k: int) -> "Knn":
        """Keeps the normalised features [N, F]; k must lie in 1..N."""
        if not 1 <= k <= len(features):
            raise ValueError(f"k must be in 1..{len(features)} (the references), got {k}")
        return cls(references=_normalise(features), k=k)

    def score(self, features: FloatArray) -> Float64:
        """Features [N, F] -> [N]."""
        from sklearn.neighbors import NearestNeighbors

        nearest = NearestNeighbors(n_neighbors=self.k, algorithm="brute").fit(self.references)
        return np.asarray(nearest.kneighbors(_normalise(features))[0][:, -1])


@dataclass(frozen=True)
class Cosine:
    """Cosine distance to the nearest class mean: 1 - max_k cos(x, mu_k), in [0, 2].

    After Techapanurak et al., "Hyperparameter-Free Out-of-Distribution Detection Using Softmax of
    Scaled Cosine Similarity", arXiv 1905.10628; class means stand for its learned directions.

    Attributes:
        directions: [K, F] L2-normalised class means of the normalised training features.
    """

    directions: Float64

    @classmethod
    def fit(cls, features: FloatArray, labels: IntArray) -> "Cosine":
        """From features [N, F] and labels [N] in 0..K-1, each class present."""
        return cls(directions=_normalise(_class_means(_normalise(features), labels)))

    def score(self, features: FloatArray) -> Float64:
        """Features [N, F] -> [N]."""
        similar = _normalise(features) @ self.directions.T  # [N, K]
        return np.asarray(1.0 - similar.max(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Mahalanobis:
    """Squared distance to the nearest class: min_k (x - mu_k)' S^-1 (x - mu_k), >= 0.

    One covariance S for all classes, of the features centred by their class mean, shrunk after
    Ledoit and Wolf. Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution
    Samples and Adversarial Attacks", arXiv 1807.03888 (there: its negative, no shrinkage).

    Attributes:
        means: [K, F] class means.
        whitening: [F, F] with whitening @ whitening.T = S^-1.
    """

    means: Float64
    whitening: Float64

    @classmethod
    def fit(cls, features: FloatArray, labels: IntArray) -> "Mahalanobis":
        """From features [N, F] and labels [N] in 0..K-1, each class present."""
        means = _class_means(features, labels)
        return cls(means=means, whitening=_whitening(_float64(features) - means[labels]))

    def score(self, features: FloatArray) -> Float64:
        """Features [N, F] -> [N]."""
        points, centres = _float64(features) @ self.whitening, self.means @ self.whitening
        return np.asarray(cdist(points, centres, "sqeuclidean").min(axis=1))


@dataclass(frozen=True)
class RelativeMahalanobis:
    """Class distance less the distance to all of the training set: min_k MD_k(x) - MD_0(x).

    MD_0 uses one mean and one covariance for all classes together, so that directions in which
    every text varies cancel out; unbounded. Ren et al., "A Simple Fix to Mahalanobis Distance for
    Improving Near-OOD Detection", arXiv 2106.09022 (there: its negative).

    Attributes:
        classes: the distances per class.
        whole: the distance to the training set as one class.
    """

    classes: Mahalanobis
    whole: Mahalanobis

    @classmethod
    def fit(cls, features: FloatArray, labels: IntArray) -> "RelativeMahalanobis":
        """From features [N, F] and labels [N] in 0..K-1, each class present."""
        as_one = np.zeros(len(features), dtype=np.int64)
        return cls(Mahalanobis.fit(features, labels), Mahalanobis.fit(features, as_one))

    def score(self, features: FloatArray) -> Float64:
        """Features [N, F] -> [N]."""
        return self.classes.score(features) - self.whole.score(features)


def _float64(values: FloatArray) -> Float64:
    return np.asarray(values, dtype=np.float64)


def _normalise(features: FloatArray) -> Float64:
    from sklearn.preprocessing import normalize

    return np.asarray(normalize(_float64(features)))


def _class_means(features: FloatArray, labels: IntArray) -> Float64:
    values = _float64(features)
    counts = np.bincount(labels)
    if len(counts) == 0 or (counts == 0).any():
        raise ValueError(f"every class in 0..K-1 needs a passage, got counts {counts.tolist()}")
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, labels, values)
    return sums / counts[:, None]


def _whitening(centred: Float64) -> Float64:
    """A matrix M with M M' = inverse of the Ledoit-Wolf covariance of centred rows [N, F]."""
    from sklearn.covariance import ledoit_wolf

    covariance: npt.NDArray[Any] = ledoit_wolf(centred, assume_centered=True)[0]
    values, vectors = np.linalg.eigh(covariance)
    # Directions without any variance carry no distance (a pseudo-inverse), instead of infinity.
    keep = values > values.max() * 1e-12
    scale = np.where(keep, 1.0 / np.sqrt(np.where(keep, values, 1.0)), 0.0)
    return np.asarray(vectors * scale, dtype=np.float64)
