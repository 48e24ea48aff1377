"""Texts to score come from files and pipes, with the names that their rows give them."""

import gzip
import io
from types import SimpleNamespace

import pytest

from copylens.errors import TextError
from copylens.verdict.inputs import TextRow, read_rows

ROWS = '{"text": "x", "id": 7, "more": 1}\n\r\n{"text": "y\u2028z", "document": "d"}\n'.encode()


def test_texts_come_from_files_and_pipes(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("one\ntwo")
    assert read_rows(str(tmp_path / "a.txt")) == [TextRow("one\ntwo")]
    rows = [TextRow("x", 7), TextRow("y\u2028z", None, "d")]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(ROWS))
    assert read_rows(str(tmp_path / "a.jsonl.gz")) == rows
    plain = ((b'{"a": 1}', '{"a": 1}'), (b"word", "word"))
    for raw, expected in ((ROWS, rows), *((raw, [TextRow(text)]) for raw, text in plain)):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
        assert read_rows("-") == expected


def test_a_row_without_a_text_is_named_by_its_line(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{"id": 1}\n')
    with pytest.raises(TextError, match=r"a\.jsonl:2 is no JSON object with a 'text'"):
        read_rows(str(tmp_path / "a.jsonl"))
