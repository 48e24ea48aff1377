"""Mean shares over a log -> where its texts come from: label-shift inversion with intervals.

A verdict spreads some share over sub-datasets that the text has nothing of. How it does so is
known from held-out passages: the soft confusion matrix M, row j = mean shares of passages from j.
If a fraction w_j of a log comes from j, its mean shares are w M; w is found by least squares on
the simplex (the inversion of black-box shift estimation, arXiv 1802.03916, with the soft matrix
of LLMSurgeon, arXiv 2605.30348; the constraint and the intervals are ours).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from copylens.fit.confusion import HeldOutShares
from copylens.records import FloatArray, IntArray

RESAMPLES = 1000
LEVEL = 0.90
# Weight of "sums to 1" beside the least squares, which are of the order of 1.
_SUM = 1e3


@dataclass(frozen=True)
class Estimate:
    """Shares over a log; axis C ends with `unregistered`.

    Attributes:
        observed: [C] mean of the verdicts' shares.
        share: [C] corrected by the confusion matrix.
        draws: [B, C] what resampled documents with one text more, and resampled held-out passages,
            would have given; see `estimate`.
    """

    observed: FloatArray
    share: FloatArray
    draws: FloatArray

    def interval(self, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
        """Percentile interval [C], [C]; the share lies between its ends."""
        ends = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return np.minimum(ends[0], self.share), np.maximum(ends[1], self.share)


def estimate(
    sums: FloatArray,
    texts: IntArray,
    held_out: HeldOutShares,
    seed: int,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Shares of a log with their uncertainty.

    What resampling never draws is an origin that happens to have no text in the log, though texts
    like these may come from it. So every resample has one text more, of weight Dirichlet(1 / C)
    over the origins (Perks' prior, 1947): beside hundreds of texts it widens what is near 0 alone.

    Args:
        sums: [D, C] shares of each document (or bundle of documents), summed over its texts.
        texts: [D] how many texts that are.
        held_out: what the confusion matrix is made of.
        seed: fixes the resamples.
    """
    generator = np.random.default_rng(seed)
    observed = sums.sum(axis=0) / texts.sum()
    # Bayesian bootstrap: weights of mean 1 per document.
    weight = generator.exponential(size=(resamples, len(sums)))
    drawn, total = weight @ sums, weight @ texts
    share = invert(held_out.matrix(), observed)
    matrices = held_out.resampled(generator, resamples)
    C = len(observed)
    unseen = generator.gamma(1 / C, size=(resamples, C))
    drawn += np.einsum("bj,bjc->bc", unseen, matrices)
    means = drawn / (total + unseen.sum(axis=1))[:, None]
    corrected = [invert(matrix, mean) for matrix, mean in zip(matrices, means)]
    return Estimate(observed, share, np.stack(corrected))


def invert(matrix: FloatArray, observed: FloatArray) -> FloatArray:
    """The mixture w [C] >= 0, sum 1, that minimises |w matrix - observed|.

    Args:
        matrix: [C, C], rows sum to 1.
        observed: [C], sums to 1.
    """
    C = len(observed)
    left = np.vstack([matrix.T, np.full(C, _SUM)])
    found, _ = nnls(left, np.append(observed, _SUM))
    return np.asarray(found / found.sum())
