"""`copylens submit`: a stage, or all of them, as one job on a Ray cluster, followed to its end.

The code that this process runs and the config exactly as it was read here are uploaded, so neither
the working directory nor a CopyLens that the cluster has installed is used.
"""

import asyncio
import logging
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from copylens.config.schema import RunConfig
from copylens.errors import CopyLensError
from copylens.store.stages import STAGES
from ray_jobs.cluster.job_paths import require_absolute

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

JOBS: Mapping[str, str] = {
    **{stage: f"ray_jobs.{stage}" for stage in STAGES},
    "audit": "ray_jobs.audit",
    "rescore": "ray_jobs.rescore",
    "run": "ray_jobs.pipeline",
    "score": "ray_jobs.score",
}
_ADDRESSES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_CODE = Path(__file__).parents[2]
_PACKAGES = ("copylens", "ray_jobs")
_CONFIG = "config.yaml"
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Submission:
    """A submitted job: its id, and the client of its cluster."""

    client: "JobSubmissionClient"
    id: str
    address: str


@dataclass(frozen=True)
class Outcome:
    """How a job ended: Ray's status, the exit code to return, and a message.

    `exit_code` is 0 for success, 2 after a CopyLensError in the job, 1 otherwise.
    """

    status: str
    exit_code: int
    message: str


def submit(
    job: str,
    config: RunConfig,
    words: Sequence[str] = (),
    address: str | None = None,
    variables: Sequence[str] = (),
) -> Submission:
    """Uploads code and config and starts a job.

    Args:
        job: a key of `JOBS`.
        config: as the user wrote it; every path in it must be absolute or a URI.
        words: further words for the job's command line, such as score's `--input X`.
        address: of the cluster's dashboard; None = what the environment names.
        variables: names of environment variables to give to the job, with their values here. They
            are shown in the cluster's dashboard.

    Raises:
        CopyLensError: an unknown job, a relative path, a variable that is not set, no such
            cluster, a token that is missing or wrong.
    """
    if job not in JOBS:
        raise CopyLensError(f"there is no job '{job}'; choose one of {', '.join(sorted(JOBS))}")
    require_absolute(config)
    missing = [name for name in variables if name not in os.environ]
    if missing:
        raise CopyLensError(f"--env {missing[0]}: no such variable is set here")
    where = _address(address)
    with _one_line_errors(where), tempfile.TemporaryDirectory() as folder:
        pack(Path(folder), config)
        client = _connect(where)
        identifier = client.submit_job(
            entrypoint=shlex.join(["python", "-m", JOBS[job], "--config", _CONFIG, *words]),
            runtime_env={
                "working_dir": folder,
                "env_vars": {name: os.environ[name] for name in variables},
            },
        )
    return Submission(client, identifier, where)


def pack(folder: Path, config: RunConfig) -> None:
    """Copies what a job needs into `folder`: the packages as imported here, and the config."""
    for package in _PACKAGES:
        shutil.copytree(
            _CODE / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    (folder / _CONFIG).write_text(config.to_yaml(), encoding="utf-8")


def follow(job: Submission, write: Callable[[str], None]) -> Outcome:
    """Gives the job's log to `write` as it grows, and waits for the end of the job.

    If the log stream ends early (a proxy closed the connection), the job is still waited for.
    """
    import aiohttp

    try:
        asyncio.run(_tail(job, write))
    except (RuntimeError, aiohttp.ClientError, OSError) as error:
        write(f"(the log broke off, but not the job: {_line(error)})\n")
    try:
        while (details := job.client.get_job_info(job.id)).status not in _ENDED:
            time.sleep(_POLL_SECONDS)
    except (RuntimeError, OSError) as error:
        return Outcome("UNKNOWN", 1, f"the cluster does not answer: {_line(error)}")
    status = str(details.status.value)
    blamed = 2 if details.driver_exit_code == 2 else 1
    # What follows repeats the log.
    message = (details.message or status).splitlines()[0].partition(", last available logs")[0]
    return Outcome(status, 0 if status == "SUCCEEDED" else blamed, message)


async def _tail(job: Submission, write: Callable[[str], None]) -> None:
    async for lines in job.client.tail_job_logs(job.id):
        write(lines)


def _address(given: str | None) -> str:
    found = given or next((os.environ[name] for name in _ADDRESSES if os.environ.get(name)), None)
    if found is None:
        raise CopyLensError(
            "no cluster named: give --address http://HOST:8265 or set RAY_API_SERVER_ADDRESS"
        )
    return found


def _connect(address: str) -> "JobSubmissionClient":
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        # Ray uses a token only in this mode, and reads the mode when it is first imported.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    from ray.job_submission import JobSubmissionClient

    for part in ("dashboard_sdk", "job.sdk"):
        # Ray logs which files it ignored and uploaded; users do not need that.
        logging.getLogger(f"ray.dashboard.modules.{part}").setLevel(logging.WARNING)
    logging.getLogger("ray._private.runtime_env.packaging").setLevel(logging.WARNING)
    with _only(address):
        return JobSubmissionClient(address)


@contextmanager
def _only(address: str) -> Iterator[None]:
    """Makes Ray use this address: it prefers the environment variable to its argument."""
    before = os.environ.get(_ADDRESSES[0])
    os.environ[_ADDRESSES[0]] = address
    try:
        yield
    finally:
        del os.environ[_ADDRESSES[0]]
        if before is not None:
            os.environ[_ADDRESSES[0]] = before


@contextmanager
def _one_line_errors(address: str) -> Iterator[None]:
    """Turns errors of the connection into a CopyLensError of one line that says what to do."""
    try:
        yield
    except CopyLensError:
        raise
    except Exception as error:
        from ray.exceptions import AuthenticationError

        if isinstance(error, AuthenticationError):
            raise CopyLensError(
                f"{address} takes no job without its token ({error.message.splitlines()[0]}); "
                "set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file that holds it"
            ) from None
        if isinstance(error, RuntimeError | ValueError | OSError):
            raise CopyLensError(f"no job at {address}: {_line(error)}") from None
        raise


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
