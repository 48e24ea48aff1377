"""Texts to score, from a file or a pipe: plain text, or JSON lines with a `text`."""

import gzip
import json
import sys
from dataclasses import dataclass
from typing import Any

from copylens.errors import TextError
from copylens.store import storage


@dataclass(frozen=True)
class TextRow:
    """A text, with the `id` and `document` of its row as they stand there; see `Verdict.named`."""

    text: str
    id: Any = None
    document: Any = None


def read_rows(source: str) -> list[TextRow]:
    """The rows of a file (a path or URI), or of standard input for `-`.

    `.jsonl` and `.jsonl.gz` hold one JSON object with a `text` a line. A pipe is read as JSON
    lines when its first line is such an object. Anything else is one plain text.

    Raises:
        TextError: the file is missing, not UTF-8, or a row has no text (its line is named).
    """
    name = "standard input" if source == "-" else storage.shown(source)
    file = storage.name_of(source)
    content = _content(source, name, file.endswith(".gz"))
    # Not splitlines: JSON may hold U+2028 and its like inside a string.
    lines = content.split("\n")
    named_rows = file.endswith((".jsonl", ".jsonl.gz"))
    if named_rows or (source == "-" and _row(lines[0]) is not None):
        rows = [_checked(line, f"{name}:{n}") for n, line in enumerate(lines, 1) if line.strip()]
    else:
        rows = [TextRow(content)]
    if not rows or not any(row.text.strip() for row in rows):
        raise TextError(f"{name} is empty; give at least one text")
    return rows


def _content(source: str, name: str, packed: bool) -> str:
    try:
        raw = sys.stdin.buffer.read() if source == "-" else storage.read_bytes(source)
        return (gzip.decompress(raw) if packed else raw).decode("utf-8")
    except FileNotFoundError:
        raise TextError(f"'{source}' is not a file; name one, or - for standard input") from None
    except UnicodeDecodeError as error:
        raise TextError(f"{name} is not UTF-8 (byte {error.start}); convert it first") from None
    except (OSError, EOFError) as error:
        raise TextError(f"{name} cannot be read: {error}") from None


def _checked(line: str, where: str) -> TextRow:
    row = _row(line)
    if row is None:
        raise TextError(f"{where} is no JSON object with a 'text' (a non-empty string)")
    return row


def _row(line: str) -> TextRow | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        return None
    return TextRow(text, value.get("id"), value.get("document"))
