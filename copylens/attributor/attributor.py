"""The attributor: a text with its states -> what each channel says, and the fused shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.attention.network import AttributorNetwork
from copylens.attributor.attention.readout_expert import ReadOutExpert, pool
from copylens.attributor.attention.training import Predictions, predict
from copylens.attributor.fusion import ChannelFusion
from copylens.attributor.lexical.classifier import LexicalClassifier, LexicalReading
from copylens.attributor.timeline import Explanations, explain
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
        affinity: measure -> [N, K] how much each sub-dataset is at home with the text, not
            normalised: low for all of them where a text is strange; see `LexicalReading`. Empty
            without the lexical channel.
        surprise: [N] the LM's loss per token, mean over windows, nats; NaN where the probe did not
            measure it.
        features: [N, Z] pooled states, for the detector's space.
    """

    text: dict[str, FloatArray]
    segments: dict[str, tuple[FloatArray, ...]]
    spans: tuple[IntArray, ...]
    affinity: dict[str, FloatArray]
    surprise: FloatArray
    features: FloatArray


@dataclass(frozen=True)
class Channels:
    """The fitted channels, each able to answer alone.

    Attributes:
        networks: `attention` and `likelihood`, those that are on.
        lexical: None where the channel is off.
        readout: the second reader of the `attention` channel; None where the read-out is off.
        network_share: weight of the network beside it, in [0, 1].
        window: tokens per state window.
    """

    networks: dict[str, AttributorNetwork]
    lexical: LexicalClassifier | None
    readout: ReadOutExpert | None
    network_share: float
    window: int

    def evidence(self, texts: Sequence[str], states: Sequence[States]) -> Evidence:
        """What every channel says of texts [N] with their states [N], and of their segments."""
        per_segment = max(1, SEGMENT_TOKENS // self.window)
        spans = tuple(segment_spans(item.spans, per_segment) for item in states)
        outputs = self._predictions(states)
        segments = {
            name: tuple(segment_means(windows, per_segment) for windows in out.windows)
            for name, out in outputs.items()
        }
        if self.readout is not None:
            parts = _readout_segments(self.readout, states, per_segment)
            segments["attention"] = tuple(
                pool(part, network, self.network_share)
                for part, network in zip(parts, segments["attention"])
            )
        reading = None
        if self.lexical is not None:
            reading, segments["lexical"] = _read_with_segments(self.lexical, texts, spans)
        return self._evidence(states, outputs, reading, segments, spans)

    def whole(self, texts: Sequence[str], states: Sequence[States]) -> Evidence:
        """The same without segments, where only whole texts matter: a third of the time."""
        none = tuple(np.zeros((0, 2), dtype=np.int64) for _ in texts)
        reading = None if self.lexical is None else self.lexical.read(texts)
        return self._evidence(states, self._predictions(states), reading, {}, none)

    def features(self, states: Sequence[States]) -> FloatArray:
        """Pooled states [N, Z] alone, where no text is judged."""
        outputs = self._predictions(states).values()
        empty = np.zeros((len(states), 0), dtype=np.float32)
        return np.concatenate([empty, *(out.features for out in outputs)], axis=1)

    def _predictions(self, states: Sequence[States]) -> dict[str, Predictions]:
        return {
            name: predict(network, channel_values(name, states))
            for name, network in self.networks.items()
        }

    def _evidence(
        self,
        states: Sequence[States],
        outputs: dict[str, Predictions],
        reading: LexicalReading | None,
        segments: dict[str, tuple[FloatArray, ...]],
        spans: tuple[IntArray, ...],
    ) -> Evidence:
        text = {name: out.text for name, out in outputs.items()}
        affinity: dict[str, FloatArray] = {}
        if self.readout is not None:
            read = self.readout.log_probs([item.codes for item in states])
            text["attention"] = pool(read, text["attention"], self.network_share)
        if reading is not None:
            text["lexical"] = reading.log_probs
            affinity = reading.affinity
        empty = np.zeros((len(states), 0), dtype=np.float32)
        features = np.concatenate([empty, *(out.features for out in outputs.values())], axis=1)
        return Evidence(text, segments, spans, affinity, mean_loss(states), features)


@dataclass(frozen=True)
class Attributor:
    """Channels and how they are weighed (Inner-Probe stage 1; fusion and time line are ours).

    Attributes:
        sub_datasets: names, in the order of every K axis.
        text_fusion: weighs the channels for the whole text.
        segment_fusion: weighs them for a single segment.
        sharpness: >= 0; how loudly a segment may differ from the whole text.
        switch: probability that the source changes between two segments of a mixed text.
        mixed: probability beforehand that a text has several sources.
    """

    sub_datasets: tuple[str, ...]
    channels: Channels
    text_fusion: ChannelFusion
    segment_fusion: ChannelFusion
    sharpness: float
    switch: float
    mixed: float

    def log_probs(self, evidence: Evidence) -> FloatArray:
        """[N, K] fused log-probabilities, as if each text had a single source."""
        return self.text_fusion.log_probs(evidence.text)

    def timelines(self, evidence: Evidence) -> list[FloatArray]:
        """Per text the shares of its segments, [S, K], rows sum to 1."""
        return [explained.shares(self.mixed) for explained in self.explanations(evidence)]

    def explanations(self, evidence: Evidence) -> list[Explanations]:
        """Per text what one source and what several would say.

        Along a path that never changes its source the segments' evidence adds up to the whole
        text's, so a pure text gets the shares that the text classifier gives it; what sets the
        segments apart decides where a source begins and ends.
        """
        whole = self.log_probs(evidence)
        K = len(self.sub_datasets)
        explained = []
        for n, item in enumerate(fused_segments(self.segment_fusion, evidence)):
            local = whole[n] / len(item) + self.sharpness * (item - item.mean(axis=0))
            explained.append(explain(local, np.full(K, 1 / K), self.switch))
        return explained


def shares_of(timelines: Sequence[FloatArray], spans: Sequence[IntArray]) -> FloatArray:
    """Shares of whole texts [N, K]: means over their segments, weighted by characters."""
    return np.stack([segment_weights(span) @ row for row, span in zip(timelines, spans)])


def segment_weights(spans: IntArray) -> FloatArray:
    """[S] each segment's part of the text's characters, from spans [S, 2]; they sum to 1."""
    length = np.maximum(spans[:, 1] - spans[:, 0], 1).astype(np.float64)
    return np.asarray(length / length.sum())


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


def _readout_segments(
    readout: ReadOutExpert, states: Sequence[States], per_segment: int
) -> list[FloatArray]:
    starts = [np.arange(0, len(item.codes), per_segment) for item in states]
    slices = [
        item.codes[start : start + per_segment]
        for item, places in zip(states, starts)
        for start in places
    ]
    return np.split(readout.log_probs(slices), np.cumsum([len(p) for p in starts])[:-1])


def _read_with_segments(
    lexical: LexicalClassifier, texts: Sequence[str], spans: Sequence[IntArray]
) -> tuple[LexicalReading, tuple[FloatArray, ...]]:
    """What is said of the texts, and per text the log-probabilities of its segments.

    Read in one go: for a single text a second call would cost as much as the first.
    """
    slices = [text[start:end] for text, span in zip(texts, spans) for start, end in span]
    reading = lexical.read([*texts, *slices])
    counts = [len(span) for span in spans]
    segments = np.split(reading.log_probs[len(texts) :], np.cumsum(counts)[:-1])
    return reading.first(len(texts)), tuple(segments)
