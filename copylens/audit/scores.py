"""Published membership scores of a passage. All are larger for passages the LM was trained on."""

import zlib

import numpy as np

from copylens.audit.token_scores import TokenScores
from copylens.records import FloatArray

_SMALLEST = 1e-6
"""Least deviation, nats: that of a certain prediction is 0."""


def loss(tokens: TokenScores) -> float:
    """Mean log-probability, nats per token, <= 0: minus the loss (Yeom et al. 2018)."""
    return float(tokens.log_probs.mean())


def zlib_ratio(tokens: TokenScores, text: str) -> float:
    """Minus the text's bits under the LM over its bits under zlib, <= 0 (Carlini et al. 2021).

    Deviation: the sum over tokens, not their mean, so that the ratio has no unit and long texts
    compare with short ones.
    """
    bits = float(tokens.log_probs.sum() / np.log(2))
    return bits / (8 * len(zlib.compress(text.encode())))


def min_k(tokens: TokenScores, share: float) -> float:
    """Min-K%: mean log-probability of the least likely tokens, <= 0 (Shi et al. 2024).

    Args:
        share: of the tokens, in (0, 1]; 0.2 by default. At least one token.
    """
    return _lowest(tokens.log_probs, share)


def min_k_plus_plus(tokens: TokenScores, share: float) -> float:
    """Min-K%++: as Min-K%, of the log-probability less its expectation, in deviations: how much
    likelier a token was than what the LM might have seen there instead (Zhang et al. 2025)."""
    return _lowest(surprises(tokens), share)


def surprises(tokens: TokenScores) -> FloatArray:
    """[T] log-probability less its expectation, in standard deviations of the prediction."""
    deviations = np.maximum(tokens.deviations, _SMALLEST)
    return np.asarray((tokens.log_probs - tokens.means) / deviations)


def _lowest(values: FloatArray, share: float) -> float:
    count = max(1, int(share * len(values)))
    return float(np.sort(values)[:count].mean())
