"""A corpus that cannot be used as a whole: one clear line, and nothing half-written."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from copylens.corpus import ingest_corpus, read_shard
from copylens.errors import CorpusError
from tests.corpus.corpus_samples import config, row, rows, tree, write_jsonl


@pytest.fixture
def good(tmp_path: Path) -> str:
    return write_jsonl(tmp_path / "good.jsonl", rows("x", "y", count=20))


def one_class(folder: Path) -> str:
    return write_jsonl(folder / "one.jsonl", rows("x", count=9))


def png(folder: Path) -> str:
    (folder / "img.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\n\xff\xd9")
    return str(folder / "img.jsonl")


def json_document(folder: Path) -> str:
    (folder / "doc.jsonl").write_text(json.dumps({"a": {"b": [1, 2]}}, indent=1))
    return str(folder / "doc.jsonl")


def damaged(folder: Path) -> str:
    packed = gzip.compress(b"\n".join(json.dumps(r).encode() for r in rows("x", "y", count=50)))
    (folder / "cut.jsonl.gz").write_bytes(packed[:-200])
    return str(folder / "cut.jsonl.gz")


WHOLE: list[tuple[Any, str]] = [
    (lambda f: str(f / "absent.jsonl"), "absent.jsonl' is not there; correct the path"),
    (png, "is no corpus: none of its 4 rows has a text; the first: not_utf8"),
    (json_document, "is no corpus: none of its"),
    (lambda f: write_jsonl(f / "e.jsonl", []), "is no corpus: none of its 0 rows"),
    (lambda f: write_jsonl(f / "n.jsonl", [{"body": "b"}]), "give rows with `text`"),
    (damaged, "is damaged after line"),
    (lambda f: write_jsonl(f / "s.jsonl", [row("x", 0, text="tiny")]), "nothing is left of 1 rows"),
    (one_class, "one sub-dataset only, 'x'; attribution needs at least 2"),
    (
        lambda f: write_jsonl(f / "t.jsonl", [*rows("x", count=9), row("y", 0)]),
        "sub-dataset 'y' has no test passages",
    ),
    (
        lambda f: write_jsonl(f / "t.jsonl", [*rows("x", count=9), row("y", 0, split="test")]),
        "sub-dataset 'y' has no train passages",
    ),
    (
        lambda f: write_jsonl(
            f / "d.jsonl", [*rows("x", count=9), row("y", 0, text=row("x", 0)["text"])]
        ),
        "sub-dataset 'y' has no train passages",
    ),
    (lambda f: "dist://no-such-thing-at-all", "run `pip install no-such-thing-at-all`"),
]


@pytest.mark.parametrize(("make", "words"), WHOLE)
def test_a_useless_corpus_is_one_clear_line_and_leaves_nothing(
    tmp_path: Path, make: Any, words: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        ingest_corpus(config(tmp_path / "out", make(tmp_path)))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_no_paths_is_an_error() -> None:
    with pytest.raises(CorpusError, match=r"corpus\.paths is empty"):
        ingest_corpus(config(Path("nowhere")))


def test_a_failing_run_leaves_the_corpus_that_was_there(tmp_path: Path, good: str) -> None:
    ingest_corpus(config(tmp_path / "out", good))
    before = tree(tmp_path / "out")
    with pytest.raises(CorpusError):
        ingest_corpus(config(tmp_path / "out", one_class(tmp_path)))
    assert tree(tmp_path / "out") == before


def test_a_sub_dataset_cannot_be_registered_and_ood(tmp_path: Path, good: str) -> None:
    ood = write_jsonl(tmp_path / "ood.jsonl", [row("y", 77)])
    with pytest.raises(CorpusError, match=r"'y' is in corpus\.paths and in corpus\.ood_paths"):
        ingest_corpus(config(tmp_path / "out", good, ood_paths=[ood]))


def test_sources_inside_the_corpus_folder_are_refused(tmp_path: Path) -> None:
    uri = write_jsonl(tmp_path / "run" / "corpus" / "a.jsonl", rows("x", "y"))
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for source in (uri, f"hf://{tmp_path}/run/corpus", f"{tmp_path}/link/corpus/a.jsonl"):
        with pytest.raises(CorpusError, match="set another `output`"):
            ingest_corpus(config(tmp_path / "run", source))


def test_a_missing_or_foreign_shard_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1")
    for name in ("part-00000.parquet", "part-00001.parquet"):
        with pytest.raises(CorpusError, match="cannot be read"):
            read_shard(str(tmp_path / name))
