"""The rows that readers yield, and the interface of a source."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Row:
    """One row as read, before any check.

    Attributes:
        file: where it comes from, as a URI or path.
        line: 1-based line or row number in that file.
        values: fields by name; empty where the row could not be read.
        problem: why it could not be read, as `code: detail`; "" for a readable row.
    """

    file: str
    line: int
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


class Source(Protocol):
    """An opened entry of `corpus.paths` (or `ood_paths`, `background_paths`)."""

    @property
    def uri(self) -> str:
        """The entry as the user wrote it."""

    def rows(self) -> Iterator[Row]:
        """Yields the rows lazily, always in the same order.

        Raises:
            CorpusError: a file or the source as a whole is damaged.
        """

    def identity(self) -> str:
        """Changes when the content does; from sizes, times and versions, without reading it."""

    def local_uris(self) -> list[str]:
        """The files that are read, where they are the user's own; [] otherwise."""

    def origin(self) -> dict[str, str]:
        """Provenance for the manifest: `sha256` of the files, or the `version`."""
