"""95 % intervals by resampling split groups: passages of one book are not independent.

The statistic is always a mean over passages, so a resample is a ratio of two weighted sums over
groups, and 1000 of them are two matrix products.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Values = npt.NDArray[Any]

Unit = Literal["split groups within each sub-dataset", "split groups over all sub-datasets"]

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile interval.

    Attributes:
        estimate: the mean over all passages.
        low, high: ends of the interval; None where there is one group only, from which no
            spread between groups can be learned.
        level: coverage aimed at, 0.95.
        groups: number of groups resampled.
        unit: what was resampled. Within each sub-dataset, unless one of them has a single group:
            its spread would count as zero, so then all groups are resampled together.
    """

    estimate: float
    low: float | None
    high: float | None
    level: float
    groups: int
    unit: Unit

    @property
    def ends(self) -> list[float] | None:
        """[low, high] as report.json holds it, or None."""
        return None if self.low is None or self.high is None else [self.low, self.high]


def mean_interval(
    values: Values,
    groups: Sequence[str],
    sub_datasets: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Interval of a mean over passages, e.g. of accuracy from correctness.

    Args:
        values: [N] one number per passage (0/1 or bool for correctness).
        groups: [N] split group of each passage.
        sub_datasets: [N] true sub-dataset of each passage.
        seed: fixes the resamples.
        resamples: how many.
        level: coverage in (0, 1).
    """
    if not len(values) == len(groups) == len(sub_datasets) or len(values) == 0:
        raise ValueError(
            f"need one group and sub-dataset per value, got {len(values)} values, "
            f"{len(groups)} groups, {len(sub_datasets)} sub-datasets"
        )
    numbers = np.asarray(values, dtype=np.float64)
    weights, place, unit = resampled_groups(groups, sub_datasets, resamples, seed)
    count = weights.shape[1]
    sums = np.bincount(place, weights=numbers, minlength=count)
    counts = np.bincount(place, minlength=count).astype(np.float64)
    low = high = None
    if count > 1:
        means = (weights @ sums) / (weights @ counts)
        tail = (1.0 - level) / 2
        low, high = (float(end) for end in np.quantile(means, [tail, 1.0 - tail]))
    return Interval(float(numbers.mean()), low, high, level, count, unit)


def resampled_groups(
    groups: Sequence[str], sub_datasets: Sequence[str], resamples: int, seed: int
) -> tuple[Float64, npt.NDArray[np.int64], Unit]:
    """How often each resample draws each split group.

    Args:
        groups, sub_datasets: [N] of each passage.

    Returns:
        draws [resamples, G]; [N] the place of each passage's group among the G; what is resampled.
    """
    cells = list(zip(sub_datasets, groups, strict=True))
    unit = _unit(cells)
    members, place = _index(cells)
    within = unit == "split groups within each sub-dataset"
    strata = [sub_dataset if within else "" for sub_dataset, _ in members]
    return _resample(strata, resamples, seed), place, unit


def paired_difference(
    correct: Values,
    other_correct: Values,
    groups: Sequence[str],
    sub_datasets: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interval of accuracy(first) - accuracy(other) on the same passages; > 0 = first is better.

    Both methods are resampled together, so what makes a book hard for both cancels out.
    """
    if len(correct) != len(other_correct):
        raise ValueError(
            f"paired methods need the same passages, got {len(correct)} and {len(other_correct)}"
        )
    difference = np.asarray(correct, dtype=np.float64) - np.asarray(other_correct, np.float64)
    return mean_interval(difference, groups, sub_datasets, seed=seed, resamples=resamples)


def _unit(cells: Sequence[tuple[str, str]]) -> Unit:
    per_sub_dataset: dict[str, set[str]] = {}
    for sub_dataset, group in cells:
        per_sub_dataset.setdefault(sub_dataset, set()).add(group)
    if min(len(found) for found in per_sub_dataset.values()) > 1:
        return "split groups within each sub-dataset"
    return "split groups over all sub-datasets"


def _index(keys: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], npt.NDArray[np.int64]]:
    """Sorted distinct keys, and the place of each key among them."""
    members = sorted(set(keys))
    places = {key: i for i, key in enumerate(members)}
    return members, np.array([places[key] for key in keys], dtype=np.int64)


def _resample(strata: Sequence[str], resamples: int, seed: int) -> Float64:
    """How often each group is drawn: [resamples, groups], as many draws per stratum as groups."""
    rng = np.random.default_rng(seed)
    names = np.asarray(strata)
    weights = np.zeros((resamples, len(names)))
    for stratum in sorted(set(strata)):
        columns = np.flatnonzero(names == stratum)
        even = np.full(len(columns), 1.0 / len(columns))
        weights[:, columns] = rng.multinomial(len(columns), even, size=resamples)
    return weights
