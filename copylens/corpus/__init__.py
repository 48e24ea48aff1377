"""Sources -> checked, cut, deduplicated and split passages with their rights."""

from copylens.corpus.ingest import ingest_corpus, sources_fingerprint
from copylens.corpus.manifest import Manifest, ShardRecord, corpus_uri, load_manifest
from copylens.corpus.publish import read_shard, read_split, shard_uris

__all__ = [
    "Manifest",
    "ShardRecord",
    "corpus_uri",
    "ingest_corpus",
    "load_manifest",
    "read_shard",
    "read_split",
    "shard_uris",
    "sources_fingerprint",
]
