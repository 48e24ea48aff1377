"""What the tests of the running service need: registries to move aliases in, load, processes."""

import os
import shutil
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import requests
from mlflow import MlflowClient

from benchmarks.support.memory import descendants
from copylens.config.schema import RunConfig
from copylens.registry.reader import SCORER_HASH_TAG

NAME = "copylens"


class Registry:
    """A copy of a run's registry, so that its aliases may be moved without others noticing."""

    def __init__(self, config: RunConfig, folder: Path):
        source = Path(config.tracking.uri.removeprefix("sqlite:///"))
        shutil.copy(source, folder / "mlflow.db")
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.client = MlflowClient(self.uri)

    @property
    def champion(self) -> str:
        return str(self.client.get_model_version_by_alias(NAME, "champion").version)

    def promote_copy(self, damaged: bool = False) -> str:
        """A new version, made champion: the present one again, or one that is refused."""
        before = self.client.get_model_version_by_alias(NAME, "champion")
        version = str(
            self.client.copy_model_version(f"models:/{NAME}/{before.version}", NAME).version
        )
        found = before.tags[SCORER_HASH_TAG]
        value = "0" * 64 if damaged else found
        self.client.set_model_version_tag(NAME, version, SCORER_HASH_TAG, value)
        self.move(version)
        return version

    def move(self, version: str) -> None:
        self.client.set_registered_model_alias(NAME, "champion", version)


class Load:
    """Clients that ask one after another until told to stop; notes what they were answered."""

    def __init__(self, url: str, texts: list[str], clients: int = 3):
        self._url, self._texts = url, texts
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]
        self.answers: list[tuple[int, str]] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _ask(self, number: int) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                text = self._texts[number % len(self._texts)]
                answer = session.post(f"{self._url}/v1/attribute", json={"text": text}, timeout=90)
                said = answer.json()["model"]["version"] if answer.ok else answer.text
                self.answers.append((answer.status_code, said))


def until(true, seconds: float = 60.0):
    """Waits for what `true()` gives, and fails when it stays false."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return found


def replica_pids(deployment: str) -> list[int]:
    """Processes of a deployment's replicas below this one: nobody else's."""
    title = f"ServeReplica:{NAME}:{deployment}"
    return [pid for pid in descendants(os.getpid()) if title in command(pid)]


def command(pid: int) -> str:
    """What a process was started as; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def environment(pid: int) -> str:
    """The environment that a process was started with; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/environ").read_text().replace("\0", " ")
    except OSError:
        return ""


def listening(pid: int) -> set[tuple[str, int]]:
    """Addresses and ports that a process listens on; of IPv6 addresses the kernel's hex digits.

    Empty for a process that has ended.
    """
    sockets = set()
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                sockets.add(str(link.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            local, state, inode = (line.split()[place] for place in (1, 3, 9))
            if state == "0A" and f"socket:[{inode}]" in sockets:
                host, port = local.split(":")
                if table == "tcp":
                    host = socket.inet_ntoa(bytes.fromhex(host)[::-1])
                found.add((host, int(port, 16)))
    return found
