"""Dataset inference: one score learned from many (Maini et al. 2024), and where it is learned.

No single score is best everywhere, and what makes one noisy, such as rare words, another one
measures. A linear discriminant weighs them all. Its weights come from passages that it is not
tested on: from the *other* sub-datasets, whose members and non-members are known likewise, or,
where there are none, from one half of the units of this one while the other half is tested.

Deviation from the source: covariates that say nothing of the LM (n-grams, length) are weighed in
too, with the sign that cancels noise; and the weights are learned across sub-datasets, so that all
passages of the one in question are left to test on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from copylens.audit.permutation import Units
from copylens.records import BoolArray, FloatArray

_RIDGE = 0.03
"""Added to the diagonal of a correlation matrix: features are many and alike."""


@dataclass(frozen=True)
class Measured:
    """A sub-dataset's passages: features [N, F] and who is said to be a member [N]."""

    features: FloatArray
    units: Units

    @property
    def member(self) -> BoolArray:
        """[U]"""
        return self.units.member

    def standardised(self) -> FloatArray:
        """Features of units [U, F], centred in each stratum, in units of their own spread.

        Nobody's membership plays a part.
        """
        values = self.units.means(self.features)
        return np.asarray(values / np.maximum(values.std(axis=0), 1e-9))


def direction(known: Mapping[str, Measured]) -> FloatArray | None:
    """Weights [F] that tell members from others best, on average over sub-datasets.

    Fisher's linear discriminant with a ridge, each sub-dataset counting alike. None where no
    sub-dataset has both.
    """
    gaps, spreads = [], []
    for item in known.values():
        if not len(item.member):
            continue
        values, member = item.standardised(), item.member
        sides = [values[member], values[~member]]
        gaps.append(sides[0].mean(axis=0) - sides[1].mean(axis=0))
        inside = np.concatenate([side - side.mean(axis=0) for side in sides])
        spreads.append(inside.T @ inside / len(inside))
    if not gaps:
        return None
    spread = np.mean(spreads, axis=0)
    weights = np.linalg.solve(spread + _RIDGE * np.eye(len(spread)), np.mean(gaps, axis=0))
    return np.asarray(weights / np.linalg.norm(weights))
