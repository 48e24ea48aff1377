"""Queries an evidence index: a text -> citations, spans and nearest passages."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from copylens.config.evidence import EvidenceConfig
from copylens.errors import CorpusError
from copylens.evidence.arrays import LAYOUT
from copylens.evidence.boilerplate import boilerplate_words
from copylens.evidence.manifest import MANIFEST, EvidenceManifest, find_manifest
from copylens.evidence.matching import exact_runs, find_spans
from copylens.evidence.ranking import bm25_scores, fuse, passage_weights
from copylens.evidence.selection import ReportedSpan, select
from copylens.evidence.shards import IndexShard, PassageRow, shard_record
from copylens.evidence.vectors import VectorRanking, has_vectors
from copylens.evidence.words import WordIds, Words, read_words
from copylens.records import EvidenceKind, FloatArray
from copylens.store import storage

# Passages of each ranking that enter the rank fusion of `nearest`.
_RANKED = 50
# Every so many characters of a text may be a span of their own.
_CHARACTERS_PER_SPAN = 100


@dataclass(frozen=True)
class Citation:
    """A registered passage cited as evidence for a text. It is named, never quoted.

    Attributes:
        kind: see EvidenceKind.
        start, end: characters of the text; passage_start, passage_end: of the passage. Ends are
            exclusive; of a nearest passage all of both.
        words: length of the span; matched: how many of its words agree.
        score: nats, larger = rarer: the sum over the words that agree of -ln(share of registered
            passages that have the word). Of a nearest passage the fused rank score.
        boilerplate: most of its words are stock phrases or notices, so it is weak evidence.
        passages, sub_datasets: in how many registered ones (nearly) all of the span stands.
    """

    kind: EvidenceKind
    sub_dataset: str
    holder: str
    license: str
    passage_id: str
    title: str
    url: str
    start: int
    end: int
    passage_start: int
    passage_end: int
    words: int
    matched: int
    score: float
    boilerplate: bool = False
    passages: int = 1
    sub_datasets: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values."""
        return asdict(self)


class EvidenceIndex:
    """A finished index, memory-mapped. Not thread-safe."""

    def __init__(self, folder: str, manifest: EvidenceManifest, settings: EvidenceConfig):
        self.manifest, self.settings = manifest, settings
        self._names: list[str] = []
        self._shards: list[IndexShard] = []
        for entry in manifest.sub_datasets:
            place = storage.join(folder, entry.folder)
            for record in entry.shards:
                if shard_record(place, record.name) != record:
                    raise CorpusError(
                        f"the evidence index in '{storage.shown(folder)}' is being rebuilt, or a "
                        "rebuild broke off; run `copylens index`"
                    )
                self._names.append(entry.name)
                self._shards.append(IndexShard(place, record))
        records = [record for entry in manifest.sub_datasets for record in entry.shards]
        self._vectors: VectorRanking | None = None
        if manifest.states and has_vectors(records):
            self._vectors = VectorRanking([shard.vectors() for shard in self._shards])
        self._passages = sum(len(shard.arrays.groups) for shard in self._shards)

    @classmethod
    def attached(
        cls, attachments: Mapping[str, Mapping[str, Any]], settings: EvidenceConfig
    ) -> "EvidenceIndex | None":
        """The index that a registered version names in its scorer.json; None: it names none.

        Raises:
            CorpusError: it is gone, damaged, or no longer the one that was registered.
        """
        named = attachments.get("evidence")
        if named is None:
            return None
        folder = str(named["uri"]).removesuffix(f"/{MANIFEST}")
        return cls.open(folder, settings, str(named["hash"]))

    @classmethod
    def open(
        cls, folder: str, settings: EvidenceConfig | None = None, expected: str | None = None
    ) -> "EvidenceIndex":
        """Opens what `build_index` left.

        Args:
            folder: folder or URI.
            expected: the manifest's hash; another index is refused.

        Raises:
            CorpusError: there is no finished index, or it is damaged or not the expected one.
        """
        manifest = find_manifest(folder)
        if manifest is None:
            raise CorpusError(
                f"'{storage.shown(folder)}' holds no evidence index; run `copylens index`"
            )
        if expected is not None and manifest.hash != expected:
            raise CorpusError(
                f"the evidence index in '{storage.shown(folder)}' has changed since this model was "
                f"registered ({manifest.hash}, expected {expected}); promote again, or do without "
                "evidence"
            )
        if manifest.layout != tuple(LAYOUT):
            raise CorpusError(
                f"the evidence index in '{storage.shown(folder)}' is of another version; "
                "run `copylens index` again"
            )
        return cls(folder, manifest, settings or EvidenceConfig())

    def trace(self, text: str) -> list[Citation]:
        """Spans of the text that stand in a registered passage, rarest first, boilerplate last.

        Every run of `min_words` words is covered by a span, unless a longer span of another
        sub-dataset holds it, or more are rarer than `max_spans` and one per 100 characters.
        """
        words = read_words(text)
        weights = self._weights(words.ids)
        runs = [exact_runs(shard.arrays, words.ids) for shard in self._shards]
        stock = boilerplate_words(
            words.ids,
            [(n, shard.arrays, r) for n, shard, r in zip(self._names, self._shards, runs)],
            self.settings,
        )
        spans = [
            find_spans(shard.arrays, words.ids, found, weights, self.settings)
            for shard, found in zip(self._shards, runs)
        ]
        most = max(self.settings.max_spans, len(text) // _CHARACTERS_PER_SPAN)
        chosen = select(self._names, spans, stock, most)
        return [self._span(text, words, found) for found in chosen]

    def nearest(self, text: str, states: FloatArray | None = None) -> list[Citation]:
        """The registered passages most like the text: by its words (BM25) and, where the index has
        states and they are given, by its mean state; the ranks are fused.

        Args:
            states: [W, F] the probe's states of the text.
        """
        ids = np.unique(read_words(text).ids)
        if not len(ids) or not self.settings.nearest:
            return []
        rankings = [bm25_scores([shard.arrays for shard in self._shards], ids)]
        if self._vectors is not None and states is not None and len(states):
            rankings.append(self._vectors.scores(states))
        best = fuse(rankings, _RANKED, self.settings.nearest)
        return [self._near(text, number, score) for number, score in best]

    def evidence(
        self,
        text: str,
        states: FloatArray | None = None,
        spans: Sequence[Citation] | None = None,
    ) -> tuple[dict[str, Any], ...]:
        """At most `max_spans` spans, then nearest passages, as a verdict lists them.

        Args:
            spans: what `trace` gave for the text, if that was asked before.
        """
        found = self.trace(text) if spans is None else spans
        items = [*found[: self.settings.max_spans], *self.nearest(text, states)]
        return tuple(item.to_dict() for item in items)

    def _weights(self, ids: WordIds) -> FloatArray:
        return passage_weights([shard.arrays for shard in self._shards], ids, self._passages)

    def _span(self, text: str, words: Words, found: ReportedSpan) -> Citation:
        shard = self._shards[found.shard]
        row, first = shard.passage(found.passage), int(shard.arrays.starts[found.passage])
        theirs = read_words(row.text)
        start, end = int(words.starts[found.start]), int(words.ends[found.end - 1])
        low = int(theirs.starts[found.place_start - first])
        high = int(theirs.ends[found.place_end - 1 - first])
        same = text[start:end].split() == row.text[low:high].split()
        return self._item(
            "verbatim" if same else "near-verbatim",
            self._names[found.shard],
            row,
            (start, end, low, high),
            words=found.end - found.start,
            matched=found.matched,
            score=found.score,
            boilerplate=found.boilerplate,
            passages=found.passages,
            sub_datasets=found.sub_datasets,
        )

    def _near(self, text: str, number: int, score: float) -> Citation:
        """`number` counts the passages of all shards."""
        for name, shard in zip(self._names, self._shards):
            if number < len(shard.arrays.groups):
                row = shard.passage(number)
                whole = (0, len(text), 0, len(row.text))
                return self._item("nearest", name, row, whole, words=0, matched=0, score=score)
            number -= len(shard.arrays.groups)
        raise AssertionError("no such passage")

    def _item(
        self,
        kind: EvidenceKind,
        sub_dataset: str,
        row: PassageRow,
        place: tuple[int, int, int, int],
        **figures: Any,
    ) -> Citation:
        start, end, low, high = place
        return Citation(
            kind=kind,
            sub_dataset=sub_dataset,
            holder=row.holder,
            license=row.license,
            passage_id=row.id,
            title=row.title,
            url=row.source_url,
            start=start,
            end=end,
            passage_start=low,
            passage_end=high,
            **figures,
        )
