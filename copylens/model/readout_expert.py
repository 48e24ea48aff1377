"""The read-out expert: which words the attention states carry, told by the codes of the tokens.

Ours. It stands beside the LSTM in the one channel `attention`: the LSTM sees window means, which
lose single words, this one sees a bag of codes and of ordered pairs of codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.model.experts import ExpertGate, fit_gate
from copylens.model.folds import fold_index
from copylens.model.fusion import log_softmax
from copylens.model.ngrams import Ids, NgramView, item_ids
from copylens.model.ridge import gram, out_of_fold, ridge_duals
from copylens.probe.readout import NO_TOKEN
from copylens.records import FloatArray, IntArray

_RIDGE = 0.1
_FOLDS = 5
# Kernel weights of codes and of ordered pairs of codes.
_SHARES = (1 / 3, 2 / 3)


@dataclass(frozen=True)
class ReadOutExpert:
    """Two ridge experts on code n-grams, pooled by a gate, like the lexical channel's.

    The masked one takes all tokens of a name for one code, the named one takes codes as they are.

    Attributes:
        views: four n-gram views: masked codes, masked pairs, named codes, named pairs.
        weights: four arrays [F, K].
        gate: pools the two experts' scores.
    """

    views: tuple[NgramView, ...]
    weights: tuple[FloatArray, ...]
    gate: ExpertGate

    def log_probs(self, codes: Sequence[IntArray]) -> FloatArray:
        """Codes [W, w] of each of N texts or segments -> log-probabilities [N, K]."""
        if not codes:
            return np.zeros((0, self.weights[0].shape[1]))
        return self.gate.log_probs(self.scores(codes))

    def scores(self, codes: Sequence[IntArray]) -> FloatArray:
        """[2, N, K] ridge scores of the masked and of the named expert; about 0 when clueless."""
        parts = [
            view.matrix(documents) @ weight
            for view, documents, weight in zip(self.views, code_views(codes), self.weights)
        ]
        return np.stack([parts[0] + parts[1], parts[2] + parts[3]]).astype(np.float64)


def fit_readout_expert(
    codes: Sequence[IntArray], labels: IntArray, groups: IntArray, classes: int, seed: int
) -> ReadOutExpert:
    """Fits experts and gate on passages.

    Args:
        codes: N arrays [W, w], see `States`.
        labels: [N] in 0..K-1, every class present.
        groups: [N] split groups; those of one class held out together simulate an unseen work.
    """
    documents = code_views(codes)
    views = tuple(NgramView.fit(ids) for ids in documents)
    # Scaling the rows weighs the kernels, in training and in every later text alike.
    scales = [np.sqrt(share) for share in _SHARES] * 2
    rows = [view.matrix(ids) * s for view, ids, s in zip(views, documents, scales)]
    kernels = [gram(rows[e]) + gram(rows[e + 1]) for e in (0, 2)]
    situations = []
    for units in (np.arange(len(labels)), groups):
        folds = fold_index(labels, units, _FOLDS, seed)
        held = [out_of_fold(kernel, labels, classes, _RIDGE, folds) for kernel in kernels]
        situations.append(np.stack(held))
    gate = fit_gate(situations[0], situations[1], (labels, labels))
    duals = [ridge_duals(kernel, labels, classes, _RIDGE) for kernel in kernels]
    weights = tuple(
        np.asarray(row.T @ duals[i // 2] * scales[i], np.float32) for i, row in enumerate(rows)
    )
    return ReadOutExpert(views, weights, gate)


def code_views(codes: Sequence[IntArray]) -> tuple[list[Ids], ...]:
    """Ids of codes and of ordered pairs, with names masked and then as they are."""
    views: tuple[list[Ids], ...] = ([], [], [], [])
    for item in codes:
        tokens = item.astype(np.int64).ravel()
        tokens = tokens[tokens != NO_TOKEN]
        for place, sequence in ((0, masked(tokens)), (2, np.abs(tokens))):
            ids = sequence.astype(np.uint64)
            views[place].append(item_ids(ids, 1, 1))
            views[place + 1].append(item_ids(ids, 2, 2))
    return views


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
