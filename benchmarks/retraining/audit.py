"""Was the LM trained on each sub-dataset, and how strongly does it show? A loss test.

Passages that the LM has read against others of the same sub-dataset's training split, which it has
not: matched non-members, as `docs/causal.md` says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.records import FloatArray, IntArray

ALPHA = 0.05


@dataclass(frozen=True)
class Presence:
    """Per sub-dataset, all [K].

    Attributes:
        gap: nats per token by which passages that were read are easier; > 0 = memorised.
        p_value: one-sided Welch test of the gap, Holm-corrected over sub-datasets.
    """

    gap: FloatArray
    p_value: FloatArray

    @property
    def sureness(self) -> FloatArray:
        """[K] in [0, 1]: how sure it is that the LM was trained on the sub-dataset, 1 - p."""
        return np.asarray(np.where(self.gap > 0, 1 - self.p_value, 0.0))

    @property
    def strength(self) -> FloatArray:
        """[K] >= 0: the gap over the mean gap where training was found, else 0."""
        found = np.where((self.p_value < ALPHA) & (self.gap > 0), self.gap, 0.0)
        return np.asarray(found / found.mean() if found.any() else found)


def presence(read: Sequence[FloatArray], unread: Sequence[FloatArray]) -> Presence:
    """From losses of passages, one array per sub-dataset each."""
    from scipy.stats import ttest_ind

    tests = [
        ttest_ind(members, others, equal_var=False, alternative="less")
        for members, others in zip(read, unread, strict=True)
    ]
    gap = np.array([o.mean() - m.mean() for m, o in zip(read, unread)])
    return Presence(gap, holm(np.array([test.pvalue for test in tests])))


def holm(p_values: FloatArray) -> FloatArray:
    """Holm's step-down correction, [K] -> [K] in [0, 1]."""
    order: IntArray = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
