"""The lexical channel: which words and characters a text uses, without any LM."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.lexical.class_lm import ClassLanguageModel
from copylens.attributor.lexical.experts import ExpertGate
from copylens.attributor.lexical.names import NameRecord
from copylens.attributor.lexical.ngrams import NgramView, char_ngram_ids, word_ngram_ids
from copylens.attributor.lexical.skeleton import Skeleton
from copylens.records import FloatArray
from copylens.store.arrays import Arrays, below, nested, parts_of, sequence
from copylens.text import TOKEN, Ids, token_ids

_WORDS, _CHARS = (1, 2), (3, 5)


@dataclass(frozen=True)
class LexicalReading:
    """The lexical channel's scores of N texts.

    Attributes:
        log_probs: [N, K] of the sub-datasets.
        support: [N, K] combined scores as for an unseen work, not normalised: low for all
            sub-datasets where a text is like none of them.
        style: [N, K] mean log-probability per token of the text's skeleton under each
            sub-dataset's language model, nats.
        background: [N, K] log-probability per token of its skeleton under the background texts'
            model less that under each sub-dataset's; [N, 0] where there were no background texts.
    """

    log_probs: FloatArray
    support: FloatArray
    style: FloatArray
    background: FloatArray

    @property
    def affinity(self) -> dict[str, FloatArray]:
        """How well the texts fit each sub-dataset: measure -> [N, K], larger = better.

        That of all words together goes by the channel's name.
        """
        found = {"lexical": self.support, "style": self.style}
        return found | ({"background": -self.background} if self.background.size else {})


@dataclass(frozen=True)
class LexicalViews:
    """Texts as n-grams and as token ids.

    Attributes:
        ngrams: of masked words, masked characters, named words, named characters.
        streams: tokens for the language models: words with names and one-group words hidden, and
            skeletons.
    """

    ngrams: tuple[list[Ids], ...]
    streams: tuple[list[Ids], ...]


def lexical_views(names: NameRecord, skeleton: Skeleton, texts: Sequence[str]) -> LexicalViews:
    """The texts in every view and stream."""
    ngrams: tuple[list[Ids], ...] = ([], [], [], [])
    streams: tuple[list[Ids], ...] = ([], [])
    for text in texts:
        masked = names.names_hidden(text)
        shared = names.rare_hidden(masked)
        ngrams[0].append(word_ngram_ids(shared, *_WORDS))
        ngrams[1].append(char_ngram_ids(" ".join(masked), *_CHARS))
        ngrams[2].append(word_ngram_ids(TOKEN.findall(text), *_WORDS))
        ngrams[3].append(char_ngram_ids(text, *_CHARS))
        streams[0].append(token_ids(shared))
        streams[1].append(token_ids(skeleton.pieces(text)))
    return LexicalViews(ngrams, streams)


@dataclass(frozen=True)
class LexicalClassifier:
    """Two ridge experts on n-grams and two language-model experts, combined by a gate.

    The masked expert reads the text with names and one-group words hidden: what carries over to
    an unseen work. The named expert reads it as it is: what identifies a known work. The language
    models give the likelihood of the words, and of the skeleton, under each sub-dataset.

    Attributes:
        names: how to hide names.
        skeleton: how to hide content words.
        views: four n-gram views: masked words, masked characters, named words, named characters.
        weights: four arrays [F, K].
        models: of words and of skeletons; where background texts were given they have a column
            for these, behind the K sub-datasets.
        centre: [2, K] mean log-probability that each model gives a training passage, held out.
        scale: [2] standard deviation of the log-odds that follow from it.
        gate: combines the four experts' scores.
    """

    names: NameRecord
    skeleton: Skeleton
    views: tuple[NgramView, ...]
    weights: tuple[FloatArray, ...]
    models: tuple[ClassLanguageModel, ...]
    centre: FloatArray
    scale: FloatArray
    gate: ExpertGate

    def arrays(self) -> Arrays:
        """Every parameter by a dotted name."""
        found = {"centre": self.centre, "scale": self.scale}
        for name in ("names", "skeleton", "gate"):
            found |= nested(name, getattr(self, name).arrays())
        views = [v.arrays() | {"weights": w} for v, w in zip(self.views, self.weights)]
        found |= nested("view", sequence(views))
        return found | nested("model", sequence(model.arrays() for model in self.models))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "LexicalClassifier":
        """The inverse of `arrays`."""
        views = parts_of(below("view", arrays))
        return cls(
            names=NameRecord.from_arrays(below("names", arrays)),
            skeleton=Skeleton.from_arrays(below("skeleton", arrays)),
            views=tuple(NgramView.from_arrays(view) for view in views),
            weights=tuple(view["weights"] for view in views),
            models=tuple(map(ClassLanguageModel.from_arrays, parts_of(below("model", arrays)))),
            centre=arrays["centre"],
            scale=arrays["scale"],
            gate=ExpertGate.from_arrays(below("gate", arrays)),
        )

    def log_probs(self, texts: Sequence[str]) -> FloatArray:
        """[N, K] log-probabilities of the sub-datasets."""
        return self.read(texts).log_probs

    def read(self, texts: Sequence[str]) -> LexicalReading:
        """All that the channel says of the texts [N]."""
        K = len(self.centre[0])
        if not texts:
            return LexicalReading(*(np.zeros((0, K)) for _ in range(4)))
        read = lexical_views(self.names, self.skeleton, texts)
        ridge = [
            view.scores(document, weight)
            for view, document, weight in zip(self.views, read.ngrams, self.weights)
        ]
        likelihoods = [m.mean_log_probs(s) for m, s in zip(self.models, read.streams)]
        # A text without tokens (blanks alone) has the usual likelihood everywhere.
        wording, style = (
            np.where(np.isnan(given[:, :K]), usual, given[:, :K])
            for given, usual in zip(likelihoods, self.centre)
        )
        odds = [log_odds(n, c, s) for n, c, s in zip((wording, style), self.centre, self.scale)]
        scores = np.stack([ridge[0] + ridge[1], ridge[2] + ridge[3], *odds]).astype(np.float64)
        background = np.repeat(np.nan_to_num(likelihoods[1][:, K:]), K, axis=1)
        return LexicalReading(
            log_probs=self.gate.log_probs(scores),
            support=self.gate.support(scores),
            style=style,
            background=background - style if background.size else background,
        )


def log_odds(likelihoods: FloatArray, centre: FloatArray, scale: float) -> FloatArray:
    """Standardised log-odds of each sub-dataset, rows of mean 0: log-probabilities [N, K] less
    what each model gives any passage, since a model of plainer prose gives everything more."""
    relative = likelihoods - centre
    return np.asarray((relative - relative.mean(axis=1, keepdims=True)) / max(scale, 1e-12))
