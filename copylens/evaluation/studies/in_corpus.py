"""The protocol of the source: attribution of passages of the corpus itself, not of unseen works.

Part of train is held out from the attributor by a hash of the passage's id, so that the works are
known to it and the passages are not; val stays as it is. The LM has read the held-out passages
wherever it has read train as a whole; where some buckets are known to be unread,
`evaluation.in_corpus_unread` leaves them out of both sides.
"""

from typing import Any

import numpy as np

from copylens.corpus.sampling import bucket
from copylens.errors import ConfigError
from copylens.evaluation.baselines.table import fit_text_baseline
from copylens.evaluation.studies.inputs import StudyInput, compare, spread
from copylens.evaluation.studies.refit import refit
from copylens.fit.data import TrainingData


def run(study: StudyInput) -> dict[str, Any]:
    """Accuracy of the refitted attributor beside the best text baseline."""
    settings, config = study.config.evaluation, study.config
    passages = study.answers.passages["train"]
    buckets = np.array([bucket(passage.id) for passage in passages])
    held = np.isin(buckets, settings.in_corpus_test)
    rest = study.train.subset(np.flatnonzero(~held & ~np.isin(buckets, settings.in_corpus_unread)))
    where = np.flatnonzero(held)
    if config.reads_lm:
        where = np.intersect1d(where, study.train.read)
    if not len(where) or len(np.unique(rest.labels)) < len(study.names):
        raise ConfigError(
            "evaluation.in_corpus_test and in_corpus_unread leave nothing to test on, or a "
            "sub-dataset without training passages; name other buckets"
        )
    part = study.train.subset(where)
    chosen = spread(part.labels, part.groups, settings.study_passages, config.seed)
    test = part.subset(chosen)
    data = TrainingData(study.names, rest, study.val, study.answers.texts["ood_val"])
    model = refit(config, data)
    scores = model.attributor.channels.scores(test.texts, test.states)
    answers = {"accuracy": model.attributor.log_probs(scores), **scores.text}
    baseline = fit_text_baseline(study.best_text, rest, study.val, len(study.names), config.seed)
    answers["best_text"] = baseline(test.texts)
    right = {name: shares.argmax(axis=1) == test.labels for name, shares in answers.items()}
    tested = [passages[int(i)] for i in where[chosen]]
    return {
        "attention": None,
        "lexical": None,
        **{name: float(found.mean()) for name, found in right.items()},
        **compare(right["accuracy"], right["best_text"], tested, config.seed),
        "n": len(test),
        "n_train": len(rest),
    }
