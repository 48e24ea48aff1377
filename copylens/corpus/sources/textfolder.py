"""A folder of text files -> rows: a sub-folder is a sub-dataset, a file is a split group."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from copylens.corpus.sources.files import FileEntry, Files
from copylens.corpus.sources.rows import Row
from copylens.errors import CorpusError, StorageError, one_line
from copylens.store import storage

TEXT_SUFFIXES = (".txt", ".md")
RIGHTS_FILES = ("rights.json", "_rights.yaml")
RIGHTS_KEYS = ("holder", "license", "source_url")


@dataclass(frozen=True)
class TextFolderSource(Files):
    """Text files below `base`; without sub-folders `base` itself is the sub-dataset."""

    base: str

    def rows(self) -> Iterator[Row]:
        """A row per file; one that is not UTF-8 becomes a row with a problem."""
        flat = all("/" not in file.name for file in self.files)
        own_name = PurePosixPath(storage.resolve(self.base)[1]).name
        rights: dict[str, dict[str, str]] = {}
        for file in self.files:
            folder, slash, _ = file.name.partition("/")
            sub_dataset = own_name if flat else folder if slash else None
            if sub_dataset is not None and sub_dataset not in rights:
                place = self.base if flat else storage.join(self.base, folder)
                rights[sub_dataset] = read_rights(place)
            yield _read_text(file, sub_dataset, rights.get(sub_dataset or "", {}))


def read_rights(folder: str) -> dict[str, str]:
    """Holder, licence and source URL from a folder's rights file; {} where there is none.

    Raises:
        CorpusError: the file cannot be read, or holds something else than known keys with text.
    """
    for name in RIGHTS_FILES:
        uri = storage.join(folder, name)
        if not storage.exists(uri):
            continue
        load: Any = json.loads if name.endswith(".json") else yaml.safe_load
        try:
            values = load(storage.read_bytes(uri).decode("utf-8"))
        except (ValueError, yaml.YAMLError) as error:
            raise CorpusError(f"rights file '{uri}' cannot be read: {one_line(error)}") from None
        if not isinstance(values, dict) or not all(
            key in RIGHTS_KEYS and isinstance(value, str) for key, value in values.items()
        ):
            raise CorpusError(f"rights file '{uri}' may hold text under {', '.join(RIGHTS_KEYS)}")
        return values
    return {}


def _read_text(file: FileEntry, sub_dataset: str | None, rights: dict[str, str]) -> Row:
    try:
        text = storage.read_bytes(file.uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Row(file.uri, 1, problem=f"not_utf8: byte {error.start} of the file is not UTF-8")
    except (OSError, StorageError) as error:
        if not storage.is_local(file.uri):
            raise  # A server that fails says nothing about the file.
        return Row(file.uri, 1, problem=f"not_readable: {error}")
    values: dict[str, Any] = {
        "id": file.name if "/" in file.name else f"{sub_dataset or ''}/{file.name}",
        "text": text,
        "title": PurePosixPath(file.name).stem,
        "split_group": file.name,
    }
    if sub_dataset is not None:
        values["sub_dataset"] = sub_dataset
    return Row(file.uri, 1, values | rights)
