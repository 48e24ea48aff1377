"""The manifest of a corpus: counts, sources, rights, shards, one hash."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from copylens.config.schema import fingerprint
from copylens.errors import CorpusError
from copylens.records import REGISTERED_SPLITS, Rights, SplitName
from copylens.store import storage

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Counts:
    """Counts of rows and passages by outcome.

    Rows: read = kept + quarantined + duplicate. A row is a duplicate when all its passages are.
    Passages: cut = passages + duplicate + over_limit (left out by `corpus.max_passages`).
    """

    rows_read: int
    rows_kept: int
    rows_quarantined: int
    rows_duplicate: int
    passages_cut: int
    passages_duplicate: int
    passages_over_limit: int
    passages: int

    def __post_init__(self) -> None:
        assert self.rows_read == self.rows_kept + self.rows_quarantined + self.rows_duplicate
        lost = self.passages_duplicate + self.passages_over_limit
        assert self.passages_cut == self.passages + lost


@dataclass(frozen=True)
class SourceRecord:
    """One entry of the config: `kind` is registered, ood or background; "" = does not apply."""

    uri: str
    kind: str
    rows: int
    sha256: str
    version: str


@dataclass(frozen=True)
class ShardRecord:
    """One parquet file; `path` counts from `<output>/corpus`.

    Attributes:
        characters: of its passages' texts together.
    """

    path: str
    split: SplitName
    passages: int
    characters: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A finished corpus.

    Attributes:
        sub_datasets: names of the registered ones, sorted: the order of all labels.
        rights: the registry, in that order; several holders or licences are joined by "; ".
        counts: rows and passages.
        by_sub_dataset: passages per sub-dataset (OOD and background too) and split.
        quarantine_reasons: rows per reason code.
        sources: the config's entries with their hash or version.
        shards: all parquet files, by split and number.
    """

    sub_datasets: tuple[str, ...]
    rights: tuple[Rights, ...]
    counts: Counts
    by_sub_dataset: Mapping[str, Mapping[str, int]]
    quarantine_reasons: Mapping[str, int]
    sources: tuple[SourceRecord, ...]
    shards: tuple[ShardRecord, ...]

    @property
    def hash(self) -> str:
        """Hash of all of the content; identifies the corpus in the lineage of a model."""
        return fingerprint(self._content())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values, with `hash`."""
        return self._content() | {"hash": self.hash}

    def _content(self) -> dict[str, Any]:
        return asdict(self) | {"rights": [item.entry() for item in self.rights]}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Manifest":
        """The manifest that `to_dict` gave.

        Raises:
            CorpusError: a field is missing or unknown, or the content does not fit the hash.
        """
        try:
            manifest = Manifest(
                sub_datasets=tuple(values["sub_datasets"]),
                rights=tuple(Rights(**entry) for entry in values["rights"]),
                counts=Counts(**values["counts"]),
                by_sub_dataset=values["by_sub_dataset"],
                quarantine_reasons=values["quarantine_reasons"],
                sources=tuple(SourceRecord(**entry) for entry in values["sources"]),
                shards=tuple(ShardRecord(**entry) for entry in values["shards"]),
            )
            intact = manifest.hash == values["hash"]
        except (KeyError, TypeError, AssertionError) as error:
            raise CorpusError(f"the corpus manifest is damaged ({error!r}); ingest again") from None
        if not intact:
            raise CorpusError("the corpus manifest does not fit its hash; ingest again")
        return manifest

    def summary(self) -> dict[str, Any]:
        """What a run prints: counts, reasons, passages per sub-dataset and split, the hash."""
        table = {
            name: {split: counts.get(split, 0) for split in REGISTERED_SPLITS}
            for name, counts in self.by_sub_dataset.items()
            if name in self.sub_datasets
        }
        others = {n: dict(c) for n, c in self.by_sub_dataset.items() if n not in table}
        # "Passages cut" reads as if they were shortened: it counts what the rows were cut into.
        shown = {"passages_cut": "passages_before_deduplication"}
        return {
            **{shown.get(name, name): value for name, value in asdict(self.counts).items()},
            "quarantine_reasons": dict(self.quarantine_reasons),
            "sub_datasets": table,
            "unregistered": others,
            "shards": len(self.shards),
            "hash": self.hash,
        }


def corpus_uri(output: str, *parts: str) -> str:
    """A URI in the corpus folder of a run."""
    return storage.join(output, "corpus", *parts)


def load_manifest(output: str) -> Manifest:
    """The manifest of a run's corpus.

    Raises:
        CorpusError: there is no finished corpus, or its manifest is damaged.
    """
    uri = corpus_uri(output, MANIFEST)
    if not storage.exists(uri):
        raise CorpusError(f"'{output}' holds no finished corpus; run `copylens ingest` first")
    try:
        values = storage.read_json(uri)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise CorpusError(f"'{uri}' is damaged; run `copylens ingest` again")
    return Manifest.from_dict(values)
