"""How sure a verdict may be: conformal p-values, the unregistered share, intervals of shares."""

from dataclasses import dataclass

import numpy as np

from copylens.records import FloatArray, IntArray

# Bins of shares, and the fewest shares that one may hold.
_BINS, _LEAST = 40, 40


@dataclass(frozen=True)
class Conformal:
    """Split-conformal p-values, one vote per split group (arXiv 2107.07511; groups are ours).

    Attributes:
        scores: [N] ood_scores of registered passages the detector was not fitted on, ascending.
        weights: [N] each passage's weight: 1 / (size of its group), so a group weighs 1.
    """

    scores: FloatArray
    weights: FloatArray

    def p_value(self, ood_score: FloatArray) -> FloatArray:
        """P-values of new texts, [N] -> [N], in (0, 1]; small = does not look registered.

        With G groups, "flag when p < alpha" has a false-alarm rate <= alpha for a passage drawn
        from a new group that is exchangeable with these. The smallest value is 1 / (G + 1).
        """
        groups = self.weights.sum()
        below = np.concatenate([[0.0], np.cumsum(self.weights)])
        first = np.searchsorted(self.scores, ood_score, side="left")
        return np.asarray((1 + groups - below[first]) / (groups + 1))


def fit_conformal(scores: FloatArray, groups: IntArray) -> Conformal:
    """Calibrates on held-out registered passages: ood_score [N] and split group [N]."""
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    return Conformal(scores[order], (1.0 / sizes[inverse])[order])


def cross_p_values(scores: FloatArray, groups: IntArray) -> FloatArray:
    """P-values [N] of the calibration passages themselves, each by all groups but its own."""
    result = np.ones(len(scores))
    for group in np.unique(groups):
        own = groups == group
        result[own] = fit_conformal(scores[~own], groups[~own]).p_value(scores[own])
    return result


@dataclass(frozen=True)
class OpenSet:
    """Share of a text that no registered sub-dataset accounts for, from its p-value (ours).

    Under "registered" a conformal p-value is uniform; under "unregistered" its density is taken
    as Beta(shape, 1) with shape < 1, which piles up near 0. The share is the posterior of
    "unregistered" at the prior 1/2.
    """

    shape: float

    def unregistered(self, p_value: FloatArray) -> FloatArray:
        """[N] p-values -> [N] shares in (0, 1), falling with the p-value."""
        density = self.shape * p_value ** (self.shape - 1)
        return np.asarray(density / (1 + density))


def fit_open_set(ood_p_values: FloatArray) -> OpenSet:
    """Maximum-likelihood shape from p-values of held-out unregistered texts [N].

    Without any such text the shape is 0.3. It is kept within [0.05, 0.95], so that the share
    falls with the p-value whatever the sample.
    """
    if not len(ood_p_values):
        return OpenSet(0.3)
    mean_log = float(np.mean(np.log(ood_p_values)))
    return OpenSet(float(np.clip(-1.0 / min(mean_log, -1e-9), 0.05, 0.95)))


@dataclass(frozen=True)
class ShareIntervals:
    """How far the true proportion may lie from a share, read off held-out texts (ours).

    Quantiles of the truth in bins of like shares, interpolated between the bins. Where most texts
    of a bin do not hold the sub-dataset at all, the lower end is 0 and the whole of the allowed
    error lies above.

    Attributes:
        share: [B] mean share of each bin, ascending.
        low, high: [B] ends of the interval there.
    """

    share: FloatArray
    low: FloatArray
    high: FloatArray

    def bounds(self, share: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Ends of the intervals of shares of any shape; the share lies between them."""
        low = np.interp(share, self.share, self.low)
        high = np.interp(share, self.share, self.high)
        return np.minimum(low, share), np.maximum(high, share)


def fit_intervals(
    shares: FloatArray, truth: FloatArray, weight: FloatArray, coverage: float
) -> ShareIntervals:
    """Calibrates on held-out texts of known proportions.

    Args:
        shares, truth: [N, K].
        weight: [N] > 0, how much each text counts, e.g. so that mixtures count as much as pure
            texts do.
        coverage: e.g. 0.9, the share of true proportions that fall into their interval.
    """
    flat, true = shares.ravel(), truth.ravel()
    mass = np.repeat(weight, shares.shape[1])
    order = np.argsort(flat, kind="stable")
    rows = []
    for place in np.array_split(order, max(1, min(_BINS, len(order) // _LEAST))):
        values = np.sort(true[place])
        weights = mass[place][np.argsort(true[place], kind="stable")]
        miss = 1 - coverage
        low = _quantile(values, weights, miss / 2)
        high = _quantile(values, weights, 1 - (miss if low <= 0 else miss / 2))
        rows.append((float(flat[place].mean()), low, high))
    share, lows, highs = np.array(rows).T
    return ShareIntervals(share, lows, highs)


def _quantile(values: FloatArray, weights: FloatArray, level: float) -> float:
    """Weighted quantile of ascending values, the smallest that reaches the level."""
    reached = np.cumsum(weights) / weights.sum()
    return float(values[min(int(np.searchsorted(reached, level)), len(values) - 1)])
