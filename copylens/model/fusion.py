"""Channels -> one answer: a log-linear pool whose weights come from held-out predictions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from copylens.records import FloatArray, IntArray


@dataclass(frozen=True)
class ChannelFusion:
    """Shares = softmax(sum over channels of weight * log-probability).

    There is no bias per sub-dataset: on held-out groups it would learn the groups' oddities.

    Attributes:
        weights: channel -> weight >= 0; their scale doubles as the temperature.
    """

    weights: dict[str, float]

    def logits(self, channels: Mapping[str, FloatArray]) -> FloatArray:
        """The weighted sum before it is normalised, [N, K]; low where no channel is convinced."""
        return np.asarray(sum(weight * channels[name] for name, weight in self.weights.items()))

    def log_probs(self, channels: Mapping[str, FloatArray]) -> FloatArray:
        """Fuses log-probabilities [N, K] per channel into [N, K]."""
        return log_softmax(self.logits(channels))


def fit_fusion(channels: Mapping[str, FloatArray], labels: IntArray) -> ChannelFusion:
    """Learns the weights on predictions that no channel was trained on.

    Minimises the cross-entropy over weights >= 0. By construction the result is not less accurate
    on these predictions than the best single channel: where the pool loses, that one is kept.

    Args:
        channels: held-out log-probabilities [N, K] per channel.
        labels: [N] in 0..K-1.
    """
    names = list(channels)
    stack = np.stack([channels[name] for name in names])  # [C, N, K]
    pooled = _fit_weights(names, stack, labels)
    alone = [_fit_weights([name], stack[i : i + 1], labels) for i, name in enumerate(names)]
    candidates = [pooled, *alone]
    # The pool comes first, so it wins ties.
    return max(candidates, key=lambda fusion: _accuracy(fusion, channels, labels))


def _fit_weights(names: list[str], stack: FloatArray, labels: IntArray) -> ChannelFusion:
    N, K = stack.shape[1:]
    one_hot = np.eye(K)[labels]

    def objective(weights: FloatArray) -> tuple[float, FloatArray]:
        log_p = log_softmax(np.tensordot(weights, stack, axes=1))  # [N, K]
        residual = (np.exp(log_p) - one_hot) / N  # gradient by the logits
        gradient = np.tensordot(stack, residual, axes=([1, 2], [0, 1]))
        return float(-(log_p * one_hot).sum() / N), gradient

    start = np.full(len(names), 1.0 / len(names))
    bounds = [(0.0, None)] * len(names)
    found = optimize.minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return ChannelFusion({name: float(weight) for name, weight in zip(names, found)})


def _accuracy(fusion: ChannelFusion, channels: Mapping[str, FloatArray], labels: IntArray) -> float:
    return float((fusion.log_probs(channels).argmax(axis=1) == labels).mean())


def log_softmax(logits: FloatArray) -> FloatArray:
    """Row-wise log-softmax in float64; the input is not changed."""
    wide = np.asarray(logits, dtype=np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
