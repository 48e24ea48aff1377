"""Dataset inference: a linear discriminant over many scores (Maini et al. 2024).

No single score is best everywhere, and the noise of one, such as that of rare words, is measured by
another one. The discriminant weighs them all. Its weights come from passages that it is not
tested on: from the *other* sub-datasets, whose members and non-members are known likewise, or,
where there are none, from one half of the units of this one while the other half is tested.

Deviation from the source: covariates that do not depend on the LM (n-grams, length) are weighed
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
class LabelledFeatures:
    """A sub-dataset's passages: features [N, F], and units with their membership labels."""

    features: FloatArray
    units: Units

    @property
    def member(self) -> BoolArray:
        """[U] the label of each unit."""
        return self.units.member

    def standardised(self) -> FloatArray:
        """Features of units [U, F], centred in each stratum, in units of their own spread.

        Membership labels are not used.
        """
        values = self.units.means(self.features)
        return np.asarray(values / np.maximum(values.std(axis=0), 1e-9))


def direction(known: Mapping[str, LabelledFeatures]) -> FloatArray | None:
    """Weights [F] of Fisher's linear discriminant between members and non-members, with a ridge.

    Every sub-dataset has the same weight. None where no sub-dataset has both.
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
