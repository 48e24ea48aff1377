"""JSON lines and parquet files -> rows."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from copylens.corpus.sources.files import Files
from copylens.corpus.sources.rows import Row
from copylens.errors import CorpusError, one_line
from copylens.store import storage

DATA_SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
PARQUET_BATCH = 1024


@dataclass(frozen=True)
class FileSource(Files):
    """Data files, read one after the other."""

    def rows(self) -> Iterator[Row]:
        """Rows of all files, in the order of their names."""
        for file in self.files:
            read = read_parquet if file.name.endswith(".parquet") else read_jsonl
            yield from read(file.uri)


def read_jsonl(uri: str) -> Iterator[Row]:
    """Yields a row per line that is not blank; a broken line becomes a row with a problem.

    Raises:
        CorpusError: a compressed file is damaged, so that what follows cannot be read.
    """
    filesystem, path = storage.resolve(uri)
    line = 0
    try:
        # The stream unpacks by the file's name (.gz).
        with io.BufferedReader(filesystem.open_input_stream(path)) as stream:
            for line, raw in enumerate(stream, start=1):
                if raw.strip():
                    yield _parse_line(uri, line, raw)
    except OSError as error:
        raise CorpusError(
            f"'{uri}' is damaged after line {line}: {one_line(error)}; fetch the file again"
        ) from None


def read_parquet(uri: str) -> Iterator[Row]:
    """Yields a row per table row, numbered from 1; bytes that are not UTF-8 become a problem.

    Raises:
        CorpusError: the file is no parquet file, or it is damaged.
    """
    filesystem, path = storage.resolve(uri)
    line = 0
    try:
        with filesystem.open_input_file(path) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(batch_size=PARQUET_BATCH):
                for values in _batch_rows(batch):
                    line += 1
                    if values is None:
                        yield Row(uri, line, problem="not_utf8: a field of the row is not UTF-8")
                    else:
                        yield Row(uri, line, values)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(
            f"'{uri}' cannot be read as parquet after row {line}: {one_line(error)}; "
            "write the file again"
        ) from None


def _parse_line(uri: str, line: int, raw: bytes) -> Row:
    try:
        # A byte-order mark is no part of the first row.
        text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        return Row(uri, line, problem=f"not_utf8: byte {error.start} of the line is not UTF-8")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Row(uri, line, problem=f"broken_json: {error}")
    if not isinstance(values, dict):
        kind = type(values).__name__
        return Row(uri, line, problem=f"not_an_object: the line holds a {kind}, not an object")
    return Row(uri, line, values)


def _batch_rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | None]:
    """The rows of a batch; None for one whose strings are not UTF-8."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        # Arrow does not check strings when it reads: find the row that is to blame.
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except UnicodeDecodeError:
                yield None
