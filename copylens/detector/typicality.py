"""How unusual a measured value is among registered texts: one test, and several as one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from copylens.records import FloatArray
from copylens.store.arrays import Arrays

_TAIL = 0.1
_QUANTILES = 400


@dataclass(frozen=True)
class TypicalityTest:
    """A one-sided test of "the text is like held-out registered texts" on one measure.

    A value is ranked among those of held-out registered texts: empirically in the bulk, and with
    an exponential tail beyond, since no sample holds the rare values that matter (peaks over
    threshold).

    Attributes:
        own: values of the held-out texts, ascending; a grid of them if there are many.
        threshold: where the exponential tail begins.
        excess: > 0; mean of what exceeds the threshold.
    """

    own: FloatArray
    threshold: float
    excess: float

    @classmethod
    def fit(cls, values: FloatArray) -> "TypicalityTest":
        """From the measure of held-out registered texts [N]; larger = less typical."""
        own = np.sort(values)
        threshold = float(np.quantile(own, 1 - _TAIL))
        beyond = own[own > threshold] - threshold
        if len(own) > _QUANTILES:
            own = np.quantile(own, np.linspace(0, 1, _QUANTILES))
        return cls(own, threshold, float(max(beyond.mean(), 1e-6)) if len(beyond) else 1.0)

    def arrays(self) -> Arrays:
        """Every parameter by its name."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "TypicalityTest":
        """The inverse of `arrays`."""
        return cls(arrays["own"], arrays["threshold"].item(), arrays["excess"].item())

    def surprise(self, values: FloatArray) -> FloatArray:
        """[N] -> -log of the probability that a registered text is as atypical, nats, >= 0."""
        rank = np.searchsorted(self.own, values, side="left")
        share = np.maximum(1 - rank / len(self.own), _TAIL)
        beyond = (values - self.threshold) / self.excess - np.log(_TAIL)
        return np.asarray(np.where(values > self.threshold, beyond, -np.log(share)))


def combined(surprises: Mapping[str, FloatArray], weights: Mapping[str, float]) -> FloatArray:
    """Several tests as one: -log of their weighted harmonic mean probability, nats, >= 0.

    The harmonic mean is ruled by the most alarmed test, needs no independence, and a test of
    small weight counts only where its p-value is very small (Wilson 2019, harmonic mean p-value).

    Args:
        surprises: test -> [N] negative log-probabilities.
        weights: test -> weight > 0.
    """
    # In one order: what comes back from a file has the tests in another, and sums their last bits.
    names = sorted(surprises)
    total = sum(weights[name] for name in names)
    terms = [surprises[name] + np.log(weights[name] / total) for name in names]
    return np.asarray(np.maximum(logsumexp(terms, axis=0), 0.0))
