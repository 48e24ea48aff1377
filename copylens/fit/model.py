"""Training data and fitted networks -> a calibrated model: the whole trip of a fit.

Everything that is calibrated is calibrated on val passages whose split group the judging fits have
not seen, since verdicts are asked for about new texts.
"""

from dataclasses import dataclass

import numpy as np

from copylens.attributor.attributor import Attributor, ChannelScores, shares_of
from copylens.config.schema import RunConfig
from copylens.detector.calibration import (
    Conformal,
    OpenSet,
    ShareIntervals,
    cross_p_values,
    fit_conformal,
    fit_intervals,
    fit_open_set,
)
from copylens.detector.detector import Detector, Space, cross_fitted_scores, fit_detector, measures
from copylens.fit.attributor import fit_attributor, held_out_shares, true_shares_of
from copylens.fit.confusion import HeldOutShares
from copylens.fit.data import TextSet, TrainingData
from copylens.fit.held_out import HeldOut, fit_channels, held_out_scores
from copylens.fit.networks import FitState
from copylens.records import FloatArray


@dataclass(frozen=True)
class FittedModel:
    """All that a scorer needs besides the probe.

    Attributes:
        held_shares: shares of held-out passages of known origin, by which statements are corrected.
    """

    attributor: Attributor
    detector: Detector
    conformal: Conformal
    open_set: OpenSet
    intervals: ShareIntervals
    held_shares: HeldOutShares


def fit_model(config: RunConfig, data: TrainingData, state: FitState) -> FittedModel:
    """Fits all that is not a neural network, and calibrates the whole.

    Args:
        state: what `fit_networks` fitted on this very data.
    """
    channels = fit_channels(config, data, state)
    held_out = held_out_scores(config, data, state, channels)
    attributor = fit_attributor(data.sub_datasets, channels, held_out)
    projector, space = state.projector(), None
    if projector is not None:
        space = Space.fit(projector, channels.features(data.train.states), data.train.labels)
    return calibrate(config, attributor, space, held_out, data.ood_val)


def calibrate(
    config: RunConfig,
    attributor: Attributor,
    space: Space | None,
    held_out: HeldOut,
    ood_val: TextSet,
) -> FittedModel:
    """Fits the detector, and the calibration of p-values, `unregistered` and intervals."""
    held = measures(attributor, held_out.pure, space)
    ood_measures, ood_scores = None, None
    if len(ood_val):
        ood_scores = attributor.channels.scores(ood_val.texts, ood_val.states)
        ood_measures = measures(attributor, ood_scores, space)
    detector = fit_detector(space, held, held_out.labels, ood_measures)
    cross = cross_fitted_scores(detector, held, held_out.labels, held_out.groups, config.seed)
    conformal = fit_conformal(cross, held_out.groups)
    no_p = np.zeros(0)
    ood_p = no_p if ood_measures is None else conformal.p_value(detector.score(ood_measures))
    open_set = fit_open_set(ood_p)
    held_p = cross_p_values(cross, held_out.groups)
    shares = [_with_unregistered(attributor, held_out.pure, open_set.unregistered(held_p))]
    if ood_scores is not None:
        shares.append(_with_unregistered(attributor, ood_scores, open_set.unregistered(ood_p)))
    K, first = len(attributor.sub_datasets), int(held_out.groups.max()) + 1
    held_shares = HeldOutShares(
        np.concatenate(shares),
        np.concatenate([held_out.labels, np.full(len(ood_val), K)]),
        np.concatenate([held_out.groups, ood_val.group_index + first]),
    )
    intervals = _intervals(attributor, held_out, config.calibration.interval)
    return FittedModel(attributor, detector, conformal, open_set, intervals, held_shares)


def _with_unregistered(
    attributor: Attributor, scores: ChannelScores, unregistered: FloatArray
) -> FloatArray:
    """[N, K + 1] shares with that of `unregistered` [N] last, as verdicts give them."""
    closed = shares_of(attributor.timelines(scores), scores.spans)
    column = unregistered[:, None]
    return np.concatenate([closed * (1 - column), column], axis=1).astype(np.float32)


def _intervals(attributor: Attributor, held_out: HeldOut, coverage: float) -> ShareIntervals:
    """Pure texts and mixtures count alike, whatever their numbers."""
    shares = held_out_shares(attributor, held_out)
    truth = true_shares_of(held_out, len(attributor.sub_datasets))
    counts = (len(held_out.labels), len(held_out.mixtures))
    weight = np.concatenate([np.full(count, 1 / count) for count in counts])
    return fit_intervals(shares, truth, weight, coverage)
