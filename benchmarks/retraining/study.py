"""The check's folder: corpus, LMs, queries and their losses, each made when first asked for."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.retraining.datamodel import Retraining
from benchmarks.retraining.lms import (
    Reading,
    load_lm,
    reading_of,
    tokenizer_of,
    train_one,
)
from benchmarks.retraining.plan import Plan, random_halves
from benchmarks.retraining.queries import Query, generated, held_out, losses
from copylens.config.schema import CorpusConfig, RunConfig, fingerprint
from copylens.corpus import ingest_corpus, read_split
from copylens.corpus.manifest import MANIFEST, corpus_uri
from copylens.records import BoolArray, FloatArray, IntArray, Passage
from copylens.store import storage

EACH = {"val": 15, "test": 24, "generated": 10}
"""Queries per sub-dataset."""


@dataclass(frozen=True)
class Study:
    """One plan on one corpus in one folder.

    Attributes:
        folder: where everything is kept; a later call goes on from there.
        paths: sources of the registered sub-datasets, as in `corpus.paths`.
    """

    folder: str
    paths: tuple[str, ...]
    plan: Plan

    @cached_property
    def passages(self) -> dict[str, list[Passage]]:
        """Split -> passages."""
        config = RunConfig(corpus=CorpusConfig(paths=self.paths), output=self.folder)
        if not storage.exists(corpus_uri(self.folder, MANIFEST)):
            ingest_corpus(config)
        return {split: read_split(self.folder, split) for split in ("train", "val", "test")}

    @cached_property
    def tokenizer(self) -> Any:
        """The one of all LMs."""
        return tokenizer_of(self.folder, self.passages["train"], self.plan)

    @cached_property
    def reading(self) -> Reading:
        """What there is to read."""
        return reading_of(self.passages["train"], self.tokenizer, self.plan)

    @property
    def read(self) -> list[Passage]:
        """The passages that an LM of all sub-datasets has read."""
        return [p for p in self.passages["train"] if p.id in self.reading.read]

    @property
    def unread(self) -> list[Passage]:
        """The rest of the training split."""
        return [p for p in self.passages["train"] if p.id not in self.reading.read]

    @cached_property
    def members(self) -> BoolArray:
        """[M, K] which LM reads what; the first `plan.tuning` rows are for tuning."""
        lms = self.plan.tuning + self.plan.judging
        return random_halves(lms, len(self.reading.names), self.plan.seed)

    def lm(self, number: int, advance: Callable[[int], None] = lambda steps: None) -> str:
        """Folder of an LM, trained if need be."""
        members = np.flatnonzero(self.members[number])
        return train_one(self.folder, members, self.reading, self.plan, advance)

    @cached_property
    def whole(self) -> str:
        """Folder of the LM that has read all sub-datasets, with its tokenizer."""
        where = train_one(self.folder, range(len(self.reading.names)), self.reading, self.plan)
        self.tokenizer.save_pretrained(where)
        return where

    @cached_property
    def queries(self) -> list[Query]:
        """Val, test, and generated ones, kept in queries.json."""
        where = storage.join(self.folder, "queries.json")
        key = fingerprint(self.plan.to_dict(), self.reading.sha256, EACH)
        if storage.exists(where):
            kept = storage.read_json(where)
            if kept["key"] == key:
                return [Query(**item) for item in kept["queries"]]
        found = self._queries()
        storage.write_json(where, {"key": key, "queries": [asdict(query) for query in found]})
        return found

    def _queries(self) -> list[Query]:
        context, seed = self.plan.recipe.context, self.plan.seed
        found = [
            query
            for kind in ("val", "test")
            for query in held_out(
                self.passages[kind], kind, EACH[kind], self.tokenizer, context, seed
            )
        ]
        # Other passages of the test split than those that are asked about themselves.
        asked = {query.text for query in found}
        prompts = [p for p in self.passages["test"] if not any(p.text.startswith(t) for t in asked)]
        model = load_lm(self.whole)
        return found + generated(model, self.tokenizer, prompts, EACH["generated"], context, seed)

    def losses(self, where: str, texts: Sequence[str], name: str) -> FloatArray:
        """An LM's losses on texts [N], kept beside it under this name."""
        key = fingerprint(name, list(texts))
        kept = storage.join(where, f"losses-{key}.json")
        if not storage.exists(kept):
            found = losses(load_lm(where), self.tokenizer, texts, self.plan.recipe.context)
            storage.write_json(kept, found.tolist())
        return np.array(storage.read_json(kept))

    def retraining(self, lms: Sequence[int], kinds: Sequence[str]) -> Retraining:
        """Outcomes of these LMs on the queries of these kinds: minus the loss, nats per token."""
        texts = [query.text for query in self.queries]
        index = self.places(kinds)
        outcomes = np.stack([-self.losses(self.lm(n), texts, "queries")[index] for n in lms])
        return Retraining(
            members=self.members[list(lms)],
            outcomes=outcomes,
            units=np.asarray(lms) // 2,
            groups=tuple(self.queries[i].group for i in index),
            sub_datasets=tuple(self.queries[i].sub_dataset for i in index),
        )

    def places(self, kinds: Sequence[str]) -> list[int]:
        """Positions of the queries of these kinds."""
        return [i for i, query in enumerate(self.queries) if query.kind in kinds]

    def labels(self, items: Sequence[Passage] | Sequence[Query]) -> IntArray:
        """[N] positions of their sub-datasets in `reading.names`."""
        places = {name: k for k, name in enumerate(self.reading.names)}
        return np.array([places[item.sub_dataset] for item in items])
