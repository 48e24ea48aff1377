"""Channels -> one answer: a log-linear combination, its weights learned on held-out predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import optimize
from scipy.special import log_softmax

from copylens.records import FloatArray, IntArray

# Texts' worth of trust in equal weights.
_PRIOR_TEXTS = 5.0
# From so many on a channel may be left out.
_ENOUGH = 200
_FOLDS = 5


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
    groups: IntArray | None = None,
    texts: int | None = None,
) -> ChannelFusion:
    """Learns the weights on predictions that no channel was trained on.

    Minimises the cross-entropy over weights >= 0, drawn towards equal ones: a squared difference
    from their mean costs as much as it would gain on `_PRIOR_TEXTS` texts. Where there are enough
    texts to tell, a channel has to earn its place: every set of channels that is not less accurate
    than the best single one is tried, and the set is chosen by its loss on groups that its weights
    were not learned on. With thirty passages a channel that happens to err on none of them would
    get all of the weight.

    Args:
        channels: held-out log-probabilities [N, K] per channel.
        labels: [N] in 0..K-1.
        groups: [N] numbers >= 0 of what belongs together; default: every prediction for itself.
        texts: how many independent texts the predictions come from; default: N.
    """
    texts = texts or len(labels)
    every = tuple(channels)
    if texts < _ENOUGH:
        return _fit_weights(channels, every, labels, texts)
    sets = [c for size in range(len(every), 0, -1) for c in combinations(every, size)]
    fitted = [_fit_weights(channels, names, labels, texts) for names in sets]
    accuracy = [_accuracy(fusion, channels, labels) for fusion in fitted]
    floor = max(right for names, right in zip(sets, accuracy) if len(names) == 1)
    allowed = [i for i, right in enumerate(accuracy) if right >= floor]
    folds = (np.arange(len(labels)) if groups is None else groups) % _FOLDS
    # The largest set comes first, so it wins where the losses are as good as equal.
    return fitted[
        min(allowed, key=lambda i: round(_cross_fitted(channels, sets[i], labels, folds), 4))
    ]


def _cross_fitted(
    channels: Mapping[str, FloatArray], names: Sequence[str], labels: IntArray, folds: IntArray
) -> float:
    """Cross-entropy in nats where each fold is judged by weights learned on the others."""
    total = 0.0
    for fold in np.unique(folds):
        kept, held = folds != fold, folds == fold
        if not kept.any():
            kept = held
        part = {n: channels[n][kept] for n in names}
        fusion = _fit_weights(part, names, labels[kept], int(kept.sum()))
        log_p = fusion.log_probs({n: channels[n][held] for n in names})
        total -= float(log_p[np.arange(len(log_p)), labels[held]].sum())
    return total / len(labels)


def _fit_weights(
    channels: Mapping[str, FloatArray], names: Sequence[str], labels: IntArray, texts: int
) -> ChannelFusion:
    stack = np.stack([channels[name] for name in names]).astype(np.float64)  # [C, N, K]
    N, K = stack.shape[1:]
    one_hot, pull = np.eye(K)[labels], _PRIOR_TEXTS / texts

    def objective(weights: FloatArray) -> tuple[float, FloatArray]:
        log_p = log_softmax(np.tensordot(weights, stack, axes=1), axis=-1)  # [N, K]
        residual = (np.exp(log_p) - one_hot) / N  # gradient by the logits
        off = weights - weights.mean()
        gradient = np.tensordot(stack, residual, axes=([1, 2], [0, 1])) + 2 * pull * off
        return float(-(log_p * one_hot).sum() / N + pull * off @ off), gradient

    start = np.full(len(names), 1.0 / len(names))
    bounds = [(0.0, None)] * len(names)
    found = optimize.minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return ChannelFusion({name: float(weight) for name, weight in zip(names, found)})


def _accuracy(fusion: ChannelFusion, channels: Mapping[str, FloatArray], labels: IntArray) -> float:
    return float((fusion.log_probs(channels).argmax(axis=1) == labels).mean())
