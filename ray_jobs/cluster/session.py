"""Connects to Ray: the cluster we run on, or a local one until the stage ends."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from copylens.config.schema import RunConfig
from copylens.errors import CopyLensError
from copylens.progress import native_stderr_closed
from copylens.states.memory import share_one_heap


@contextmanager
def ray_session(config: RunConfig) -> Iterator[None]:
    """Yields with Ray connected; a local Ray is shut down afterwards.

    A Ray that is already connected (a stage within `copylens run`, a test) is used as it is. With
    RAY_ADDRESS set, as in a submitted job, that cluster is used and its resources are its own.
    """
    import ray  # slow to import

    if ray.is_initialized():
        yield
        return
    # Ray's own log lines are of no use to a user; errors are raised all the same.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # By default the workers of a local Ray (niceness 15) run only when nothing else wants to.
    os.environ.setdefault("RAY_worker_niceness", "0")
    share_one_heap()
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    with native_stderr_closed(), _sigterm_handler_kept():
        if os.environ.get("RAY_ADDRESS"):
            ray.init(address="auto", **quiet)
        else:
            ray.init(
                address="local",
                num_cpus=config.resources.cpus,
                object_store_memory=config.resources.object_store_mb * 2**20,
                include_dashboard=False,
                **quiet,
            )
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _sigterm_handler_kept() -> Iterator[None]:
    """`ray.init` sets a SIGTERM handler of its own, which exits with a code of its own."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def user_errors() -> Iterator[None]:
    """Re-raises the CopyLensError that a worker raised, without Ray's wrapping, as one line."""
    try:
        yield
    except CopyLensError:
        raise
    except Exception as error:
        cause = user_error_in(error)
        if cause is None:
            raise
        raise type(cause)(str(cause).splitlines()[0]) from None


def user_error_in(error: BaseException | None) -> CopyLensError | None:
    """The CopyLensError that a chain of wrapped exceptions holds, if any."""
    seen: set[int] = set()
    stack = [error]
    while stack:
        link = stack.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        if isinstance(link, CopyLensError):
            return link
        stack += [link.__cause__, link.__context__, getattr(link, "cause", None)]
        stack += list(getattr(link, "worker_failures", {}).values())
    return None
