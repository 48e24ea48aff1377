"""The open time line: what of a text is of which sub-dataset, and what of none (ours).

"Unregistered" is one more source beside the sub-datasets. If a text has one source, the detector
says of the text as a whole how likely that one is; if its source changes, segment by segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from copylens.attributor.attributor import Attributor, ChannelScores
from copylens.attributor.timeline import Explanations, explain
from copylens.detector.detector import Detection, Detector
from copylens.detector.measures import Measures, measure
from copylens.records import FloatArray


@dataclass(frozen=True)
class OpenScores:
    """What the open time line is drawn from, of N texts.

    Attributes:
        local: N arrays [S, K], the attributor's `local_scores`.
        closed: N arrays [S, K], shares of the segments if all of a text is registered.
        detection: what the detector says of the texts as a whole.
        segment_odds: N arrays [S] of its segments.
        measures: what the detector measured.
    """

    local: Sequence[FloatArray]
    closed: Sequence[FloatArray]
    detection: Detection
    segment_odds: Sequence[FloatArray]
    measures: Measures


def open_scores(attributor: Attributor, detector: Detector, scores: ChannelScores) -> OpenScores:
    """Attributor and detector on the channels' scores of texts."""
    local = attributor.local_scores(scores)
    explained = attributor.explained(local)
    measured = measure(attributor, scores, explained, detector.space)
    return OpenScores(
        local=local,
        closed=[found.shares(attributor.mixture_prior) for found in explained],
        detection=detector.detect(measured),
        segment_odds=detector.segment_log_odds(measured),
        measures=measured,
    )


@dataclass(frozen=True)
class OpenTimeline:
    """Parameters of the time line over K sub-datasets and, last, "unregistered".

    Attributes:
        segment_scale: in (0, 1]; factor on a segment's log-odds of being unregistered, since
            neighbouring segments err together.
        switch_probability: that the source changes between two segments of a mixed text.
        mixture_prior: probability beforehand that a text has several sources.
    """

    segment_scale: float = 0.2
    switch_probability: float = 0.1
    mixture_prior: float = 0.3

    def shares(self, scores: OpenScores) -> list[FloatArray]:
        """Per text the shares of its segments, [S, K + 1], rows sum to 1.

        What is not unregistered is divided as it would be in a text that is registered.
        """
        found = []
        for closed, explained in zip(scores.closed, self.explanations(scores)):
            open_part = explained.shares(self.mixture_prior)  # [S, 2]
            found.append(np.column_stack([closed * open_part[:, :1], open_part[:, 1]]))
        return found

    def explanations(self, scores: OpenScores) -> list[Explanations]:
        """Per text its shares under one source and under several: "registered", "unregistered"."""
        texts = zip(scores.local, scores.detection.log_odds, scores.segment_odds)
        return [self._explained(*text) for text in texts]

    def _explained(self, local: FloatArray, text_odds: float, odds: FloatArray) -> Explanations:
        K, whole = local.shape[1], local.sum(axis=0)
        # "Registered" is as likely as its sub-datasets are on average.
        unregistered = logsumexp(whole) - np.log(K) + text_odds
        segments = logsumexp(local, axis=1) - np.log(K) + self.segment_scale * odds
        found = explain(
            np.append(whole, unregistered),
            np.column_stack([local, segments]),
            np.append(np.full(K, 0.5 / K), 0.5),
            self.switch_probability,
        )
        return Explanations(_two(found.pure), _two(found.changing), found.log_odds)


def _two(shares: FloatArray) -> FloatArray:
    """[..., K + 1] -> [..., 2]: all that is registered, and "unregistered"."""
    return np.stack([shares[..., :-1].sum(axis=-1), shares[..., -1]], axis=-1)
