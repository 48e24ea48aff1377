"""Texts to score, from a file or a pipe: plain text, or JSON lines with a `text`."""

import gzip
import json
import sys

from copylens.errors import TextError
from copylens.store import storage


def read_texts(source: str) -> list[str]:
    """The texts of a file (a path or URI), or of standard input for `-`.

    `.jsonl` and `.jsonl.gz` hold one JSON object with a `text` a line. A pipe is read as JSON
    lines when its first line is such an object. Anything else is one plain text.

    Raises:
        TextError: the file is missing, not UTF-8, or a row has no text (its line is named).
    """
    name = "standard input" if source == "-" else storage.shown(source)
    file = storage.name_of(source)
    try:
        raw = sys.stdin.buffer.read() if source == "-" else storage.read_bytes(source)
        if file.endswith(".gz"):
            raw = gzip.decompress(raw)
        content = raw.decode("utf-8")
    except FileNotFoundError:
        raise TextError(f"'{source}' is not a file; name one, or - for standard input") from None
    except UnicodeDecodeError as error:
        raise TextError(f"{name} is not UTF-8 (byte {error.start}); convert it first") from None
    except (OSError, EOFError) as error:
        raise TextError(f"{name} cannot be read: {error}") from None
    lines = content.splitlines()
    named_rows = file.endswith((".jsonl", ".jsonl.gz"))
    if named_rows or (source == "-" and lines and _row(lines[0]) is not None):
        texts = [_text(line, f"{name}:{n}") for n, line in enumerate(lines, 1) if line.strip()]
    else:
        texts = [content]
    if not texts or not any(text.strip() for text in texts):
        raise TextError(f"{name} is empty; give at least one text")
    return texts


def _text(line: str, where: str) -> str:
    row = _row(line)
    if row is None:
        raise TextError(f"{where} is no JSON object with a 'text' (a non-empty string)")
    return row


def _row(line: str) -> str | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    text = value.get("text") if isinstance(value, dict) else None
    return text if isinstance(text, str) and text.strip() else None
