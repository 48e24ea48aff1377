"""Peak memory of a tree of processes, shared pages counted once."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS = 0.5


class PeakMemory:
    """Samples the proportional set size of a process (this one) and all that descend from it."""

    def __init__(self, root: int | None = None) -> None:
        self.peak_mb = 0.0
        self._root = os.getpid() if root is None else root
        self._stop = threading.Event()

    @contextmanager
    def watching(self) -> Iterator["PeakMemory"]:
        """Samples until the block ends; `peak_mb` is the most that was seen, in MiB."""
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SECONDS):
            self.peak_mb = max(self.peak_mb, self.now_mb())

    def now_mb(self) -> float:
        """What they have at this moment, in MiB."""
        return sum(_pss_mb(pid) for pid in descendants(self._root))


def descendants(root: int) -> list[int]:
    """A process and everything it started, directly or not."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended while we looked
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, stack = [], [root]
    while stack:
        pid = stack.pop()
        found.append(pid)
        stack += children.get(pid, [])
    return found


def _pss_mb(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0
