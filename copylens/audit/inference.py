"""Dataset inference: a linear discriminant over many scores (Maini et al. 2024).

No single score is best everywhere, and the noise of one, such as that of rare words, is measured by
another one. The discriminant weighs them all. Its weights come from passages that it is not
tested on: from the *other* sub-datasets, whose members and non-members are known likewise, or,
where there are none, from one half of the units of this one while the other half is tested.

Deviation from the source: covariates that do not depend on the LM (n-grams, length) are weighed
too, with the sign that cancels noise; and the weights are learned across sub-datasets, so that all
passages of the one in question are left to test on.
"""

from collections.abc import Iterable

import numpy as np

from copylens.audit.permutation import Units
from copylens.records import FloatArray

_RIDGE = 0.03
"""Added to the diagonal of a correlation matrix: features are many and alike."""


def spread_of(features: FloatArray, units: Units) -> FloatArray:
    """[F] standard deviation of features [N, F] over units, centred in each stratum; > 0.

    Membership labels are not used.
    """
    return np.asarray(np.maximum(units.means(features).std(axis=0), 1e-9))


def direction(known: Iterable[tuple[FloatArray, Units]]) -> FloatArray | None:
    """Weights [F] of Fisher's linear discriminant between members and non-members, with a ridge.

    Features are centred in each stratum and scaled by their own spread. Every sub-dataset has the
    same weight.

    Args:
        known: features [N, F] of each sub-dataset's passages, and their units.

    Returns:
        None where no sub-dataset has both.
    """
    gaps, spreads = [], []
    for features, units in known:
        if not len(units.member):
            continue
        values = units.means(features) / spread_of(features, units)
        sides = [values[units.member], values[~units.member]]
        gaps.append(sides[0].mean(axis=0) - sides[1].mean(axis=0))
        inside = np.concatenate([side - side.mean(axis=0) for side in sides])
        spreads.append(inside.T @ inside / len(inside))
    if not gaps:
        return None
    spread = np.mean(spreads, axis=0)
    weights = np.linalg.solve(spread + _RIDGE * np.eye(len(spread)), np.mean(gaps, axis=0))
    return np.asarray(weights / np.linalg.norm(weights))
