"""Hugging Face datasets (from the hub, a folder of data files, or `save_to_disk`) -> rows."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from copylens.corpus.sources.files import Listing, list_source
from copylens.corpus.sources.rows import Row
from copylens.errors import CorpusError, one_line

COLUMNS = ("id", "text", "sub_dataset", "title", "source_url", "split_group")
CONSTANTS = ("holder", "license")
SETTINGS = ("split", "config", "revision", "name", "rows")
SAVED_MARKS = ("dataset_info.json", "dataset_dict.json")


@dataclass(frozen=True)
class HubSource:
    """`hf://NAME?split=train&config=...&revision=...&text=COLUMN&sub_dataset=COLUMN&...`.

    `options` maps fields to columns (a dotted path reaches into nested columns), `holder` and
    `license` to what is used where the data does not say; `name` is the sub-dataset's name where
    the data has no such column (default: the last part of NAME); `rows` reads only the first ones.
    """

    uri: str
    target: str
    options: Mapping[str, str]

    def rows(self) -> Iterator[Row]:
        """Streams the rows, numbered from 1; nothing is downloaded as a whole.

        Raises:
            CorpusError: the data set, its config or its split is not there or not readable.
        """
        limit = int(self.options["rows"]) if "rows" in self.options else None
        place = self.uri.partition("?")[0]
        line = 0
        try:
            for record in itertools.islice(self._records(), limit):
                line += 1
                yield Row(place, line, self._values(record))
        except CorpusError:
            raise
        except Exception as error:  # the library raises its own, the hub's and the readers' types
            where = f"after row {line}" if line else "from its start"
            raise CorpusError(
                f"'{self.uri}' cannot be read {where}: {one_line(error)}; check the name, config "
                "and split, and that the hub can be reached"
            ) from None

    def identity(self) -> str:
        """Sizes and times of local files; on the hub the whole URI (give a `revision`)."""
        local = self._local()
        return f"{self.uri};{local.identity() if local else ''}"

    def local_uris(self) -> list[str]:
        """The files of a local folder."""
        local = self._local()
        return local.local_uris() if local else []

    def origin(self) -> dict[str, str]:
        """sha256 of local files, else the hub revision that was asked for."""
        local = self._local()
        return local.origin() if local else {"version": self.options.get("revision", "main")}

    def _local(self) -> Listing | None:
        return list_source(self.target) if Path(self.target).exists() else None

    def _records(self) -> Iterable[Mapping[str, Any]]:
        import datasets  # slow to import

        records: Iterable[Mapping[str, Any]]
        split = self.options.get("split", "train")
        if any((Path(self.target) / mark).exists() for mark in SAVED_MARKS):
            records = datasets.load_from_disk(self.target)
            if isinstance(records, datasets.DatasetDict):
                if split not in records:
                    has = ", ".join(sorted(records))
                    raise CorpusError(f"'{self.uri}' has no split '{split}'; it has {has}")
                records = records[split]
        else:
            records = datasets.load_dataset(
                self.target,
                self.options.get("config"),
                split=split,
                revision=self.options.get("revision"),
                streaming=True,
            )
        return records

    def _values(self, record: Mapping[str, Any]) -> dict[str, Any]:
        values = dict(record)
        for field in COLUMNS:
            values[field] = _look_up(record, self.options.get(field, field))
        for field in CONSTANTS:
            values[field] = values.get(field) or self.options.get(field)
        if values["sub_dataset"] is None and "sub_dataset" not in self.options:
            default = self.target.rstrip("/").rpartition("/")[2]
            values["sub_dataset"] = self.options.get("name", default)
        return values


def open_hub(uri: str) -> HubSource:
    """Reads the parts of an `hf://` URI; opens no connection.

    Raises:
        CorpusError: no name, an unknown key in the query, or `rows` is no number.
    """
    target, _, query = uri.removeprefix("hf://").partition("?")
    options = dict(parse_qsl(query))
    valid = (*SETTINGS, *COLUMNS, *CONSTANTS)
    unknown = sorted(set(options) - set(valid))
    if not target:
        raise CorpusError(f"'{uri}' names no data set; write hf://NAME?split=train")
    if unknown:
        raise CorpusError(f"'{uri}': unknown key '{unknown[0]}'; valid keys: {', '.join(valid)}")
    if not options.get("rows", "1").isdecimal():
        raise CorpusError(f"'{uri}': rows must be a whole number, got '{options['rows']}'")
    if target.startswith(("/", "./", "../")) and not Path(target).exists():
        raise CorpusError(f"'{uri}': the folder '{target}' is not there; correct the path")
    return HubSource(uri, target, options)


def _look_up(record: Mapping[str, Any], column: str) -> Any:
    """A column by its own name, else by a dotted path; None where there is none."""
    if column in record:
        return record[column]
    value: Any = record
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
