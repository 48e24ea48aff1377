"""Mean shares over a log -> where its texts come from: label-shift inversion with intervals.

A verdict spreads some share over sub-datasets that the text has nothing of. How it does so is
known from held-out passages: the soft confusion matrix M, row j = mean shares of passages from j.
If a fraction w_j of a log comes from j, its mean shares are w M; w is found by least squares on
the simplex (the inversion of black-box shift estimation, arXiv 1802.03916, with the soft matrix
of LLMSurgeon, arXiv 2605.30348; the constraint and the intervals are ours).

The intervals come from inversions without the constraint, which may be negative: held to the
simplex, the resampled shares of whoever is absent can only err upwards, and those of the others
downwards, so that their quantiles miss the truth.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from copylens.fit.confusion import HeldOutShares
from copylens.records import BoolArray, FloatArray, IntArray

RESAMPLES = 1000
LEVEL = 0.90
# At most so often shall anybody in a log of absent sub-datasets be taken for present.
_FALSELY_PRESENT = 0.01
# By simulation: with one the intervals hold the truth less often where works are few, with none
# 1 log of 10 pays somebody who is absent (docs/statement.md).
_MORE_PASSAGES = 2
# Weight of "sums to 1" beside the least squares, which are of the order of 1.
_SUM = 1e3
# Two origins that verdicts hardly tell apart: below it the inversion does not try to.
_SINGULAR = 1e-6


@dataclass(frozen=True)
class Estimate:
    """Shares over a log; axis C ends with `unregistered`.

    Attributes:
        observed: [C] mean of the verdicts' shares.
        share: [C] corrected by the confusion matrix.
        draws: [B, C] what resampled documents with one text more, and resampled held-out passages,
            would have given; rows sum to 1, entries may be negative. See `estimate`.
    """

    observed: FloatArray
    share: FloatArray
    draws: FloatArray

    def interval(self, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
        """Percentile interval [C], [C] in [0, 1]; the share lies between its ends.

        The lower end is 0 wherever the log does not show that the sub-dataset is there at all.
        """
        ends = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0).clip(0, 1)
        low = np.where(self.present, np.minimum(ends[0], self.share), 0.0)
        return low, np.maximum(ends[1], self.share)

    @property
    def present(self) -> BoolArray:
        """[C] whose share is above 0 in so many resamples that, over all lines, a log in which
        none of them is shows one falsely in about 1 of 100 cases."""
        lines = self.draws.shape[1] - 1
        least = np.quantile(self.draws, _FALSELY_PRESENT / max(1, lines), axis=0)
        return np.asarray(least > 0)


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
    matrices = _matrices(held_out, generator, resamples)
    C = len(observed)
    unseen = generator.gamma(1 / C, size=(resamples, C))
    drawn += np.einsum("bj,bjc->bc", unseen, matrices)
    means = drawn / (total + unseen.sum(axis=1))[:, None]
    # [B, 1, C] @ [B, C, C]: as exact as the matrix allows, whatever the sign.
    corrected = means[:, None] @ np.linalg.pinv(matrices, rcond=_SINGULAR)
    return Estimate(observed, share, corrected[:, 0])


def _matrices(held_out: HeldOutShares, generator: np.random.Generator, count: int) -> FloatArray:
    """[count, C, C] resampled confusion matrices, each row with some passages more.

    As with the log's texts: what held-out passages happen not to be taken for, no resampling draws,
    and from a share that is too small by chance it draws too small a spread. The passages more have
    shares of Dirichlet(1 / C); an assumed row has a spread of its own.
    """
    drawn, C = held_out.resampled(generator, count), len(held_out.counts)
    passages = held_out.counts[:, None]
    more = np.where(passages > 0, _MORE_PASSAGES, 0)
    unseen = generator.dirichlet(np.full(C, 1 / C), size=(count, C))
    passages = np.maximum(passages, 1)
    return np.asarray((passages * drawn + more * unseen) / (passages + more))


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
