"""The MLflow server as its clients meet it: missed at once, and in one line."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from copylens.errors import CopyLensError
from copylens.store.storage import shown

# MLflow by itself tries for minutes: right while results are written, wrong to ask whether it is
# there. Seconds where the name says nothing else.
_SHORT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


class TrackingError(CopyLensError):
    """The MLflow server, its database or its artifact store is out of reach, or refuses."""


def tracking_uri(named: str | None = None) -> str:
    """The server that is named; $MLFLOW_TRACKING_URI; else a SQLite file in the working folder."""
    found = named or os.environ.get("MLFLOW_TRACKING_URI")
    return found or f"sqlite:///{Path('copylens.db').absolute()}"


def require_server(uri: str) -> None:
    """A cheap question, so that nothing is computed whose result could not be kept.

    Raises:
        TrackingError: no answer within a few seconds, or a refusal.
    """
    with asking(uri):
        MlflowClient(uri).search_experiments(max_results=1)


@contextmanager
def asking(uri: str) -> Iterator[None]:
    """For questions that have an answer at once, or none.

    Raises:
        TrackingError: no answer within a few seconds, or a refusal.
    """
    with impatient(), mlflow_errors(uri), loggers_kept():
        if "://" in uri and not uri.startswith(("http", "sqlite", "file", "databricks")):
            # For a database without a server MLflow's retries cannot be set.
            create_engine(uri).connect().close()
        yield


@contextmanager
def impatient() -> Iterator[None]:
    """Few retries within; what the user has set in the environment holds."""
    ours = {name: value for name, value in _SHORT.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextmanager
def loggers_kept() -> Iterator[None]:
    """Preparing a database, MLflow silences every logger that it does not know; ours speak on."""
    before = [
        logger
        for logger in logging.root.manager.loggerDict.values()
        if isinstance(logger, logging.Logger) and not logger.disabled
    ]
    try:
        yield
    finally:
        for logger in before:
            logger.disabled = False


@contextmanager
def mlflow_errors(uri: str) -> Iterator[None]:
    """What MLflow and the libraries below it raise becomes one line that names the server.

    Raises:
        TrackingError: with what was said, and what to do.
    """
    try:
        yield
    except CopyLensError:
        raise
    except Exception as error:
        # boto3 need not be installed here, so its errors go by their home.
        below = type(error).__module__.partition(".")[0] in {"botocore", "boto3"}
        if not below and not isinstance(error, MlflowException | SQLAlchemyError | OSError):
            raise
        raise TrackingError(
            f"MLflow at {shown(uri)}: {one_line(error)}; start the server, or correct "
            "tracking.uri or MLFLOW_TRACKING_URI (docs/registry.md)"
        ) from None


def one_line(error: Exception) -> str:
    """The beginning of an error's text, without line breaks and without what logs one in."""
    return re.sub(r"//[^/@\s]+@", "//", " ".join(str(error).split()))[:300]
