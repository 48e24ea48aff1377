"""The service over a model that was trained without an LM: verdicts, and no generation."""

import pytest

from benchmarks.support.fuzz_app import InProcessBackend
from serve.replica.generation_backend import LocalGenerationBackend
from tests.fit.fit_samples import config_of, scorer_of, training_data
from tests.serve.fakes import error_of, make_client


@pytest.fixture(scope="module")
def client():
    scorer = scorer_of(config_of(), training_data())
    generation = LocalGenerationBackend(lambda: scorer, concurrency=1, waiting=1)
    return make_client(InProcessBackend(scorer), generation)


def test_a_verdict_names_no_lm(client):
    row = client.post("/v1/attribute", json={"text": "The ship and its crew. " * 20}).json()
    assert row["model"]["probe"] is None
    assert max(row["shares"], key=lambda item: item["share"])["sub_dataset"] == "sea"


def test_the_registry_and_the_list_of_models_say_that_nothing_is_generated(client):
    assert client.get("/v1/registry").json()["generation"] is False
    assert client.get("/v1/models").json() == {"object": "list", "data": []}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/generate", {"prompt": "The ship"}),
        ("/v1/completions", {"prompt": "The ship"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "The ship"}]}),
    ],
)
def test_what_needs_an_lm_is_refused_in_one_line(client, path, body):
    answer = client.post(path, json=body)
    assert answer.status_code == 422
    assert error_of(answer)["code"] == "cannot_write"
    assert "without an LM" in error_of(answer)["message"]
