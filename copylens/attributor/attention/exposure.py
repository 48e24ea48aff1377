"""Registered passages against given unregistered ones, told by the states (outlier exposure).

After Hendrycks, Mazeika and Dietterich (2019), who train the classifier itself on outliers; here a
ridge regression of its own reads the mean states, since those of kinds that nobody gave must not
be taken for registered by it: the detector counts what it says little, unless it is very sure.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from copylens.attributor.attention.dataset import StateSet
from copylens.attributor.attention.ridge import (
    NormalEquations,
    RidgeReader,
    RidgeSettings,
    Standard,
)
from copylens.records import IntArray

REGISTERED, UNREGISTERED = 0, 1
"""The classes of the reader."""

_SETTINGS = RidgeSettings(ridge=0.3)

Left = tuple[int | None, int | None]
"""Which fold of train and which part of the unregistered passages a fit goes without."""


def fit_exposures(
    registered: StateSet, unregistered: StateSet, folds: IntArray, parts: Sequence[IntArray]
) -> Iterator[tuple[Left, RidgeReader]]:
    """A reader of all passages, and one without each fold, each part, and each pair of them.

    Sums over passages, added up over all workers.

    Args:
        folds: [N] of the registered passages; -1: in every fit.
        parts: positions among the unregistered ones.
    """
    both = StateSet(
        registered.values + unregistered.values,
        np.repeat([REGISTERED, UNREGISTERED], [len(registered), len(unregistered)]),
    )
    standard = Standard.of(both)

    def of(index: IntArray) -> NormalEquations:
        return NormalEquations.of(both, index, 2, standard)

    every = of(np.arange(len(both)))
    for fold in (None, *range(int(folds.max(initial=-1)) + 1)):
        kept = every if fold is None else every.without(of(np.flatnonzero(folds == fold)))
        yield (fold, None), kept.reader(_SETTINGS)
        for number, part in enumerate(parts):
            left = kept.without(of(len(registered) + part))
            yield (fold, number), left.reader(_SETTINGS)
