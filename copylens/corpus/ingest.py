"""Sources -> a published corpus: read, check, cut, deduplicate, limit, split, write."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus.checks import Intake, UnsplitPassage
from copylens.corpus.dedup import drop_exact, drop_near
from copylens.corpus.manifest import MANIFEST, Counts, Manifest, SourceRecord, corpus_uri
from copylens.corpus.publish import clear, write_quarantine, write_shards
from copylens.corpus.sampling import grouped, limit_passages
from copylens.corpus.sources.opening import Kind, open_sources
from copylens.corpus.sources.rows import Source
from copylens.corpus.splits import require_splits, split_passages
from copylens.corpus.tombstones import removed_hashes
from copylens.errors import CorpusError
from copylens.records import Passage, Rights
from copylens.store import storage


def ingest_corpus(config: RunConfig) -> Manifest:
    """Builds `<output>/corpus` anew and returns its manifest.

    Everything is held in memory until it is known to be good, so an error leaves what was there
    untouched. The same config and sources give the same bytes.

    Raises:
        CorpusError: a source or the corpus as a whole cannot be used.
        StorageError: the output lies where it cannot be reached.
    """
    storage.require_bucket(config.output)
    sources = open_sources(config.corpus)
    _require_apart(config.output, (source for _, source in sources))
    intake = Intake(config.corpus, removed_hashes(config.output))
    records = tuple(_take(intake, kind, source) for kind, source in sources)
    names = _registered_names(intake.passages)

    distinct = drop_exact(intake.passages)
    limited = limit_passages(distinct, config.corpus.max_passages, config.seed)
    unsplit = drop_near(limited, config.corpus.near_duplicate)
    passages = split_passages(unsplit, config.corpus, config.seed)
    require_splits(passages, names)

    reasons = Counter(entry.reason.partition(":")[0] for entry in intake.quarantine)
    clear(config.output)
    manifest = Manifest(
        sub_datasets=names,
        rights=_rights(names, passages),
        counts=_count(intake, distinct, limited, unsplit),
        by_sub_dataset=_table(passages),
        quarantine_reasons=dict(sorted(reasons.items())),
        sources=records,
        shards=write_shards(config.output, passages, config.corpus.shard_passages, config.seed),
    )
    write_quarantine(config.output, intake.quarantine)
    storage.write_json(corpus_uri(config.output, MANIFEST), manifest.to_dict())
    return manifest


def sources_fingerprint(config: RunConfig) -> str:
    """Identity of all inputs, without reading them: sizes and times of files, versions.

    Raises:
        CorpusError: a source is missing.
    """
    sources = open_sources(config.corpus)
    return fingerprint([[kind, source.uri, source.identity()] for kind, source in sources])


def _take(intake: Intake, kind: Kind, source: Source) -> SourceRecord:
    rows = intake.take(source.uri, source.rows(), kind)
    origin = {"sha256": "", "version": ""} | source.origin()
    return SourceRecord(source.uri, kind, rows, **origin)


def _require_apart(output: str, sources: Iterable[Source]) -> None:
    """A source inside the corpus folder would be read as input and deleted as output."""
    place = _true_path(corpus_uri(output))
    for source in sources:
        if any(_true_path(uri).startswith(f"{place}/") for uri in source.local_uris()):
            raise CorpusError(
                f"corpus source '{source.uri}' lies in '{place}', which ingest writes anew; "
                "set another `output`"
            )


def _true_path(uri: str) -> str:
    """The path with links and `..` resolved, so that two names of one place compare equal."""
    _, path = storage.resolve(uri)
    return str(Path(path).resolve()) if storage.is_local(uri) else path


def _registered_names(passages: Sequence[UnsplitPassage]) -> tuple[str, ...]:
    names = sorted({passage.sub_dataset for passage in passages if passage.kind == "registered"})
    if len(names) < 2:
        raise CorpusError(
            f"the corpus has one sub-dataset only, '{names[0]}'; attribution needs at least 2, "
            "add a source to corpus.paths"
        )
    others = {
        passage.sub_dataset: passage.kind for passage in passages if passage.kind != "registered"
    }
    both = sorted(set(names) & set(others))
    if both:
        raise CorpusError(
            f"sub-dataset '{both[0]}' is in corpus.paths and in corpus.{others[both[0]]}_paths; "
            "a text is either registered or not, take it out of one"
        )
    return tuple(names)


def _count(
    intake: Intake,
    distinct: Sequence[UnsplitPassage],
    limited: Sequence[UnsplitPassage],
    unsplit: Sequence[UnsplitPassage],
) -> Counts:
    rows = {passage.row for passage in intake.passages}
    duplicates = len(intake.passages) - len(distinct) + len(limited) - len(unsplit)
    # Passages over the limit are not duplicates, so their rows count as kept.
    over_limit = {passage.id for passage in distinct} - {passage.id for passage in limited}
    kept = {passage.row for passage in unsplit}
    kept |= {passage.row for passage in distinct if passage.id in over_limit}
    return Counts(
        rows_read=intake.rows_read,
        rows_kept=len(kept),
        rows_quarantined=len(intake.quarantine),
        rows_duplicate=len(rows) - len(kept),
        passages_cut=len(intake.passages),
        passages_duplicate=duplicates,
        passages_over_limit=len(over_limit),
        passages=len(unsplit),
    )


def _rights(names: Sequence[str], passages: Sequence[Passage]) -> tuple[Rights, ...]:
    owned = grouped(passages, lambda passage: passage.sub_dataset)
    holders = {name: sorted({passage.holder for passage in owned[name]}) for name in names}
    licenses = {name: sorted({passage.license for passage in owned[name]}) for name in names}
    return tuple(Rights(n, "; ".join(holders[n]), "; ".join(licenses[n])) for n in names)


def _table(passages: Iterable[Passage]) -> dict[str, dict[str, int]]:
    by_name = grouped(passages, lambda passage: passage.sub_dataset)
    counts = {name: Counter(passage.split for passage in by_name[name]) for name in sorted(by_name)}
    return {name: dict(sorted(splits.items())) for name, splits in counts.items()}
