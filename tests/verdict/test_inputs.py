"""Texts to score come from files and pipes."""

import gzip
import io
from types import SimpleNamespace

from copylens.verdict.inputs import read_texts


def test_texts_come_from_files_and_pipes(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("one\ntwo")
    assert read_texts(str(tmp_path / "a.txt")) == ["one\ntwo"]
    rows = b'{"text": "x", "more": 1}\n\n{"text": "y"}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows))
    assert read_texts(str(tmp_path / "a.jsonl.gz")) == ["x", "y"]
    for raw, expected in ((rows, ["x", "y"]), (b'{"a": 1}', ['{"a": 1}']), (b"word", ["word"])):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
        assert read_texts("-") == expected
