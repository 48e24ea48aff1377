"""Open-set figures: our detector, and the field's scores on the very same features."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from copylens.config.schema import ALL_NEAR
from copylens.detector.auroc import auroc, both_sides
from copylens.evaluation import metrics
from copylens.evaluation.baselines import ood_scores
from copylens.evaluation.bootstrap import resampled_groups
from copylens.evaluation.published import Judged
from copylens.fit.data import TextSet
from copylens.records import BoolArray, FloatArray, SplitName
from copylens.verdict.scorer import Scorer, Scores

_K = 10
_RESAMPLES = 300

Pair = tuple[FloatArray, FloatArray]
"""Scores of registered texts [N] and of unregistered ones [M]; larger = less likely registered."""

Strata = tuple[Sequence[str], Sequence[str]]


def ood_section(
    kinds: Mapping[str, Judged],
    origins: Sequence[str],
    near: Sequence[str],
    given: Mapping[str, int],
) -> dict[str, Any]:
    """AUROC, FPR95 and power of the detector; nothing where there are no unregistered test texts.

    Power is the share of unregistered texts that are called so at `calibration.alpha`.

    Args:
        origins: [M] where each unregistered test text comes from.
        near: the origins that count as near, or * for all; without any, near and far stay None.
        given: origin -> unregistered texts of it that training was given.
    """
    if "unregistered" not in kinds:
        return {}
    foreign = kinds["unregistered"]
    id_scores, ood = kinds["pure"].scores.ood_score, foreign.scores.ood_score
    flagged = foreign.decisions == "unregistered"
    names = np.asarray(origins)
    is_near = np.isin(names, names if tuple(near) == ALL_NEAR else near)

    def part(mask: BoolArray) -> dict[str, Any]:
        power = float(flagged[mask].mean())
        return {**_pair(id_scores, ood[mask]), "power": power, "n": int(mask.sum())}

    return {
        **_pair(id_scores, ood),
        "auroc_mixed": auroc(kinds["mixed"].scores.ood_score, ood),
        "power": float(flagged.mean()),
        "n_id": len(id_scores),
        "n_ood": len(ood),
        "near": part(is_near) if near and is_near.any() else None,
        "far": part(~is_near) if near and not is_near.all() else None,
        "by_origin": {
            name: {**part(names == name), "n_given": given.get(name, 0)}
            for name in sorted(set(origins))
        },
        "convention": metrics.FPR95_CONVENTION,
    }


def simple_scores(
    scores: Mapping[SplitName, Scores], texts: Mapping[SplitName, TextSet], scorer: Scorer
) -> dict[str, Pair]:
    """What our detector must beat, on the very same answers: the largest fused logit, MSP, energy,
    the likeliest style, and the field's scores on the attributor's features.

    Returns:
        name -> scores of the test texts [N] and of the unregistered ones [M]; empty without these.
    """
    if "ood_test" not in scores:
        return {}
    train, attributor = texts["train"], scorer.model.attributor
    if scorer.config.reads_lm:
        train = train.subset(train.read)
    channels = [scores[split].channels for split in ("test", "ood_test")]
    support = [attributor.support(some) for some in channels]
    logits = [attributor.text_fusion.logits(some.text) for some in channels]
    found = {
        "msp_on_logits": _of(ood_scores.msp, logits),
        "max_logit_on_logits": _of(ood_scores.max_logit, support),
        "energy_on_logits": _of(ood_scores.energy, support),
    }
    if all("style" in some.affinity for some in channels):
        found["style"] = _of(ood_scores.max_logit, [some.affinity["style"] for some in channels])
    features = [attributor.channels.features(train.states)] + [some.features for some in channels]
    space = scorer.model.detector.space
    if space is not None:
        found["projector"] = _of(lambda some: space.distance(some).min(axis=1), features[1:])
    if features[0].shape[1]:
        compact = _principal(features)
        for name, score in _fitted(compact[0], train).items():
            found[f"{name}_on_features"] = _of(score, compact[1:])
    return found


def simple_section(found: Mapping[str, Pair]) -> dict[str, Any]:
    """AUROC and FPR95 of each, as `baselines` of the report has them."""
    return {
        name: {"accuracy": None, "macro_f1": None, **_pair(*pair)} for name, pair in found.items()
    }


def best_ood(
    ours: Pair, others: Mapping[str, Pair], strata: tuple[Strata, Strata], seed: int
) -> dict[str, Any]:
    """The best single score on the test texts, and how much better our detector is.

    Chosen on the test texts themselves, which favours the other side.

    Args:
        strata: split groups and sub-datasets of the test texts and of the unregistered ones, which
            are resampled together for the interval.
    """
    name = max(others, key=lambda name: auroc(*others[name]))
    draws = [
        weights[:, place]
        for weights, place, _ in (resampled_groups(*s, _RESAMPLES, seed) for s in strata)
    ]
    differences = [
        _weighted_auroc(ours, weights) - _weighted_auroc(others[name], weights)
        for weights in zip(*draws)
        if min(weights[0].sum(), weights[1].sum()) > 0
    ]
    return {
        "name": name,
        "auroc": auroc(*others[name]),
        "difference": auroc(*ours) - auroc(*others[name]),
        "difference_ci95": np.quantile(differences, [0.025, 0.975]).tolist(),
    }


def _weighted_auroc(pair: Pair, weights: tuple[FloatArray, FloatArray]) -> float:
    from sklearn.metrics import roc_auc_score

    is_ood, scores = both_sides(*pair)
    return float(roc_auc_score(is_ood, scores, sample_weight=np.concatenate(weights)))


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


def _of(score: Callable[[FloatArray], FloatArray], sets: Sequence[FloatArray]) -> Pair:
    return score(sets[0]), score(sets[1])


def _pair(id_scores: FloatArray, ood: FloatArray) -> dict[str, float]:
    return {"auroc": auroc(id_scores, ood), "fpr95": metrics.fpr95(id_scores, ood)}
