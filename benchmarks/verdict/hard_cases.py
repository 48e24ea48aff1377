"""`python -m benchmarks.verdict.hard_cases RUN ...`: where verdicts are easily wrong.

- pasted: texts pasted together of a run's registered passages, read with its index: how many
  are called unregistered.
- small: a first try of 5 to 8 holders with 30 passages each, by words alone and without any
  unregistered text to calibrate on: decisions on their test texts, on strangers of the same corpus,
  and on texts of the other runs.
- languages: models of some of a corpus' languages (the part of a sub-dataset's name before the
  first `_`), asked about texts in the others.

The last line of its output is one JSON object.
"""

import argparse
import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from copylens.config.load import load_config
from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest
from copylens.fit.data import TextSet, TrainingData, load_texts
from copylens.fit.model import fit_model
from copylens.fit.networks import FitState
from copylens.records import Rights, SplitName
from copylens.verdict.scorer import Scorer

_SPLITS: tuple[SplitName, ...] = ("train", "val", "test", "ood_test")
# Of a holder's 30 passages, as ingest splits them; more test texts, for figures that hold.
_TRAIN, _VAL, _TEST, _ASKED = 22, 4, 20, 80


@dataclass(frozen=True)
class Corpus:
    """A run's texts, with word windows for states."""

    config: RunConfig
    names: tuple[str, ...]
    texts: Mapping[SplitName, TextSet]

    @classmethod
    def read(cls, run: Path) -> "Corpus":
        """The splits of a finished run, as a run without an LM reads them."""
        config = load_config(str(run / "config.yaml"), ["channels.attention=false"])
        config = config.model_copy(update={"output": str(run)})
        names = load_manifest(config.output).sub_datasets
        texts = {split: load_texts(config, split, names) for split in _SPLITS}
        return cls(config, names, texts)

    def some(self, split: SplitName, kept: Sequence[int], most: int, seed: int) -> TextSet:
        """At most so many passages of each of some sub-datasets, numbered anew."""
        generator, texts = np.random.default_rng(seed), self.texts[split]
        chosen = [
            generator.permutation(np.flatnonzero(texts.labels == label))[:most] for label in kept
        ]
        found = texts.subset(np.sort(np.concatenate(chosen)))
        labels = np.array([kept.index(int(label)) for label in found.labels], np.int64)
        return dataclasses.replace(found, labels=labels)

    def scorer(self, kept: Sequence[int], train: int, val: int, seed: int) -> Scorer:
        """A model of some sub-datasets by words alone, without unregistered texts."""
        names = tuple(self.names[label] for label in kept)
        held = self.some("val", kept, val, seed)
        data = TrainingData(
            names, self.some("train", kept, train, seed), held, held.subset(np.zeros(0, np.int64))
        )
        model = fit_model(self.config, data, FitState())
        return Scorer(model, tuple(Rights(name, name, "") for name in names), self.config, {})


def main() -> None:
    """Runs the parts that were asked for on every run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    parser.add_argument("--parts", default="pasted,small,languages")
    parser.add_argument("--texts", type=int, default=1000, help="pasted texts")
    parser.add_argument("--draws", type=int, default=10, help="small corpora of each run")
    words = parser.parse_args()
    parts = words.parts.split(",")
    found: dict[str, dict[str, Any]] = {}
    corpora = {run.name: Corpus.read(run) for run in words.runs}
    for run in words.runs:
        found[run.name] = {}
        if "pasted" in parts:
            found[run.name]["pasted"] = pasted(corpora[run.name], run, words.texts)
        if "small" in parts:
            others = [corpus for name, corpus in corpora.items() if name != run.name]
            found[run.name]["small"] = small(corpora[run.name], others, words.draws)
        if "languages" in parts:
            found[run.name]["languages"] = languages(corpora[run.name])
        print(f"{run.name}: {json.dumps(found[run.name])}", flush=True)
    print(json.dumps(found))


def pasted(corpus: Corpus, run: Path, count: int) -> dict[str, Any]:
    """Decisions on texts of two to six pieces of registered passages."""
    generator = np.random.default_rng(0)
    passages = [t for split in ("train", "val", "test") for t in corpus.texts[split].texts]
    scorer = Scorer.load(str(run / "model"))
    texts = []
    for _ in range(count):
        pieces = []
        for number in generator.choice(len(passages), int(generator.integers(2, 7))):
            text = passages[number]
            start = int(generator.integers(0, max(1, len(text) // 2)))
            pieces.append(text[start : start + int(generator.integers(200, 800))])
        texts.append("\n".join(pieces))
    verdicts = scorer.verdicts(texts)
    unregistered = [verdict.unregistered for verdict in verdicts]
    return {"texts": count, **decisions(verdicts), "unregistered": float(np.mean(unregistered))}


def small(corpus: Corpus, others: Sequence[Corpus], draws: int) -> dict[str, Any]:
    """Means over small corpora drawn from one run."""
    rows: dict[str, list[dict[str, float]]] = {}
    for draw in range(draws):
        generator = np.random.default_rng(draw)
        holders = min(int(generator.integers(5, 9)), len(corpus.names))
        kept = [int(label) for label in generator.choice(len(corpus.names), holders, replace=False)]
        scorer = corpus.scorer(kept, _TRAIN, _VAL, draw)
        asked = {"registered": corpus.some("test", kept, _TEST, draw).texts}
        asked["strangers"] = _drawn(corpus.texts["ood_test"].texts, generator)
        far = [text for other in others for text in other.texts["test"].texts]
        asked["other corpora"] = _drawn(far, generator)
        for name, texts in asked.items():
            if texts:
                rows.setdefault(name, []).append(decisions(scorer.verdicts(texts)))
    return {name: _mean(found) for name, found in rows.items()} | {"draws": draws}


def languages(corpus: Corpus, registered: int = 3) -> dict[str, Any]:
    """Decisions on texts in languages that a model has none of, over several models."""
    all_of_them = sorted({name.split("_")[0] for name in corpus.names})
    own, foreign = [], []
    for first in range(0, len(all_of_them), 2 * registered):
        known = all_of_them[first : first + registered]
        kept = [k for k, name in enumerate(corpus.names) if name.split("_")[0] in known]
        rest = [k for k in range(len(corpus.names)) if k not in kept]
        if len(kept) < 2 or not rest:
            continue
        scorer = corpus.scorer(kept, 10**6, 10**6, 0)
        own += scorer.verdicts(corpus.some("test", kept, 5, 0).texts)
        foreign += scorer.verdicts(corpus.some("test", rest, 3, 0).texts)
    if not foreign:
        return {}
    return {
        "registered languages": decisions(own),
        "other languages": {"texts": len(foreign), **decisions(foreign)},
    }


def decisions(verdicts: Sequence[Any]) -> dict[str, float]:
    """How often each decision was taken."""
    counts = Counter(verdict.decision for verdict in verdicts)
    return {
        name: counts[name] / len(verdicts) for name in ("registered", "unregistered", "abstain")
    }


def _drawn(texts: Sequence[str], generator: np.random.Generator) -> list[str]:
    return [texts[n] for n in generator.permutation(len(texts))[:_ASKED]]


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


if __name__ == "__main__":
    main()
