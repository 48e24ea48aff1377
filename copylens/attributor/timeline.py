"""Scores per segment -> shares per segment: one source throughout, or a change of sources (ours).

Two explanations of a text compete. Either it has one source; or its source changes: a hidden Markov
model whose state, the sub-dataset of a segment, stays with probability 1 - switch and otherwise is
drawn anew from the prior. Each gives the segments' scores some probability, and the shares are
those of both, weighed by it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logsumexp

from copylens.records import FloatArray


@dataclass(frozen=True)
class Explanations:
    """Both explanations of one text.

    Attributes:
        pure: [K] probability that the text has this one source, if it has one.
        changing: [S, K] posterior of each segment's source, if the source changes.
        log_odds: log of the ratio of the scores' probabilities under a change of sources and
            under a single source.
    """

    pure: FloatArray
    changing: FloatArray
    log_odds: float

    def shares(self, mixed: float) -> FloatArray:
        """Shares of each segment [S, K], rows sum to 1.

        Args:
            mixed: probability in (0, 1) beforehand that a text has several sources.
        """
        weight = probability_changing(np.array(self.log_odds), mixed)
        return np.asarray((1 - weight) * self.pure + weight * self.changing)


def probability_changing(log_odds: FloatArray, mixed: float) -> FloatArray:
    """Probability that a text has several sources, after its scores; any shape."""
    return np.asarray(expit(log_odds + np.log(mixed / (1 - mixed))))


def explain(
    whole: FloatArray, segments: FloatArray, prior: FloatArray, switch: float
) -> Explanations:
    """Both explanations of a text.

    Args:
        whole: [K] log-likelihood of the text under each source, if it has one.
        segments: [S, K] of its segments, if the source changes; up to the same constant.
        prior: [K], sums to 1.
        switch: probability in (0, 1] that a mixed text draws its next segment anew.
    """
    joint = np.log(np.maximum(prior, 1e-300)) + whole  # [K]
    log_pure = float(logsumexp(joint))
    changing, log_changing = segment_posteriors(segments, prior, switch)
    return Explanations(np.exp(joint - log_pure), changing, log_changing - log_pure)


def segment_posteriors(
    scores: FloatArray, prior: FloatArray, switch: float
) -> tuple[FloatArray, float]:
    """Forward-backward: posterior of each segment's sub-dataset if the source may change.

    Returns:
        [S, K] whose rows sum to 1 (with switch = 1 segments are independent), and the logarithm
        of the probability that this model gives the scores.
    """
    S, K = scores.shape
    peak = scores.max(axis=1, keepdims=True)
    likelihood = np.exp(scores - peak)
    prior = np.maximum(prior, 1e-12) / np.maximum(prior, 1e-12).sum()
    forward, backward, scale = np.empty((S, K)), np.ones((S, K)), np.empty(S)
    predicted = prior
    for s in range(S):
        forward[s], scale[s] = _unit(predicted * likelihood[s])
        # Staying, or a fresh draw; `forward` rows sum to 1.
        predicted = (1 - switch) * forward[s] + switch * prior
    for s in range(S - 2, -1, -1):
        message = likelihood[s + 1] * backward[s + 1]
        backward[s], _ = _unit((1 - switch) * message + switch * (prior @ message))
    posterior = forward * backward
    log_scores = float(np.log(scale).sum() + peak.sum())
    return np.asarray(posterior / posterior.sum(axis=1, keepdims=True)), log_scores


def _unit(values: FloatArray) -> tuple[FloatArray, float]:
    total = float(values.sum())
    return np.asarray(values / total), total
