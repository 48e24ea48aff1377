"""A registry that is out of reach is told in seconds and one line, whatever kind it is."""

import logging
import os

import pytest

from copylens.errors import ModelError
from copylens.registry.reader import resolve_version
from copylens.registry.server import TrackingError, _short_timeouts, mlflow_errors, require_server
from tests.servers import HangingUp, refusing_port


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
@pytest.mark.parametrize("ask", [require_server, lambda uri: resolve_version("models:/a/1", uri)])
def test_nobody_answers(scheme, ask):
    with refusing_port() as port, pytest.raises(TrackingError) as caught:
        ask(f"{scheme}://somebody:secret@127.0.0.1:{port}/copylens")
    message = str(caught.value)
    assert "\n" not in message
    assert f"{scheme}://127.0.0.1:{port}" in message
    assert "docs/registry.md" in message
    assert "secret" not in message


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_question_is_asked_a_few_times_and_not_for_minutes(scheme):
    """MLflow by itself tries HTTP eight times, and SQL ten times with growing pauses."""
    with HangingUp() as server, pytest.raises(TrackingError):
        require_server(f"{scheme}://127.0.0.1:{server.port}/copylens")
    assert 1 <= server.tries <= 3


def test_a_registry_without_the_model_is_another_matter(tmp_path):
    with pytest.raises(ModelError, match="promote"):
        resolve_version("models:/copylens@champion", f"sqlite:///{tmp_path}/empty.db")


def test_what_the_user_has_set_holds(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with _short_timeouts():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_a_mistake_of_ours_stays_an_exception():
    with pytest.raises(KeyError), mlflow_errors("http://tracking.example"):
        raise KeyError("ours")


def test_a_new_database_silences_no_logger(tmp_path):
    logger = logging.getLogger("somebody.elses")
    require_server(f"sqlite:///{tmp_path}/new.db")
    assert not logger.disabled
