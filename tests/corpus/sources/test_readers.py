import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from copylens.corpus.sources.files import list_source
from copylens.corpus.sources.opening import open_source
from copylens.corpus.sources.rows import Row
from copylens.errors import CorpusError
from tests.corpus.corpus_samples import prose, row, rows, write_jsonl


def read(uri: str) -> list[Row]:
    return list(open_source(uri).rows())


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_json_lines_give_the_rows_that_were_written(tmp_path: Path, name: str) -> None:
    written = rows("x", count=5)
    uri = write_jsonl(tmp_path / name, written)
    assert [(r.file, r.line, r.values) for r in read(uri)] == [
        (uri, number, values) for number, values in enumerate(written, start=1)
    ]


def test_line_numbers_count_blank_lines_but_these_are_no_rows(tmp_path: Path) -> None:
    uri = write_jsonl(tmp_path / "a.jsonl", [row("x", 0), b"", b"  ", row("x", 1)])
    assert [r.line for r in read(uri)] == [1, 4]


def test_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    marked = b"\xef\xbb\xbf" + json.dumps(row("x", 0)).encode()
    assert read(write_jsonl(tmp_path / "a.jsonl", [marked]))[0].values == row("x", 0)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"text": "caf\xe9"}', "not_utf8"),
        (b'{"text": "cut off', "broken_json"),
        (b'["a", "list"]', "not_an_object"),
        (b"[" * 100_000, "broken_json"),
    ],
)
def test_a_broken_line_is_a_problem_and_the_next_is_read(
    tmp_path: Path, line: bytes, code: str
) -> None:
    first, second = read(write_jsonl(tmp_path / "a.jsonl", [line, row("x", 1)]))
    assert first.problem.startswith(f"{code}: ")
    assert first.values == {}
    assert second.values == row("x", 1)


def test_reading_is_lazy(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(json.dumps(r).encode() + b"\n" for r in rows("x", count=3000)))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    source = open_source(str(path)).rows()
    assert next(source).values == row("x", 0)
    with pytest.raises(CorpusError, match="is damaged after line"):
        list(source)


def test_parquet_rows_are_numbered_over_batches(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.Table.from_pylist([{"text": str(n), "meta": {"n": n}} for n in range(2500)])
    pq.write_table(table, path, row_group_size=700)
    read_back = read(str(path))
    assert [r.line for r in read_back] == list(range(1, 2501))
    assert read_back[2400].values == {"text": "2400", "meta": {"n": 2400}}


def test_parquet_string_that_is_not_utf8_costs_its_row_only(tmp_path: Path) -> None:
    raw = pa.array([b"good", b"\xff\xfe", b"fine"], pa.binary())
    texts = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    first, second, third = read(str(tmp_path / "a.parquet"))
    assert (first.values, third.values) == ({"text": "good"}, {"text": "fine"})
    assert second.problem.startswith("not_utf8: ")


def test_a_folder_and_a_glob_give_the_data_files_in_order(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "b.jsonl", [row("x", 1)])
    write_jsonl(tmp_path / "a.jsonl.gz", [row("x", 0)])
    write_jsonl(tmp_path / "deep" / "c.jsonl", [row("x", 2)])
    write_jsonl(tmp_path / ".hidden" / "d.jsonl", [row("x", 3)])
    (tmp_path / "README.md").write_text("about these files")

    def ids(uri: str) -> list[str]:
        return [r.values["id"] for r in read(uri)]

    assert ids(str(tmp_path)) == ["x-0", "x-1", "x-2"]
    assert ids(f"{tmp_path}/*.jsonl") == ["x-1"]
    assert ids(f"{tmp_path}/**/*.jsonl") == ["x-1", "x-2"]
    assert ids(f"{tmp_path}/?.jsonl*") == ["x-0", "x-1"]
    assert ids(f"file://{tmp_path}/*.jsonl") == ["x-1"]
    assert ids(f"file://{tmp_path}/deep") == ["x-2"]


def test_a_relative_path_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "in" / "a.jsonl", [row("x", 0)])
    monkeypatch.chdir(tmp_path / "in")
    assert [r.file for r in read("a.jsonl")] == ["a.jsonl"]
    assert [file.uri for file in list_source("../in").files] == ["../in/a.jsonl"]
    assert len(read("*.jsonl")) == 1


def test_a_folder_of_text_names_sub_dataset_group_and_rights(tmp_path: Path) -> None:
    for name in ("austen/emma.txt", "austen/early/lady_susan.md", "poe/raven.txt", "stray.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(prose(name), encoding="utf-8")
    (tmp_path / "poe" / "bad.txt").write_bytes(b"caf\xe9")
    (tmp_path / "austen" / "rights.json").write_text('{"holder": "J. Austen", "license": "PD"}')
    (tmp_path / "poe" / "_rights.yaml").write_text("holder: E. A. Poe\n")
    early, emma, bad, raven, stray = read(str(tmp_path))
    assert emma.values == {
        "id": "austen/emma.txt",
        "text": prose("austen/emma.txt"),
        "sub_dataset": "austen",
        "title": "emma",
        "split_group": "austen/emma.txt",
        "holder": "J. Austen",
        "license": "PD",
    }
    assert early.values["sub_dataset"] == "austen"
    assert early.values["split_group"] == "austen/early/lady_susan.md"
    assert raven.values["holder"] == "E. A. Poe"
    assert "license" not in raven.values
    assert bad.problem.startswith("not_utf8: ")
    assert "sub_dataset" not in stray.values


def test_a_flat_folder_of_text_is_one_sub_dataset(tmp_path: Path) -> None:
    (tmp_path / "twain").mkdir()
    (tmp_path / "twain" / "finn.txt").write_text(prose("finn"))
    (tmp_path / "twain" / "rights.json").write_text('{"holder": "M. Twain"}')
    (only,) = read(str(tmp_path / "twain"))
    assert only.values["sub_dataset"] == "twain"
    assert only.values["holder"] == "M. Twain"


@pytest.mark.parametrize("content", ['{"owner": "x"}', "[1]", '{"holder": 3}', "{"])
def test_a_wrong_rights_file_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "poe").mkdir()
    (tmp_path / "poe" / "raven.txt").write_text(prose("raven"))
    (tmp_path / "poe" / "rights.json").write_text(content)
    with pytest.raises(CorpusError, match=r"poe/rights\.json"):
        read(str(tmp_path))


def test_what_is_no_corpus_is_told_what_is_taken(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "table.parquet").write_bytes(b"PAR1 no, not really")
    with pytest.raises(CorpusError, match=r"logo\.png' is no corpus file; it takes \.jsonl"):
        open_source(str(tmp_path / "logo.png"))
    with pytest.raises(CorpusError, match="is not there"):
        open_source(str(tmp_path / "absent.jsonl"))
    with pytest.raises(CorpusError, match="matches no file"):
        open_source(f"{tmp_path}/*.jsonl")
    with pytest.raises(CorpusError, match="no usable location"):
        open_source("gopher://host/a.jsonl")
    with pytest.raises(CorpusError, match="cannot be read as parquet after row 0"):
        read(str(tmp_path / "table.parquet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="holds no corpus file"):
        open_source(str(tmp_path / "empty"))
