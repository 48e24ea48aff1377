"""The scorer under test: CopyLens fitted on what the LMs may have read, its probe the LM of all."""

from collections.abc import Sequence

import numpy as np

from copylens.config.schema import CorpusConfig, ProbeConfig, RunConfig
from copylens.corpus.manifest import load_manifest
from copylens.evaluation.studies.refit import embed_passages, refit
from copylens.fit.data import TextSet, TrainingData
from copylens.probe.loading.identity import lm_hash
from copylens.probe.probe import Probe
from copylens.records import FloatArray, Passage
from copylens.store import storage
from copylens.verdict.scorer import Scorer

_BATCH = 64


def fitted_scorer(
    folder: str, lm: str, train: Sequence[Passage], val: Sequence[Passage], seed: int
) -> Scorer:
    """The scorer in `<folder>/model`, fitted when it is first asked for.

    Args:
        folder: holds the corpus, and the scorer afterwards.
        lm: the probe's folder.
        train: what the LM has read; val: what calibrates.
    """
    where = storage.join(folder, "model")
    if storage.exists(storage.join(where, "scorer.json")):
        return Scorer.load(where)
    manifest = load_manifest(folder)
    config = RunConfig(
        corpus=CorpusConfig(paths=tuple(s.uri for s in manifest.sources)),
        probe=ProbeConfig(model=lm),
        output=folder,
        seed=seed,
    )
    probe = Probe(config.probe, config.seed)
    sets = [_text_set(probe, part, manifest.sub_datasets) for part in (train, val, ())]
    scorer = Scorer(
        refit(config, TrainingData(manifest.sub_datasets, *sets)),
        manifest.rights,
        config,
        {"probe": lm, "probe_weights": lm_hash(config.probe)},
        probe=probe,
    )
    scorer.save(where)
    return scorer


def _text_set(probe: Probe, passages: Sequence[Passage], names: Sequence[str]) -> TextSet:
    places = {name: k for k, name in enumerate(names)}
    return TextSet(
        texts=tuple(p.text for p in passages),
        states=embed_passages(probe, [p.text for p in passages]),
        labels=np.array([places[p.sub_dataset] for p in passages], np.int64),
        groups=tuple(p.group for p in passages),
    )


def score_texts(scorer: Scorer, texts: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Probe pass and scores of texts, a batch at a time, as `Scorer.verdicts` does it.

    Returns:
        [N, K] the verdicts' shares, whose rows and `unregistered` sum to 1; [N, K] the fused
        log-probabilities, as if each text had a single source.
    """
    parts = []
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        parts.append(scorer.score(batch, scorer.reader.states(batch)))
    shares = np.concatenate([part.shares for part in parts])
    return shares, np.concatenate([part.log_probs for part in parts])
