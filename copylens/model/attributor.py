"""The attributor: a text with its states -> what each channel says, and the fused shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.model.fusion import ChannelFusion
from copylens.model.lexical import LexicalClassifier
from copylens.model.network import AttributorNetwork
from copylens.model.timeline import segment_posteriors
from copylens.model.training import predict
from copylens.records import FloatArray, IntArray, States

SEGMENT_TOKENS = 32
"""Tokens per segment of the time line: a line or two of text, enough for words to speak."""


@dataclass(frozen=True)
class Evidence:
    """What the channels say of a set of texts.

    Attributes:
        text: channel -> [N, K] log-probabilities of the whole text.
        segments: channel -> N arrays [S, K] of log-probabilities of its segments.
        spans: N arrays [S, 2] of character offsets of the segments, end exclusive.
        features: [N, Z] what the detector reads.
    """

    text: dict[str, FloatArray]
    segments: dict[str, tuple[FloatArray, ...]]
    spans: tuple[IntArray, ...]
    features: FloatArray


@dataclass(frozen=True)
class Channels:
    """The fitted channels, each able to answer alone.

    Attributes:
        networks: `attention` and `likelihood`, those that are on.
        lexical: None where the channel is off.
        window: tokens per state window.
    """

    networks: dict[str, AttributorNetwork]
    lexical: LexicalClassifier | None
    window: int

    def evidence(self, texts: Sequence[str], states: Sequence[States]) -> Evidence:
        """What every channel says of texts [N] with their states [N]."""
        per_segment = max(1, SEGMENT_TOKENS // self.window)
        spans = tuple(segment_spans(item.spans, per_segment) for item in states)
        text: dict[str, FloatArray] = {}
        segments: dict[str, tuple[FloatArray, ...]] = {}
        features = [np.zeros((len(texts), 0), dtype=np.float32)]
        for name, network in self.networks.items():
            out = predict(network, channel_values(name, states))
            text[name] = out.text
            segments[name] = tuple(segment_means(w, per_segment) for w in out.windows)
            features.append(out.features)
        if self.lexical is not None:
            text["lexical"] = self.lexical.log_probs(texts)
            segments["lexical"] = _lexical_segments(self.lexical, texts, spans)
        return Evidence(text, segments, spans, np.concatenate(features, axis=1))


@dataclass(frozen=True)
class Attributor:
    """Channels and how they are weighed (Inner-Probe stage 1; fusion and time line are ours).

    Attributes:
        sub_datasets: names, in the order of every K axis.
        text_fusion: weighs the channels for the whole text.
        segment_fusion: weighs them for a single segment.
        sharpness: >= 0; how far segments may move the shares away from the whole text's.
        switch: probability that the source changes between two segments.
    """

    sub_datasets: tuple[str, ...]
    channels: Channels
    text_fusion: ChannelFusion
    segment_fusion: ChannelFusion
    sharpness: float
    switch: float

    def log_probs(self, evidence: Evidence) -> FloatArray:
        """[N, K] fused log-probabilities, as if each text had a single source."""
        return self.text_fusion.log_probs(evidence.text)

    def timelines(self, evidence: Evidence) -> list[FloatArray]:
        """Per text the shares of its segments, [S, K], rows sum to 1."""
        prior = np.exp(self.log_probs(evidence))
        return [
            segment_posteriors(self.sharpness * item, prior[n], self.switch)
            for n, item in enumerate(fused_segments(self.segment_fusion, evidence))
        ]


def shares_of(timelines: Sequence[FloatArray], spans: Sequence[IntArray]) -> FloatArray:
    """Shares of whole texts [N, K]: means over their segments, weighted by characters."""
    rows = []
    for timeline, span in zip(timelines, spans):
        weight = np.maximum(span[:, 1] - span[:, 0], 1).astype(np.float64)
        rows.append(weight @ timeline / weight.sum())
    return np.stack(rows)


def fused_segments(fusion: ChannelFusion, evidence: Evidence) -> list[FloatArray]:
    """Per text the fused log-probabilities of its segments, [S, K]."""
    counts = [len(span) for span in evidence.spans]
    stacked = {name: np.concatenate(items) for name, items in evidence.segments.items()}
    return np.split(fusion.log_probs(stacked), np.cumsum(counts)[:-1])


def channel_values(name: str, states: Sequence[States]) -> tuple[FloatArray, ...]:
    """The part of the states that a channel's network reads."""
    if name == "likelihood":
        return tuple(item.likelihood for item in states)
    return tuple(item.values for item in states)


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


def _lexical_segments(
    lexical: LexicalClassifier, texts: Sequence[str], spans: Sequence[IntArray]
) -> tuple[FloatArray, ...]:
    slices = [text[start:end] for text, span in zip(texts, spans) for start, end in span]
    counts = [len(span) for span in spans]
    return tuple(np.split(lexical.log_probs(slices), np.cumsum(counts)[:-1]))
