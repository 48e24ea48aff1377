"""Training data and fitted networks -> a calibrated model: the whole trip of a fit.

Everything that is calibrated is calibrated on val passages whose split group the judging fits have
not seen, since verdicts are asked for about new texts; and as it is published.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.attributor import Attributor, shares_of
from copylens.config.schema import RunConfig
from copylens.detector.detector import Detector
from copylens.detector.intervals import IntervalsByLength, ShareIntervals, fit_intervals
from copylens.detector.open_set import OpenScores, OpenTimeline, open_scores
from copylens.detector.space import Space
from copylens.fit.attributor import fit_attributor
from copylens.fit.confusion import HeldOutShares
from copylens.fit.data import TrainingData
from copylens.fit.dealing import ReadTexts
from copylens.fit.detector import fit_detector, fit_open_timeline
from copylens.fit.held_out import HeldOut, Sample, fit_channels, held_out_scores
from copylens.fit.networks import FitState
from copylens.records import FloatArray


@dataclass(frozen=True)
class FittedModel:
    """All that a scorer needs besides the probe.

    Attributes:
        timeline: shares of segments over the sub-datasets and "unregistered".
        intervals: of the shares.
        held_shares: shares of held-out passages of known origin, by which statements are corrected.
    """

    attributor: Attributor
    detector: Detector
    timeline: OpenTimeline
    intervals: IntervalsByLength
    held_shares: HeldOutShares


def fit_model(
    config: RunConfig, data: TrainingData, state: FitState, read: ReadTexts | None = None
) -> FittedModel:
    """Fits all that is not a neural network, and calibrates the whole.

    Args:
        state: what `fit_networks` fitted on this very data.
        read: see `deal`.
    """
    channels = fit_channels(config, data, state)
    held_out = held_out_scores(config, data, state, channels, read)
    attributor = fit_attributor(data.sub_datasets, channels, held_out)
    projector, space = state.projector(), None
    if projector is not None:
        train = data.train.subset(data.train.read)
        space = Space.fit(projector, channels.features(train.states), train.labels)
    return calibrate(config, attributor, space, held_out)


def calibrate(
    config: RunConfig, attributor: Attributor, space: Space | None, held_out: HeldOut
) -> FittedModel:
    """Fits the detector and its time line, and the intervals of the shares that they publish."""
    detector = fit_detector(attributor, space, held_out)

    def read(samples: Sequence[Sample]) -> list[OpenScores]:
        return [open_scores(attributor, detector, sample.scores) for sample in samples]

    whole = held_out.kinds
    read_whole = read(whole)
    timeline = fit_open_timeline(read_whole, held_out)

    def published(samples: Sequence[Sample], scores: Sequence[OpenScores]) -> list[FloatArray]:
        texts = zip(scores, samples)
        return [shares_of(timeline.shares(item), own.scores.spans) for item, own in texts]

    def intervals(samples: Sequence[Sample], shares: Sequence[FloatArray]) -> ShareIntervals:
        K = len(attributor.sub_datasets)
        kinds = np.repeat(np.arange(len(samples)), [K * len(sample) for sample in samples])
        groups = np.concatenate([np.repeat(sample.groups, K) for sample in samples])
        true = np.concatenate([sample.truth for sample in samples])[:, :K].ravel()
        told = np.concatenate(shares)[:, :K].ravel()
        coverage = config.calibration.interval
        return fit_intervals(
            told, true, (kinds, groups), coverage=coverage, tokens=samples[0].tokens
        )

    shares = published(whole, read_whole)  # [N, K + 1] each
    levels = []
    for cut in held_out.short:
        short = [sample for sample in cut if sample is not None]
        levels.append(intervals(short, published(short, read(short))))
    levels.append(intervals(whole, shares))
    held_shares = _held_shares(held_out, shares[0], shares[-1])
    return FittedModel(
        attributor, detector, timeline, IntervalsByLength(tuple(levels)), held_shares
    )


def _held_shares(held_out: HeldOut, pure: FloatArray, foreign: FloatArray) -> HeldOutShares:
    labels, groups = held_out.pure.labels, held_out.pure.groups
    shares = pure
    if held_out.foreign is not None:
        first = int(groups.max()) + 1
        shares = np.concatenate([pure, foreign])
        labels = np.concatenate([labels, held_out.foreign.labels])
        groups = np.concatenate([groups, held_out.foreign.groups + first])
    return HeldOutShares(shares.astype(np.float32), labels, groups)
