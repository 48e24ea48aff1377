"""Does the detector see a collection that it was never shown? One sub-dataset left out at a time.

For each sub-dataset the run's model is fitted anew without any text of it, train, val and
calibration alike; then its test passages are the unregistered ones and those of the others the
registered ones. No unregistered text helps to choose a setting.

What is refitted is the lexical channel with its gate, the fusion and the detector, on at most
`evaluation.refit_passages` training passages spread over sub-datasets and split groups: LSTMs for
every sub-dataset left out would take an hour on two cores, and the detector asks them little. The
LM itself stays as it is, and may well have read the sub-dataset that is left out: its loss would be
that of an LM which knows the text, so the detector does without it here.
"""

import dataclasses
from typing import Any

import numpy as np

from copylens.attributor.attributor import Attributor, ChannelScores
from copylens.attributor.fusion import fit_fusion
from copylens.config.schema import RunConfig
from copylens.detector.auroc import auroc
from copylens.detector.detector import LOSS, Detector, fit_detector, measures
from copylens.evaluation import metrics
from copylens.evaluation.studies.inputs import StudyInput
from copylens.evaluation.studies.refit import with_channels
from copylens.fit.data import TextSet, TrainingData
from copylens.fit.held_out import concatenate, fit_channels, judges
from copylens.fit.networks import FitState
from copylens.records import FloatArray, IntArray


def run(study: StudyInput) -> dict[str, Any]:
    """Means over sub-datasets of AUROC and FPR95, and both by sub-dataset."""
    config = with_channels(study.config, "lexical")
    train, val = study.some_of_train(study.config.evaluation.refit_passages), study.val
    test = study.test.subset(study.sample())
    found = {}
    for k, name in enumerate(study.names):
        attributor, detector = fit_without(config, len(study.names), k, train, val)
        read = attributor.channels.whole(test.texts, test.states)
        scores = detector.score(unread_measures(attributor, read))
        registered, left_out = scores[test.labels != k], scores[test.labels == k]
        found[name] = {
            "auroc": auroc(registered, left_out),
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
    names = tuple(map(str, range(classes - 1)))
    rest = without(val, left_out)
    data = TrainingData(names, without(train, left_out), rest, rest.subset(np.zeros(0, np.int64)))
    whole = fit_channels(config, data, FitState())
    scores, places = [], []
    for judge in judges(config, data, FitState(), whole):
        held = data.val.subset(judge.val)
        scores.append(judge.channels.whole(held.texts, held.states))
        places.append(judge.val)
    order, joined = np.concatenate(places), concatenate(scores)
    labels = data.val.labels[order]
    fusion = fit_fusion(joined.text, labels, data.val.group_index[order])
    attributor = Attributor(names, whole, fusion, fusion, 0.0, 0.5, 0.5)
    return attributor, fit_detector(None, unread_measures(attributor, joined), labels, None)


def unread_measures(attributor: Attributor, scores: ChannelScores) -> dict[str, FloatArray]:
    """What the detector looks at that does not depend on what the LM has read, [N, K] each."""
    found = measures(attributor, scores, None)
    return {name: values for name, values in found.items() if name != LOSS}


def without(texts: TextSet, left_out: int) -> TextSet:
    """The passages of the other sub-datasets, their labels numbered without a gap."""
    rest = texts.subset(np.flatnonzero(texts.labels != left_out))
    labels: IntArray = rest.labels - (rest.labels > left_out)
    return dataclasses.replace(rest, labels=labels)
