"""How unusual a text would be if it came from a given sub-dataset: one test, and many together."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from copylens.records import FloatArray, IntArray
from copylens.store.arrays import Arrays

# Passages' worth of trust in what is common to all sub-datasets, where one has few of its own.
_SHRINK = 5.0
_TAIL = 0.1
_QUANTILES = 400


@dataclass(frozen=True)
class TypicalityTest:
    """A one-sided test of "the text comes from sub-dataset k" for every k.

    A measure that is larger for less typical texts is compared with its values on the
    sub-dataset's own held-out passages: empirically in the bulk, and with an exponential tail
    beyond, since no sample holds the rare values that matter (peaks over threshold).

    Attributes:
        centre, spread: [K] of the sub-dataset's own passages, in the measure's unit.
        own: standardised values of all own passages, ascending; a grid of them if there are many.
        threshold: where the exponential tail begins, standardised.
        excess: > 0; mean of what exceeds the threshold.
    """

    centre: FloatArray
    spread: FloatArray
    own: FloatArray
    threshold: float
    excess: float

    @classmethod
    def fit(cls, measure: FloatArray, labels: IntArray) -> "TypicalityTest":
        """From the measure of held-out registered passages [N, K] and their labels [N]."""
        own = measure[np.arange(len(labels)), labels]
        count = np.bincount(labels, minlength=measure.shape[1])
        total = np.bincount(labels, own, measure.shape[1])
        centre = (total + _SHRINK * own.mean()) / (count + _SHRINK)
        rest = own - centre[labels]
        squares = np.bincount(labels, rest**2, measure.shape[1])
        variance = (squares + _SHRINK * (rest**2).mean()) / (count + _SHRINK)
        spread = np.sqrt(np.maximum(variance, 1e-18))
        z = np.sort(rest / spread[labels])
        threshold = float(np.quantile(z, 1 - _TAIL))
        beyond = z[z > threshold] - threshold
        if len(z) > _QUANTILES:
            z = np.quantile(z, np.linspace(0, 1, _QUANTILES))
        return cls(
            centre, spread, z, threshold, float(max(beyond.mean(), 1e-6)) if len(beyond) else 1.0
        )

    def arrays(self) -> Arrays:
        """Every parameter by its name."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "TypicalityTest":
        """The inverse of `arrays`."""
        numbers = {name: arrays[name].item() for name in ("threshold", "excess")}
        return cls(arrays["centre"], arrays["spread"], arrays["own"], **numbers)

    def surprise(self, measure: FloatArray) -> FloatArray:
        """[N, K] -> -log of the probability that an own passage is as atypical, nats, >= 0."""
        z = (measure - self.centre) / self.spread
        rank = np.searchsorted(self.own, z, side="left")
        share = np.maximum(1 - rank / len(self.own), _TAIL)
        beyond = (z - self.threshold) / self.excess - np.log(_TAIL)
        return np.asarray(np.where(z > self.threshold, beyond, -np.log(share)))


def combined(surprises: Mapping[str, FloatArray], weights: Mapping[str, float]) -> FloatArray:
    """Several tests as one: -log of their weighted harmonic mean probability, nats, >= 0.

    The harmonic mean is ruled by the most alarmed test, needs no independence, and a test of
    small weight counts only where its p-value is very small (Wilson 2019, harmonic mean p-value).

    Args:
        surprises: test -> [N, K] negative log-probabilities.
        weights: test -> weight > 0 of those that count; the others are left out.
    """
    total = sum(weights.values())
    terms = [surprises[name] + np.log(weight / total) for name, weight in weights.items()]
    return np.asarray(np.maximum(logsumexp(terms, axis=0), 0.0))
