"""The detector: does a text draw on anything registered at all? (Inner-Probe, stage 2)

For every sub-dataset it is tested whether the text would be unusual there; a text that is unusual
for all of them is unregistered (an intersection-union test; ours). What is tested is the wording,
the style, the LM's loss, and the place in the contrastive projector's space.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from copylens.attributor.attributor import Attributor, ChannelScores
from copylens.attributor.folds import fold_index
from copylens.detector.auroc import auroc
from copylens.detector.projector import Projector
from copylens.detector.typicality import TypicalityTest, combined
from copylens.records import FloatArray, IntArray

SUPPORT, LOSS, SPACE = "support", "loss", "space"

# What a test beside `support` may weigh; the default where there is nothing to choose by.
_SIDE_WEIGHTS = (0.1, 0.3, 0.03)
_FOLDS = 5


@dataclass(frozen=True)
class Space:
    """The contrastive projector's space with the sub-datasets' places in it.

    Attributes:
        centres: [K, Z] unit length.
    """

    projector: Projector
    centres: FloatArray

    @classmethod
    def fit(cls, projector: Projector, features: FloatArray, labels: IntArray) -> "Space":
        """Places the sub-datasets by training passages' features [N, F] and labels [N]."""
        embedded = projector.embed(features)
        means = np.stack([embedded[labels == k].mean(axis=0) for k in np.unique(labels)])
        return cls(projector, means / np.linalg.norm(means, axis=1, keepdims=True))

    def distance(self, features: FloatArray) -> FloatArray:
        """Cosine distance to every sub-dataset, [N, F] -> [N, K] in [0, 2]."""
        return np.asarray(1 - self.projector.embed(features) @ self.centres.T)


def measures(
    attributor: Attributor, scores: ChannelScores, space: Space | None
) -> dict[str, FloatArray]:
    """The detector's measures -> [N, K] each, larger = less typical of that sub-dataset."""
    log_probs = attributor.log_probs(scores)
    found = {SUPPORT: -log_probs} | {name: -v for name, v in scores.affinity.items()}
    if not np.isnan(scores.loss).any():
        found[LOSS] = np.repeat(scores.loss[:, None], log_probs.shape[1], axis=1)
    if space is not None:
        found[SPACE] = space.distance(scores.features)
    return found


@dataclass(frozen=True)
class Detector:
    """Typicality tests and what each weighs.

    Attributes:
        space: None where the projector is not used.
        tests: measure -> its test.
        weights: measure -> weight; those that count.
    """

    space: Space | None
    tests: dict[str, TypicalityTest]
    weights: dict[str, float]

    def score(self, measured: Mapping[str, FloatArray]) -> FloatArray:
        """ood_score [N] of `measures`: nats, >= 0; larger = less likely to draw on anything."""
        surprises = {name: self.tests[name].surprise(measured[name]) for name in self.weights}
        return np.asarray(combined(surprises, self.weights).min(axis=1))


def fit_detector(
    space: Space | None,
    held: Mapping[str, FloatArray],
    labels: IntArray,
    ood: Mapping[str, FloatArray] | None,
) -> Detector:
    """Fits the tests on held-out registered passages and chooses what counts.

    Args:
        held: measures of registered passages that the channels were not fitted on.
        labels: [N] their sub-datasets.
        ood: measures of unregistered texts, to choose the weights by; without them the first
            candidate is taken.
    """
    bare = Detector(space, {n: TypicalityTest.fit(held[n], labels) for n in held}, {})
    fitted = [replace(bare, weights=weights) for weights in candidates(tuple(held))]
    if ood is None:
        return fitted[0]
    return max(fitted, key=lambda detector: auroc(detector.score(held), detector.score(ood)))


def candidates(names: tuple[str, ...]) -> list[dict[str, float]]:
    """The few weightings that are tried, the default first."""
    side = [name for name in names if name not in (SUPPORT, SPACE)]
    tried = [{SUPPORT: 1.0} | dict.fromkeys(side, weight) for weight in _SIDE_WEIGHTS]
    tried.append({SUPPORT: 1.0})
    if SPACE in names:
        tried += [weights | {SPACE: weight} for weights in tried for weight in _SIDE_WEIGHTS]
    return tried


def cross_fitted_scores(
    detector: Detector,
    held: Mapping[str, FloatArray],
    labels: IntArray,
    groups: IntArray,
    seed: int,
) -> FloatArray:
    """ood_score [N] of the held-out passages from tests fitted without their split group.

    A passage that the tests were fitted on scores a little lower than a new one would.
    """
    folds = fold_index(labels, groups, _FOLDS, seed)
    scores = np.zeros(len(labels))
    for fold in range(int(folds.max()) + 1):
        kept, out = folds != fold, folds == fold
        if not kept.any():  # a val of one passage per sub-dataset
            kept = out
        tests = {n: TypicalityTest.fit(v[kept], labels[kept]) for n, v in held.items()}
        measured = {name: values[out] for name, values in held.items()}
        scores[out] = replace(detector, tests=tests).score(measured)
    return scores
