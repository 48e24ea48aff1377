"""Evidence per segment -> shares per segment: a sticky hidden Markov model (ours).

A text may change its source midway. The hidden state is the sub-dataset of a segment; it stays
with probability 1 - switch and otherwise is drawn anew from the prior. Forward-backward gives each
segment's posterior, which is the time line, and the mean over the segments is the text's shares.
"""

import numpy as np

from copylens.records import FloatArray


def segment_posteriors(evidence: FloatArray, prior: FloatArray, switch: float) -> FloatArray:
    """Posterior over the sub-datasets of each segment given the whole text.

    Args:
        evidence: [S, K] log-likelihood of each segment under each sub-dataset, up to a constant
            per segment.
        prior: [K], sums to 1: what a segment is drawn from when nothing before it is known.
        switch: probability in (0, 1] that the next segment is drawn anew.

    Returns:
        [S, K], rows sum to 1. With switch = 1 segments are independent.
    """
    S, K = evidence.shape
    likelihood = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    prior = np.maximum(prior, 1e-12) / np.maximum(prior, 1e-12).sum()
    forward = np.empty((S, K))
    backward = np.ones((S, K))
    forward[0] = _unit(prior * likelihood[0])
    for s in range(1, S):
        # Staying, or a fresh draw; `forward` rows sum to 1.
        predicted = (1 - switch) * forward[s - 1] + switch * prior
        forward[s] = _unit(predicted * likelihood[s])
    for s in range(S - 2, -1, -1):
        message = likelihood[s + 1] * backward[s + 1]
        backward[s] = _unit((1 - switch) * message + switch * (prior @ message))
    posterior = forward * backward
    return np.asarray(posterior / posterior.sum(axis=1, keepdims=True))


def _unit(values: FloatArray) -> FloatArray:
    return np.asarray(values / values.sum())
