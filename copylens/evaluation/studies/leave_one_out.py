"""Does the detector see a collection that it was never shown? One sub-dataset left out at a time.

For each sub-dataset the run's model is fitted anew without any text of it, train, val and
calibration alike; then its test passages are the unregistered ones and those of the others the
registered ones. No unregistered text helps to choose a setting.

What is refitted is the lexical channel with its gate, the fusion and the detector, on at most
`evaluation.refit_passages` training passages spread over sub-datasets and split groups: LSTMs for
every sub-dataset left out would take an hour on two cores, and the detector asks them little.
"""

import dataclasses
from typing import Any

import numpy as np

from copylens.attributor.attributor import Attributor
from copylens.config.schema import RunConfig
from copylens.detector.auroc import auroc
from copylens.detector.detector import Detector
from copylens.detector.open_set import open_scores
from copylens.evaluation import metrics
from copylens.evaluation.studies.inputs import StudyInput
from copylens.evaluation.studies.refit import with_channels
from copylens.fit.attributor import fit_attributor
from copylens.fit.data import TextSet, TrainingData
from copylens.fit.detector import fit_detector
from copylens.fit.held_out import fit_channels, held_out_scores
from copylens.fit.networks import FitState
from copylens.records import IntArray


def run(study: StudyInput) -> dict[str, Any]:
    """Means over sub-datasets of AUROC and FPR95, and both by sub-dataset."""
    config = with_channels(study.config, "lexical")
    train, val = study.some_of_train(study.config.evaluation.refit_passages), study.val
    test = study.test.subset(study.sample())
    found = {}
    for k, name in enumerate(study.names):
        attributor, detector = fit_without(config, len(study.names), k, train, val)
        read = attributor.channels.scores(test.texts, test.states)
        scores = open_scores(attributor, detector, read).detection.score
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
    held_out = held_out_scores(config, data, FitState(), whole)
    attributor = fit_attributor(names, whole, held_out)
    return attributor, fit_detector(attributor, None, held_out)


def without(texts: TextSet, left_out: int) -> TextSet:
    """The passages of the other sub-datasets, their labels numbered without a gap."""
    rest = texts.subset(np.flatnonzero(texts.labels != left_out))
    labels: IntArray = rest.labels - (rest.labels > left_out)
    return dataclasses.replace(rest, labels=labels)
