"""Held-out channel scores -> an attributor: weights of channels, parameters of the time line."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from copylens.attributor.attributor import Attributor, Channels, segment_weights
from copylens.attributor.fusion import fit_fusion
from copylens.attributor.mixtures import segment_labels
from copylens.attributor.timeline import Explanations, probability_changing
from copylens.fit.held_out import HeldOut, Sample

# How much texts of one source and of several count: most texts that are asked about have one. With
# equal parts the shares of pure texts become too careful (docs/experiments.md).
_KIND_WEIGHTS = (0.8, 0.2)

# The settings of the time line that are tried.
_SEGMENT_SCALES = (0.0, 0.15, 0.25, 0.35, 0.5, 0.7, 1.0)
_SWITCH_PROBABILITIES = (0.02, 0.05, 0.1, 0.2)
_MIXTURE_PRIORS = (0.8, 0.65, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003)


def fit_attributor(
    sub_datasets: tuple[str, ...], channels: Channels, held_out: HeldOut
) -> Attributor:
    """Weighs the channels for texts and for segments, then chooses the time line's parameters by
    the cross-entropy of shares against true proportions.
    """
    pure, mixed = held_out.pure, held_out.mixed
    truth = np.concatenate(
        [segment_labels(m, s) for m, s in zip(held_out.mixtures, mixed.scores.spans)]
    )
    segments = {name: np.concatenate(v) for name, v in mixed.scores.segments.items()}
    attributor = Attributor(
        sub_datasets=sub_datasets,
        channels=channels,
        text_fusion=fit_fusion(pure.scores.text, pure.labels),
        # What a window says on its own is not calibrated: its neighbours are of the same source.
        segment_fusion=fit_fusion(segments, truth, texts=len(mixed), calibrated=False),
        segment_scale=_SEGMENT_SCALES[0],
        switch_probability=_SWITCH_PROBABILITIES[0],
        mixture_prior=_MIXTURE_PRIORS[0],
    )
    settings = product(_SEGMENT_SCALES, _SWITCH_PROBABILITIES)
    tried = [replace(attributor, segment_scale=s, switch_probability=p) for s, p in settings]
    found = []
    for candidate in tried:
        explained = [candidate.explanations(sample.scores) for sample in (pure, mixed)]
        loss, prior = best_prior(explained, [closed(pure), closed(mixed)], _KIND_WEIGHTS)
        found.append((loss, prior, candidate))
    _, prior, best = min(found, key=lambda item: item[0])
    return replace(best, mixture_prior=prior)


def closed(sample: Sample) -> Sample:
    """The same with true shares [N, K] among the registered, where nothing else is in the texts."""
    return replace(sample, truth=sample.truth[:, :-1])


def best_prior(
    explained: Sequence[Sequence[Explanations]],
    samples: Sequence[Sample],
    weights: Sequence[float],
) -> tuple[float, float]:
    """The cross-entropy of shares against the truth under the best prior of a mixed text, and it.

    Args:
        explained: of each sample's texts.
        weights: of the samples, > 0.
    """
    losses = np.zeros(len(_MIXTURE_PRIORS))
    for sample, texts, weight in zip(samples, explained, weights):
        lengths = [segment_weights(span) for span in sample.scores.spans]
        pure = np.stack([item.pure for item in texts])
        changing = np.stack([w @ item.changing for w, item in zip(lengths, texts)])
        odds = np.array([item.log_odds for item in texts])
        for n, prior in enumerate(_MIXTURE_PRIORS):
            mixed = probability_changing(odds, prior)[:, None]
            shares = (1 - mixed) * pure + mixed * changing
            losses[n] -= weight * (sample.truth * np.log(shares + 1e-6)).sum(axis=1).mean()
    best = int(losses.argmin())
    return float(losses[best]), _MIXTURE_PRIORS[best]
