"""How sure a verdict may be: conformal p-values, the unregistered share, intervals of shares."""

from dataclasses import dataclass

import numpy as np

from copylens.records import FloatArray, IntArray


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


def residual_quantile(
    shares: FloatArray, truth: FloatArray, coverage: float
) -> tuple[FloatArray, FloatArray]:
    """Half-width of a share's interval as a function of the share, by split conformal.

    A share near 0 or 1 errs less than one in the middle, so the quantile is taken per tenth of
    the range; a tenth with too few examples borrows the overall quantile.

    Args:
        shares, truth: [N, K] on held-out texts, mixtures included.
        coverage: e.g. 0.9.

    Returns:
        Bin edges [11] and half-widths [10].
    """
    edges = np.linspace(0, 1, 11)
    flat, error = shares.ravel(), np.abs(shares - truth).ravel()
    overall = _upper_quantile(error, coverage)
    place = np.clip(np.digitize(flat, edges) - 1, 0, 9)
    widths = [
        _upper_quantile(error[place == b], coverage) if (place == b).sum() >= 30 else overall
        for b in range(10)
    ]
    return edges, np.array(widths)


def _upper_quantile(errors: FloatArray, coverage: float) -> float:
    """The conformal quantile: the ceil((n + 1) * coverage)-th smallest error."""
    n = len(errors)
    if n == 0:
        return 1.0
    rank = min(n, int(np.ceil((n + 1) * coverage)))
    return float(np.sort(errors)[rank - 1])
