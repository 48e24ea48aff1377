"""N-gram models of the passages themselves: a reference for how common a passage's words are.

A passage's loss depends mostly on how common its words are, whether it was in training or not.
N-gram scores by counts of the other passages measure that; subtracted, or used by dataset inference
as a covariate, they reduce the noise. A passage is scored without counts of its own unit (see
permutation.py), and labels are not used, so units stay exchangeable under the null hypothesis.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from copylens.attributor.lexical.class_lm import ClassLanguageModel, Level
from copylens.records import FloatArray, IntArray

ORDERS = (1, 2, 4)
_FOLDS = 5
# Ids below it are signs of the model's own.
_SHIFT = 16


def ngram_scores(
    documents: Sequence[IntArray], labels: IntArray, units: Sequence[str], seed: int
) -> FloatArray:
    """Mean log-probability per token of each passage, nats, <= 0, under counts of others.

    Args:
        documents: [N] token ids of each passage.
        labels: [N] numbers of their sub-datasets, 0..K-1.
        units: [N] unit of each passage; its passages are left out together.
        seed: of the folds.

    Returns:
        [N, 2 * orders]: for each order in `ORDERS` under the passage's own sub-dataset's counts and
        under all sub-datasets' together.
    """
    tokens = [np.asarray(ids, np.uint64) + np.uint64(_SHIFT) for ids in documents]
    names, place = np.unique(units, return_inverse=True)
    fold = np.random.default_rng([seed, 23]).permutation(len(names))[place] % _FOLDS
    classes = int(labels.max()) + 1
    result = np.zeros((len(tokens), 2 * len(ORDERS)))
    for part in range(_FOLDS):
        held, rest = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        if not len(held) or not len(rest):
            continue
        known = [tokens[i] for i in rest]
        own = ClassLanguageModel.fit(known, labels[rest], classes, max(ORDERS)).levels
        pooled = tuple(map(_pooled, own))
        asked = [tokens[i] for i in held]
        for number, order in enumerate(ORDERS):
            # The shorter n-grams of a model are those of a shorter model.
            mine = ClassLanguageModel(own[:order]).mean_log_probs(asked)
            result[held, 2 * number] = mine[np.arange(len(held)), labels[held]]
            all_ = ClassLanguageModel(pooled[:order]).mean_log_probs(asked)
            result[held, 2 * number + 1] = all_[:, 0]
    return result


def _pooled(level: Level) -> Level:
    """The counts summed over sub-datasets."""
    return replace(level, counts=sparse.csr_matrix(level.counts.sum(axis=1)))
