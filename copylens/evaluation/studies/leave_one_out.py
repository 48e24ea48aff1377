"""Does the detector see a collection that it was never shown? One sub-dataset left out at a time.

For each sub-dataset the run's model is fitted anew without any text of it, train, val and
calibration alike; then its test passages are the unregistered ones and those of the others the
registered ones. No unregistered text helps to choose a setting.

What is refitted is the lexical channel with its gate, fusion, detector and calibration, on
`evaluation.refit_passages` training passages spread over sub-datasets and split groups: LSTMs for
every sub-dataset left out would take an hour on two cores. So the figure is that of a scorer
without the LSTM channels and with less text, most likely lower than the full one's. Where the
lexical channel is off, the network channels are refitted with at most three epochs. The LM itself
stays as it is: where it has read the sub-dataset, the surprise that the detector may look at is
that of an LM which knows the text.
"""

import dataclasses
from typing import Any

import numpy as np

from copylens.config import RunConfig
from copylens.evaluation import metrics
from copylens.evaluation.studies.inputs import StudyInput, spread
from copylens.evaluation.studies.refit import refit, with_channels
from copylens.model.assembly import FittedModel
from copylens.model.detector import read
from copylens.model.held_out import TextSet
from copylens.records import FloatArray, IntArray

_EPOCHS = 3


def run(study: StudyInput) -> dict[str, Any]:
    """Means over sub-datasets of AUROC and FPR95, and both by sub-dataset."""
    settings = study.config.evaluation
    config = quick_config(study.config)
    train, val = study.train, study.val
    train = train.subset(
        spread(train.labels, train.groups, settings.refit_passages, study.config.seed)
    )
    test = study.test.subset(study.sample())
    found = {}
    for k, name in enumerate(study.names):
        model = fit_without(config, study.names, k, train, val)
        scores = _ood_scores(model, test)
        registered, left_out = scores[test.labels != k], scores[test.labels == k]
        found[name] = {
            "auroc": metrics.auroc(registered, left_out),
            "fpr95": metrics.fpr95(registered, left_out),
            "n_id": len(registered),
            "n_ood": len(left_out),
        }
    means = {key: float(np.mean([f[key] for f in found.values()])) for key in ("auroc", "fpr95")}
    return {**means, "by_sub_dataset": found}


def quick_config(config: RunConfig) -> RunConfig:
    """The settings that can be afforded once per sub-dataset."""
    if config.channels.lexical:
        return with_channels(config, "lexical")
    fewer = {"epochs": min(_EPOCHS, config.attributor.epochs)}
    return config.model_copy(update={"attributor": config.attributor.model_copy(update=fewer)})


def fit_without(
    config: RunConfig, names: tuple[str, ...], left_out: int, train: TextSet, val: TextSet
) -> FittedModel:
    """The model fitted on all sub-datasets but one, which is nowhere in what it sees."""
    kept = tuple(name for k, name in enumerate(names) if k != left_out)
    nothing = val.subset(np.zeros(0, dtype=np.int64))
    return refit(config, kept, without(train, left_out), without(val, left_out), nothing)


def without(texts: TextSet, left_out: int) -> TextSet:
    """The passages of the other sub-datasets, their labels numbered without a gap."""
    rest = texts.subset(np.flatnonzero(texts.labels != left_out))
    labels: IntArray = rest.labels - (rest.labels > left_out)
    return dataclasses.replace(rest, labels=labels)


def _ood_scores(model: FittedModel, texts: TextSet) -> FloatArray:
    evidence = model.attributor.channels.whole(texts.texts, texts.states)
    return model.detector.score(read(model.attributor, evidence))
