"""Finds the files behind a path, a folder or a glob, on any file system pyarrow knows."""

import hashlib
import re
from dataclasses import dataclass

from pyarrow import fs

from copylens.errors import CorpusError, StorageError, one_line
from copylens.store import storage


@dataclass(frozen=True)
class FileEntry:
    """One file of a source; `name` is its path below the folder the user gave."""

    uri: str
    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Files:
    """What sources made of files of the user's own have in common; see `rows.Source`."""

    uri: str
    files: tuple[FileEntry, ...]

    def identity(self) -> str:
        """Names, sizes and times of the files: changes when one of them is written anew."""
        return ";".join(f"{file.name}:{file.size}:{file.mtime_ns}" for file in self.files)

    def local_uris(self) -> list[str]:
        """All files."""
        return [file.uri for file in self.files]

    def origin(self) -> dict[str, str]:
        """sha256 of a lone file; of several files that over lines of `sha256sum`."""
        if len(self.files) == 1:
            return {"sha256": _sha256_file(self.files[0].uri)}
        lines = "".join(f"{_sha256_file(file.uri)}  {file.name}\n" for file in self.files)
        return {"sha256": storage.sha256(lines.encode())}


@dataclass(frozen=True)
class Listing(Files):
    """The files behind one URI, sorted by name, and the folder their names count from."""

    base: str
    is_file: bool


def list_source(uri: str) -> Listing:
    """Files behind a path: the file itself, a folder's (all levels), or a glob's matches.

    In a glob `*` and `?` stay within one folder and `**` crosses folders (`?` works on local
    paths only; in a URI it starts a query). Hidden files and folders are left out.

    Raises:
        CorpusError: nothing is there, or the place cannot be listed.
    """
    try:
        return _list(uri)
    except StorageError as error:
        raise CorpusError(f"corpus source {error}") from None
    except (OSError, ValueError) as error:
        raise CorpusError(f"corpus source '{uri}' cannot be listed: {one_line(error)}") from None


def _list(uri: str) -> Listing:
    filesystem, path = storage.resolve(uri)
    with storage.reaching(uri):
        info = filesystem.get_file_info(path)
    if info.type == fs.FileType.File:
        base = uri.partition("?")[0].rpartition("/")[0] or "."
        return Listing(uri, (_entry(uri, storage.name_of(uri), info),), base, is_file=True)
    if info.type == fs.FileType.Directory:
        return Listing(uri, tuple(_walk(uri)), uri, is_file=False)
    base, pattern = _cut_glob(uri)
    if not pattern:
        storage.require_bucket(uri)
        raise CorpusError(f"corpus source '{uri}' is not there; correct the path in the config")
    expression = _glob_expression(pattern)
    matches = tuple(file for file in _walk(base) if expression.fullmatch(file.name))
    if not matches:
        raise CorpusError(f"corpus source '{uri}' matches no file; correct the pattern")
    return Listing(uri, matches, base, is_file=False)


def _walk(base: str) -> list[FileEntry]:
    filesystem, path = storage.resolve(base)
    selector = fs.FileSelector(path, recursive=True, allow_not_found=True)
    entries = []
    with storage.reaching(base):
        infos = filesystem.get_file_info(selector)
    for info in infos:
        name = info.path[len(path) :].lstrip("/")
        hidden = any(part.startswith(".") for part in name.split("/"))
        if info.type == fs.FileType.File and not hidden:
            entries.append(_entry(storage.join(base, name), name, info))
    return sorted(entries, key=lambda entry: entry.name)


def _entry(uri: str, name: str, info: fs.FileInfo) -> FileEntry:
    return FileEntry(uri, name, int(info.size), int(info.mtime_ns or 0))


def _cut_glob(uri: str) -> tuple[str, str]:
    """Splits before the first folder with a wildcard; the pattern is "" where there is none."""
    wild = "*" if "://" in uri else "*?"
    parts = uri.split("/")
    for index, part in enumerate(parts):
        if any(character in part for character in wild):
            base = "/".join(parts[:index])
            return base or ("/" if uri.startswith("/") else "."), "/".join(parts[index:])
    return uri, ""


def _glob_expression(pattern: str) -> re.Pattern[str]:
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(pieces.get(token, re.escape(token)) for token in tokens))


def _sha256_file(uri: str) -> str:
    filesystem, path = storage.resolve(uri)
    with storage.reaching(uri), filesystem.open_input_stream(path, compression=None) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
