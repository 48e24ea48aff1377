"""The check's folder: corpus, adapters, written texts, runs; each made when first asked for."""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.finetuned.plan import Plan, Recipe, run_config
from benchmarks.finetuned.tuning import fine_tuned
from benchmarks.finetuned.writing import Writer
from benchmarks.retraining.queries import Query, drawn
from copylens.audit.passages import AuditPassage, audit_passages
from copylens.config.schema import RunConfig
from copylens.corpus import ingest_corpus, load_manifest, read_split
from copylens.corpus.manifest import MANIFEST, corpus_uri
from copylens.records import Passage
from copylens.store import storage

T = TypeVar("T")

UNTUNED = "untuned"


@dataclass(frozen=True)
class Study:
    """One plan on one corpus in one folder.

    Attributes:
        sources: as in `corpus.paths`.
        processes: LMs at once.
    """

    folder: Path
    sources: tuple[str, ...]
    plan: Plan
    processes: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The K sub-datasets; an LM is fine-tuned on each."""
        config = self.config(UNTUNED, None)
        if not storage.exists(corpus_uri(config.output, MANIFEST)):
            ingest_corpus(config)
        return load_manifest(config.output).sub_datasets

    def config(self, lm: str, adapter: Path | None) -> RunConfig:
        """The run of CopyLens for an LM."""
        return run_config(self.plan, self.sources, self.folder / "runs" / lm, adapter)

    @cached_property
    def members(self) -> dict[str, list[AuditPassage]]:
        """Sub-dataset -> the passages that its LM reads: those that an audit takes for read."""
        names, config = self.names, self.config(UNTUNED, None)
        # An audit draws some of these, the first ones among them.
        whole = config.audit.model_copy(update={"passages": self.plan.recipe.passages})
        found = audit_passages(config.model_copy(update={"audit": whole}))
        return {name: [i for i in found[name] if i.kind == "member"] for name in names}

    def often(self, name: str) -> frozenset[str]:
        """Texts that the LM of a sub-dataset reads many times."""
        recipe = self.plan.recipe
        return frozenset(item.text for item in self.members[name][: recipe.repeated])

    @cached_property
    def adapters(self) -> dict[str, Path | None]:
        """LM -> its adapter; the untuned one, last, has none."""
        folder, recipe = self.folder / "adapters", self.plan.recipe
        found = self._at_once(
            _tune,
            [(folder, name, [i.text for i in self.members[name]], recipe) for name in self.names],
        )
        return {**dict(zip(self.names, found)), UNTUNED: None}

    @cached_property
    def written(self) -> dict[str, list[Query]]:
        """LM -> what it writes on the same openings: beginnings of test passages."""
        openings = drawn(self._test, self.plan.openings, self.plan.recipe.seed)
        found = self._at_once(_write, [(w, openings, self.plan) for w in self._writers])
        return dict(zip(self.adapters, found))

    @cached_property
    def queries(self) -> list[Query]:
        """Held-out passages, other than the openings, and a part of what the LMs have written."""
        plan = self.plan
        passages = drawn(self._test, plan.queries, plan.recipe.seed, skip=plan.openings)
        held_out = [Query(p.text, p.sub_dataset, p.split_group, "held-out") for p in passages]
        some = [
            query
            for n, texts in enumerate(self.written.values())
            # Other openings of each LM, so that every one is there.
            for query in texts[n % len(self.names) :: len(self.names)]
            if len(query.text.split()) > 1
        ]
        return held_out + some

    @cached_property
    def losses(self) -> list[list[float]]:
        """[M][Q] mean loss of each query under each LM, nats per token."""
        texts = [query.text for query in self.queries]
        return self._at_once(_losses, [(writer, texts) for writer in self._writers])

    @property
    def _test(self) -> list[Passage]:
        names = set(self.names)
        output = self.config(UNTUNED, None).output
        return [p for p in read_split(output, "test") if p.sub_dataset in names]

    @property
    def _writers(self) -> list[Writer]:
        return [
            Writer(self.config(lm, adapter).probe, self.folder / "said")
            for lm, adapter in self.adapters.items()
        ]

    def _at_once(self, work: Callable[..., T], asked: Sequence[tuple[Any, ...]]) -> list[T]:
        """One call for each, in as many processes at once as there may be."""
        if self.processes == 1:
            return [work(*item) for item in asked]
        with ProcessPoolExecutor(self.processes, get_context("spawn")) as pool:
            return list(pool.map(work, *zip(*asked)))


def _tune(folder: Path, name: str, texts: Sequence[str], recipe: Recipe) -> Path:
    return fine_tuned(folder, texts, recipe, lambda figures: tell({"lm": name, **figures}))


def _write(writer: Writer, openings: Sequence[Passage], plan: Plan) -> list[Query]:
    return writer.written(openings, plan)


def _losses(writer: Writer, texts: Sequence[str]) -> list[float]:
    return writer.losses(texts)


def tell(figures: dict[str, object]) -> None:
    """Details, as they come."""
    print(json.dumps(figures), file=sys.stderr, flush=True)
