"""Open-set figures: our detector, and the field's scores on the very same features."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from copylens.config.schema import ALL_NEAR
from copylens.detector.auroc import auroc
from copylens.evaluation import metrics
from copylens.evaluation.baselines import ood_scores
from copylens.evaluation.published import Judged
from copylens.fit.data import TextSet
from copylens.records import BoolArray, FloatArray, SplitName
from copylens.verdict.scorer import Scorer, Scores

_K = 10


def ood_section(
    kinds: Mapping[str, Judged], origins: Sequence[str], near: Sequence[str]
) -> dict[str, Any]:
    """AUROC, FPR95 and power of the detector; nothing where there are no unregistered test texts.

    Power is the share of unregistered texts that are called so at `calibration.alpha`.

    Args:
        origins: [M] where each unregistered test text comes from.
        near: the origins that count as near, or * for all; without any, near and far stay None.
    """
    if "unregistered" not in kinds:
        return {}
    foreign = kinds["unregistered"]
    id_scores, ood = kinds["pure"].scores.ood_score, foreign.scores.ood_score
    flagged = foreign.decisions == "unregistered"
    names = np.asarray(origins)
    is_near = np.isin(names, names if tuple(near) == ALL_NEAR else near)

    def part(mask: BoolArray) -> dict[str, Any] | None:
        if not mask.any():
            return None
        power = float(flagged[mask].mean())
        return {**_pair(id_scores, ood[mask]), "power": power, "n": int(mask.sum())}

    return {
        **_pair(id_scores, ood),
        "auroc_mixed": auroc(kinds["mixed"].scores.ood_score, ood),
        "power": float(flagged.mean()),
        "n_id": len(id_scores),
        "n_ood": len(ood),
        "near": part(is_near) if near else None,
        "far": part(~is_near) if near else None,
        "by_origin": {name: part(names == name) for name in sorted(set(origins))},
        "convention": metrics.FPR95_CONVENTION,
    }


def feature_scores(
    scores: Mapping[SplitName, Scores], texts: Mapping[SplitName, TextSet], scorer: Scorer
) -> dict[str, Any]:
    """MSP, energy, Mahalanobis, kNN and relatives on the attributor's features and logits."""
    if "ood_test" not in scores:
        return {}
    train = texts["train"]
    features = [scorer.model.attributor.channels.features(train.states)] + [
        scores[split].channels.features for split in ("test", "ood_test")
    ]
    fusion = scorer.model.attributor.text_fusion
    logits = [fusion.logits(scores[split].channels.text) for split in ("test", "ood_test")]
    found = {
        f"{name}_on_logits": score
        for name, score in (
            ("msp", ood_scores.msp),
            ("max_logit", ood_scores.max_logit),
            ("energy", ood_scores.energy),
        )
    }
    section = {name: _of(score, logits) for name, score in found.items()}
    if features[0].shape[1]:
        compact = _principal(features)
        section |= {
            f"{name}_on_features": _of(score, compact[1:])
            for name, score in _fitted(compact[0], train).items()
        }
    return {name: {"accuracy": None, "macro_f1": None, **pair} for name, pair in section.items()}


def _fitted(features: FloatArray, train: TextSet) -> dict[str, Callable[[FloatArray], FloatArray]]:
    labels = train.labels
    return {
        "mahalanobis": ood_scores.Mahalanobis.fit(features, labels).score,
        "relative_mahalanobis": ood_scores.RelativeMahalanobis.fit(features, labels).score,
        "knn": ood_scores.Knn.fit(features, min(_K, len(features))).score,
        "cosine": ood_scores.Cosine.fit(features, labels).score,
    }


def _principal(features: list[FloatArray], width: int = 256) -> list[FloatArray]:
    """All sets in the training set's leading principal axes, so that covariances stay regular."""
    from sklearn.decomposition import PCA

    width = min(width, *features[0].shape)
    model = PCA(n_components=width, random_state=0).fit(features[0].astype(np.float64))
    return [model.transform(part.astype(np.float64)) for part in features]


def _of(score: Callable[[FloatArray], FloatArray], sets: list[FloatArray]) -> dict[str, float]:
    return _pair(score(sets[0]), score(sets[1]))


def _pair(id_scores: FloatArray, ood: FloatArray) -> dict[str, float]:
    return {"auroc": auroc(id_scores, ood), "fpr95": metrics.fpr95(id_scores, ood)}
