"""Files at URIs: the same on a disk, on S3 and on what fsspec knows."""

import gzip
import json
import os
import uuid

import pytest

from copylens.corpus.sources.files import list_source
from copylens.corpus.sources.opening import open_source
from copylens.errors import CorpusError, StorageError
from copylens.store import storage
from copylens.verdict.inputs import read_rows
from tests.servers import BUCKET, refusing_port, s3_server


@pytest.fixture(scope="module")
def store():
    with s3_server() as uri:
        yield uri


@pytest.fixture(params=["disk", "file", "s3", "s3 with a query", "fsspec"])
def place(request, tmp_path):
    """A folder that is not there yet, on every kind of file system."""
    name = uuid.uuid4().hex
    if request.param.startswith("s3"):
        store = request.getfixturevalue("store")
        query = "?region=us-east-1&scheme=http" if "query" in request.param else ""
        return f"{store}/{name}{query}"
    folders = {
        "disk": str(tmp_path / name),
        "file": (tmp_path / name).as_uri(),
        "fsspec": f"memory://{name}",
    }
    return folders[request.param]


def test_what_was_written_is_read_and_listed(place):
    uri = storage.join(place, "a", "b", "one.json")
    assert not storage.exists(uri)
    assert storage.list_files(storage.join(place, "a"), ".json") == []
    storage.write_json(uri, {"words": ["é", 1]})
    storage.write_bytes(storage.beside(uri, ".done.json"), b"{}")
    storage.write_bytes(storage.join(place, "a", "b", "two.txt"), b"2")
    storage.write_bytes(storage.join(place, "a", "b", "deep", "three.json"), b"3")
    assert storage.exists(uri) and storage.exists(storage.join(place, "a"))
    assert storage.read_json(uri) == {"words": ["é", 1]}
    names = ["one.json", "one.json.done.json"]
    found = storage.list_files(storage.join(place, "a", "b"), ".json")
    assert [storage.name_of(uri) for uri in found] == names
    assert found[0] == uri
    storage.write_bytes(uri, b"again")
    assert storage.read_bytes(uri) == b"again"
    storage.remove_tree(storage.join(place, "a"))
    storage.remove_tree(storage.join(place, "a"))
    assert not storage.exists(uri)


@pytest.mark.parametrize("name", ["a b.json", "50%.json", "é#1.json", "what?.json", "a%20b.json"])
def test_any_file_name_goes_both_ways(place, name):
    storage.write_bytes(storage.join(place, name), name.encode())
    (uri,) = storage.list_files(place, ".json")
    assert storage.name_of(uri) == name
    assert storage.read_bytes(uri) == name.encode()
    (entry,) = list_source(place).files
    assert entry.name == name
    assert storage.read_bytes(entry.uri) == name.encode()


def test_bytes_are_kept_as_they_are(place):
    packed = gzip.compress(b'{"text": "A text."}\n', mtime=0)
    uri = storage.join(place, "log.jsonl.gz")
    storage.write_bytes(uri, packed)
    assert storage.read_bytes(uri) == packed
    assert [row.text for row in read_rows(uri)] == ["A text."]


def test_a_corpus_is_read_wherever_it_lies(place):
    rows = [{"text": f"text {n}", "sub_dataset": "a"} for n in range(3)]
    data = "\n".join(map(json.dumps, rows)).encode()
    storage.write_bytes(storage.join(place, "in", "a b.jsonl"), data)
    storage.write_bytes(storage.join(place, "in", ".hidden.jsonl"), b"{}")
    folder = open_source(storage.join(place, "in"))
    file = open_source(storage.join(place, "in", "a b.jsonl"))
    for source in (folder, file):
        assert [row.values for row in source.rows()] == rows
        assert source.origin() == {"sha256": storage.sha256(data)}
    with pytest.raises(CorpusError, match="is not there"):
        open_source(storage.join(place, "out"))


def test_a_small_file_on_s3_is_one_put(store):
    """An upload in parts takes three requests, and a crash leaves its parts behind."""
    import boto3

    storage.write_bytes(f"{store}/put/one", b"data")
    head = boto3.client("s3").head_object(Bucket=BUCKET, Key="put/one")
    # S3 marks what was uploaded in parts by their number behind a dash.
    assert "-" not in head["ETag"]
    keys = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="put/")["Contents"]
    assert [item["Key"] for item in keys] == ["put/one"]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    uri = str(tmp_path / "a.json")
    storage.write_bytes(uri, b"old")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="No space left"):
        storage.write_bytes(uri, b"new")
    assert storage.read_bytes(uri) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_bucket_that_is_not_there(store):
    nowhere = f"s3://no-{BUCKET}/run"
    with pytest.raises(StorageError, match=f"'{nowhere}/a'.*create the bucket"):
        storage.write_bytes(f"{nowhere}/a", b"data")
    with pytest.raises(StorageError, match=f"there is no bucket 'no-{BUCKET}'"):
        storage.require_bucket(nowhere)
    storage.require_bucket(f"{store}/folder/that/is/not/there")
    with pytest.raises(CorpusError, match="there is no bucket"):
        open_source(f"{nowhere}/corpus.jsonl")


def test_a_server_that_is_not_there_is_one_line(store, monkeypatch):
    with refusing_port() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StorageError) as caught:
            storage.exists("s3://key:secret@bucket/run?region=eu-west-1")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("'s3://bucket/run' is no usable location")
    assert "AWS_ENDPOINT_URL" in message
    assert "secret" not in message


def test_places_that_are_none():
    for uri in ("nonsense://x", "s3://", "s3:///key"):
        with pytest.raises(StorageError, match=f"'{uri}' is no usable location"):
            storage.resolve(uri)
