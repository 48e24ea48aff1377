"""How sure a decision may be: conformal p-values, and log-odds of unregistered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from copylens.records import FloatArray, IntArray
from copylens.store.arrays import Arrays

# Texts' worth of trust in the usual log-odds, where a corpus gives few unregistered texts.
_PRIOR_TEXTS = 10.0


def unreachable(alpha: float, smallest: float) -> str | None:
    """Why nothing can be called unregistered at this level, in words; None where it can.

    Args:
        smallest: p-value that calibration allows.
    """
    if alpha > smallest:
        return None
    return (
        f"nothing can be called unregistered at calibration.alpha = {alpha:g}: with "
        f"{round(1 / smallest) - 1} val passages no p-value is below {smallest:.3g}; give more "
        "passages, or set calibration.alpha above that"
    )


@dataclass(frozen=True)
class Conformal:
    """Conformal p-values of texts in groups: pooled, each group with the same weight.

    The distribution functions of the groups' scores are averaged (pooling of CDFs; Dunn, Wasserman
    and Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", 2022). A
    p-value of one vote per group is valid for any number of groups, but cannot fall below
    1 / (G + 1): with 20 novels next to nothing is flagged at 0.05.

    Attributes:
        scores: [N] ood_scores of registered texts the model was not fitted on, ascending.
        weights: [N] each text's weight, 1 / (size of its group) up to a factor; they sum to N.
    """

    scores: FloatArray
    weights: FloatArray

    @classmethod
    def fit(cls, scores: FloatArray, groups: IntArray) -> "Conformal":
        """Calibrates on held-out registered texts: ood_score [N] and split group [N]."""
        _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        order = np.argsort(scores, kind="stable")
        weights = (1.0 / sizes[inverse])[order]
        return cls(scores[order], weights * len(scores) / weights.sum())

    def arrays(self) -> Arrays:
        """Every parameter by its name."""
        return {"scores": self.scores, "weights": self.weights}

    @property
    def smallest(self) -> float:
        """The smallest p-value, 1 / (N + 1)."""
        return 1 / (len(self.scores) + 1)

    def p_value(self, ood_score: FloatArray) -> FloatArray:
        """P-values of new texts, [N] -> [N], in (0, 1]; small = does not look registered.

        "Flag when p < alpha" has a false-alarm rate of about alpha for a text of a new group that
        is exchangeable with these; of how few groups that still holds is in docs/detector.md.
        """
        N = len(self.scores)
        below = np.concatenate([[0.0], np.cumsum(self.weights)])
        first = np.searchsorted(self.scores, ood_score, side="left")
        return np.asarray((1 + np.maximum(N - below[first], 0)) / (N + 1))


def between_lengths(
    lengths: Sequence[float], values: Sequence[FloatArray], tokens: FloatArray | IntArray
) -> FloatArray:
    """Interpolates by the logarithm of the length; beyond the ends the nearest value holds.

    Args:
        lengths: [L] ascending, > 0.
        values: L arrays [N, ...].
        tokens: [N] length of each text.
    """
    known = np.log(lengths)
    place = np.interp(np.log(np.maximum(tokens, 1)), known, np.arange(len(known)))
    low = np.floor(place).astype(np.int64)
    high, text = np.minimum(low + 1, len(known) - 1), np.arange(len(place))
    stacked = np.stack(values)
    part = (place - low).reshape(-1, *[1] * (stacked.ndim - 2))
    return np.asarray((1 - part) * stacked[low, text] + part * stacked[high, text])


@dataclass(frozen=True)
class LogOdds:
    """Log-odds of "unregistered" at the prior 1/2, linear in a score (Platt 1999).

    Attributes:
        intercept, slope: slope > 0, so that the odds rise with the score.
    """

    intercept: float
    slope: float

    def __call__(self, score: FloatArray) -> FloatArray:
        """Scores -> log-odds, of any shape."""
        return np.asarray(self.intercept + self.slope * score)

    def arrays(self) -> Arrays:
        """Every parameter by its name."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "LogOdds":
        """The inverse of `arrays`."""
        return cls(arrays["intercept"].item(), arrays["slope"].item())


def fit_log_odds(
    registered: FloatArray, unregistered: FloatArray, usual: LogOdds, texts: int
) -> LogOdds:
    """Logistic regression, both sides weighing the same, drawn towards the usual log-odds.

    Args:
        registered, unregistered: scores [N], [M] of held-out texts; without unregistered ones the
            usual log-odds stand.
        texts: how many independent texts the unregistered scores come from.
    """
    if not len(unregistered):
        return usual
    scores = np.concatenate([registered, unregistered])
    target = np.repeat([0.0, 1.0], [len(registered), len(unregistered)])
    weight = np.where(target > 0, 0.5 / len(unregistered), 0.5 / len(registered))
    start = np.array([usual.intercept, np.log(usual.slope)])

    def loss(theta: FloatArray) -> float:
        z = theta[0] + np.exp(theta[1]) * scores
        fit = weight @ (np.logaddexp(0, z) - target * z)
        return float(fit + 0.05 * _PRIOR_TEXTS / texts * ((theta - start) ** 2).sum())

    found = minimize(loss, start).x
    return LogOdds(float(found[0]), float(np.exp(found[1])))
