"""Held-out channel scores -> a detector with its open time line."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from copylens.attributor.attributor import Attributor
from copylens.detector.calibration import Conformal, LogOdds, fit_log_odds
from copylens.detector.detector import Detector, LengthLevel, surprise
from copylens.detector.measures import Measures, measure
from copylens.detector.open_set import OpenScores, OpenTimeline
from copylens.detector.space import Space
from copylens.detector.typicality import TypicalityTest
from copylens.fit.attributor import best_prior
from copylens.fit.held_out import HeldOut, Sample
from copylens.records import FloatArray

# Where no unregistered text is given: about what the development corpora with strangers of another
# kind have (docs/detector.md).
_USUAL_TEXT = LogOdds(-3.0, 1.9)
_USUAL_SEGMENT = LogOdds(-1.9, 1.2)

# The settings of the open time line that are tried.
_SEGMENT_SCALES = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_SWITCH_PROBABILITIES = (0.02, 0.05, 0.1, 0.2)


def fit_detector(attributor: Attributor, space: Space | None, held_out: HeldOut) -> Detector:
    """Fits the tests and calibrates them on held-out texts, short ones apart.

    Args:
        space: the contrastive projector's, None where it is not used.
    """

    def measured(sample: Sample | None) -> Measures | None:
        if sample is None:
            return None
        explained = attributor.explanations(sample.scores)
        return measure(attributor, sample.scores, explained, space)

    pure, mixed, foreign = map(measured, (held_out.pure, held_out.mixed, held_out.foreign))
    assert pure is not None and mixed is not None
    levels = []
    for cut, cut_foreign in held_out.short:
        short = measured(cut)
        assert short is not None
        levels.append(_level((short, cut), (short, cut), measured(cut_foreign)))
    levels.append(_level((pure, held_out.pure), (mixed, held_out.mixed), foreign))
    tests = {n: TypicalityTest.fit(np.concatenate(items)) for n, items in pure.segments.items()}
    registered = [_of_segments(tests, pure), _of_segments(tests, mixed)]
    odds = fit_log_odds(
        np.concatenate(registered), _of_segments(tests, foreign), _USUAL_SEGMENT, _count(foreign)
    )
    return Detector(tuple(levels), tests, odds, space)


def fit_open_timeline(read: Sequence[OpenScores], held_out: HeldOut) -> OpenTimeline:
    """Chooses the parameters by the cross-entropy of `unregistered` against its true part, over
    texts of all four kinds; the usual ones where no unregistered text is given.

    Args:
        read: of each of `held_out.kinds`.
    """
    if held_out.foreign is None:
        return OpenTimeline()
    kinds = [_registered_or_not(sample) for sample in held_out.kinds]
    found = []
    for scale, switch in product(_SEGMENT_SCALES, _SWITCH_PROBABILITIES):
        timeline = OpenTimeline(scale, switch)
        explained = [timeline.explanations(item) for item in read]
        loss, prior = best_prior(explained, kinds, [1.0] * len(kinds))
        found.append((loss, replace(timeline, mixture_prior=prior)))
    return min(found, key=lambda item: item[0])[1]


def _level(
    pure: tuple[Measures, Sample], mixed: tuple[Measures, Sample], foreign: Measures | None
) -> LengthLevel:
    blank = np.zeros(1), np.zeros(1, np.int64)
    level = LengthLevel(
        tokens=pure[1].tokens,
        whole={name: TypicalityTest.fit(values) for name, values in pure[0].whole.items()},
        changing={name: TypicalityTest.fit(values) for name, values in pure[0].changing.items()},
        pure=Conformal.fit(*blank),
        mixed=Conformal.fit(*blank),
        pure_odds=_USUAL_TEXT,
        mixed_odds=_USUAL_TEXT,
    )
    scores = level.score(pure[0]), level.score(mixed[0])
    unregistered = np.zeros(0) if foreign is None else level.score(foreign)
    return replace(
        level,
        pure=Conformal.fit(scores[0], pure[1].groups),
        mixed=Conformal.fit(scores[1], mixed[1].groups),
        pure_odds=fit_log_odds(scores[0], unregistered, _USUAL_TEXT, _count(foreign)),
        mixed_odds=fit_log_odds(scores[1], unregistered, _USUAL_TEXT, _count(foreign)),
    )


def _of_segments(tests: Mapping[str, TypicalityTest], measured: Measures | None) -> FloatArray:
    if measured is None:
        return np.zeros(0)
    return surprise(tests, {name: np.concatenate(measured.segments[name]) for name in tests})


def _count(measured: Measures | None) -> int:
    return 0 if measured is None else len(measured.tokens)


def _registered_or_not(sample: Sample) -> Sample:
    """The same with the true parts [N, 2] that are registered and unregistered."""
    unregistered = sample.truth[:, -1]
    return replace(sample, truth=np.stack([1 - unregistered, unregistered], axis=1))
