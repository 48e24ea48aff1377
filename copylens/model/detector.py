"""The detector: does a text draw on anything registered at all? (Inner-Probe, stage 2)"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from copylens.config import DetectorConfig
from copylens.model.attributor import Attributor, Evidence
from copylens.model.ood_scores import Knn, Mahalanobis, max_logit
from copylens.model.projector import Projector
from copylens.records import FloatArray, IntArray

# Nats of surprise that the LM may show before it counts, and the weight of what exceeds them.
_LM_FLOOR, _LM_WEIGHT = 3.0, 2.0


@dataclass(frozen=True)
class Reading:
    """What the detector reads of N texts; see `Evidence` for features, support and surprise.

    Attributes:
        features: [N, Z].
        log_probs: [N, K] fused.
        support: [N, K].
        surprise: [N].
    """

    features: FloatArray
    log_probs: FloatArray
    support: FloatArray
    surprise: FloatArray


def read(attributor: Attributor, evidence: Evidence) -> Reading:
    """The detector's view of an attributor's evidence."""
    log_probs = attributor.log_probs(evidence)
    return Reading(evidence.features, log_probs, evidence.support, evidence.surprise)


@dataclass(frozen=True)
class Detector:
    """How improbable a text is among registered ones, from the mean of the chosen z-scores.

    `wording`: the best sub-dataset's support, each less what its own passages usually get.
    `confidence`: the largest fused log-probability. `knn`, `mahalanobis`: distances in the
    contrastive projector's space. All are turned so that larger = less likely registered.
    `surprise`: only a text that the LM finds extraordinarily improbable is pushed further out.

    Attributes:
        projector, knn, mahalanobis: None where the space is not used.
        usual: [K] mean support that held-out registered passages give each sub-dataset.
        centre, spread: score name -> mean and deviation on held-out registered passages.
        chosen: the names that count.
    """

    projector: Projector | None
    knn: Knn | None
    mahalanobis: Mahalanobis | None
    usual: FloatArray
    centre: dict[str, float]
    spread: dict[str, float]
    chosen: tuple[str, ...]

    def parts(self, reading: Reading) -> dict[str, FloatArray]:
        """The single scores, unscaled: name -> [N]."""
        parts: dict[str, FloatArray] = {"confidence": max_logit(reading.log_probs)}
        if reading.support.shape[1]:
            parts["wording"] = max_logit(reading.support - self.usual)
        if not np.isnan(reading.surprise).any():
            parts["surprise"] = reading.surprise
        if self.projector is not None and self.knn is not None and self.mahalanobis is not None:
            embedding = self.projector.embed(reading.features)
            parts["knn"] = self.knn.score(embedding)
            parts["mahalanobis"] = self.mahalanobis.score(embedding)
        return parts

    def score(self, reading: Reading) -> FloatArray:
        """ood_score [N]: nats, > 0; larger = less likely to draw on anything registered."""
        parts = self.parts(reading)
        scaled = {
            name: (parts[name] - self.centre[name]) / self.spread[name] for name in self.chosen
        }
        excess = scaled.pop("surprise", None)
        score = tail(np.mean(list(scaled.values()), axis=0))
        if excess is not None:
            score = score + _LM_WEIGHT * np.maximum(0.0, tail(excess) - _LM_FLOOR)
        return np.asarray(score)


def tail(z: FloatArray) -> FloatArray:
    """Surprise of a one-sided z-score, -log(1 - Phi(z)), in nats, > 0; convex and increasing.

    Beyond 38 deviations the logarithm itself is used up; texts out there are equally strange.
    """
    return np.asarray(-norm.logsf(np.clip(z, -8.0, 38.0)))


def fit_detector(
    projector: Projector | None,
    train: tuple[FloatArray, IntArray],
    held: Reading,
    ood: Reading | None,
    config: DetectorConfig,
) -> Detector:
    """Fits the scores and standardises them on held-out registered passages.

    Args:
        projector: None leaves the space out, e.g. where `held` has no features.
        train: features [N, Z] and labels [N] of the training passages.
        held: registered passages that the channels behind the reading were not fitted on.
        ood: unregistered texts, to choose k and the combination by; without them k is the largest
            candidate not above 10, and wording and confidence count.
    """
    bare = Detector(None, None, None, held.support.mean(axis=0), {}, {}, ())
    candidates = [bare]
    if projector is not None:
        embedding = projector.embed(train[0])
        mahalanobis = Mahalanobis.fit(embedding, train[1])
        allowed = [k for k in config.neighbours if k <= len(embedding)] or [1]
        small = [k for k in allowed if k <= 10] or allowed[:1]
        candidates = [
            replace(bare, projector=projector, knn=Knn.fit(embedding, k), mahalanobis=mahalanobis)
            for k in (allowed if ood is not None else small[-1:])
        ]
    combined = [
        replace(detector, chosen=chosen)
        for detector in (_standardised(candidate, held) for candidate in candidates)
        for chosen in combinations(tuple(detector.centre))
    ]
    if ood is None:
        return combined[0]
    return max(combined, key=lambda detector: _auroc(detector.score(held), detector.score(ood)))


def combinations(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The few combinations that are tried, the default first."""
    space: tuple[str, ...] = tuple(n for n in ("knn", "mahalanobis") if n in names)
    plain: tuple[str, ...] = tuple(n for n in ("wording", "confidence") if n in names)
    tried: list[tuple[str, ...]] = [plain, *((n,) for n in plain), (*plain, *space), space]
    if "surprise" in names:
        tried += [(*chosen, "surprise") for chosen in tried if chosen]
    return [chosen for chosen in dict.fromkeys(tried) if chosen]


def _standardised(detector: Detector, held: Reading) -> Detector:
    parts = detector.parts(held)
    return replace(
        detector,
        centre={name: float(part.mean()) for name, part in parts.items()},
        spread={name: max(float(part.std()), 1e-9) for name, part in parts.items()},
    )


def _auroc(registered: FloatArray, unregistered: FloatArray) -> float:
    from scipy.stats import mannwhitneyu

    statistic = mannwhitneyu(unregistered, registered).statistic
    return float(statistic / (len(registered) * len(unregistered)))
