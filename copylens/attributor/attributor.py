"""The attributor: a text with its states -> scores per channel, and the fused shares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy.special import log_softmax

from copylens.attributor.attention.exposure import REGISTERED
from copylens.attributor.attention.reader import Reader
from copylens.attributor.attention.training import predict
from copylens.attributor.fusion import ChannelFusion
from copylens.attributor.lexical.classifier import LexicalClassifier
from copylens.attributor.timeline import Explanations, explain
from copylens.records import FloatArray, IntArray, States

SEGMENT_TOKENS = 32
"""Tokens per segment of the time line: a line or two of text, enough to tell sources apart."""

AnyItem = TypeVar("AnyItem")

EXPOSURE = "exposure"
"""The measure that says how much a text is like registered ones, beside given unregistered ones."""


@dataclass(frozen=True)
class ChannelScores:
    """The channels' scores of a set of texts, before they are fused.

    Attributes:
        text: channel -> [N, K] log-probabilities of the whole text.
        segments: channel -> N arrays [S, K] of log-probabilities of its segments.
        spans: N arrays [S, 2] of character offsets of the segments, end exclusive.
        affinity: channel or measure -> [N, K] how well a text fits each sub-dataset, not
            normalised: low for all of them where a text is atypical of all; see `LexicalReading`.
            [N, 1] of a measure that asks of all of them at once.
        segment_affinity: measure -> N arrays [S, K], the same of the segments.
        tokens: [N] length of each text.
        features: [N, Z] pooled states, for the detector's space; Z = 0 without the attention
            channel.
    """

    text: dict[str, FloatArray]
    segments: dict[str, tuple[FloatArray, ...]]
    spans: tuple[IntArray, ...]
    affinity: dict[str, FloatArray]
    segment_affinity: dict[str, tuple[FloatArray, ...]]
    tokens: IntArray
    features: FloatArray

    def subset(self, index: IntArray) -> "ChannelScores":
        """The scores of the texts at these positions."""

        def some(items: tuple[AnyItem, ...]) -> tuple[AnyItem, ...]:
            return tuple(items[int(i)] for i in index)

        return ChannelScores(
            text={name: rows[index] for name, rows in self.text.items()},
            segments={name: some(rows) for name, rows in self.segments.items()},
            spans=some(self.spans),
            affinity={name: rows[index] for name, rows in self.affinity.items()},
            segment_affinity={name: some(rows) for name, rows in self.segment_affinity.items()},
            tokens=self.tokens[index],
            features=self.features[index],
        )


@dataclass(frozen=True)
class Channels:
    """The fitted channels, each able to answer alone; None where one is off.

    Attributes:
        attention: the reader of the states (Inner-Probe, stage 1): ridge regression or the LSTM.
        lexical: words and characters.
        window: tokens per state window.
        exposure: tells registered from given unregistered texts by their states; None without any.
    """

    attention: Reader | None
    lexical: LexicalClassifier | None
    window: int
    exposure: Reader | None = None

    def scores(self, texts: Sequence[str], states: Sequence[States]) -> ChannelScores:
        """Every channel's scores of texts [N] with their states [N], and of their segments."""
        spans = tuple(segment_spans(item.spans, self._per_segment) for item in states)
        text: dict[str, FloatArray] = {}
        segments: dict[str, tuple[FloatArray, ...]] = {}
        affinity: dict[str, FloatArray] = {}
        segment_affinity: dict[str, tuple[FloatArray, ...]] = {}
        features = np.zeros((len(states), 0), dtype=np.float32)
        if self.attention is not None:
            network = predict(self.attention, tuple(item.values for item in states))
            affinity["attention"], features = network.text, network.features
            found = tuple(segment_means(w, self._per_segment) for w in network.windows)
            segment_affinity["attention"] = found
            text["attention"] = np.asarray(log_softmax(network.text, axis=1))
            segments["attention"] = tuple(np.asarray(log_softmax(w, axis=1)) for w in found)
        if self.lexical is not None:
            # Texts and segments in one go: for one text a second call costs as much as the first.
            slices = [text[start:end] for text, span in zip(texts, spans) for start, end in span]
            reading, N = self.lexical.read([*texts, *slices]), len(texts)
            text["lexical"], segments["lexical"] = _divided(reading.log_probs, N, spans)
            for name, values in reading.affinity.items():
                affinity[name], segment_affinity[name] = _divided(values, N, spans)
        tokens = np.array([item.tokens for item in states], np.int64)
        scores = ChannelScores(text, segments, spans, affinity, segment_affinity, tokens, features)
        return self.exposed(scores, states)

    def exposed(self, scores: ChannelScores, states: Sequence[States]) -> ChannelScores:
        """The same scores with what the exposure says of their states; as they are without one."""
        if self.exposure is None:
            return scores
        told = predict(self.exposure, tuple(item.values for item in states))
        found = tuple(segment_means(w[:, [REGISTERED]], self._per_segment) for w in told.windows)
        return replace(
            scores,
            affinity=scores.affinity | {EXPOSURE: told.text[:, [REGISTERED]]},
            segment_affinity=scores.segment_affinity | {EXPOSURE: found},
        )

    @property
    def _per_segment(self) -> int:
        """State windows of a segment."""
        return max(1, SEGMENT_TOKENS // self.window)

    def features(self, states: Sequence[States]) -> FloatArray:
        """Pooled states [N, Z] alone, where no text is judged; Z = 0 without attention channel."""
        if self.attention is None:
            return np.zeros((len(states), 0), dtype=np.float32)
        return predict(self.attention, tuple(item.values for item in states)).features


def _divided(
    rows: FloatArray, count: int, spans: Sequence[IntArray]
) -> tuple[FloatArray, tuple[FloatArray, ...]]:
    """Rows of `count` texts and of all their segments -> those of the texts, and per text those of
    its segments [S, K]."""
    ends = np.cumsum([len(span) for span in spans])[:-1]
    return rows[:count], tuple(np.split(rows[count:], ends))


@dataclass(frozen=True)
class Attributor:
    """Channels and how they are weighed (Inner-Probe stage 1; fusion and time line are ours).

    Attributes:
        sub_datasets: names, in the order of every K axis.
        text_fusion: weighs the channels for the whole text.
        segment_fusion: weighs them for a single segment.
        segment_scale: >= 0; factor on how far a segment's log-probabilities lie from the mean of
            the text's segments. 0: segments do not differ.
        switch_probability: that the source changes between two segments of a mixed text.
        mixture_prior: probability, before its scores are seen, that a text has several sources.
    """

    sub_datasets: tuple[str, ...]
    channels: Channels
    text_fusion: ChannelFusion
    segment_fusion: ChannelFusion
    segment_scale: float
    switch_probability: float
    mixture_prior: float

    def log_probs(self, scores: ChannelScores) -> FloatArray:
        """[N, K] fused log-probabilities, as if each text had a single source."""
        return self.text_fusion.log_probs(scores.text)

    def support(self, scores: ChannelScores) -> FloatArray:
        """[N, K] fused logits before they are normalised: low for all where a text fits none."""
        return self.text_fusion.logits(scores.affinity)

    def segment_support(self, scores: ChannelScores) -> list[FloatArray]:
        """The same of the segments, [S, K] per text."""
        fits = {name: scores.segment_affinity[name] for name in self.segment_fusion.weights}
        return fused_segments(self.segment_fusion.logits, fits)

    def timelines(self, scores: ChannelScores) -> list[FloatArray]:
        """Per text the shares of its segments among the registered, [S, K], rows sum to 1."""
        return [found.shares(self.mixture_prior) for found in self.explanations(scores)]

    def explanations(self, scores: ChannelScores) -> list[Explanations]:
        """Per text its shares under one source and under several, all of them registered."""
        return self.explained(self.local_scores(scores))

    def explained(self, local: Sequence[FloatArray]) -> list[Explanations]:
        """The same from `local_scores`; before a text is seen all sub-datasets are alike."""
        K, switch = len(self.sub_datasets), self.switch_probability
        prior = np.full(K, 1 / K)
        return [explain(item.sum(axis=0), item, prior, switch) for item in local]

    def local_scores(self, scores: ChannelScores) -> list[FloatArray]:
        """Per text the log-likelihood of its segments under each sub-dataset, [S, K], up to a
        constant.

        Along a path that never changes its source the segments' scores add up to the whole
        text's, so a pure text gets the shares that the text classifier gives it; how segments
        differ decides where a source begins and ends.
        """
        whole = self.log_probs(scores)
        fused = fused_segments(self.segment_fusion.log_probs, scores.segments)
        return [
            whole[n] / len(item) + self.segment_scale * (item - item.mean(axis=0))
            for n, item in enumerate(fused)
        ]


def shares_of(timelines: Sequence[FloatArray], spans: Sequence[IntArray]) -> FloatArray:
    """Shares of whole texts [N, K]: means over their segments, weighted by characters."""
    return np.stack([segment_weights(span) @ row for row, span in zip(timelines, spans)])


def segment_weights(spans: IntArray) -> FloatArray:
    """[S] each segment's part of the text's characters, from spans [S, 2]; they sum to 1."""
    length = np.maximum(spans[:, 1] - spans[:, 0], 1).astype(np.float64)
    return np.asarray(length / length.sum())


def fused_segments(
    fuse: Callable[[Mapping[str, FloatArray]], FloatArray],
    segments: Mapping[str, Sequence[FloatArray]],
) -> list[FloatArray]:
    """Per text the fused scores of its segments, [S, K], from channel -> N arrays [S, K]."""
    counts = [len(item) for item in next(iter(segments.values()))]
    stacked = {name: np.concatenate(items) for name, items in segments.items()}
    return np.split(fuse(stacked), np.cumsum(counts)[:-1])


def segment_spans(spans: IntArray, per_segment: int) -> IntArray:
    """Character spans [S, 2] of segments of `per_segment` windows each, from spans [W, 2]."""
    starts = np.arange(0, len(spans), per_segment)
    ends = np.minimum(starts + per_segment, len(spans)) - 1
    return np.stack([spans[starts, 0], spans[ends, 1]], axis=1)


def segment_means(windows: FloatArray, per_segment: int) -> FloatArray:
    """Mean logits of each segment's windows, [W, K] -> [S, K]."""
    starts = np.arange(0, len(windows), per_segment)
    sizes = np.diff(np.append(starts, len(windows)))
    return np.asarray(np.add.reduceat(windows, starts, axis=0) / sizes[:, None])
