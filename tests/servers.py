"""Real servers for tests, each on 127.0.0.1 and a free port: PostgreSQL, S3, MLflow."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

BUCKET = "copylens-test"
_PASSWORD = "only-for-this-test"


def free_port() -> int:
    """A port for a server to be started within a minute; until then no other process gets it.

    A connection that was closed on this side stays in TIME_WAIT for a minute: the kernel hands the
    port to nobody who asks for any port, and lets those bind it who name it (SO_REUSEADDR, which
    servers set).
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address: tuple[str, int] = listener.getsockname()
        with socket.create_connection(address):
            listener.accept()[0].close()
        return address[1]


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses connections: bound, so that nobody else can, and never listened on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


class HangingUp:
    """A server that closes every connection at once; `tries` counts them."""

    def __enter__(self) -> "HangingUp":
        self.tries = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes the thread out of accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._listener.accept()[0].close()
                self.tries += 1


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of its own; yields the URI of an empty database. Skips where there is none."""
    binaries = _postgres_binaries()
    # Not below pytest's folder, which other users may not enter.
    folder = Path(tempfile.mkdtemp(prefix="copylens-postgres-"))
    try:
        (folder / "password").write_text(_PASSWORD)
        account = _account(folder)
        data, log, port = folder / "data", folder / "log", free_port()
        _run(
            f"{binaries}/initdb -D {data} -U copylens --auth=scram-sha-256 "
            f"--pwfile={folder}/password --no-sync --encoding=UTF8 --no-locale".split(),
            account,
        )
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        control = [binaries / "pg_ctl", "-D", data, "-l", log]
        try:
            _run([*control, "-w", "-t", "30", "-o", options, "start"], account)
            yield f"postgresql://copylens:{_PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"], capture_output=True, check=False, **account
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def s3_server() -> Iterator[str]:
    """An S3 with one empty bucket, `BUCKET`; within it the AWS_* variables lead there."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            yield f"s3://{BUCKET}"
    finally:
        server.stop()


@contextmanager
def mlflow_server(
    folder: Path, backend_uri: str, artifacts: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """`mlflow server` as its own process group, working in `folder`; yields its address."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", backend_uri, "--artifacts-destination", artifacts]
    settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **(environment or {})}
    log = folder / f"mlflow-{port}.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=settings,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_healthy(server, address, log)
        yield address
    finally:
        _end(server)


def _wait_until_healthy(server: subprocess.Popen, address: str, log: Path) -> None:
    # The first start lays out the database: a hundred migrations.
    deadline = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(f"{address}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    pytest.fail(f"the MLflow server did not come up:\n{log.read_text()[-3000:]}")


def _end(server: subprocess.Popen) -> None:
    """Ends a process group that we have started; what does not go is killed."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sign)
            server.wait(timeout=5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _postgres_binaries() -> Path:
    """The folder of initdb and pg_ctl; as root on Debian the package is installed at need."""
    found = _find_initdb()
    if found is None and os.getuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "--no-install-recommends", "-y", "postgresql"]):
            subprocess.run(
                ["apt-get", "-qq", *words], env=quiet, capture_output=True, check=False, timeout=300
            )
        found = _find_initdb()
    if found is None:
        pytest.skip("PostgreSQL is not here and cannot be installed: no initdb")
    return found.resolve().parent


def _find_initdb() -> Path | None:
    in_path = shutil.which("initdb")
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    candidates = ([Path(in_path)] if in_path else []) + packaged[::-1]
    return candidates[0] if candidates else None


def _account(folder: Path) -> dict:
    """How to run PostgreSQL: it refuses root, so root lends it another name and the folder."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    for path in (folder, *folder.iterdir()):
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": folder}


def _run(command: list, account: dict) -> None:
    # Into a file: a server that pg_ctl starts would keep a pipe open.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            list(map(str, command)),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=120,
            **account,
        )
        output.seek(0)
        if done.returncode:
            pytest.fail(f"{command[0]} failed:\n{output.read().decode()[-2000:]}")
