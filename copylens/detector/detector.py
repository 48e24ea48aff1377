"""The detector: does a text draw on anything registered at all? (Inner-Probe, stage 2)

A text is tested on a few measures, each of how atypical it is of everything registered, against
held-out registered texts of like length. One test carries the score, the largest fused logit; the
others count where they are very sure (weights chosen over several corpora, see docs/detector.md:
no weighting learned on one corpus' unregistered texts held on another's).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.attributor import EXPOSURE
from copylens.detector.calibration import Conformal, LogOdds, between_lengths
from copylens.detector.measures import BACKGROUND, SPACE, STYLE, SUPPORT, Measures
from copylens.detector.space import Space
from copylens.detector.typicality import TypicalityTest, combined
from copylens.records import FloatArray
from copylens.store.arrays import Arrays, below, nested, parts_of, sequence

WEIGHTS = {SUPPORT: 1.0, STYLE: 0.2, BACKGROUND: 0.2, SPACE: 0.2, EXPOSURE: 0.1}
_Tests = dict[str, TypicalityTest]


def surprise(tests: Mapping[str, TypicalityTest], measured: Mapping[str, FloatArray]) -> FloatArray:
    """All tests of a set as one, nats, >= 0; arrays of one shape."""
    return combined({name: test.surprise(measured[name]) for name, test in tests.items()}, WEIGHTS)


@dataclass(frozen=True)
class Detection:
    """What the detector says of N texts.

    Attributes:
        score: [N] the ood_score: nats, >= 0; larger = less likely to draw on anything registered.
        p_value: [N] in (0, 1]; small = does not look registered.
        log_odds: [N] that all of the text is unregistered, against none of it.
    """

    score: FloatArray
    p_value: FloatArray
    log_odds: FloatArray


@dataclass(frozen=True)
class LengthLevel:
    """The detector for texts of one length.

    Attributes:
        tokens: > 0, the length.
        whole, changing: measure -> its test; see `Measures`.
        pure, mixed: scores of held-out registered texts of one source and of several.
        pure_odds, mixed_odds: score -> log-odds of "wholly unregistered" against each of them.
    """

    tokens: float
    whole: _Tests
    changing: _Tests
    pure: Conformal
    mixed: Conformal
    pure_odds: LogOdds
    mixed_odds: LogOdds

    def score(self, measured: Measures) -> FloatArray:
        """[N] nats, >= 0: both readings, weighed by the probability of several sources."""
        whole = surprise(self.whole, measured.whole)
        changing = surprise(self.changing, measured.changing)
        return np.asarray((1 - measured.mixed) * whole + measured.mixed * changing)

    def detect(self, measured: Measures) -> Detection:
        """P-value and log-odds are among texts of one source and of several, as the text seems to
        be; the p-value never below what the pure texts allow: those of several sources are made of
        these.
        """
        score = self.score(measured)

        def weighed(pure: FloatArray, mixed: FloatArray) -> FloatArray:
            return (1 - measured.mixed) * pure + measured.mixed * mixed

        p_value = weighed(self.pure.p_value(score), self.mixed.p_value(score))
        log_odds = weighed(self.pure_odds(score), self.mixed_odds(score))
        return Detection(score, np.maximum(p_value, self.pure.smallest), log_odds)

    def arrays(self) -> Arrays:
        """Every parameter by its name."""
        found: Arrays = {"tokens": np.asarray(self.tokens)}
        for name in ("pure", "mixed", "pure_odds", "mixed_odds"):
            found |= nested(name, getattr(self, name).arrays())
        return found | _test_arrays("whole", self.whole) | _test_arrays("changing", self.changing)

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "LengthLevel":
        """The inverse of `arrays`."""
        return cls(
            tokens=arrays["tokens"].item(),
            whole=_tests("whole", arrays),
            changing=_tests("changing", arrays),
            pure=Conformal(**below("pure", arrays)),
            mixed=Conformal(**below("mixed", arrays)),
            pure_odds=LogOdds.from_arrays(below("pure_odds", arrays)),
            mixed_odds=LogOdds.from_arrays(below("mixed_odds", arrays)),
        )


@dataclass(frozen=True)
class Detector:
    """Levels of length, between which it interpolates by the logarithm of the length.

    Attributes:
        levels: ascending by `tokens`; the last one stands for whole passages and all that is
            longer, the first one for all that is shorter.
        segments: measure -> its test on single segments.
        segment_odds: segments' surprise -> log-odds of "unregistered".
        space: the contrastive projector's; None where it is not used.
    """

    levels: tuple[LengthLevel, ...]
    segments: _Tests
    segment_odds: LogOdds
    space: Space | None = None

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that a text of a passage's length can get: 1 / (N + 1)."""
        return self.levels[-1].pure.smallest

    def detect(self, measured: Measures) -> Detection:
        """What all levels say, between those that are nearest to a text's length."""
        found = [level.detect(measured) for level in self.levels]
        lengths = [level.tokens for level in self.levels]

        def between(values: Sequence[FloatArray]) -> FloatArray:
            return between_lengths(lengths, values, measured.tokens)

        return Detection(
            between([level.score for level in found]),
            between([level.p_value for level in found]),
            between([level.log_odds for level in found]),
        )

    def segment_log_odds(self, measured: Measures) -> list[FloatArray]:
        """Per text [S] log-odds that a segment is unregistered."""
        counts = [len(item) for item in measured.segments[SUPPORT]]
        stacked = {name: np.concatenate(measured.segments[name]) for name in self.segments}
        odds = self.segment_odds(surprise(self.segments, stacked))
        return np.split(odds, np.cumsum(counts)[:-1])

    def arrays(self) -> Arrays:
        """Every parameter by its name, but for the projector's network."""
        found = nested("segment_odds", self.segment_odds.arrays())
        found |= nested("level", sequence(level.arrays() for level in self.levels))
        if self.space is not None:
            found["centres"] = self.space.centres
        return found | _test_arrays("segments", self.segments)


def _test_arrays(prefix: str, tests: _Tests) -> Arrays:
    parts = [nested(f"{prefix}.{name}", test.arrays()) for name, test in tests.items()]
    return {name: array for part in parts for name, array in part.items()}


def _tests(prefix: str, arrays: Arrays) -> _Tests:
    found = below(prefix, arrays)
    names = dict.fromkeys(name.partition(".")[0] for name in found)
    return {name: TypicalityTest.from_arrays(below(name, found)) for name in names}


def detector_from_arrays(arrays: Arrays, space: Space | None) -> Detector:
    """The inverse of `Detector.arrays`."""
    return Detector(
        levels=tuple(map(LengthLevel.from_arrays, parts_of(below("level", arrays)))),
        segments=_tests("segments", arrays),
        segment_odds=LogOdds.from_arrays(below("segment_odds", arrays)),
        space=space,
    )
