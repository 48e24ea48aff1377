"""A real Chromium for tests of the page, which may speak to this machine only."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ARTIFACTS = Path(__file__).parents[3] / "test-artifacts" / "page"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Where Chromium is; installed from Debian's packages if that is allowed, else a skip."""
    if (found := _chromium()) is not None:
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("no Chromium here; install it (Debian: apt-get install chromium)")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ("update -q", "install -q -y --no-install-recommends chromium"):
        done = subprocess.run(
            ["apt-get", *command.split()], env=quiet, capture_output=True, text=True, timeout=500
        )
        if done.returncode:
            pytest.skip(f"no Chromium here, and apt-get {command} says: {done.stderr[-200:]}")
    found = _chromium()
    assert found is not None
    return found


def _chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Watch:
    """Notes what no page of ours may do: reach other hosts, break the policy, throw."""

    def __init__(self, context: Any) -> None:
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self.refused: list[str] = []
        context.route(lambda url: not _local(url), lambda route: route.abort())
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _request(self, request: Any) -> None:
        if not _local(request.url):
            self.foreign.append(request.url)

    def _console(self, message: Any) -> None:
        if message.type not in {"error", "warning"}:
            return
        # The browser notes every answer that is not a 2xx; a test may have made the service refuse.
        refused = "the server responded with" in message.text
        (self.refused if refused else self.complaints).append(message.text)


def _local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"blob", "data"} or parts.hostname == "127.0.0.1"


def screenshot(page: Any, name: str, full: bool = True) -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=full)


def barriers(page: Any) -> list[str]:
    """What axe-core finds that is serious or worse, one line each."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{item['id']}: {node['html'][:120]} ({node['failureSummary']})"
        for item in found
        if item["impact"] in {"serious", "critical"}
        for node in item["nodes"]
    ]


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not come about in time"
        time.sleep(0.02)
