"""Settings chosen on val, figures measured on test: what each method's score is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.retraining.datamodel import (
    Retraining,
    Score,
    datamodeling_scores,
    resampled_scores,
    summary,
)
from copylens.evaluation.bootstrap import RESAMPLES
from copylens.records import FloatArray


def best(found: Retraining, candidates: Mapping[str, FloatArray]) -> str:
    """The candidate [Q, K] with the highest mean score on these queries; ties: the first."""
    means = {name: datamodeling_scores(found, scores).mean() for name, scores in candidates.items()}
    return max(means, key=lambda name: round(float(means[name]), 12))


def judged(
    found: Retraining, methods: Mapping[str, FloatArray], against: Sequence[tuple[str, str]]
) -> tuple[dict[str, Score], dict[tuple[str, str], Score]]:
    """Scores of all methods, and of the differences asked for, with 95 % intervals.

    Returns:
        method -> score; (first, second) -> first - second.
    """
    values = {name: datamodeling_scores(found, scores) for name, scores in methods.items()}
    draws, _ = resampled_scores(found, methods, resamples=RESAMPLES)
    scores = {name: summary(values[name], draws[name]) for name in methods}
    pairs = {(a, b): summary(values[a] - values[b], draws[a] - draws[b]) for a, b in against}
    return scores, pairs


def effect_table(effects: FloatArray, names: Sequence[str]) -> dict[str, Any]:
    """What reading a sub-dataset does to its own queries and to those of the others.

    Args:
        effects: [K, K], rows = queries', columns = what was read; nats per token.
    """
    own = np.eye(len(names), dtype=bool)
    return {
        "own": round(float(effects[own].mean()), 4),
        "others": round(float(effects[~own].mean()), 4),
        "own_by_sub_dataset": dict(zip(names, effects[own].round(3).tolist())),
    }
