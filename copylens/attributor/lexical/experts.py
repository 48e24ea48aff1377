"""Experts for known works and for unseen ones, and a gate that estimates which case a text is."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from copylens.records import FloatArray, IntArray
from copylens.store.arrays import Arrays

_PENALTY = 1e-3


@dataclass(frozen=True)
class ExpertGate:
    """Log-linear combination of E experts, weighted by the probability of a known work.

    Attributes:
        gate: [2E + 1] logistic weights on each expert's best score, its lead, and a constant.
        weights: [2, E] weights > 0 for known works and for unseen ones.
    """

    gate: FloatArray
    weights: FloatArray

    def arrays(self) -> Arrays:
        """Every parameter by its name."""
        return {"gate": self.gate, "weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "ExpertGate":
        """The inverse of `arrays`."""
        return cls(**arrays)

    def log_probs(self, scores: FloatArray) -> FloatArray:
        """Scores [E, N, K] -> log-probabilities [N, K]."""
        return np.asarray(log_softmax(_combined(scores, self.known(scores), self.weights), axis=-1))

    def support(self, scores: FloatArray) -> FloatArray:
        """Scores [E, N, K] -> [N, K], combined as for an unseen work and not normalised."""
        return np.asarray(np.einsum("e,enk->nk", self.weights[1], scores))

    def known(self, scores: FloatArray) -> FloatArray:
        """Probability [N] that a text comes from a work that training has seen."""
        return np.asarray(expit(_features(scores) @ self.gate))


def fit_gate(
    known: FloatArray, unseen: FloatArray, labels: tuple[IntArray, IntArray]
) -> ExpertGate:
    """Fits gate and weights on two simulated situations that weigh the same.

    Args:
        known: [E, N, K] scores of passages held out one by one: their work is known.
        unseen: [E, M, K] scores of passages held out with all of their split group.
        labels: of both, [N] and [M] in 0..K-1.
    """
    scores = np.concatenate([known, unseen], axis=1)
    target = np.concatenate(labels)
    sizes = [known.shape[1], unseen.shape[1]]
    is_known = np.repeat([1.0, 0.0], sizes)
    weight = np.repeat([1 / max(size, 1) for size in sizes], sizes)
    features = _features(scores)

    def gate_loss(theta: FloatArray) -> float:
        z = features @ theta
        fit = weight @ (np.logaddexp(0, z) - is_known * z)
        return float(fit + _PENALTY * theta @ theta)

    gate = np.asarray(minimize(gate_loss, np.zeros(features.shape[1])).x)
    by_gate = expit(features @ gate)

    def weight_loss(theta: FloatArray) -> float:
        log_p = log_softmax(_combined(scores, by_gate, np.exp(theta).reshape(2, -1)), axis=-1)
        fit = -weight @ log_p[np.arange(len(target)), target]
        return float(fit + _PENALTY * (theta - 1) @ (theta - 1))

    start = np.ones(2 * len(scores))
    weights = np.exp(minimize(weight_loss, start, method="L-BFGS-B").x).reshape(2, -1)
    return ExpertGate(gate, weights)


def _features(scores: FloatArray) -> FloatArray:
    """Best score and its lead for each expert, and a constant: [E, N, K] -> [N, 2E + 1]."""
    top = np.sort(scores, axis=2)[:, :, -2:]
    ones = np.ones((1, scores.shape[1]))
    return np.concatenate([top[:, :, 1], top[:, :, 1] - top[:, :, 0], ones]).T


def _combined(scores: FloatArray, known: FloatArray, pair: FloatArray) -> FloatArray:
    weights = known[:, None] * pair[0] + (1 - known[:, None]) * pair[1]  # [N, E]
    return np.asarray(np.einsum("ne,enk->nk", weights, scores))
