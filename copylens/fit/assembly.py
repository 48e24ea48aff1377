"""Fitted networks + held-out evidence -> a calibrated attributor and detector.

Everything that is calibrated is calibrated on val passages whose split group the judging models
have not seen: that is the situation a verdict is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from copylens.attributor.attention.network import AttributorNetwork
from copylens.attributor.attributor import (
    Attributor,
    Channels,
    Evidence,
    segment_weights,
    shares_of,
)
from copylens.attributor.fusion import fit_fusion
from copylens.attributor.mixtures import segment_labels, true_shares
from copylens.attributor.timeline import probability_changing
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
from copylens.detector.projector import Projector
from copylens.fit.confusion import HeldOutShares
from copylens.fit.held_out import HeldOut, Parts, TextSet, fit_channels, held_out_evidence
from copylens.records import FloatArray

_SHARPNESS = (0.0, 0.15, 0.25, 0.35, 0.5, 0.7, 1.0)
_SWITCH = (0.02, 0.05, 0.1, 0.2)
_MIXED = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003)


@dataclass(frozen=True)
class FittedModel:
    """All that a scorer needs besides the probe.

    Attributes:
        held_shares: what statements are corrected by; None in versions that were saved without.
    """

    attributor: Attributor
    detector: Detector
    conformal: Conformal
    open_set: OpenSet
    intervals: ShareIntervals
    held_shares: HeldOutShares | None = None


def assemble(
    config: RunConfig,
    sub_datasets: tuple[str, ...],
    networks: Mapping[int, dict[str, AttributorNetwork]],
    projector: Projector | None,
    parts: Parts,
    train: TextSet,
    val: TextSet,
    ood_val: TextSet,
    background: Sequence[str] = (),
) -> FittedModel:
    """Fits all that is not a neural network, and calibrates the whole.

    Args:
        networks: -1 -> channel -> network fitted on all of train; part -> fitted without it.
        projector: the contrastive projector, fitted on all of train.
        ood_val: unregistered texts to choose settings by; may be empty.
        background: texts owned by nobody registered that the detector may learn from.
    """
    K = len(sub_datasets)
    channels = fit_channels(config, K, networks[-1], train, background)
    held_out = held_out_evidence(config, K, networks, parts, train, val, channels, background)
    attributor = calibrated_attributor(sub_datasets, channels, held_out)
    space = None
    # The space belongs to the networks fitted on all of train: no place for those of a part.
    if projector is not None and parts.count == 0:
        space = Space.fit(projector, channels.features(train.states), train.labels)
    return calibrated(config, attributor, space, held_out, ood_val)


def calibrated(
    config: RunConfig,
    attributor: Attributor,
    space: Space | None,
    held_out: HeldOut,
    ood_val: TextSet,
) -> FittedModel:
    """Fits the detector and everything that says how sure a verdict is."""
    held = measures(attributor, held_out.pure, space)
    ood, outside = None, None
    if len(ood_val):
        outside = attributor.channels.evidence(ood_val.texts, ood_val.states)
        ood = measures(attributor, outside, space)
    detector = fit_detector(space, held, held_out.labels, ood)
    held_scores = cross_fitted_scores(detector, held, held_out.labels, held_out.groups, config.seed)
    conformal = fit_conformal(held_scores, held_out.groups)
    ood_p = np.zeros(0) if ood is None else conformal.p_value(detector.score(ood))
    open_set = fit_open_set(ood_p)
    held_p = cross_p_values(held_scores, held_out.groups)
    shares = [_open_shares(attributor, held_out.pure, open_set.unregistered(held_p))]
    if outside is not None:
        shares.append(_open_shares(attributor, outside, open_set.unregistered(ood_p)))
    K, first = len(attributor.sub_datasets), int(held_out.groups.max()) + 1
    held_shares = HeldOutShares(
        np.concatenate(shares),
        np.concatenate([held_out.labels, np.full(len(ood_val), K)]),
        np.concatenate([held_out.groups, ood_val.group_index + first]),
    )
    intervals = _intervals(attributor, held_out, config.calibration.interval)
    return FittedModel(attributor, detector, conformal, open_set, intervals, held_shares)


def _open_shares(
    attributor: Attributor, evidence: Evidence, unregistered: FloatArray
) -> FloatArray:
    """[N, K + 1] shares with that of `unregistered` [N] last, as verdicts give them."""
    closed = shares_of(attributor.timelines(evidence), evidence.spans)
    column = unregistered[:, None]
    return np.concatenate([closed * (1 - column), column], axis=1).astype(np.float32)


def _intervals(attributor: Attributor, held_out: HeldOut, coverage: float) -> ShareIntervals:
    """Pure texts and mixtures count alike, whatever their numbers."""
    shares, truth = shares_and_truth(attributor, held_out)
    counts = (len(held_out.labels), len(held_out.mixtures))
    weight = np.concatenate([np.full(count, 1 / count) for count in counts])
    return fit_intervals(shares, truth, weight, coverage)


def calibrated_attributor(
    sub_datasets: tuple[str, ...], channels: Channels, held_out: HeldOut
) -> Attributor:
    """Weighs the channels for texts and for segments, then sets how far segments may speak."""
    truth = np.concatenate(
        [segment_labels(m, s) for m, s in zip(held_out.mixtures, held_out.mixed.spans)]
    )
    mixture = np.repeat(np.arange(len(held_out.mixtures)), [len(s) for s in held_out.mixed.spans])
    segments = {name: np.concatenate(v) for name, v in held_out.mixed.segments.items()}
    attributor = Attributor(
        sub_datasets=sub_datasets,
        channels=channels,
        text_fusion=fit_fusion(held_out.pure.text, held_out.labels, held_out.groups),
        segment_fusion=fit_fusion(segments, truth, mixture),
        sharpness=0.0,
        switch=_SWITCH[0],
        mixed=_MIXED[0],
    )
    truth = np.concatenate([np.eye(len(sub_datasets))[held_out.labels], _mixed_truth(held_out)])
    settings = product(_SHARPNESS, _SWITCH)
    tried = [replace(attributor, sharpness=s, switch=w) for s, w in settings]
    found = [_with_prior(candidate, held_out, truth) for candidate in tried]
    return min(found, key=lambda pair: pair[0])[1]


def _with_prior(
    attributor: Attributor, held_out: HeldOut, truth: FloatArray
) -> tuple[float, Attributor]:
    """The best prior of a mixed text, and the cross-entropy of the shares against the truth."""
    pure, changing, odds = [], [], []
    for evidence in (held_out.pure, held_out.mixed):
        for explained, span in zip(attributor.explanations(evidence), evidence.spans):
            pure.append(explained.pure)
            changing.append(segment_weights(span) @ explained.changing)
            odds.append(explained.log_odds)
    losses = []
    for mixed in _MIXED:
        weight = probability_changing(np.array(odds), mixed)[:, None]
        shares = (1 - weight) * np.stack(pure) + weight * np.stack(changing)
        losses.append(float(-(truth * np.log(shares + 1e-6)).sum(axis=1).mean()))
    best = int(np.argmin(losses))
    return losses[best], replace(attributor, mixed=_MIXED[best])


def shares_and_truth(attributor: Attributor, held_out: HeldOut) -> tuple[FloatArray, FloatArray]:
    """[n, K] each: pure passages first, then mixtures."""
    shares = [
        shares_of(attributor.timelines(evidence), evidence.spans)
        for evidence in (held_out.pure, held_out.mixed)
    ]
    pure = np.eye(len(attributor.sub_datasets))[held_out.labels]
    return np.concatenate(shares), np.concatenate([pure, _mixed_truth(held_out)])


def _mixed_truth(held_out: HeldOut) -> FloatArray:
    K = next(iter(held_out.mixed.text.values())).shape[1]
    return np.stack([true_shares(mixture, K) for mixture in held_out.mixtures])
