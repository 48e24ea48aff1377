"""The numbers of one text as a verdict publishes them, and the decision that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.attributor import segment_weights
from copylens.detector.intervals import IntervalsByLength
from copylens.records import Decision, FloatArray, IntArray, Rights, Share, TimelineItem

_MOST_UNREGISTERED = 0.5
"""Of a text that can be called registered."""


@dataclass(frozen=True)
class Published:
    """One text's numbers; shares and `unregistered` sum to 1.

    Attributes:
        timeline: [S, K + 1] shares of the segments, last "unregistered".
        shares, low, high: [K] with the ends of their intervals, in [0, 1].
        quoted: [K] part of the text that is quoted from each sub-dataset, <= its share.
        unregistered: in [0, 1].
    """

    timeline: FloatArray
    shares: FloatArray
    low: FloatArray
    high: FloatArray
    quoted: FloatArray
    unregistered: float

    def share_records(self, rights: Sequence[Rights]) -> tuple[Share, ...]:
        """The shares with whose they are, largest first.

        Args:
            rights: K entries of the registry.
        """
        quoted = self.quoted / np.maximum(self.shares, 1e-12)
        columns = (self.shares, self.low, self.high, np.minimum(quoted, 1.0))
        shares = [
            Share(**entry.entry(), share=share, low=low, high=high, basis=entry.basis, quoted=part)
            for entry, share, low, high, part in zip(rights, *(c.tolist() for c in columns))
        ]
        return tuple(sorted(shares, key=lambda item: -item.share))

    def timeline_records(
        self, spans: IntArray, sub_datasets: Sequence[str]
    ) -> tuple[TimelineItem, ...]:
        """The time line with the characters [S, 2] and names [K] that it speaks of."""
        return tuple(
            TimelineItem(start, end, dict(zip(sub_datasets, row)), row[-1])
            for (start, end), row in zip(spans.tolist(), self.timeline.tolist())
        )


def publish(
    timeline: FloatArray,
    spans: IntArray,
    tokens: int,
    intervals: IntervalsByLength,
    quoted: FloatArray,
) -> Published:
    """Joins the time line with what is quoted, and gives every share its interval.

    What is quoted is certain: an interval spans what the rest of the text may add to it.

    Args:
        timeline: [S, K + 1] of the model.
        spans: [S, 2] characters of the segments.
        tokens: length of the text.
        quoted: [S, K] which part of each segment is quoted.
    """
    weights = segment_weights(spans)
    rest = np.maximum(1 - quoted.sum(axis=1), 0)[:, None] * timeline
    certain, open_shares = weights @ quoted, weights @ rest  # [K], [K + 1]
    left = max(1 - float(certain.sum()), 1e-9)
    low, high = intervals.bounds(open_shares[:-1] / left, tokens)
    shares = np.minimum(certain + open_shares[:-1], 1.0)
    # What is rounded must not put a share outside of its interval.
    return Published(
        timeline=np.append(quoted, np.zeros((len(quoted), 1)), axis=1) + rest,
        shares=shares,
        low=np.minimum(certain + left * low, shares),
        high=np.clip(certain + left * high, shares, 1.0),
        quoted=certain,
        unregistered=float(open_shares[-1]),
    )


def decide(
    found: Published, p_value: float, alpha: float, abstain_below: float
) -> tuple[Decision, str | None]:
    """The decision, and why where it is to abstain.

    Args:
        alpha: false-alarm level.
        abstain_below: what the largest share must have of all that is registered.
    """
    if found.unregistered >= _MOST_UNREGISTERED:
        if p_value < alpha:
            return "unregistered", None
        return "abstain", (
            f"{found.unregistered:.0%} of it may be of none of them, but registered texts look "
            f"like that too (p = {p_value:.2g}, not below {alpha:g})"
        )
    largest = float(found.shares.max() / found.shares.sum())
    if largest < abstain_below:
        return "abstain", f"no sub-dataset has {abstain_below:.0%} of what is registered in it"
    return "registered", None
