"""Connections to the MLflow server: its URI, short timeouts, errors of one line."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from copylens.errors import CopyLensError, one_line
from copylens.store.storage import shown

# MLflow retries for minutes by default: right while results are written, too long for a check
# whether the server is there. Seconds, unless the name says otherwise.
_SHORT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


class TrackingError(CopyLensError):
    """MLflow's server, database or artifact store cannot be reached or refuses access."""


def tracking_uri(named: str | None = None) -> str:
    """`named`, else $MLFLOW_TRACKING_URI, else a SQLite file in the working directory."""
    found = named or os.environ.get("MLFLOW_TRACKING_URI")
    return found or f"sqlite:///{Path('copylens.db').absolute()}"


def require_server(uri: str) -> None:
    """Checks that the server answers, before results are computed that could not be stored.

    Raises:
        TrackingError: no answer within a few seconds, or access refused.
    """
    with short_query(uri):
        MlflowClient(uri).search_experiments(max_results=1)


@contextmanager
def short_query(uri: str) -> Iterator[None]:
    """For short queries: few retries, short timeouts.

    Raises:
        TrackingError: no answer within a few seconds, or access refused.
    """
    with _short_timeouts(), mlflow_errors(uri), _loggers_kept():
        if "://" in uri and not uri.startswith(("http", "sqlite", "file", "databricks")):
            # For a database without a server MLflow's retries cannot be set.
            create_engine(uri).connect().close()
        yield


@contextmanager
def _short_timeouts() -> Iterator[None]:
    """Few retries and short timeouts; variables that the user has set stay as they are."""
    ours = {name: value for name, value in _SHORT.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextmanager
def _loggers_kept() -> Iterator[None]:
    """Re-enables loggers that MLflow disables while it prepares a database."""
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
def mlflow_errors(uri: str | None = None) -> Iterator[None]:
    """Turns errors of MLflow and the libraries below it into one line that names the server.

    Args:
        uri: of the server; default: the one that MLflow is set to.

    Raises:
        TrackingError: with the error's text, and what to do.
    """
    try:
        yield
    except CopyLensError:
        raise
    except Exception as error:
        # boto3 need not be installed here, so its errors are told by their module.
        below = type(error).__module__.partition(".")[0] in {"botocore", "boto3"}
        if not below and not isinstance(error, MlflowException | SQLAlchemyError | OSError):
            raise
        place = shown(uri or mlflow.get_tracking_uri())
        raise TrackingError(
            f"MLflow at {place}: {without_secrets(error)}; start the server, or correct "
            "tracking.uri or MLFLOW_TRACKING_URI (docs/registry.md)"
        ) from None


def without_secrets(error: Exception) -> str:
    """The beginning of an error's text on one line, without credentials."""
    return re.sub(r"//[^/@\s]+@", "//", one_line(error))[:300]
