"""Fitted networks + held-out evidence -> a calibrated attributor and detector.

Everything that is calibrated is calibrated on predictions for passages the predicting model has
not seen, by split group: that is the situation a verdict is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from copylens.config import RunConfig
from copylens.model.attributor import (
    Attributor,
    Channels,
    Evidence,
    fused_segments,
    shares_of,
)
from copylens.model.calibration import (
    Conformal,
    OpenSet,
    fit_conformal,
    fit_open_set,
    residual_quantile,
)
from copylens.model.detector import Detector, Projector, fit_detector
from copylens.model.folds import fold_index
from copylens.model.fusion import fit_fusion
from copylens.model.lexical import fit_lexical
from copylens.model.mixtures import Mixture, make_mixtures, segment_labels, true_shares
from copylens.model.network import AttributorNetwork
from copylens.model.timeline import segment_posteriors
from copylens.records import FloatArray, IntArray, States

_MIXTURES = 400
_SHARPNESS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
_SWITCH = (0.02, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True)
class TextSet:
    """Passages with their states; labels are -1 for unregistered ones."""

    texts: tuple[str, ...]
    states: tuple[States, ...]
    labels: IntArray
    groups: IntArray

    def __len__(self) -> int:
        return len(self.texts)

    def subset(self, index: IntArray) -> "TextSet":
        """The passages at these positions."""
        return TextSet(
            tuple(self.texts[int(i)] for i in index),
            tuple(self.states[int(i)] for i in index),
            self.labels[index],
            self.groups[index],
        )


@dataclass(frozen=True)
class FittedModel:
    """All that a scorer needs besides the probe.

    Attributes:
        interval_edges, interval_widths: [11], [10]; half-width of a share's interval by share.
    """

    attributor: Attributor
    detector: Detector
    conformal: Conformal
    open_set: OpenSet
    interval_edges: FloatArray
    interval_widths: FloatArray


@dataclass(frozen=True)
class HeldOut:
    """Evidence for passages, and for mixtures of them, from channels that never saw them."""

    labels: IntArray
    pure: Evidence
    mixtures: list[Mixture]
    mixed: Evidence


def assemble(
    config: RunConfig,
    sub_datasets: tuple[str, ...],
    networks: dict[str, AttributorNetwork],
    fold_networks: Sequence[dict[str, AttributorNetwork]],
    projector: Projector | None,
    train: TextSet,
    val: TextSet,
    ood_val: TextSet,
) -> FittedModel:
    """Fits all that is not a neural network, and calibrates the whole.

    Args:
        networks: channel -> network fitted on all of train.
        fold_networks: per out-of-fold part the networks fitted without it.
        projector: the contrastive projector, fitted on all of train.
        ood_val: unregistered texts to choose settings by; may be empty.
    """
    K = len(sub_datasets)
    held_out = out_of_fold_evidence(config, K, fold_networks, train)
    attributor = calibrated_attributor(
        sub_datasets, fit_channels(config, K, networks, train), held_out
    )
    evidence = {
        name: attributor.channels.evidence(part.texts, part.states)
        for name, part in (("train", train), ("val", val), ("ood", ood_val))
        if len(part)
    }
    scored = {name: (e.features, attributor.log_probs(e)) for name, e in evidence.items()}
    detector = fit_detector(
        projector,
        (evidence["train"].features, train.labels),
        scored["val"],
        scored.get("ood"),
        config.detector,
    )
    conformal = fit_conformal(detector.score(*scored["val"]), val.groups)
    ood_p = conformal.p_value(detector.score(*scored["ood"])) if len(ood_val) else np.zeros(0)
    edges, widths = _intervals(attributor, held_out, config.calibration.interval)
    return FittedModel(attributor, detector, conformal, fit_open_set(ood_p), edges, widths)


def fit_channels(
    config: RunConfig, classes: int, networks: dict[str, AttributorNetwork], train: TextSet
) -> Channels:
    """Networks as they are, and the lexical channel fitted on the texts."""
    lexical = None
    if config.channels.lexical:
        lexical = fit_lexical(train.texts, train.labels, train.groups, classes, config.seed)
    return Channels(networks, lexical, config.probe.window)


def out_of_fold_evidence(
    config: RunConfig,
    classes: int,
    fold_networks: Sequence[dict[str, AttributorNetwork]],
    train: TextSet,
) -> HeldOut:
    """What channels fitted without a part say of that part and of mixtures within it."""
    fold = fold_index(train.labels, train.groups, config.attributor.folds, config.seed)
    order, pure, mixed, mixtures = [], [], [], []
    for part, networks in enumerate(fold_networks):
        inside, outside = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        channels = fit_channels(config, classes, networks, train.subset(outside))
        held = train.subset(inside)
        joined = make_mixtures(
            held.texts,
            held.states,
            held.labels,
            _MIXTURES // len(fold_networks),
            config.attributor.mixture_parts,
            config.seed + part,
        )
        order.append(inside)
        pure.append(channels.evidence(held.texts, held.states))
        mixed.append(channels.evidence([m.text for m in joined], [m.states for m in joined]))
        mixtures += joined
    labels = train.labels[np.concatenate(order)]
    return HeldOut(labels, concatenate(pure), mixtures, concatenate(mixed))


def concatenate(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of several sets as one; features of different models do not mix: left out."""
    count = sum(len(part.spans) for part in parts)
    return Evidence(
        text={name: np.concatenate([p.text[name] for p in parts]) for name in parts[0].text},
        segments={
            name: tuple(item for p in parts for item in p.segments[name])
            for name in parts[0].segments
        },
        spans=tuple(item for p in parts for item in p.spans),
        features=np.zeros((count, 0)),
    )


def calibrated_attributor(
    sub_datasets: tuple[str, ...], channels: Channels, held_out: HeldOut
) -> Attributor:
    """Weighs the channels for texts and for segments, then sets how far segments may speak."""
    truth = np.concatenate(
        [segment_labels(m, s) for m, s in zip(held_out.mixtures, held_out.mixed.spans)]
    )
    segments = {name: np.concatenate(v) for name, v in held_out.mixed.segments.items()}
    attributor = Attributor(
        sub_datasets=sub_datasets,
        channels=channels,
        text_fusion=fit_fusion(held_out.pure.text, held_out.labels),
        segment_fusion=fit_fusion(segments, truth),
        sharpness=0.0,
        switch=_SWITCH[0],
    )
    # A fixed sample of pure texts, as many as there are mixtures: both must come out right.
    pure = np.linspace(0, len(held_out.labels) - 1, len(held_out.mixtures)).astype(int)
    return min(
        (
            replace(attributor, sharpness=sharpness, switch=switch)
            for sharpness in _SHARPNESS
            for switch in _SWITCH
        ),
        key=lambda candidate: _share_loss(candidate, held_out, pure),
    )


def _share_loss(attributor: Attributor, held_out: HeldOut, pure: IntArray) -> float:
    """Cross-entropy of the shares against the true proportions, pure and mixed texts alike."""
    K = len(attributor.sub_datasets)
    mixed = _text_shares(attributor, held_out.mixed)
    truth = np.stack([true_shares(m, K) for m in held_out.mixtures])
    whole = _text_shares(attributor, held_out.pure, pure)
    one_hot = np.eye(K)[held_out.labels[pure]]
    loss = [
        -(t * np.log(s + 1e-6)).sum(axis=1).mean() for s, t in ((mixed, truth), (whole, one_hot))
    ]
    return float(sum(loss))


def _text_shares(
    attributor: Attributor, evidence: Evidence, index: IntArray | None = None
) -> FloatArray:
    prior = np.exp(attributor.log_probs(evidence))
    segments = fused_segments(attributor.segment_fusion, evidence)
    places = range(len(segments)) if index is None else [int(i) for i in index]
    timelines = [
        segment_posteriors(attributor.sharpness * segments[i], prior[i], attributor.switch)
        for i in places
    ]
    return shares_of(timelines, [evidence.spans[i] for i in places])


def _intervals(
    attributor: Attributor, held_out: HeldOut, coverage: float
) -> tuple[FloatArray, FloatArray]:
    K = len(attributor.sub_datasets)
    shares = [_text_shares(attributor, held_out.mixed), _text_shares(attributor, held_out.pure)]
    truth = [np.stack([true_shares(m, K) for m in held_out.mixtures]), np.eye(K)[held_out.labels]]
    return residual_quantile(np.concatenate(shares), np.concatenate(truth), coverage)
