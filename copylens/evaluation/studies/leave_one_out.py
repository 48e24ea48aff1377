"""Does the detector see a collection that it was never shown? One sub-dataset left out at a time.

For each sub-dataset the run's model is fitted anew without any text of it, train, val and
calibration alike; then its test passages are the unregistered ones and those of the others the
registered ones. No unregistered text helps to choose a setting.

What is refitted is the lexical channel with its gate, the fusion and the detector, on at most
`evaluation.refit_passages` training passages spread over sub-datasets and split groups: LSTMs for
every sub-dataset left out would take an hour on two cores, and the detector asks them little. The
LM itself stays as it is, and may well have read the sub-dataset that is left out: its surprise
would be that of an LM which knows the text, so the detector does without it here.
"""

import dataclasses
from typing import Any

import numpy as np

from copylens.attributor.attention.network import AttributorNetwork
from copylens.attributor.attributor import Attributor, Evidence
from copylens.attributor.fusion import fit_fusion
from copylens.config.schema import RunConfig
from copylens.detector.detector import SURPRISE, Detector, fit_detector, measures
from copylens.evaluation import metrics
from copylens.evaluation.studies.inputs import StudyInput
from copylens.evaluation.studies.refit import with_channels
from copylens.fit.held_out import TextSet, concatenate, fit_channels, judges, split_parts
from copylens.records import FloatArray, IntArray


def run(study: StudyInput) -> dict[str, Any]:
    """Means over sub-datasets of AUROC and FPR95, and both by sub-dataset."""
    config = with_channels(study.config, "lexical")
    train, val = study.some_of_train(study.config.evaluation.refit_passages), study.val
    test = study.test.subset(study.sample())
    found = {}
    for k, name in enumerate(study.names):
        attributor, detector = fit_without(config, len(study.names), k, train, val)
        evidence = attributor.channels.whole(test.texts, test.states)
        scores = detector.score(unread_measures(attributor, evidence))
        registered, left_out = scores[test.labels != k], scores[test.labels == k]
        found[name] = {
            "auroc": metrics.auroc(registered, left_out),
            "fpr95": metrics.fpr95(registered, left_out),
            "n_id": len(registered),
            "n_ood": len(left_out),
        }
    means = {key: float(np.mean([f[key] for f in found.values()])) for key in ("auroc", "fpr95")}
    return {**means, "by_sub_dataset": found}


def fit_without(
    config: RunConfig, classes: int, left_out: int, train: TextSet, val: TextSet
) -> tuple[Attributor, Detector]:
    """Attributor and detector of all sub-datasets but one, which is nowhere in what they see.

    Args:
        classes: K, the one that is left out included.
    """
    K = classes - 1
    train, val = without(train, left_out), without(val, left_out)
    parts = split_parts(train, val, config.attributor.folds, config.seed)
    networks: dict[int, dict[str, AttributorNetwork]] = {p: {} for p in range(parts.count)}
    full = fit_channels(config, K, {}, train)
    pure, places = [], []
    for _, channels, index in judges(config, K, networks, parts, train, val, full):
        held = val.subset(index)
        pure.append(channels.whole(held.texts, held.states))
        places.append(index)
    order = np.concatenate(places)
    evidence, labels = concatenate(pure), val.labels[order]
    fusion = fit_fusion(evidence.text, labels, val.group_index[order])
    attributor = Attributor(tuple(map(str, range(K))), full, fusion, fusion, 0.0, 0.5, 0.5)
    return attributor, fit_detector(None, unread_measures(attributor, evidence), labels, None)


def unread_measures(attributor: Attributor, evidence: Evidence) -> dict[str, FloatArray]:
    """What the detector looks at that does not depend on what the LM has read, [N, K] each."""
    found = measures(attributor, evidence, None)
    return {name: values for name, values in found.items() if name != SURPRISE}


def without(texts: TextSet, left_out: int) -> TextSet:
    """The passages of the other sub-datasets, their labels numbered without a gap."""
    rest = texts.subset(np.flatnonzero(texts.labels != left_out))
    labels: IntArray = rest.labels - (rest.labels > left_out)
    return dataclasses.replace(rest, labels=labels)
