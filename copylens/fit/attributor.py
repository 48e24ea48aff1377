"""Held-out channel scores -> an attributor: weights of channels, parameters of the time line."""

from dataclasses import replace
from itertools import product

import numpy as np

from copylens.attributor.attributor import Attributor, Channels, segment_weights, shares_of
from copylens.attributor.fusion import fit_fusion
from copylens.attributor.mixtures import segment_labels
from copylens.attributor.timeline import probability_changing
from copylens.fit.held_out import HeldOut
from copylens.records import FloatArray

# The settings of the time line that are tried.
_SEGMENT_SCALES = (0.0, 0.15, 0.25, 0.35, 0.5, 0.7, 1.0)
_SWITCH_PROBABILITIES = (0.02, 0.05, 0.1, 0.2)
_MIXTURE_PRIORS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003)


def fit_attributor(
    sub_datasets: tuple[str, ...], channels: Channels, held_out: HeldOut
) -> Attributor:
    """Weighs the channels for texts and for segments, then chooses the time line's parameters by
    the cross-entropy of shares against true proportions.
    """
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
        segment_scale=_SEGMENT_SCALES[0],
        switch_probability=_SWITCH_PROBABILITIES[0],
        mixture_prior=_MIXTURE_PRIORS[0],
    )
    shares = true_shares_of(held_out, len(sub_datasets))
    settings = product(_SEGMENT_SCALES, _SWITCH_PROBABILITIES)
    tried = [replace(attributor, segment_scale=s, switch_probability=p) for s, p in settings]
    found = [_with_best_prior(candidate, held_out, shares) for candidate in tried]
    return min(found, key=lambda pair: pair[0])[1]


def _with_best_prior(
    attributor: Attributor, held_out: HeldOut, truth: FloatArray
) -> tuple[float, Attributor]:
    """The best prior of a mixed text, and the cross-entropy of the shares against the truth."""
    single, changing, odds = [], [], []
    for scores in (held_out.pure, held_out.mixed):
        for explained, span in zip(attributor.explanations(scores), scores.spans):
            single.append(explained.pure)
            changing.append(segment_weights(span) @ explained.changing)
            odds.append(explained.log_odds)
    losses = []
    for prior in _MIXTURE_PRIORS:
        weight = probability_changing(np.array(odds), prior)[:, None]
        shares = (1 - weight) * np.stack(single) + weight * np.stack(changing)
        losses.append(float(-(truth * np.log(shares + 1e-6)).sum(axis=1).mean()))
    best = int(np.argmin(losses))
    return losses[best], replace(attributor, mixture_prior=_MIXTURE_PRIORS[best])


def held_out_shares(attributor: Attributor, held_out: HeldOut) -> FloatArray:
    """[N + M, K] shares among the registered: passages first, then mixtures."""
    return np.concatenate(
        [
            shares_of(attributor.timelines(scores), scores.spans)
            for scores in (held_out.pure, held_out.mixed)
        ]
    )


def true_shares_of(held_out: HeldOut, classes: int) -> FloatArray:
    """[N + M, K] what these shares should be."""
    return np.concatenate([held_out.pure_truth(classes), held_out.mixed_truth(classes)])
