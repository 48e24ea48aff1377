"""Rows -> checked and cut passages that have no split yet, or quarantine entries."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from copylens.config.schema import CorpusConfig
from copylens.corpus.cutting import cut_text
from copylens.corpus.sources.opening import Kind
from copylens.corpus.sources.rows import Row
from copylens.corpus.tombstones import name_hash
from copylens.errors import CorpusError
from copylens.records import Group, SplitName

# All control characters but tab, line feed, form feed, carriage return and NEL.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")

OWN_SPLITS: Mapping[str, SplitName] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "ood_val": "ood_val",
    "ood_test": "ood_test",
}
# Out-of-distribution texts are never trained on: what the data calls train tunes thresholds.
OOD_SPLITS: Mapping[SplitName, SplitName] = {
    "train": "ood_val",
    "val": "ood_val",
    "test": "ood_test",
}


@dataclass(frozen=True, slots=True)
class UnsplitPassage:
    """A checked passage that is not yet assigned to a split.

    `row` counts the rows of the whole corpus in reading order; `split` is the data's own or None.
    """

    row: int
    kind: Kind
    id: str
    text: str
    sub_dataset: str
    holder: str
    license: str
    title: str
    source_url: str
    split_group: str
    split: SplitName | None

    @property
    def group(self) -> Group:
        """The identity of its split group."""
        return self.sub_dataset, self.split_group


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that failed a check; `reason` is `code: detail`."""

    file: str
    line: int
    id: str
    reason: str


class Intake:
    """Checks and cuts rows, source by source; collects passages and quarantined rows."""

    def __init__(self, config: CorpusConfig, removed: frozenset[str] = frozenset()) -> None:
        """Rows of sub-datasets whose hashed name is in `removed` are refused."""
        self.passages: list[UnsplitPassage] = []
        self.quarantine: list[Quarantined] = []
        self.rows_read = 0
        self._config = config
        self._removed = removed
        self._ids: set[str] = set()

    def take(self, uri: str, rows: Iterable[Row], kind: Kind) -> int:
        """Checks and cuts the rows of one source; returns how many there were.

        Raises:
            CorpusError: the source holds no row with text, or none passes the checks.
        """
        rows_before = self.rows_read
        passages_before, refused_before = len(self.passages), len(self.quarantine)
        any_text = False
        for row in rows:
            self.rows_read += 1
            any_text = any_text or isinstance(row.values.get("text"), str)
            try:
                self.passages += self._passages(row, kind)
            except _RefusedError as refused:
                reason = str(refused)
                # Of a sub-dataset that was taken down not even an id is kept.
                named = "" if reason.startswith("removed:") else _plain_id(row)
                entry = Quarantined(row.file, row.line, named, reason)
                self.quarantine.append(entry)
        read = self.rows_read - rows_before
        if len(self.passages) == passages_before:
            raise CorpusError(_nothing_left(uri, read, any_text, self.quarantine[refused_before:]))
        return read

    def _passages(self, row: Row, kind: Kind) -> list[UnsplitPassage]:
        passage = _check_row(row, kind, self.rows_read, self._config.min_chars)
        if name_hash(passage.sub_dataset) in self._removed:
            raise _RefusedError("removed: its sub-dataset was taken down")
        if not passage.id:
            passage = replace(passage, id=self._default_id(passage.text))
            passage = replace(passage, split_group=passage.split_group or passage.id)
        pieces = cut_text(passage.text, self._config.passage_chars)
        ids = [passage.id]
        if len(pieces) > 1:
            ids += [f"{passage.id}#{number:04d}" for number in range(1, len(pieces) + 1)]
        for identifier in ids:
            if identifier in self._ids:
                raise _RefusedError(f"duplicate_id: an earlier row already has '{identifier}'")
        self._ids.update(ids)
        return [replace(passage, id=i, text=t) for i, t in zip(ids[-len(pieces) :], pieces)]

    def _default_id(self, text: str) -> str:
        """An id from the text alone, independent of the file; numbered when repeated."""
        base = hashlib.sha256(text.encode()).hexdigest()[:16]
        identifier, number = base, 1
        while identifier in self._ids:
            number += 1
            identifier = f"{base}-{number}"
        return identifier


class _RefusedError(Exception):
    """A row goes to quarantine; the message is the reason."""


def _check_row(row: Row, kind: Kind, number: int, min_chars: int) -> UnsplitPassage:
    if row.problem:
        raise _RefusedError(row.problem)
    values = row.values
    text = _check_text(values.get("text"), min_chars)
    sub_dataset = values.get("sub_dataset")
    if not isinstance(sub_dataset, str) or not sub_dataset.strip():
        raise _RefusedError("no_sub_dataset: the row names no sub_dataset")
    identifier = _metadata(values, "id", "")
    return UnsplitPassage(
        row=number,
        kind=kind,
        id=identifier,
        text=text,
        sub_dataset=_metadata(values, "sub_dataset", ""),
        holder=_metadata(values, "holder", "unknown"),
        license=_metadata(values, "license", "unknown"),
        title=_metadata(values, "title", ""),
        source_url=_metadata(values, "source_url", ""),
        split_group=_metadata(values, "split_group", identifier),
        split=_own_split(values.get("split"), kind),
    )


def _check_text(text: Any, min_chars: int) -> str:
    if text is None:
        raise _RefusedError("no_text: the row has no text")
    if not isinstance(text, str):
        raise _RefusedError(f"text_not_a_string: the text is a {type(text).__name__}")
    if not text.strip():
        raise _RefusedError("blank_text: the text is empty or white space")
    _check_encodable("text", text)
    if found := CONTROL.search(text):
        code = ord(found.group())
        raise _RefusedError(
            f"control_character: U+{code:04X} at character {found.start()} of the text"
        )
    if (length := len(text.strip())) < min_chars:
        raise _RefusedError(
            f"too_short: {length} characters, at least {min_chars} (corpus.min_chars)"
        )
    return text


def _check_encodable(field: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _RefusedError(
            f"not_utf8: character {error.start} of the {field} is a lone surrogate"
        ) from None


def _metadata(values: Mapping[str, Any], field: str, default: str) -> str:
    value = values.get(field)
    text = "" if value is None else str(value).strip()
    _check_encodable(field, text)
    return text or default


def _own_split(value: Any, kind: Kind) -> SplitName | None:
    if kind == "background":
        return "background"
    if value is None or value == "":
        return None
    split = OWN_SPLITS.get(value) if isinstance(value, str) else None
    if split is not None and kind == "ood":
        return OOD_SPLITS.get(split, split)
    if split not in ("train", "val", "test"):
        raise _RefusedError(f"unknown_split: '{value}' is none of train, val, test")
    return split


def _plain_id(row: Row) -> str:
    value = row.values.get("id")
    return "" if value is None else str(value)


def _nothing_left(uri: str, read: int, any_text: bool, refused: list[Quarantined]) -> str:
    first = f"; the first: {refused[0].reason} (line {refused[0].line})" if refused else ""
    if not any_text:
        return (
            f"'{uri}' is no corpus: none of its {read} rows has a text{first}; give rows with "
            "`text` and `sub_dataset`"
        )
    return f"'{uri}': nothing is left of {read} rows after the checks{first}; correct the rows"
