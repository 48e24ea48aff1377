"""A sentence encoder, frozen: what many would take instead of an LM's attention states."""

from collections.abc import Callable, Sequence

import numpy as np

from copylens.config.schema import ProbeConfig
from copylens.probe.loading.location import DIST
from copylens.probe.probe import Probe
from copylens.records import FloatArray
from copylens.store.installed import distribution

# Texts per call: their tokens are held at once.
_BATCH = 256


def installed(model: str | None) -> str | None:
    """The encoder, or None where none is named or its distribution is not installed: it is a
    baseline, and no requirement.
    """
    if model is None or not model.startswith(DIST):
        return model
    name = model.removeprefix(DIST).partition("/")[0]
    return model if distribution(name) is not None else None


def encoder_probe(model: str) -> ProbeConfig:
    """What reads a text for its embedding; `model` as in probe.model."""
    return ProbeConfig(model=model, tap="residual", layers=(-1,), window=32)


class SentenceEncoder:
    """Mean of the last layer's hidden states over a text's tokens, at unit length."""

    def __init__(self, model: str):
        """`model`: as in probe.model.

        Raises:
            ProbeError: there is no such encoder.
        """
        self._probe = Probe(encoder_probe(model))

    def embed(self, texts: Sequence[str], meter: Callable[[int], None]) -> FloatArray:
        """Texts [N] -> [N, D] float32; the meter counts those that are done."""
        window, rows = self._probe.config.window, []
        for start in range(0, len(texts), _BATCH):
            for states in self._probe.states(texts[start : start + _BATCH]):
                sizes = np.full(len(states.values), window, np.float32)
                sizes[-1] = states.tokens - window * (len(states.values) - 1)
                mean = sizes @ states.values.astype(np.float32)
                rows.append(mean / np.linalg.norm(mean))
            meter(len(texts[start : start + _BATCH]))
        return np.stack(rows)
