"""Channels -> one answer: a log-linear combination, its weights learned on held-out predictions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.special import log_softmax

from copylens.records import FloatArray, IntArray

# Texts' worth of trust in equal weights, and in weights that sum to 1.
_EQUAL_TEXTS, _SUM_TEXTS = 5.0, 100.0


@dataclass(frozen=True)
class ChannelFusion:
    """Shares = softmax(sum over channels of weight * log-probability).

    There is no bias per sub-dataset: on held-out groups it would learn the groups' oddities.

    Attributes:
        weights: channel -> weight >= 0; their scale doubles as the temperature.
    """

    weights: dict[str, float]

    def logits(self, channels: Mapping[str, FloatArray]) -> FloatArray:
        """The weighted sum before it is normalised, [N, K]; low where every channel's are."""
        return np.asarray(sum(weight * channels[name] for name, weight in self.weights.items()))

    def log_probs(self, channels: Mapping[str, FloatArray]) -> FloatArray:
        """Fuses log-probabilities [N, K] per channel into [N, K]."""
        return np.asarray(log_softmax(self.logits(channels), axis=-1))


def fit_fusion(
    channels: Mapping[str, FloatArray],
    labels: IntArray,
    *,
    texts: int | None = None,
    calibrated: bool = True,
) -> ChannelFusion:
    """Learns the weights on predictions that no channel was trained on.

    Minimises the cross-entropy over weights >= 0, drawn towards equal ones and towards a sum of 1
    (a logarithmic opinion pool): a squared difference costs as much as it would gain on so many
    texts. With thirty passages a channel that happens to err on none of them would get all of the
    weight; and val passages that happen to be easy would make the sum too sharp.

    Args:
        channels: held-out log-probabilities [N, K] per channel.
        labels: [N] in 0..K-1.
        texts: how many independent texts the predictions come from; default: N.
        calibrated: whether each channel's probabilities are, on their own; else nothing is known of
            the sum of the weights.
    """
    names = tuple(channels)
    stack = np.stack([channels[name] for name in names]).astype(np.float64)  # [C, N, K]
    N, K = stack.shape[1:]
    one_hot = np.eye(K)[labels]
    equal, total = _EQUAL_TEXTS / (texts or N), calibrated * _SUM_TEXTS / (texts or N)

    def objective(weights: FloatArray) -> tuple[float, FloatArray]:
        log_p = log_softmax(np.tensordot(weights, stack, axes=1), axis=-1)  # [N, K]
        residual = (np.exp(log_p) - one_hot) / N  # gradient by the logits
        off, above = weights - weights.mean(), weights.sum() - 1
        gradient = np.tensordot(stack, residual, axes=([1, 2], [0, 1]))
        gradient += 2 * equal * off + 2 * total * above
        loss = -(log_p * one_hot).sum() / N + equal * off @ off + total * above**2
        return float(loss), gradient

    start = np.full(len(names), 1.0 / len(names))
    bounds = [(0.0, None)] * len(names)
    found = optimize.minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return ChannelFusion({name: float(weight) for name, weight in zip(names, found)})
