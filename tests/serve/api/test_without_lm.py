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


def test_the_smallest_level_is_told_and_below_it_there_is_no_verdict(client):
    registry = client.get("/v1/registry").json()
    assert 0 < registry["smallest_p"] < 1
    body = {"texts": ["The ship and its crew. " * 20] * 2}
    fits = client.post("/v1/attribute", json=body | {"alpha": registry["smallest_p"] * 1.01})
    assert fits.status_code == 200 and len(fits.json()["verdicts"]) == 2
    refused = client.post("/v1/attribute", json=body | {"alpha": registry["smallest_p"]})
    assert refused.status_code == 422
    error = error_of(refused)
    assert (error["code"], error["limit"]) == ("alpha_too_small", registry["smallest_p"])
    assert "alpha must be above" in error["message"] and "train with" in error["message"]


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
