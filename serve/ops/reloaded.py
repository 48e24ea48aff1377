"""A parsed file, read again when it changes; an invalid version does not replace a valid one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from copylens.errors import CopyLensError
from serve.ops.log import LOG

T = TypeVar("T")


class ReloadedFile(Generic[T]):
    """The parsed content of the last valid version of a file.

    Not thread-safe: it is used on the replica's event loop only.

    Attributes:
        problem: why the file's newest version is not in use; None where it is.
    """

    def __init__(
        self,
        path: str,
        parse: Callable[[str, str], T],
        every_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Reads the file.

        Args:
            parse: (text, path) -> content; raises CopyLensError for an invalid file.
            every_s: least seconds between two checks for a change.

        Raises:
            CopyLensError: the file is missing, not UTF-8, or invalid.
        """
        self._path, self._parse, self._every, self._clock = path, parse, every_s, clock
        self.problem: str | None = None
        self._checked = clock()
        self._version = self._file_version()
        self._content = self._read()

    def current(self) -> T:
        """The content, read again if the file has changed; of an invalid file the one before."""
        now = self._clock()
        if now - self._checked < self._every:
            return self._content
        self._checked = now
        version = self._file_version()
        if version != self._version:
            # Set before reading, so that an invalid version is read and logged once.
            self._version = version
            self._reload()
        return self._content

    def _reload(self) -> None:
        try:
            self._content = self._read()
        except CopyLensError as error:
            self.problem = str(error)
            LOG.error("kept what was read before: %s", error)
            return
        self.problem = None
        LOG.info("read '%s' anew", self._path)

    def _read(self) -> T:
        try:
            text = Path(self._path).read_bytes().decode()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise CopyLensError(f"'{self._path}' cannot be read: {reason}") from None
        except UnicodeDecodeError as error:
            raise CopyLensError(f"'{self._path}' is not UTF-8 (byte {error.start})") from None
        return self._parse(text, self._path)

    def _file_version(self) -> tuple[int, int, int] | None:
        """(mtime, size, inode): differs after a replacement as well as after a write in place."""
        try:
            found = Path(self._path).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
