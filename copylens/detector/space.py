"""The contrastive projector's space with the sub-datasets' places in it (Inner-Probe, stage 2)."""

from dataclasses import dataclass

import numpy as np

from copylens.detector.projector import Projector
from copylens.records import FloatArray, IntArray


@dataclass(frozen=True)
class Space:
    """Where passages of each sub-dataset lie.

    Attributes:
        centres: [K, Z] unit length.
    """

    projector: Projector
    centres: FloatArray

    @classmethod
    def fit(cls, projector: Projector, features: FloatArray, labels: IntArray) -> "Space":
        """Places the sub-datasets by training passages' features [N, F] and labels [N]."""
        embedded = projector.embed(features)
        means = np.stack([embedded[labels == k].mean(axis=0) for k in np.unique(labels)])
        return cls(projector, means / np.linalg.norm(means, axis=1, keepdims=True))

    def distance(self, features: FloatArray) -> FloatArray:
        """Cosine distance to every sub-dataset, [N, F] -> [N, K] in [0, 2]."""
        return np.asarray(1 - self.projector.embed(features) @ self.centres.T)
