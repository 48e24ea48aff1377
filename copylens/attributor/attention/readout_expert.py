"""The read-out expert: which words the attention states carry, told by the codes of the tokens.

Ours. It stands beside the LSTM in the one channel `attention`: the LSTM sees window means, which
lose single words, this one sees a bag of codes and of ordered pairs of codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.folds import fold_index
from copylens.attributor.fusion import fit_fusion, log_softmax
from copylens.attributor.lexical.ngrams import Ids, NgramView, item_ids
from copylens.attributor.lexical.ridge import gram, out_of_fold, ridge_duals
from copylens.probe.readout import NO_TOKEN
from copylens.records import FloatArray, IntArray

_RIDGE = 0.1
_FOLDS = 5
# Kernel weights of codes and of ordered pairs of codes.
_SHARES = (1 / 3, 2 / 3)


@dataclass(frozen=True)
class ReadOutExpert:
    """Ridge regression on codes and ordered pairs of codes, names masked.

    There is no second expert with the names left in and no gate, as the lexical channel has: on
    unseen documents they added nothing, and where a sub-dataset has a single split group the gate
    cannot learn what an unseen work looks like (see docs/experiments.md).

    Attributes:
        views: n-gram views of the codes and of the pairs.
        weights: two arrays [F, K].
        temperature: fitted on passages held out with their split group; scores are multiplied.
    """

    views: tuple[NgramView, ...]
    weights: tuple[FloatArray, ...]
    temperature: float

    def log_probs(self, codes: Sequence[IntArray]) -> FloatArray:
        """Codes [W, w] of each of N texts or segments -> log-probabilities [N, K]."""
        if not codes:
            return np.zeros((0, self.weights[0].shape[1]))
        return log_softmax(self.temperature * self.scores(codes))

    def scores(self, codes: Sequence[IntArray]) -> FloatArray:
        """[N, K] ridge scores; about 0 when clueless."""
        parts = [
            view.scores(documents, weight)
            for view, documents, weight in zip(self.views, code_views(codes), self.weights)
        ]
        return np.asarray(parts[0] + parts[1], np.float64)


def fit_readout_expert(
    codes: Sequence[IntArray],
    labels: IntArray,
    groups: IntArray,
    classes: int,
    seed: int,
    temperature: float | None = None,
) -> ReadOutExpert:
    """Fits weights and temperature on passages.

    Args:
        codes: N arrays [W, w], see `States`.
        labels: [N] in 0..K-1, every class present.
        groups: [N] split groups; those of one class held out together simulate an unseen work.
        temperature: one that was fitted on more split groups than these; default: a fresh one.
    """
    documents = code_views(codes)
    views = tuple(NgramView.fit(ids) for ids in documents)
    # Scaling the rows weighs the kernels; the weights below carry it to every later text.
    scales = [np.sqrt(share) for share in _SHARES]
    rows = [view.matrix(ids) * s for view, ids, s in zip(views, documents, scales)]
    kernel = gram(rows[0]) + gram(rows[1])
    if temperature is None:
        folds = fold_index(labels, groups, _FOLDS, seed)
        held = out_of_fold(kernel, labels, classes, _RIDGE, folds)
        temperature = fit_fusion({"codes": held}, labels).weights["codes"]
    duals = ridge_duals(kernel, labels, classes, _RIDGE)
    weights = tuple(np.asarray(row.T @ duals * s, np.float32) for row, s in zip(rows, scales))
    return ReadOutExpert(views, weights, temperature)


def code_views(codes: Sequence[IntArray]) -> tuple[list[Ids], list[Ids]]:
    """Ids of the codes and of their ordered pairs, names masked."""
    single, pairs = [], []
    for item in codes:
        tokens = item.astype(np.int64).ravel()
        ids = masked(tokens[tokens != NO_TOKEN]).astype(np.uint64)
        single.append(item_ids(ids, 1, 1))
        pairs.append(item_ids(ids, 2, 2))
    return single, pairs


def masked(tokens: IntArray) -> IntArray:
    """Codes with each run of name tokens, which are negative, replaced by a single 0."""
    flat = np.maximum(tokens, 0)
    again = np.concatenate([[False], (flat[1:] == 0) & (flat[:-1] == 0)])[: len(flat)]
    return np.asarray(flat[~again])


def pool(readout: FloatArray, network: FloatArray, share: float) -> FloatArray:
    """Log-linear pool of the two readers' log-probabilities, [.., K] each.

    Args:
        share: the network's weight in [0, 1]; the read-out has the rest.
    """
    return log_softmax((1 - share) * readout + share * network)
