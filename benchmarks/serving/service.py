"""Servers to measure: `copylens serve` with other settings, and the plain one to compare with."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.serving.texts import Case
from benchmarks.support.memory import descendants

_START_S = 180.0
_STOP_S = 90.0
_HOST = "127.0.0.1"


class Server:
    """A process that answers HTTP; started by `with`, which returns once it is ready."""

    def __init__(self, words: list[str], ready: str = "/readyz"):
        self.port = free_port()
        self.url = f"http://{_HOST}:{self.port}"
        self._words, self._ready = words, ready

    def __enter__(self) -> "Server":
        self.process = subprocess.Popen(
            [sys.executable, "-m", *self._words, str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get("COPYLENS_VERBOSE") else subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.start_s = wait_for(
            lambda: self.get(self._ready) is not None, _START_S, "the service did not start"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, path: str) -> dict[str, Any] | None:
        """The JSON at a path; None where the answer is no 200."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (urllib.error.URLError, OSError, ValueError):
            return None

    def pids(self) -> list[int]:
        """All its processes."""
        return descendants(self.process.pid)

    def replicas(self, deployment: str = "") -> list[int]:
        """Processes of its replicas, those that still start among them."""
        return [pid for pid in self.pids() if f":copylens:{deployment}" in replica_title(pid)]


def service(case: Case, **settings: Any) -> Server:
    """`copylens serve` with these `ServeArgs`."""
    values = {"model": case.bundle, "probe": case.probe, **settings}
    given = {key: value for key, value in values.items() if value is not None}
    return Server(["benchmarks.serving.service", json.dumps(given)])


def plain(case: Case) -> Server:
    """FastAPI and the same scorer, one request at a time."""
    return Server(["benchmarks.serving.plain", case.bundle, case.probe or ""], "/healthz")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def wait_for(true: Any, seconds: float, otherwise: str) -> float:
    """Seconds until `true()` was; TimeoutError where it never is."""
    start = time.monotonic()
    while not true():
        if time.monotonic() > start + seconds:
            raise TimeoutError(f"{otherwise} within {seconds:g} s")
        time.sleep(0.1)
    return time.monotonic() - start


def replica_title(pid: int) -> str:
    """How Ray names a replica's process; empty for others."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:  # it ended while we looked
        return ""
    return title if title.startswith("ray::ServeReplica") else ""


def _main() -> None:
    from serve.ops.run import local_args
    from serve.ops.run import serve as run_service

    settings, port = json.loads(sys.argv[1]), int(sys.argv[2])
    run_service(local_args(_HOST, **settings), _HOST, port)


if __name__ == "__main__":
    _main()
