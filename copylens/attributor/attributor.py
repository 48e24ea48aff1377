"""The attributor: a text with its states -> scores per channel, and the fused shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.attention.network import AttributorNetwork
from copylens.attributor.attention.training import Predictions, predict
from copylens.attributor.fusion import ChannelFusion
from copylens.attributor.lexical.classifier import LexicalClassifier, LexicalReading
from copylens.attributor.timeline import Explanations, explain
from copylens.records import FloatArray, IntArray, States

SEGMENT_TOKENS = 32
"""Tokens per segment of the time line: a line or two of text, enough to tell sources apart."""


@dataclass(frozen=True)
class ChannelScores:
    """The channels' scores of a set of texts, before they are fused.

    Attributes:
        text: channel -> [N, K] log-probabilities of the whole text.
        segments: channel -> N arrays [S, K] of log-probabilities of its segments.
        spans: N arrays [S, 2] of character offsets of the segments, end exclusive.
        affinity: measure -> [N, K] how well a text fits each sub-dataset, not normalised: low for
            all of them where a text is atypical of all; see `LexicalReading`. Empty without the
            lexical channel.
        loss: [N] the LM's loss per token, mean over windows, nats; NaN where it was not measured.
        features: [N, Z] pooled states, for the detector's space; Z = 0 without the attention
            channel.
    """

    text: dict[str, FloatArray]
    segments: dict[str, tuple[FloatArray, ...]]
    spans: tuple[IntArray, ...]
    affinity: dict[str, FloatArray]
    loss: FloatArray
    features: FloatArray


@dataclass(frozen=True)
class Channels:
    """The fitted channels, each able to answer alone; None where one is off.

    Attributes:
        attention: the LSTM over the states (Inner-Probe, stage 1).
        lexical: words and characters.
        window: tokens per state window.
    """

    attention: AttributorNetwork | None
    lexical: LexicalClassifier | None
    window: int

    def scores(self, texts: Sequence[str], states: Sequence[States]) -> ChannelScores:
        """Every channel's scores of texts [N] with their states [N], and of their segments."""
        per_segment = max(1, SEGMENT_TOKENS // self.window)
        spans = tuple(segment_spans(item.spans, per_segment) for item in states)
        network, reading = self._predictions(states), None
        segments: dict[str, tuple[FloatArray, ...]] = {}
        if network is not None:
            segments["attention"] = tuple(segment_means(w, per_segment) for w in network.windows)
        if self.lexical is not None:
            reading, segments["lexical"] = _read_with_segments(self.lexical, texts, spans)
        return _channel_scores(states, network, reading, segments, spans)

    def whole(self, texts: Sequence[str], states: Sequence[States]) -> ChannelScores:
        """The same without segments, where only whole texts matter: a third of the time."""
        none = tuple(np.zeros((0, 2), dtype=np.int64) for _ in texts)
        reading = None if self.lexical is None else self.lexical.read(texts)
        return _channel_scores(states, self._predictions(states), reading, {}, none)

    def features(self, states: Sequence[States]) -> FloatArray:
        """Pooled states [N, Z] alone, where no text is judged."""
        network = self._predictions(states)
        return _no_features(states) if network is None else network.features

    def _predictions(self, states: Sequence[States]) -> Predictions | None:
        if self.attention is None:
            return None
        return predict(self.attention, tuple(item.values for item in states))


def _channel_scores(
    states: Sequence[States],
    network: Predictions | None,
    reading: LexicalReading | None,
    segments: dict[str, tuple[FloatArray, ...]],
    spans: tuple[IntArray, ...],
) -> ChannelScores:
    text: dict[str, FloatArray] = {}
    affinity: dict[str, FloatArray] = {}
    features = _no_features(states)
    if network is not None:
        text["attention"], features = network.text, network.features
    if reading is not None:
        text["lexical"], affinity = reading.log_probs, reading.affinity
    return ChannelScores(text, segments, spans, affinity, mean_loss(states), features)


def _no_features(states: Sequence[States]) -> FloatArray:
    return np.zeros((len(states), 0), dtype=np.float32)


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

    def timelines(self, scores: ChannelScores) -> list[FloatArray]:
        """Per text the shares of its segments, [S, K], rows sum to 1."""
        return [explained.shares(self.mixture_prior) for explained in self.explanations(scores)]

    def explanations(self, scores: ChannelScores) -> list[Explanations]:
        """Per text the shares under one source and under several.

        Along a path that never changes its source the segments' scores add up to the whole
        text's, so a pure text gets the shares that the text classifier gives it; how segments
        differ decides where a source begins and ends.
        """
        whole = self.log_probs(scores)
        K = len(self.sub_datasets)
        explained = []
        for n, item in enumerate(fused_segments(self.segment_fusion, scores)):
            local = whole[n] / len(item) + self.segment_scale * (item - item.mean(axis=0))
            explained.append(explain(local, np.full(K, 1 / K), self.switch_probability))
        return explained


def shares_of(timelines: Sequence[FloatArray], spans: Sequence[IntArray]) -> FloatArray:
    """Shares of whole texts [N, K]: means over their segments, weighted by characters."""
    return np.stack([segment_weights(span) @ row for row, span in zip(timelines, spans)])


def segment_weights(spans: IntArray) -> FloatArray:
    """[S] each segment's part of the text's characters, from spans [S, 2]; they sum to 1."""
    length = np.maximum(spans[:, 1] - spans[:, 0], 1).astype(np.float64)
    return np.asarray(length / length.sum())


def fused_segments(fusion: ChannelFusion, scores: ChannelScores) -> list[FloatArray]:
    """Per text the fused log-probabilities of its segments, [S, K]."""
    counts = [len(span) for span in scores.spans]
    stacked = {name: np.concatenate(items) for name, items in scores.segments.items()}
    return np.split(fusion.log_probs(stacked), np.cumsum(counts)[:-1])


def mean_loss(states: Sequence[States]) -> FloatArray:
    """The LM's loss per token, mean over windows, nats [N]; NaN where it was not measured."""
    return np.array(
        [
            -float(item.likelihood[:, 0].mean(dtype=np.float64)) if item.likelihood.size else np.nan
            for item in states
        ]
    )


def segment_spans(spans: IntArray, per_segment: int) -> IntArray:
    """Character spans [S, 2] of segments of `per_segment` windows each, from spans [W, 2]."""
    starts = np.arange(0, len(spans), per_segment)
    ends = np.minimum(starts + per_segment, len(spans)) - 1
    return np.stack([spans[starts, 0], spans[ends, 1]], axis=1)


def segment_means(windows: FloatArray, per_segment: int) -> FloatArray:
    """Mean log-probabilities of each segment's windows, [W, K] -> [S, K]."""
    starts = np.arange(0, len(windows), per_segment)
    sizes = np.diff(np.append(starts, len(windows)))
    return np.asarray(np.add.reduceat(windows, starts, axis=0) / sizes[:, None])


def _read_with_segments(
    lexical: LexicalClassifier, texts: Sequence[str], spans: Sequence[IntArray]
) -> tuple[LexicalReading, tuple[FloatArray, ...]]:
    """The reading of the texts, and per text the log-probabilities of its segments.

    Read in one go: for a single text a second call would cost as much as the first.
    """
    slices = [text[start:end] for text, span in zip(texts, spans) for start, end in span]
    reading = lexical.read([*texts, *slices])
    counts = [len(span) for span in spans]
    segments = np.split(reading.log_probs[len(texts) :], np.cumsum(counts)[:-1])
    return reading.first(len(texts)), tuple(segments)
