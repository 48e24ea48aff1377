"""Rows become passages: counted, quarantined, split, published."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from copylens import corpus
from copylens.corpus import (
    ingest_corpus,
    load_manifest,
    read_shard,
    read_split,
    shard_uris,
)
from copylens.errors import CorpusError
from copylens.records import SPLITS, Passage
from copylens.store.storage import sha256
from tests.corpus.corpus_samples import config, prose, quarantine, row, rows, tree, write_jsonl

SHARED = Path(os.environ.get("COPYLENS_SHARED", Path(__file__).parents[2].parent / "shared"))


@pytest.fixture
def good(tmp_path: Path) -> str:
    return write_jsonl(tmp_path / "good.jsonl", rows("x", "y", count=20))


def all_passages(output: Path) -> list[Passage]:
    return [p for split in SPLITS for p in read_split(str(output), split)]


BAD: list[tuple[str, Any]] = [
    ("not_utf8", b'{"text": "caf\xe9"}'),
    ("not_utf8", json.dumps(row("x", 100, text=prose("s") + "\ud800")).encode()),
    ("not_utf8", json.dumps(row("x", 101, title="\udfff")).encode()),
    ("broken_json", b'{"text": '),
    ("not_an_object", b'"just a string"'),
    ("no_text", {"id": "q", "sub_dataset": "x"}),
    ("no_text", row("x", 102, text=None)),
    ("text_not_a_string", row("x", 103, text=["a", "b"])),
    ("blank_text", row("x", 104, text="")),
    ("blank_text", row("x", 105, text=" \n\t ")),
    ("too_short", row("x", 106, text="   " + "a" * 99 + "   ")),
    ("control_character", row("x", 107, text=prose("n") + "\0")),
    ("control_character", row("x", 108, text="\x1b[1m" + prose("e"))),
    ("control_character", row("x", 112, text=prose("c1") + " \x93quoted\x94")),
    ("no_sub_dataset", {"id": "r", "text": prose("r")}),
    ("no_sub_dataset", row("x", 109, sub_dataset=" ")),
    ("no_sub_dataset", row("x", 110, sub_dataset=7)),
    ("unknown_split", row("x", 111, split="holdout")),
    ("duplicate_id", row("x", 0, text=prose("another text"))),
]


@pytest.mark.parametrize(("code", "bad"), BAD)
def test_a_bad_row_is_quarantined_with_its_place_and_reason(
    tmp_path: Path, good: str, code: str, bad: Any
) -> None:
    items = [*rows("x", "y", count=5), bad]
    uri = write_jsonl(tmp_path / "some.jsonl", items)
    manifest = ingest_corpus(config(tmp_path / "out", uri))
    (entry,) = quarantine(tmp_path / "out")
    assert entry.keys() == {"file", "line", "id", "reason"}
    assert (entry["file"], entry["line"]) == (uri, 11)
    assert entry["reason"].startswith(f"{code}: ")
    assert entry["id"] == (bad["id"] if isinstance(bad, dict) else entry["id"])
    assert manifest.quarantine_reasons == {code: 1}
    assert (manifest.counts.rows_read, manifest.counts.rows_kept) == (11, 10)


def test_a_row_just_long_enough_with_tabs_and_form_feeds_is_kept(tmp_path: Path) -> None:
    text = "\t" + prose("edge", 98)[:98].ljust(98, "z") + "\f\r\n" + "z"
    assert len(text.strip()) == 102
    items = [*rows("x", "y", count=5), row("x", 9, text=text)]
    uri = write_jsonl(tmp_path / "a.jsonl", items)
    ingest_corpus(config(tmp_path / "out", uri, min_chars=102))
    assert [p.text for p in all_passages(tmp_path / "out") if p.id == "x-9"] == [text]
    with pytest.raises(CorpusError, match="nothing is left of 1 rows"):
        ingest_corpus(
            config(tmp_path / "out", write_jsonl(tmp_path / "b.jsonl", items[-1:]), min_chars=103)
        )


def test_every_row_and_passage_is_counted(tmp_path: Path) -> None:
    parts = [prose(("part", n), 1500) for n in range(9)]
    long = row("y", 50, text="\n\n".join(parts[:6]))
    items = [bad for _, bad in BAD] + rows("x", "y", count=12) + [long]
    items += [row("x", 60, text=row("x", 3)["text"]), row("x", 61, text=row("y", 3)["text"])]
    # Half of this row's passages stand in `long` already: the row is kept.
    items += [row("y", 62, text="\n\n".join(parts[3:]))]
    # The bad rows come first here, so `x-0` among the good ones is the duplicate.
    manifest = ingest_corpus(config(tmp_path / "out", write_jsonl(tmp_path / "a.jsonl", items)))
    counts = manifest.counts
    assert counts.rows_read == len(items) == 28 + len(BAD)
    assert counts.rows_quarantined == len(quarantine(tmp_path / "out")) == len(BAD)
    assert counts.rows_duplicate == 2
    assert counts.rows_kept == 28 - 2
    assert (counts.passages_cut, counts.passages_duplicate) == (26 - 1 + 1 + 12, 2 + 3)
    assert sum(manifest.quarantine_reasons.values()) == counts.rows_quarantined
    passages = all_passages(tmp_path / "out")
    assert counts.passages == len(passages) == counts.passages_cut - counts.passages_duplicate
    assert Counter((p.sub_dataset, p.split) for p in passages) == {
        (name, split): n for name, by in manifest.by_sub_dataset.items() for split, n in by.items()
    }


def test_passages_over_the_limit_are_counted_apart(tmp_path: Path, good: str) -> None:
    counts = ingest_corpus(config(tmp_path / "out", good, max_passages=8)).counts
    assert (counts.passages, counts.passages_over_limit, counts.rows_kept) == (16, 24, 40)


def test_a_row_goes_through_unchanged(tmp_path: Path) -> None:
    full = row("x", 0, title="T", source_url="http://s", split_group="book", split="val")
    bare = {"text": prose("bare"), "sub_dataset": "y", "fold": 2, "split": "test", "id": 7}
    items = [full, bare]
    items += [row(n, i, split=s) for n in "xy" for i, s in ((1, "train"), (2, "test"))]
    ingest_corpus(config(tmp_path / "out", write_jsonl(tmp_path / "a.jsonl", items)))
    found = {p.id: p for p in all_passages(tmp_path / "out")}
    assert found["x-0"] == Passage(**full)
    assert found["7"] == Passage(
        id="7",
        text=bare["text"],
        sub_dataset="y",
        holder="unknown",
        license="unknown",
        title="",
        source_url="",
        split_group="7",
        split="test",
    )


def test_rows_without_an_id_get_one_that_survives_a_move(tmp_path: Path) -> None:
    items = [{k: v for k, v in r.items() if k != "id"} for r in rows("x", "y", count=6)]
    items.append(items[0])
    ids = []
    for name in ("here", "there"):
        uri = write_jsonl(tmp_path / name / f"{name}.jsonl", items)
        manifest = ingest_corpus(config(tmp_path / name / "out", uri))
        # The copy is a duplicate, not a row with an id taken.
        assert manifest.counts.rows_duplicate == 1
        passages = all_passages(tmp_path / name / "out")
        assert all(p.split_group == p.id for p in passages)
        ids.append({p.id for p in passages})
    assert len(ids[0]) == 12
    assert ids[0] == ids[1]


def test_a_long_row_is_cut_into_numbered_passages_of_one_group(tmp_path: Path) -> None:
    text = prose("long", 8000)
    items = [*rows("x", "y", count=6), row("x", 9, text=text)]
    uri = write_jsonl(tmp_path / "a.jsonl", items)
    ingest_corpus(config(tmp_path / "out", uri, passage_chars=1000))
    pieces = sorted(
        (p for p in all_passages(tmp_path / "out") if p.split_group == "x-9"), key=lambda p: p.id
    )
    assert [p.id for p in pieces] == [f"x-9#{n:04d}" for n in range(1, 9)]
    assert " ".join(p.text for p in pieces) == text
    assert len({p.split for p in pieces}) == 1


@pytest.mark.parametrize("order", [1, -1])
def test_an_id_that_a_cut_row_repeats_is_a_duplicate(tmp_path: Path, order: int) -> None:
    clash = [row("x", 9, id="z#0001"), row("x", 10, id="z", text=prose("long", 8000))][::order]
    items = [*rows("x", "y", count=6), *clash]
    ingest_corpus(config(tmp_path / "out", write_jsonl(tmp_path / "a.jsonl", items)))
    expected = [(clash[1]["id"], 14)]
    assert [(e["id"], e["line"]) for e in quarantine(tmp_path / "out")] == expected


def test_kinds_decide_the_splits(tmp_path: Path, good: str) -> None:
    ood = write_jsonl(
        tmp_path / "ood.jsonl",
        [row("o", n, split=s) for n, s in enumerate(("train", "val", "test", "ood_test", "dev"))],
    )
    back = write_jsonl(tmp_path / "back.jsonl", rows("b", count=3, split="test"))
    run = config(tmp_path / "out", good, ood_paths=[ood], background_paths=[back])
    manifest = ingest_corpus(run)
    assert manifest.by_sub_dataset["o"] == {"ood_val": 3, "ood_test": 2}
    assert manifest.by_sub_dataset["b"] == {"background": 3}
    assert manifest.sub_datasets == ("x", "y")
    assert [source.kind for source in manifest.sources] == ["registered", "ood", "background"]


def test_the_same_run_gives_the_same_bytes_and_another_seed_others(
    tmp_path: Path, good: str
) -> None:
    first = ingest_corpus(config(tmp_path / "one", good, shard_passages=5))
    again = ingest_corpus(config(tmp_path / "two", good, shard_passages=5))
    other = ingest_corpus(config(tmp_path / "three", good, shard_passages=5, seed=1))
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert first == again
    assert first.hash == again.hash != other.hash


def test_a_half_written_folder_is_cleaned(tmp_path: Path, good: str) -> None:
    out = tmp_path / "out"
    ingest_corpus(config(out, good, shard_passages=3))
    clean = tmp_path / "clean"
    ingest_corpus(config(clean, good))
    # As a crash leaves it: no manifest, shards of other settings, a file not yet renamed.
    (out / "corpus" / "manifest.json").unlink()
    (out / "corpus" / "manifest.json.0a1b2c3d.tmp").write_text("{")
    (out / "corpus" / "train" / "part-00007.parquet.0a1b2c3d.tmp").write_text("PAR1")
    (out / "corpus" / "background").mkdir()
    (out / "corpus" / "background" / "part-00000.parquet").write_text("PAR1")
    with pytest.raises(CorpusError, match="holds no finished corpus; run `copylens ingest`"):
        load_manifest(str(out))
    ingest_corpus(config(out, good))
    assert tree(out) == tree(clean)


def test_files_of_others_in_the_corpus_folder_stay(tmp_path: Path, good: str) -> None:
    note = tmp_path / "out" / "corpus" / "train" / "notes.txt"
    note.parent.mkdir(parents=True)
    note.write_text("mine")
    ingest_corpus(config(tmp_path / "out", good))
    assert note.read_text() == "mine"


def test_shards_are_as_the_manifest_says_and_train_is_mixed(tmp_path: Path, good: str) -> None:
    out = tmp_path / "out"
    manifest = ingest_corpus(config(out, good, shard_passages=10))
    for shard in manifest.shards:
        path = out / "corpus" / shard.path
        assert sha256(path.read_bytes()) == shard.sha256
        passages = read_shard(str(path))
        assert len(passages) == shard.passages <= 10
        assert {p.split for p in passages} == {shard.split}
    uris = shard_uris(str(out), "train")
    assert uris == [f"{out}/corpus/train/part-0000{n}.parquet" for n in range(3)]
    assert all({p.sub_dataset for p in read_shard(uri)} == {"x", "y"} for uri in uris)
    assert shard_uris(str(out), "background") == []


def test_all_formats_give_the_same_passages(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    items = rows("x", "y", count=8)
    uris = [write_jsonl(tmp_path / "a.jsonl", items), write_jsonl(tmp_path / "a.jsonl.gz", items)]
    pq.write_table(pa.Table.from_pylist(items), tmp_path / "a.parquet")
    uris += [str(tmp_path / "a.parquet"), f"file://{tmp_path}/a.jsonl"]
    hubs = write_jsonl(tmp_path / "hub" / "train.jsonl", items)
    uris.append(f"hf://{Path(hubs).parent}")
    results = []
    for number, uri in enumerate(uris):
        ingest_corpus(config(tmp_path / f"out{number}", uri))
        results.append(all_passages(tmp_path / f"out{number}"))
    assert len(results[0]) == 16
    assert all(result == results[0] for result in results)


def test_importing_the_room_is_light() -> None:
    code = (
        "import sys, copylens.corpus; "
        "print(sorted({'datasets', 'datasketch', 'torch', 'ray', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_room_exports_what_it_promises() -> None:
    promised = {"ingest_corpus", "load_manifest", "sources_fingerprint", "shard_uris"}
    assert promised | {"read_shard", "read_split", "Manifest"} <= set(corpus.__all__)


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "data").exists(), reason="the development corpora are not here")
def test_the_shared_books_are_all_kept(tmp_path: Path) -> None:
    books, ood = (str(SHARED / "data" / f"{name}.jsonl.gz") for name in ("books", "books_ood"))
    manifest = ingest_corpus(config(tmp_path, books, ood_paths=[ood]))
    assert manifest.sources[0].rows == 6108
    assert manifest.counts.rows_read == manifest.counts.rows_kept == 6108 + 1050
    assert manifest.counts.passages == 7158
    registered = [manifest.by_sub_dataset[name] for name in manifest.sub_datasets]
    assert [sum(c[s] for c in registered) for s in ("train", "val", "test")] == [3705, 610, 1793]
    assert manifest.by_sub_dataset["george_gissing"] == {"ood_val": 210}
    assert manifest.sources[0].sha256.startswith("33ea0633c5fd0ec1")
