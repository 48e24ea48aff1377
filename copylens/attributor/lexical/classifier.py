"""The lexical channel: which words and letters a text uses, without any LM."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.folds import fold_index
from copylens.attributor.lexical.class_lm import ClassLanguageModel
from copylens.attributor.lexical.experts import ExpertGate, fit_gate
from copylens.attributor.lexical.names import TOKEN, NameRecord
from copylens.attributor.lexical.ngrams import Ids, NgramView, char_ids, token_ids, word_ids
from copylens.attributor.lexical.ridge import gram, out_of_fold, ridge_duals
from copylens.attributor.lexical.skeleton import Skeleton
from copylens.records import BoolArray, FloatArray, IntArray

_WORDS, _CHARS = (1, 2), (3, 5)
_RIDGE = 0.03
_FOLDS = 5
_ORDERS = (3, 4)


@dataclass(frozen=True)
class LexicalReading:
    """What the lexical channel says of N texts.

    Attributes:
        log_probs: [N, K] of the sub-datasets.
        support: [N, K] pooled scores as for an unseen work, not normalised: a text that is
            strange to all sub-datasets gets little from each.
        wording, style: [N, K] how natural the text is to each sub-dataset's language model: mean
            log-probability per token in nats, of its words and of its skeleton.
        background: [N, K] how much more natural its skeleton is to the background texts' model
            than to each sub-dataset's; [N, 0] where there were no background texts.
    """

    log_probs: FloatArray
    support: FloatArray
    wording: FloatArray
    style: FloatArray
    background: FloatArray

    @property
    def affinity(self) -> dict[str, FloatArray]:
        """How much each sub-dataset is at home with the texts: measure -> [N, K]."""
        found = {"support": self.support, "wording": self.wording, "style": self.style}
        return found | ({"background": -self.background} if self.background.size else {})

    def first(self, count: int) -> "LexicalReading":
        """What it says of the first texts alone."""
        return LexicalReading(*(value[:count] for value in vars(self).values()))


@dataclass(frozen=True)
class Tokens:
    """Texts as their readers want them.

    Attributes:
        views: n-grams of masked words, masked characters, named words, named characters.
        streams: tokens for the language models: words with names and one-group words hidden, and
            skeletons.
    """

    views: tuple[list[Ids], ...]
    streams: tuple[list[Ids], ...]


@dataclass(frozen=True)
class LexicalClassifier:
    """Two ridge experts on n-grams and two language-model experts, pooled by a gate.

    The masked expert reads the text with names and one-group words hidden: what carries over to
    an unseen work. The named expert reads it as it is: what gives a known work away. The language
    models ask which sub-dataset finds the words, and the skeleton, most natural.

    Attributes:
        names: how to hide names.
        skeleton: how to hide content words.
        views: four n-gram views: masked words, masked characters, named words, named characters.
        weights: four arrays [F, K].
        models: of words and of skeletons; where background texts were given they have a column
            for these, behind the K sub-datasets.
        centre: [2, K] mean log-probability that each model gives a training passage, held out.
        scale: [2] deviation of what it then says for and against the sub-datasets.
        gate: pools the four experts' scores.
    """

    names: NameRecord
    skeleton: Skeleton
    views: tuple[NgramView, ...]
    weights: tuple[FloatArray, ...]
    models: tuple[ClassLanguageModel, ...]
    centre: FloatArray
    scale: FloatArray
    gate: ExpertGate

    def log_probs(self, texts: Sequence[str]) -> FloatArray:
        """[N, K] log-probabilities of the sub-datasets."""
        return self.read(texts).log_probs

    def read(self, texts: Sequence[str]) -> LexicalReading:
        """All that the channel says of the texts [N]."""
        K = len(self.centre[0])
        if not texts:
            return LexicalReading(*(np.zeros((0, K)) for _ in range(5)))
        tokens = tokenize(self.names, self.skeleton, texts)
        parts = [
            view.scores(document, weight)
            for view, document, weight in zip(self.views, tokens.views, self.weights)
        ]
        natural = [m.mean_log_probs(s) for m, s in zip(self.models, tokens.streams)]
        # A text without tokens (blanks alone) leans nowhere.
        wording, style = (
            np.where(np.isnan(n[:, :K]), usual, n[:, :K]) for n, usual in zip(natural, self.centre)
        )
        lean = [leaning(n, c, s) for n, c, s in zip((wording, style), self.centre, self.scale)]
        scores = np.stack([parts[0] + parts[1], parts[2] + parts[3], *lean]).astype(np.float64)
        background = np.repeat(np.nan_to_num(natural[1][:, K:]), K, axis=1)
        return LexicalReading(
            log_probs=self.gate.log_probs(scores),
            support=self.gate.support(scores),
            wording=wording,
            style=style,
            background=background - style if background.size else background,
        )


def fit_lexical(
    texts: Sequence[str],
    labels: IntArray,
    groups: IntArray,
    classes: int,
    seed: int,
    background: Sequence[str] = (),
    gate: ExpertGate | None = None,
) -> LexicalClassifier:
    """Fits experts and gate on passages.

    Args:
        labels: [N] in 0..K-1, every class present.
        groups: [N] split groups; those of one class held out together simulate an unseen work.
        background: texts that belong to nobody registered; the language models alone read them.
        gate: one that was fitted on more split groups than these texts have; default: a fresh one.
    """
    names, skeleton = NameRecord.learn(texts, groups), Skeleton.learn(texts)
    tokens = tokenize(names, skeleton, texts)
    others = tokenize(names, skeleton, background).streams
    fits = [
        LanguageModelFit(order, stream, other, labels, classes)
        for order, stream, other in zip(_ORDERS, tokens.streams, others)
    ]
    views = tuple(NgramView.fit(document) for document in tokens.views)
    rows = [view.matrix(document) for view, document in zip(views, tokens.views)]
    kernels = [(gram(rows[e]) + gram(rows[e + 1])) / 2 for e in (0, 2)]
    folds = fold_index(labels, np.arange(len(labels)), _FOLDS, seed)
    naturals = [fit.held_out(folds) for fit in fits]
    centre = np.stack([_class_balanced_mean(natural, labels) for natural in naturals])
    scale = np.array([leaning(n, c, 1.0).std() for n, c in zip(naturals, centre)])
    if gate is None:

        def scores(held: Sequence[FloatArray], folds: IntArray) -> FloatArray:
            ridge = [out_of_fold(kernel, labels, classes, _RIDGE, folds) for kernel in kernels]
            return np.stack([*ridge, *(leaning(n, c, s) for n, c, s in zip(held, centre, scale))])

        works = fold_index(labels, groups, _FOLDS, seed)
        unseen = scores([fit.held_out(works) for fit in fits], works)
        gate = fit_gate(scores(naturals, folds), unseen, (labels, labels))
    duals = [ridge_duals(kernel, labels, classes, _RIDGE) for kernel in kernels]
    return LexicalClassifier(
        names=names,
        skeleton=skeleton,
        views=views,
        weights=tuple(
            np.asarray(row.T @ duals[i // 2], np.float32) / 2 for i, row in enumerate(rows)
        ),
        models=tuple(fit.without(np.zeros(len(labels), bool)) for fit in fits),
        centre=centre,
        scale=scale,
        gate=gate,
    )


def tokenize(names: NameRecord, skeleton: Skeleton, texts: Sequence[str]) -> Tokens:
    """The texts in every view and stream."""
    views: tuple[list[Ids], ...] = ([], [], [], [])
    streams: tuple[list[Ids], ...] = ([], [])
    for text in texts:
        masked = names.names_hidden(text)
        shared = names.rare_hidden(masked)
        views[0].append(word_ids(shared, *_WORDS))
        views[1].append(char_ids(" ".join(masked), *_CHARS))
        views[2].append(word_ids(TOKEN.findall(text), *_WORDS))
        views[3].append(char_ids(text, *_CHARS))
        streams[0].append(token_ids(shared))
        streams[1].append(token_ids(skeleton.pieces(text)))
    return Tokens(views, streams)


def leaning(natural: FloatArray, centre: FloatArray, scale: float) -> FloatArray:
    """For and against each sub-dataset, rows of mean 0: log-probabilities [N, K] less what each
    model gives any passage, since a model of plainer prose finds everything more natural."""
    relative = natural - centre
    return np.asarray((relative - relative.mean(axis=1, keepdims=True)) / max(scale, 1e-12))


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
        natural = np.zeros((len(self.labels), self.classes))
        for fold in range(int(folds.max()) + 1):
            held = folds == fold
            texts = [self.stream[i] for i in np.flatnonzero(held)]
            natural[held] = self.without(held).mean_log_probs(texts)[:, : self.classes]
        return natural


def _class_balanced_mean(natural: FloatArray, labels: IntArray) -> FloatArray:
    return np.asarray(
        np.mean([natural[labels == k].mean(axis=0) for k in np.unique(labels)], axis=0)
    )
