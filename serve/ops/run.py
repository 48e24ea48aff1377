"""`copylens serve`: the service on this machine, until Ctrl-C."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from copylens.errors import ConfigError, CopyLensError, ModelError
from serve.ops.haproxy import haproxy
from serve.ops.settings import ServeArgs
from serve.replica.messages import ModelStatus

_APP = "copylens"
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
# Loading an LM from a slow disk or the hub takes minutes.
_START_S = 900.0
_POLL_S = 2.0


def is_local(host: str) -> bool:
    """Whether only this machine can connect to a host."""
    return host in _LOCAL_HOSTS


def serve(args: ServeArgs, host: str, port: int, metrics_port: int | None = None) -> None:
    """Starts the service, prints its address, and at Ctrl-C stops it without dropping a request.

    Args:
        metrics_port: of the Prometheus endpoint /metrics; None = any free port.

    Raises:
        CopyLensError: the port is in use, or the model is missing or cannot be loaded.
    """
    _check_port(host, port)
    if metrics_port is not None:
        _check_port("0.0.0.0", metrics_port)
    _check_model(args)
    with haproxy(host), _ray(args, metrics_port), _stop_signals() as stop:
        handle = _start(args, host, port)
        try:
            status = _wait_until_ready(handle, stop)
            if not stop.is_set():
                _announce(args, status, host, port)
            _report_changes(handle, stop, status)
        finally:
            _stop(handle)


def _check_port(host: str, port: int) -> None:
    """Checks the port first: Serve itself would retry, and report it in its log only."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} on {host} cannot be used ({error.strerror}); choose another --port"
            ) from None


def _check_model(args: ServeArgs) -> None:
    """Raises ModelError for a missing model before a cluster is started."""
    from copylens.store import storage
    from copylens.verdict.bundle import SCORER_FILE
    from serve.replica.models import ModelSource

    if args.model.startswith("models:/"):
        ModelSource(args).resolve()
    elif not storage.exists(storage.join(args.model, SCORER_FILE)):
        raise ModelError(f"'{args.model}' holds no scorer ({SCORER_FILE} is missing)")


@contextmanager
def _ray(args: ServeArgs, metrics_port: int | None) -> Iterator[None]:
    """A local Ray cluster for this service, without dashboard."""
    import ray

    from copylens.progress import native_stderr_closed
    from copylens.states.memory import share_one_heap

    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # By default replicas (niceness 15) run only when nothing else on the machine wants to.
    os.environ.setdefault("RAY_worker_niceness", "0")
    share_one_heap()
    with native_stderr_closed():
        ray.init(
            address="local",
            # Logical CPUs: with too few Ray would wait forever for the proxy's.
            num_cpus=max(4, args.replicas_max + 2),
            object_store_memory=200 * 2**20,
            include_dashboard=False,
            dashboard_host="127.0.0.1",
            _metrics_export_port=metrics_port,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets; a second signal raises KeyboardInterrupt."""
    stop = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(args: ServeArgs, host: str, port: int) -> Any:
    from ray import serve as ray_serve
    from ray.serve.config import HTTPOptions

    from serve.app import build

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    ray_serve.start(proxy_location="HeadOnly", http_options=HTTPOptions(host=host, port=port))
    # wait_for_model off: the replica starts without a model, so `_wait_until_ready` can ask it why
    # the model cannot be loaded.
    return ray_serve.run(build(args.model_copy(update={"wait_for_model": False})), name=_APP)


def _wait_until_ready(handle: Any, stop: threading.Event) -> ModelStatus:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and not stop.is_set():
        status: ModelStatus = handle.readiness.remote().result(timeout_s=30)
        if status.model is not None:
            return status
        if status.outcome == "failed":
            raise ModelError(status.reason or "the model cannot be loaded")
        stop.wait(0.3)
    if stop.is_set():
        return ModelStatus(None)
    raise ModelError(f"the model was not loaded within {_START_S:g} s")


def _announce(args: ServeArgs, status: ModelStatus, host: str, port: int) -> None:
    assert status.model is not None
    shown = f"[{host}]" if ":" in host else host
    keys = "API keys needed" if args.keys else "no keys needed"
    _print(
        f"CopyLens answers at http://{shown}:{port} "
        f"({status.model.name} version {status.model.version}, {keys}); Ctrl-C stops it"
    )


def _report_changes(handle: Any, stop: threading.Event, status: ModelStatus) -> None:
    """Prints changes of the model while the service runs."""
    while not stop.wait(_POLL_S):
        try:
            now: ModelStatus = handle.readiness.remote().result(timeout_s=5)
        except Exception:
            # Serve restarts dead replicas, and responses report it meanwhile.
            continue
        if now.model is not None and now.model != status.model:
            _print(f"version {now.model.version} answers now")
        elif now.reason is not None and now.reason != status.reason:
            answering = "the version before goes on answering" if now.model else "nobody answers"
            _print(f"{answering}: {now.reason}")
        status = now


def _stop(handle: Any) -> None:
    """Refuses new requests and waits for running ones; Serve ends with its Ray cluster."""
    from ray import serve as ray_serve

    try:
        handle.drain.remote().result(timeout_s=5)
        # Deleting the application waits for running requests; a shutdown alone would drop them.
        ray_serve.delete(_APP)
    except Exception as error:
        _print(f"stopped without waiting for what was under way: {type(error).__name__}")


def _print(line: str) -> None:
    print(line, flush=True)


def local_args(host: str, **values: Any) -> ServeArgs:
    """The arguments from the command line, checked.

    Without a keys file the service may only listen on a local address.

    Raises:
        CopyLensError: they contradict each other, or policy or keys cannot be used.
    """
    from pydantic import ValidationError

    from copylens.registry.server import tracking_uri
    from serve.http.errors import first_validation_error

    given = {key: value for key, value in values.items() if value is not None}
    # Replicas have other working directories.
    for key in ("policy", "keys"):
        if key in given:
            given[key] = str(Path(given[key]).absolute())
    given.setdefault("tracking_uri", tracking_uri())
    if Path(given["model"]).is_dir():
        given["model"] = str(Path(given["model"]).absolute())
    if "keys" not in given:
        if not is_local(host):
            raise ConfigError(
                f"others can connect to {host}, so a file of API keys is needed: "
                "`copylens keys new NAME >> keys.txt`, then --keys keys.txt"
            )
        given["open_access"] = True
    try:
        args = ServeArgs(**given)
        check_files(args)
        return args
    except ValidationError as error:
        key, reason = first_validation_error(error.errors())
        raise ConfigError(f"{key + ': ' if key else ''}{reason}") from None


def check_files(args: ServeArgs) -> None:
    """Reads policy and keys, so that a mistake in them is reported before anything is started.

    Raises:
        CopyLensError: one of them cannot be used.
    """
    from serve.api.policy import parse_policy
    from serve.http.auth import parse_keys
    from serve.ops.reloaded import ReloadedFile

    if args.policy:
        ReloadedFile(args.policy, parse_policy)
    if args.keys and not ReloadedFile(args.keys, parse_keys).current():
        raise CopyLensError(f"'{args.keys}' holds no key; add one with `copylens keys new NAME`")
