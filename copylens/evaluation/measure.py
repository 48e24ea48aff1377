"""One report for one scorer: every figure of the contract that its run's data allow."""

import resource
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from copylens.config.schema import RunConfig
from copylens.detector.auroc import auroc
from copylens.evaluation import metrics
from copylens.evaluation.answers import EVALUATED, Evaluation, load_evaluation
from copylens.evaluation.baselines.encoder import SentenceEncoder, installed
from copylens.evaluation.baselines.linear import Split
from copylens.evaluation.baselines.table import best_text, run_linear_probe, run_text_baselines
from copylens.evaluation.bootstrap import mean_interval, paired_difference
from copylens.evaluation.contract import check_report, empty_report
from copylens.evaluation.open_set import best_ood, ood_section, simple_scores, simple_section
from copylens.evaluation.published import (
    Judged,
    judge_kinds,
    length_section,
    shares_section,
    texts_to_read,
)
from copylens.evaluation.report.plots import Figures, MixedText
from copylens.evaluation.studies.runs import add_studies, run_studies
from copylens.evidence.building import evidence_uri
from copylens.evidence.manifest import find_manifest
from copylens.fit.data import TextSet
from copylens.progress import Meter
from copylens.records import FloatArray, IntArray, SplitName
from copylens.store import storage
from copylens.store.stages import Stage, marker_uri
from copylens.verdict.scorer import Scorer

_SPEED_TEXTS = 64


def measure(
    config: RunConfig, scorer: Scorer, meter: Meter | None = None
) -> tuple[dict[str, Any], Figures]:
    """Scores the test splits once and fills the report.

    Args:
        config: names the run's folder, whose corpus and states are read.
        scorer: the scorer under test.
        meter: counts the texts that an LM reads, none of the studies' own.

    Returns:
        The report by the contract in `contract.py`, and what is drawn beside it.
    """
    evaluation = load_evaluation(config, scorer, meter)
    evaluation.meter.expect(texts_to_read(evaluation) + _texts_to_encode(config, evaluation))
    report = empty_report()
    report["attribution"] = _attribution(evaluation, config.seed)
    report["channels"] |= _channels(evaluation, config.seed)
    origins = [sub_dataset for sub_dataset, _ in evaluation.texts["ood_test"].groups]
    kinds = judge_kinds(evaluation, config)
    given = Counter(passage.sub_dataset for passage in evaluation.passages["ood_val"])
    report["ood"] |= ood_section(kinds, origins, config.evaluation.near_ood, given)
    report["conformal"] = _conformal(kinds, config, scorer)
    report["shares"] = shares_section(kinds)
    report["lengths"] = length_section(evaluation, config.seed)
    report["mixture"] = _mixture(kinds["mixed"], scorer)
    report["baselines"] |= _baselines(evaluation, config)
    report["cost"] |= _cost(config, evaluation)
    add_studies(report, run_studies(config, evaluation, report["baselines"]["best_text"]["name"]))
    report["config"] = config.model_dump(mode="json")
    report["lineage"] = scorer.lineage
    index = find_manifest(evidence_uri(config.output))
    report["evidence"] = index.summary() if index is not None else None
    check_report(report)
    return report, _figures(evaluation, kinds["mixed"])


def _attribution(evaluation: Evaluation, seed: int) -> dict[str, Any]:
    labels = evaluation.texts["test"].labels
    shares = evaluation.closed_shares
    predicted = shares.argmax(axis=1)
    names = evaluation.scorer.model.attributor.sub_datasets
    interval = mean_interval(predicted == labels, *_strata(evaluation), seed=seed)
    return {
        "accuracy": metrics.accuracy(labels, predicted),
        "macro_f1": metrics.macro_f1(labels, predicted),
        "ece": metrics.ece(shares, labels),
        "n": len(labels),
        "ci95": interval.ends,
        "unit": interval.unit,
        "by_sub_dataset": {
            name: float((predicted[labels == k] == k).mean()) for k, name in enumerate(names)
        },
    }


def _strata(evaluation: Evaluation, split: SplitName = "test") -> tuple[list[str], list[str]]:
    """Split group and sub-dataset of each passage of a split."""
    groups = evaluation.texts[split].groups
    return [name for _, name in groups], [sub_dataset for sub_dataset, _ in groups]


def _channels(evaluation: Evaluation, seed: int) -> dict[str, Any]:
    """Of each channel alone: its accuracy, how much more both together have, and the AUROC of its
    own largest log-probability.
    """
    labels = evaluation.texts["test"].labels
    ood = evaluation.scores.get("ood_test")
    fused = evaluation.closed_shares.argmax(axis=1) == labels
    section = {}
    for name, log_probs in evaluation.scores["test"].channels.text.items():
        alone = log_probs.argmax(axis=1) == labels
        difference = paired_difference(fused, alone, *_strata(evaluation), seed=seed)
        section[name] = {
            "accuracy": float(alone.mean()),
            "difference": difference.estimate,
            "difference_ci95": difference.ends,
            "auroc": None
            if ood is None
            else auroc(-log_probs.max(axis=1), -ood.channels.text[name].max(axis=1)),
        }
    return section


def _conformal(kinds: Mapping[str, Judged], config: RunConfig, scorer: Scorer) -> dict[str, Any]:
    """False alarms on registered test texts of one source and of several."""
    alpha = config.calibration.alpha
    pure, mixed = (float((kinds[kind].scores.p_value < alpha).mean()) for kind in ("pure", "mixed"))
    return {
        "alpha": alpha,
        "smallest_p": scorer.model.detector.smallest_p,
        "coverage": 1 - pure,
        "false_alarm_rate": pure,
        "false_alarm_rate_mixed": mixed,
    }


def _mixture(found: Judged, scorer: Scorer) -> dict[str, Any]:
    """Shares of joined texts as if all were registered, coverage as published, and borders."""
    names = scorer.model.attributor.sub_datasets
    truth = found.truth[:, :-1]
    borders = [
        metrics.border_error(
            [start for start, _, _ in mixture.borders[1:]],
            metrics.timeline_borders(published.timeline_records(spans, names)),
            len(mixture.text),
        )
        for mixture, published, spans in zip(
            found.mixtures, found.published, found.scores.channels.spans
        )
    ]
    low, high = found.table("low"), found.table("high")
    return {
        "mae": metrics.mean_absolute_share_error(truth, found.scores.closed),
        "n": len(truth),
        "coverage": metrics.interval_coverage(low, high, truth),
        "border_error_characters": float(np.mean(borders)),
    }


def _baselines(evaluation: Evaluation, config: RunConfig) -> dict[str, Any]:
    seed = config.seed
    names = evaluation.scorer.model.attributor.sub_datasets
    train, val, test, ood_val, ood_test = (evaluation.passages[split] for split in EVALUATED)
    results = run_text_baselines(train, val, test, ood_val, ood_test, names, seed)
    section: dict[str, Any] = {name: result.to_report() for name, result in results.items()}
    best = best_text(results)
    labels = evaluation.texts["test"].labels
    ours = evaluation.closed_shares.argmax(axis=1) == labels
    difference = paired_difference(ours, best.correct, *_strata(evaluation), seed=seed)
    section["best_text"] = {
        "name": best.name,
        "accuracy": best.accuracy,
        "difference": difference.estimate,
        "difference_ci95": difference.ends,
    }
    if evaluation.scorer.config.reads_lm:
        split = _split(evaluation, _mean_states, evaluation.texts["train"].read)
        probe = run_linear_probe("linear_probe", split, evaluation.classes, seed)
        section["linear_probe"] = probe.to_report()
    model = installed(config.evaluation.encoder)
    if model is not None:
        encoder = SentenceEncoder(model)
        split = _split(evaluation, lambda part: encoder.embed(part.texts, evaluation.meter))
        found = run_linear_probe("sentence_encoder", split, evaluation.classes, seed)
        section["sentence_encoder"] = found.to_report()
    simple = simple_scores(evaluation.scores, evaluation.texts, evaluation.scorer)
    section |= simple_section(simple)
    if simple:
        for name, result in results.items():
            for kind, score in result.ood.items():
                simple[f"{name}_{kind}"] = score.id_scores, score.ood_scores
        answers = evaluation.scores["test"].ood_score, evaluation.scores["ood_test"].ood_score
        strata = _strata(evaluation), _strata(evaluation, "ood_test")
        section["best_ood"] = best_ood(answers, simple, strata, seed)
    return section


def _texts_to_encode(config: RunConfig, evaluation: Evaluation) -> int:
    encoded = installed(config.evaluation.encoder) is not None
    return sum(map(len, evaluation.texts.values())) if encoded else 0


def _mean_states(part: TextSet) -> FloatArray:
    return np.stack([s.values.astype(np.float32).mean(axis=0) for s in part.states])


def _split(
    evaluation: Evaluation,
    features: Callable[[TextSet], FloatArray],
    kept: IntArray | None = None,
) -> Split:
    """What a classifier on features [N, F] of texts sees; of train these positions alone."""
    learned = evaluation.texts["train"]
    learned = learned if kept is None else learned.subset(kept)
    train = features(learned)
    found = {
        name: features(part) if len(part) else train[:0]
        for name, part in evaluation.texts.items()
        if name != "train"
    }
    labels = {name: part.labels for name, part in evaluation.texts.items()}
    return Split(
        train=train,
        train_labels=learned.labels,
        val=found["val"],
        val_labels=labels["val"],
        test=found["test"],
        test_labels=labels["test"],
        ood_val=found["ood_val"],
        ood_test=found["ood_test"],
    )


def _cost(config: RunConfig, evaluation: Evaluation) -> dict[str, Any]:
    """Seconds of the stages that ran, speed of scoring, and the largest process so far."""
    texts = evaluation.texts["test"].texts[:_SPEED_TEXTS]
    start = time.perf_counter()
    evaluation.scorer.verdicts(texts)
    seconds = time.perf_counter() - start
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "probe_seconds": _stage_seconds(config, "embed"),
        "train_seconds": _stage_seconds(config, "train"),
        "texts_per_second": len(texts) / seconds,
        "peak_memory_mb": peak / 1024,
    }


def _stage_seconds(config: RunConfig, stage: Stage) -> float | None:
    uri = marker_uri(config, stage)
    if not storage.exists(uri):
        return None
    return float(storage.read_json(uri)["summary"]["seconds"])


def _figures(evaluation: Evaluation, mixed: Judged) -> Figures:
    labels = evaluation.texts["test"].labels
    shares = evaluation.closed_shares
    roc = {}
    if "ood_test" in evaluation.scores:
        id_scores = evaluation.scores["test"].ood_score
        ood_scores = evaluation.scores["ood_test"].ood_score
        roc["CopyLens"] = metrics.roc_curve(id_scores, ood_scores)
    names, shown = evaluation.scorer.model.attributor.sub_datasets, mixed.mixtures[0]
    timeline = mixed.published[0].timeline_records(mixed.scores.channels.spans[0], names)
    parts = [(start, end, names[label]) for start, end, label in shown.borders]
    return Figures(
        sub_datasets=names,
        confusion=metrics.confusion_counts(labels, shares.argmax(axis=1), evaluation.classes),
        reliability=metrics.reliability_bins(shares, labels),
        roc=roc or None,
        timeline=MixedText(shown.text, timeline, parts),
    )
