"""The manifest: what a finished corpus says about itself, and the identity of its sources."""

import json
import os
from pathlib import Path

import pytest

from copylens.corpus import Manifest, ingest_corpus, load_manifest, sources_fingerprint
from copylens.errors import CorpusError
from copylens.records import Rights
from copylens.store.storage import sha256
from tests.corpus.corpus_samples import config, row, rows, write_jsonl


@pytest.fixture
def good(tmp_path: Path) -> str:
    return write_jsonl(tmp_path / "good.jsonl", rows("x", "y", count=20))


def test_the_manifest_comes_back_and_shows_damage(tmp_path: Path, good: str) -> None:
    manifest = ingest_corpus(config(tmp_path, good))
    assert load_manifest(str(tmp_path)) == manifest
    assert manifest.rights == (
        Rights("x", "holder of x", "CC0-1.0"),
        Rights("y", "holder of y", "CC0-1.0"),
    )
    assert manifest.sources[0].sha256 == sha256(Path(good).read_bytes())
    path = tmp_path / "corpus" / "manifest.json"
    values = json.loads(path.read_text())
    assert values["hash"] == manifest.hash
    values["by_sub_dataset"]["x"]["train"] += 1
    with pytest.raises(CorpusError, match="does not fit its hash"):
        Manifest.from_dict(values)
    values["counts"]["rows_kept"] += 1
    with pytest.raises(CorpusError, match="is damaged"):
        Manifest.from_dict(values)
    for damage in ("{", "[]"):
        path.write_text(damage)
        with pytest.raises(CorpusError, match="is damaged"):
            load_manifest(str(tmp_path))


def test_several_holders_are_joined(tmp_path: Path) -> None:
    items = [*rows("x", "y", count=5), row("x", 9, holder="Zoe", license="MIT")]
    manifest = ingest_corpus(config(tmp_path / "o", write_jsonl(tmp_path / "a.jsonl", items)))
    assert manifest.rights[0] == Rights("x", "Zoe; holder of x", "CC0-1.0; MIT")


def test_the_summary_has_the_figures(tmp_path: Path, good: str) -> None:
    manifest = ingest_corpus(config(tmp_path / "out", good))
    summary = manifest.summary()
    assert (summary["rows_read"], summary["rows_kept"], summary["passages"]) == (40, 40, 40)
    assert summary["sub_datasets"] == {
        name: {"train": 14, "val": 2, "test": 4} for name in ("x", "y")
    }
    assert json.loads(json.dumps(summary)) == summary


def test_the_fingerprint_follows_the_sources(tmp_path: Path, good: str) -> None:
    def fingerprint(*paths: str) -> str:
        return sources_fingerprint(config(tmp_path, *paths))

    before = fingerprint(good)
    assert fingerprint(good) == before
    assert fingerprint(good, "dist://typer") != before
    write_jsonl(Path(good), rows("x", "y", count=21))
    assert fingerprint(good) != before
    os.utime(good, ns=(1, 1))
    with_time = fingerprint(good)
    os.utime(good, ns=(1, 2))
    assert fingerprint(good) != with_time
    with pytest.raises(CorpusError, match="is not there"):
        fingerprint(str(tmp_path / "absent.jsonl"))
