"""A file that may change while the service runs; a broken new one does not replace a good one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from copylens.errors import CopyLensError
from serve.ops.log import LOG

T = TypeVar("T")


class Watched(Generic[T]):
    """The latest good content of a file, parsed.

    Not for several threads at once: the replica's event loop is its only user.
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
            parse: text, path -> content; raises CopyLensError for a bad one.
            every_s: a request looks at the file again no sooner than that.

        Raises:
            CopyLensError: the file is not there, not UTF-8, or bad: there is no older one to keep.
        """
        self._path, self._parse, self._every, self._clock = path, parse, every_s, clock
        self.problem: str | None = None
        self._looked = clock()
        self._stamp = self._stat()
        self._content = self._read()

    def current(self) -> T:
        """The content, read anew if the file has changed; if that fails, the one before."""
        now = self._clock()
        if now - self._looked < self._every:
            return self._content
        self._looked = now
        stamp = self._stat()
        if stamp != self._stamp:
            # Before reading: a file that is bad is read, and told of, once.
            self._stamp = stamp
            self._take()
        return self._content

    def _take(self) -> None:
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

    def _stat(self) -> tuple[int, int, int] | None:
        """What differs after any change: editors replace files, others write into them."""
        try:
            found = Path(self._path).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
