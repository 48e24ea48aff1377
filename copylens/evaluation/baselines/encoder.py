"""A sentence encoder, frozen: what many would take instead of an LM's attention states."""

from collections.abc import Sequence

import numpy as np

from copylens.config.schema import ProbeConfig
from copylens.probe.loading.location import DIST
from copylens.probe.probe import Probe
from copylens.records import FloatArray
from copylens.store.installed import distribution

# Texts per call: their tokens are held at once.
_BATCH = 256


def available(model: str) -> bool:
    """Whether the encoder is there: it is a baseline where it is installed, and no requirement."""
    if not model.startswith(DIST):
        return True
    return distribution(model.removeprefix(DIST).partition("/")[0]) is not None


class SentenceEncoder:
    """Mean of the last layer's hidden states over a text's tokens, at unit length."""

    def __init__(self, model: str):
        """`model`: as in probe.model.

        Raises:
            ProbeError: there is no such encoder.
        """
        config = ProbeConfig(model=model, tap="residual", layers=(-1,), window=32)
        self._probe = Probe(config)

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Texts [N] -> [N, D] float32."""
        window, rows = self._probe.config.window, []
        for start in range(0, len(texts), _BATCH):
            for states in self._probe.states(texts[start : start + _BATCH]):
                sizes = np.full(len(states.values), window, np.float32)
                sizes[-1] = states.tokens - window * (len(states.values) - 1)
                mean = sizes @ states.values.astype(np.float32)
                rows.append(mean / np.linalg.norm(mean))
        return np.stack(rows)
