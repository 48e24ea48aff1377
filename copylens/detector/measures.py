"""What the detector measures of texts: how atypical they are of everything registered.

Each measure is read twice, since a text may have one source or several. Read as a whole, a text is
as atypical as it is of the sub-dataset that it fits best. Read as changing its source, it is the
mean over its segments of how atypical they are of the sub-datasets that the time line gives them:
a text joined from two registered passages fits neither of them as a whole, but each segment fits
its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.attributor import EXPOSURE, Attributor, ChannelScores
from copylens.attributor.timeline import Explanations, probability_changing
from copylens.detector.space import Space
from copylens.records import FloatArray, IntArray

SUPPORT, STYLE, BACKGROUND, SPACE = "support", "style", "background", "space"


@dataclass(frozen=True)
class Measures:
    """Measures of N texts; a larger one = less typical of everything registered.

    Attributes:
        whole: measure -> [N] of the text as one source's.
        changing: measure -> [N] of the text as one whose source changes.
        segments: measure -> N arrays [S] of its segments.
        mixed: [N] probability that the text has several sources, if all of it is registered.
        tokens: [N] length of the texts.
    """

    whole: dict[str, FloatArray]
    changing: dict[str, FloatArray]
    segments: dict[str, list[FloatArray]]
    mixed: FloatArray
    tokens: IntArray


def measure(
    attributor: Attributor,
    scores: ChannelScores,
    explanations: Sequence[Explanations],
    space: Space | None = None,
) -> Measures:
    """Measures of texts.

    Args:
        explanations: what `attributor.explanations(scores)` gives.
        space: the contrastive projector's; it measures whole texts alone.
    """
    fit = {SUPPORT: attributor.support(scores)}
    segment_fit: dict[str, Sequence[FloatArray]] = {SUPPORT: attributor.segment_support(scores)}
    for name in (STYLE, BACKGROUND, EXPOSURE):
        if name in scores.affinity:
            fit[name], segment_fit[name] = scores.affinity[name], scores.segment_affinity[name]
    whole = {name: -values.max(axis=1) for name, values in fit.items()}
    if space is not None:
        whole[SPACE] = space.distance(scores.features).min(axis=1)
    segments = {
        name: [-(e.changing * item).sum(axis=1) for e, item in zip(explanations, items)]
        for name, items in segment_fit.items()
    }
    odds = np.array([explained.log_odds for explained in explanations])
    return Measures(
        whole=whole,
        changing={n: np.array([item.mean() for item in items]) for n, items in segments.items()},
        segments=segments,
        mixed=probability_changing(odds, attributor.mixture_prior),
        tokens=scores.tokens,
    )
