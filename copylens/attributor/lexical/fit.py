"""Fits the lexical channel: n-gram experts by ridge, class language models, and the gate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from copylens.attributor.folds import fold_index
from copylens.attributor.lexical.class_lm import ClassLanguageModel
from copylens.attributor.lexical.classifier import (
    LexicalClassifier,
    LexicalViews,
    lexical_views,
    log_odds,
)
from copylens.attributor.lexical.experts import ExpertGate, fit_gate
from copylens.attributor.lexical.names import NameRecord
from copylens.attributor.lexical.ngrams import NgramView
from copylens.attributor.lexical.ridge import gram, out_of_fold, ridge_duals
from copylens.attributor.lexical.skeleton import Skeleton
from copylens.records import BoolArray, FloatArray, IntArray
from copylens.text import Ids

_RIDGE = 0.03
_FOLDS = 5
_ORDERS = (3, 4)


def fit_lexical(
    texts: Sequence[str],
    labels: IntArray,
    groups: IntArray,
    classes: int,
    seed: int,
    *,
    background: Sequence[str] = (),
    gate: ExpertGate | None = None,
) -> LexicalClassifier:
    """Fits experts and gate on passages.

    Args:
        labels: [N] in 0..K-1, every class present.
        groups: [N] split groups; those of one class held out together simulate an unseen work.
        classes: K.
        background: texts that belong to nobody registered; the language models alone read them.
        gate: one that was fitted on more split groups than these texts have; default: a fresh one.
    """
    names, skeleton = NameRecord.learn(texts, groups), Skeleton.learn(texts)
    read = lexical_views(names, skeleton, texts)
    experts = _Experts.fit(
        read, lexical_views(names, skeleton, background).streams, labels, classes, seed
    )
    if gate is None:
        gate = experts.gate(fold_index(labels, groups, _FOLDS, seed))
    return LexicalClassifier(
        names=names,
        skeleton=skeleton,
        views=experts.views,
        weights=experts.weights(),
        models=tuple(fit.without(np.zeros(len(labels), bool)) for fit in experts.models),
        centre=experts.centre,
        scale=experts.scale,
        gate=gate,
    )


@dataclass(frozen=True)
class _Experts:
    """What the experts are fitted on, and how they score passages that they were fitted without.

    Attributes:
        rows: [N, F] of each view.
        kernels: two Gram matrices [N, N], of the masked and of the named n-grams.
        folds: [N] in which passages are held out one by one.
        held: [N, K] log-probabilities of each language model in these folds.
        centre, scale: see `LexicalClassifier`.
    """

    views: tuple[NgramView, ...]
    rows: tuple[sparse.csr_matrix, ...]
    kernels: tuple[FloatArray, ...]
    models: tuple["LanguageModelFit", ...]
    labels: IntArray
    folds: IntArray
    held: tuple[FloatArray, ...]
    centre: FloatArray
    scale: FloatArray

    @classmethod
    def fit(
        cls,
        read: LexicalViews,
        background: tuple[list[Ids], ...],
        labels: IntArray,
        classes: int,
        seed: int,
    ) -> "_Experts":
        models = tuple(
            LanguageModelFit(order, stream, other, labels, classes)
            for order, stream, other in zip(_ORDERS, read.streams, background)
        )
        views = tuple(NgramView.fit(documents) for documents in read.ngrams)
        rows = tuple(view.matrix(documents) for view, documents in zip(views, read.ngrams))
        kernels = tuple((gram(rows[e]) + gram(rows[e + 1])) / 2 for e in (0, 2))
        folds = fold_index(labels, np.arange(len(labels)), _FOLDS, seed)
        held = tuple(model.held_out(folds) for model in models)
        centre = np.stack([_class_balanced_mean(log_probs, labels) for log_probs in held])
        scale = np.array([log_odds(n, c, 1.0).std() for n, c in zip(held, centre)])
        return cls(views, rows, kernels, models, labels, folds, held, centre, scale)

    def gate(self, works: IntArray) -> ExpertGate:
        """The gate, from passages held out one by one and with all of their work [N]."""
        unseen = [model.held_out(works) for model in self.models]
        known, new = self._scores(self.folds, self.held), self._scores(works, unseen)
        return fit_gate(known, new, (self.labels, self.labels))

    def weights(self) -> tuple[FloatArray, ...]:
        """Four arrays [F, K] float32: the ridge experts in the primal."""
        K = self.models[0].classes
        duals = [ridge_duals(kernel, self.labels, K, _RIDGE) for kernel in self.kernels]
        return tuple(
            np.asarray(rows.T @ duals[n // 2], np.float32) / 2 for n, rows in enumerate(self.rows)
        )

    def _scores(self, folds: IntArray, likelihoods: Sequence[FloatArray]) -> FloatArray:
        """[E, N, K] of each passage by experts fitted without its fold."""
        K = self.models[0].classes
        ridge = [out_of_fold(kernel, self.labels, K, _RIDGE, folds) for kernel in self.kernels]
        odds = [log_odds(n, c, s) for n, c, s in zip(likelihoods, self.centre, self.scale)]
        return np.stack([*ridge, *odds])


@dataclass(frozen=True)
class LanguageModelFit:
    """What a language model of all sub-datasets is fitted on.

    Attributes:
        order: longest n-gram.
        stream, background: token ids of the registered texts [N] and of the background.
        labels: [N] in 0..K-1.
        classes: K.
    """

    order: int
    stream: list[Ids]
    background: list[Ids]
    labels: IntArray
    classes: int

    def without(self, held: BoolArray) -> ClassLanguageModel:
        """Fitted on all but the held-out texts [N]."""
        kept = np.flatnonzero(~held)
        documents = [self.stream[i] for i in kept] + self.background
        labels = np.append(self.labels[kept], np.full(len(self.background), self.classes))
        columns = self.classes + bool(self.background)
        return ClassLanguageModel.fit(documents, labels, columns, self.order)

    def held_out(self, folds: IntArray) -> FloatArray:
        """[N, K] mean log-probabilities from models fitted without a text's fold [N]."""
        log_probs = np.zeros((len(self.labels), self.classes))
        for fold in range(int(folds.max()) + 1):
            held = folds == fold
            texts = [self.stream[i] for i in np.flatnonzero(held)]
            log_probs[held] = self.without(held).mean_log_probs(texts)[:, : self.classes]
        return log_probs


def _class_balanced_mean(log_probs: FloatArray, labels: IntArray) -> FloatArray:
    return np.asarray(
        np.mean([log_probs[labels == k].mean(axis=0) for k in np.unique(labels)], axis=0)
    )
