"""Channels -> one answer: a log-linear pool whose weights come from out-of-fold predictions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from copylens.records import FloatArray, IntArray


@dataclass(frozen=True)
class ChannelFusion:
    """Shares = softmax(sum over channels of weight * log-probability + bias).

    Attributes:
        weights: channel -> weight >= 0; their scale doubles as the temperature.
        bias: [K].
    """

    weights: dict[str, float]
    bias: FloatArray

    def logits(self, channels: Mapping[str, FloatArray]) -> FloatArray:
        """The weighted sum before it is normalised, [N, K]; low where no channel is convinced."""
        pooled = sum(weight * channels[name] for name, weight in self.weights.items())
        return np.asarray(np.asarray(pooled) + self.bias)

    def log_probs(self, channels: Mapping[str, FloatArray]) -> FloatArray:
        """Fuses log-probabilities [N, K] per channel into [N, K]."""
        return log_softmax(self.logits(channels))


def fit_fusion(channels: Mapping[str, FloatArray], labels: IntArray) -> ChannelFusion:
    """Learns the weights on predictions that no channel was trained on.

    Minimises the cross-entropy over weights >= 0 and a lightly penalised bias. By construction
    the result is not less accurate on these predictions than the best single channel: where the
    pool loses, that channel alone is kept.

    Args:
        channels: out-of-fold log-probabilities [N, K] per channel.
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
    C, N, K = stack.shape
    one_hot = np.eye(K)[labels]

    def objective(theta: FloatArray) -> tuple[float, FloatArray]:
        weights, bias = theta[:C], theta[C:]
        logits = np.tensordot(weights, stack, axes=1) + bias  # [N, K]
        log_p = log_softmax(logits)
        residual = (np.exp(log_p) - one_hot) / N  # gradient by the logits
        value = -(log_p * one_hot).sum() / N + 0.01 * (bias**2).sum()
        by_weight = np.tensordot(stack, residual, axes=([1, 2], [0, 1]))
        return float(value), np.concatenate([by_weight, residual.sum(axis=0) + 0.02 * bias])

    start = np.concatenate([np.full(C, 1.0 / C), np.zeros(K)])
    bounds = [(0.0, None)] * C + [(None, None)] * K
    found = optimize.minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    weights = {name: float(weight) for name, weight in zip(names, found[:C])}
    return ChannelFusion(weights, found[C:])


def _accuracy(fusion: ChannelFusion, channels: Mapping[str, FloatArray], labels: IntArray) -> float:
    return float((fusion.log_probs(channels).argmax(axis=1) == labels).mean())


def log_softmax(logits: FloatArray) -> FloatArray:
    """Row-wise log-softmax in float64; the input is not changed."""
    wide = np.asarray(logits, dtype=np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
