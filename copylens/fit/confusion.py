"""The soft confusion matrix: what share each sub-dataset gets in texts whose origin is known.

Kept as the single held-out passages, so that its own uncertainty can be drawn from them. Axis C:
the K sub-datasets and, last, `unregistered`.
"""

from dataclasses import dataclass

import numpy as np

from copylens.records import FloatArray, IntArray

# The fewest that a group's weight is drawn with: two groups leave no more than one or the other.
_LEAST_SHAPE = 0.05
# Held-out passages' worth of trust in a row that is assumed.
_ASSUMED_PASSAGES = 10


@dataclass(frozen=True)
class HeldOutShares:
    """Verdicts on passages of known origin whose split group the judging models have not seen.

    Attributes:
        shares: [N, C], rows sum to 1.
        labels: [N] in 0..K, K = unregistered. Registered passages are val's; unregistered ones
            are the OOD val split's, and there may be none.
        groups: [N] numbers >= 0 of split groups.
    """

    shares: FloatArray
    labels: IntArray
    groups: IntArray

    @property
    def counts(self) -> IntArray:
        """[C] passages of each origin."""
        return np.asarray(np.bincount(self.labels, minlength=self.shares.shape[1]))

    @property
    def group_counts(self) -> IntArray:
        """[C] split groups of each origin."""
        pairs = np.unique(np.stack([self.labels, self.groups]), axis=1)
        return np.asarray(np.bincount(pairs[0], minlength=self.shares.shape[1]))

    def matrix(self) -> FloatArray:
        """[C, C] row j: mean shares of passages from j.

        Where there are no passages, which only `unregistered` may lack, its row is assumed: its
        own share lies halfway between what registered passages give it and 1, the rest is
        spread like theirs.
        """
        return np.stack([self._mean(origin) for origin in range(self.shares.shape[1])])

    def resampled(self, generator: np.random.Generator, count: int) -> FloatArray:
        """[count, C, C] matrices from resampled split groups (Bayesian bootstrap, Rubin 1981).

        Ours: the groups' weights are Dirichlet(1 - 2/G), not Dirichlet(1), which gives a mean of
        few groups its unbiased variance. Where an origin has one group its passages stand for it.
        """
        rows = [self._drawn(origin, generator, count) for origin in range(self.shares.shape[1])]
        return np.stack(rows, axis=1)

    def _mean(self, origin: int) -> FloatArray:
        mine = self.shares[self.labels == origin]
        return np.asarray(mine.mean(axis=0)) if len(mine) else self._assumed()

    def _assumed(self) -> FloatArray:
        usual = np.asarray(self.shares.mean(axis=0), np.float64)
        unregistered = (1 + usual[-1]) / 2
        row = usual * (1 - unregistered) / max(1 - usual[-1], 1e-12)
        row[-1] = unregistered
        return np.asarray(row)

    def _drawn(self, origin: int, generator: np.random.Generator, count: int) -> FloatArray:
        mine = self.labels == origin
        if not mine.any():
            parameters = np.maximum(self._assumed() * _ASSUMED_PASSAGES, 1e-3)
            return np.asarray(generator.dirichlet(parameters, count), np.float64)
        _, place = np.unique(self.groups[mine], return_inverse=True)
        if place.max() == 0:
            place = np.arange(len(place))
        G = int(place.max()) + 1
        sums = np.zeros((G, self.shares.shape[1]))
        np.add.at(sums, place, self.shares[mine])
        shape = max(1 - 2 / G, _LEAST_SHAPE)
        weight = generator.gamma(shape, size=(count, G)) + 1e-300
        return np.asarray((weight @ sums) / (weight @ np.bincount(place))[:, None])
