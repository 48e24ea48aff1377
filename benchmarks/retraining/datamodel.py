"""Do scores tell what training did? The linear datamodeling score of groups of training data.

LMs are trained on random sets of sub-datasets. A score of every sub-dataset for a query predicts
the outcome of each LM as the sum over what that LM has read; the score is good if these sums rank
the LMs as their true outcomes do (Park et al., "TRAK", arXiv 2303.14186, section 2; there
over single passages, here over whole sub-datasets).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from copylens.evaluation.bootstrap import LEVEL, RESAMPLES, Float64, Unit, resampled_groups
from copylens.records import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Retraining:
    """What was trained and what came of it.

    Attributes:
        members: [M, K] which sub-datasets each LM has read.
        outcomes: [M, Q] what each LM makes of each query, larger = better (minus its loss).
        units: [M] LMs of one number were drawn together, e.g. the two halves of one cut.
        groups, sub_datasets: [Q] split group and sub-dataset of each query.
    """

    members: BoolArray
    outcomes: FloatArray
    units: IntArray
    groups: tuple[str, ...]
    sub_datasets: tuple[str, ...]

    def queries(self, index: IntArray) -> "Retraining":
        """The same LMs, these queries [n] alone."""
        return Retraining(
            self.members,
            self.outcomes[:, index],
            self.units,
            tuple(self.groups[int(q)] for q in index),
            tuple(self.sub_datasets[int(q)] for q in index),
        )


@dataclass(frozen=True)
class Score:
    """A linear datamodeling score, in [-1, 1], or a difference of two, with its interval."""

    value: float
    low: float
    high: float

    def to_list(self) -> list[float]:
        """[value, low, high], rounded as reports show them."""
        return [round(number, 4) for number in (self.value, self.low, self.high)]


def datamodeling_scores(found: Retraining, scores: FloatArray) -> Float64:
    """Per query the Spearman correlation over LMs of outcome and summed scores, [Q] in [-1, 1].

    A query whose scores predict the same of every LM, or on which all LMs are alike, counts 0.

    Args:
        scores: [Q, K]; any scale, for only the order of their sums counts.
    """
    return _correlations(_ranks(found.outcomes), _predicted_ranks(found.members, scores))


def resampled_scores(
    found: Retraining,
    methods: Mapping[str, FloatArray],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[dict[str, Float64], Unit]:
    """Means over queries of each method's scores, method -> [resamples].

    Both what was asked and what was trained are drawn anew each time: split groups of queries, and
    units of LMs. The draws are the same for all methods, so their differences are paired.

    Args:
        methods: method -> [Q, K].

    Returns:
        the draws, and what was resampled among the queries.
    """
    weights, place, unit = resampled_groups(found.groups, found.sub_datasets, resamples, seed)
    rng = np.random.default_rng(seed)
    names = np.unique(found.units)
    draws: dict[str, Float64] = {name: np.empty(resamples) for name in methods}
    for r in range(resamples):
        chosen = rng.choice(names, len(names))
        lms = np.concatenate([np.flatnonzero(found.units == name) for name in chosen])
        outcomes, members = _ranks(found.outcomes[lms]), found.members[lms]
        weight = weights[r, place]
        for name, scores in methods.items():
            each = _correlations(outcomes, _predicted_ranks(members, scores))
            draws[name][r] = weight @ each / weight.sum()
    return draws, unit


def summary(values: Float64, draws: Float64, level: float = LEVEL) -> Score:
    """The mean over queries [Q] with the percentile interval of its resamples [R]."""
    tail = (1.0 - level) / 2
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return Score(float(values.mean()), float(low), float(high))


def effects(found: Retraining, names: Sequence[str]) -> Float64:
    """[K, K] what reading a sub-dataset (column) does to the queries of another (row).

    The mean outcome of the LMs that have read it less that of those that have not: with every
    sub-dataset in half of the LMs, the least-squares effect of a balanced design.
    """
    read = found.members.astype(np.float64)
    per_query = found.outcomes.T @ (read / read.sum(0) - (1 - read) / (1 - read).sum(0))  # [Q, K]
    rows = np.asarray(found.sub_datasets)
    return np.stack([per_query[rows == name].mean(axis=0) for name in names])


def _predicted_ranks(members: BoolArray, scores: FloatArray) -> Float64:
    """Ranks over LMs of the summed scores, [M, Q]."""
    predicted = members.astype(np.float64) @ np.asarray(scores, np.float64).T
    # Sums of the same numbers in another order must tie.
    return _ranks(np.round(predicted, 10))


def _ranks(values: FloatArray) -> Float64:
    """Mean-free ranks within each column; ties share theirs."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=0)
    return np.asarray(ranks - ranks.mean(axis=0))


def _correlations(a: Float64, b: Float64) -> Float64:
    """Column by column of mean-free ranks [M, Q] -> [Q]; 0 where a column is constant."""
    norm = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    return np.asarray(np.divide((a * b).sum(axis=0), norm, out=np.zeros_like(norm), where=norm > 0))
