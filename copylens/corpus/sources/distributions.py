"""Installed Python distributions and the standard library -> one row per source file.

Text with a known holder and licence that every machine has on which CopyLens runs.
"""

import os
import platform
import re
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import getaddresses
from pathlib import Path
from typing import cast

from copylens.corpus.sources.rows import Row
from copylens.errors import CorpusError
from copylens.store.installed import canonical, distribution, not_installed

STDLIB = "stdlib"
# Folders in the standard library's directory that hold other people's code, or none.
NOT_STDLIB = {"site-packages", "dist-packages", "__pycache__"}
GENERATED_NAME = re.compile(r"_pb2(_grpc)?\.py$|^_sysconfigdata.*\.py$")
GENERATED_MARK = re.compile(
    r"@generated|\bdo not edit\b|auto-?\s?generated|automatically generated"
    r"|\b(file|code|module) (is|was) generated",
    re.IGNORECASE,
)
GENERATED_LINES = 5
LONGEST_LICENSE = 100


@dataclass(frozen=True)
class DistributionSource:
    """The Python source files of one distribution, each by its path in it."""

    uri: str
    name: str
    version: str
    holder: str
    license: str
    source_url: str
    files: Mapping[str, Path]

    def rows(self) -> Iterator[Row]:
        """A row per .py file that is neither blank nor generated, sorted by path."""
        for name, path in self.files.items():
            file = f"dist://{self.name}/{name}"
            try:
                text = path.read_bytes().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                yield Row(file, 1, problem=f"not_utf8: byte {error.start} is not UTF-8")
                continue
            except OSError as error:
                yield Row(file, 1, problem=f"not_readable: {error.strerror}")
                continue
            if text.strip() and not is_generated(name, text):
                yield Row(file, 1, self._values(name, text))

    def identity(self) -> str:
        """Name and version."""
        return f"{self.name}=={self.version}"

    def local_uris(self) -> list[str]:
        """None: they belong to the distribution."""
        return []

    def origin(self) -> dict[str, str]:
        """The version."""
        return {"version": self.version}

    def _values(self, name: str, text: str) -> dict[str, str]:
        key = f"{self.name}/{name}"
        return {
            "id": key,
            "text": text,
            "sub_dataset": self.name,
            "holder": self.holder,
            "license": self.license,
            "title": name,
            "source_url": self.source_url,
            "split_group": key,
        }


def open_distribution(uri: str) -> DistributionSource:
    """Opens `dist://NAME`, or `dist://stdlib` for Python's standard library.

    Raises:
        CorpusError: no such distribution is installed, or it holds no Python source files.
    """
    name = uri.removeprefix("dist://").strip("/")
    if name == STDLIB:
        return _open_stdlib(uri)
    found = distribution(name)
    if found is None:
        raise CorpusError(not_installed(uri, name))
    # Typed as a protocol without .get_all defaults; it is an email.message.Message.
    info = cast(Message, found.metadata)
    files = [file for file in found.files or [] if str(file).endswith(".py")]
    if not files:
        raise CorpusError(f"'{uri}' holds no .py source files; name another distribution")
    return DistributionSource(
        uri=uri,
        name=canonical(str(info["Name"])),
        version=found.version,
        holder=holder_of(info),
        license=license_of(info),
        source_url=_source_url(info),
        files={str(file): Path(str(file.locate())) for file in sorted(files, key=str)},
    )


def holder_of(info: Message) -> str:
    """Author or maintainer, by name where one is given, else by address; else "unknown"."""
    for field in ("Author", "Author-email", "Maintainer", "Maintainer-email"):
        value = " ".join(str(info.get(field) or "").split())
        if not value or value.upper() == "UNKNOWN":
            continue
        if not field.endswith("-email"):
            return value
        return ", ".join(name or address for name, address in getaddresses([value]))
    return "unknown"


def license_of(info: Message) -> str:
    """License-Expression, else a short License field, else the classifiers; else "unknown"."""
    expression = str(info.get("License-Expression") or "").strip()
    if expression:
        return expression
    # Some distributions put the whole licence text into the field.
    text = str(info.get("License") or "").strip()
    if text and text.upper() != "UNKNOWN" and "\n" not in text and len(text) <= LONGEST_LICENSE:
        return text
    classifiers = [str(line) for line in info.get_all("Classifier") or []]
    names = [line.rpartition("::")[2].strip() for line in classifiers if line.startswith("License")]
    return ", ".join(names) or "unknown"


def is_generated(name: str, text: str) -> bool:
    """True for files a program wrote, by their name or by a mark in the first lines."""
    head = "\n".join(text[:2000].splitlines()[:GENERATED_LINES])
    file_name = name.rpartition("/")[2]
    return bool(GENERATED_NAME.search(file_name) or GENERATED_MARK.search(head))


def _open_stdlib(uri: str) -> DistributionSource:
    root = Path(sysconfig.get_path("stdlib"))
    paths: list[Path] = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in NOT_STDLIB]
        paths += [Path(folder, name) for name in names if name.endswith(".py")]
    version = platform.python_version()
    return DistributionSource(
        uri=uri,
        name=STDLIB,
        version=version,
        holder="Python Software Foundation",
        license="PSF-2.0",
        source_url=f"https://github.com/python/cpython/tree/v{version}/Lib",
        files={path.relative_to(root).as_posix(): path for path in sorted(paths)},
    )


def _source_url(info: Message) -> str:
    urls: dict[str, str] = {}
    for line in info.get_all("Project-URL") or []:
        label, _, url = str(line).partition(",")
        urls[label.strip().lower()] = url.strip()
    for label in ("source", "source code", "repository", "homepage"):
        if label in urls:
            return urls[label]
    return str(info.get("Home-page") or "")
