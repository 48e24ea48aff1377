"""The service as it runs: Serve on a free port, the registry it follows, and replicas that die."""

import json
import os
import signal

import pytest
import requests

from copylens.registry.reader import load_scorer
from tests.serve.service import Load, Registry, replica_pids, until
from tests.servers import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.cluster]

TEXTS = [
    "The ship and the captain of the crew. " * 20,
    "A court of law and the judge.",
    "Salt the dough and whisk.",
    "The array of an object. " * 5,
]


@pytest.fixture(scope="module")
def registry(finished, tmp_path_factory):
    return Registry(finished[0], tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def url(registry):
    """The service's address."""
    from ray import serve
    from ray.serve.config import HTTPOptions

    from serve.app import build
    from serve.ops.settings import ServeArgs

    port = free_port()
    args = ServeArgs(
        tracking_uri=registry.uri,
        open_access=True,
        poll_s=0.5,
        limits={"deadline_s": 60},
        batching={"texts": 8},
    )
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
    serve.run(build(args), name="copylens")
    yield f"http://127.0.0.1:{port}"
    serve.delete("copylens")
    serve.shutdown()


def version(url):
    answer = requests.get(f"{url}/readyz", timeout=30)
    return answer.json()["model"]["version"] if answer.ok else None


def test_served_verdicts_are_those_of_the_scorer(url, registry):
    scorer = load_scorer("models:/copylens@champion", registry.uri)
    # The last one is read in overlapping chunks.
    texts = [*TEXTS, "The ship and the captain before the court. " * 60]
    answer = requests.post(f"{url}/v1/attribute", json={"texts": texts, "alpha": 0.2}, timeout=90)
    served = answer.json()["verdicts"]
    assert served[-1]["tokens"] > 2 * scorer.probe.lm.context
    for got, expected in zip(served, scorer.verdicts(texts, 0.2), strict=True):
        wanted = expected.to_dict()
        assert set(got) == {*wanted, "policy"}
        for exact in ("text_sha256", "decision", "model", "tokens", "truncated"):
            assert got[exact] == wanted[exact]
        for number in ("p_value", "ood_score", "unregistered"):
            assert got[number] == pytest.approx(wanted[number], abs=1e-5)
        for one, other in zip(got["shares"], wanted["shares"], strict=True):
            assert one["sub_dataset"] == other["sub_dataset"]
            for number in ("share", "low", "high"):
                assert one[number] == pytest.approx(other[number], abs=1e-5)
        for one, other in zip(got["timeline"], wanted["timeline"], strict=True):
            assert (one["start"], one["end"]) == (other["start"], other["end"])
            assert one["shares"] == pytest.approx(other["shares"], abs=1e-5)


def test_the_lm_writes_and_is_watched(url, registry):
    body = {"prompt": "The ship and the crew", "max_tokens": 24, "every": 8, "seed": 3}
    with requests.post(f"{url}/v1/generate", json=body, stream=True, timeout=90) as answer:
        blocks = answer.text.split("\n\n")
    events = [(e.split("\n")[0][7:], json.loads(e.split("\n")[1][6:])) for e in blocks if e]
    data = dict(events)
    assert data["done"]["usage"]["completion_tokens"] == 24
    written = "".join(values["text"] for name, values in events if name == "token")
    expected = load_scorer("models:/copylens@champion", registry.uri).verdicts([written])[0]
    assert data["verdict"]["text_sha256"] == expected.text_sha256
    assert data["verdict"]["p_value"] == pytest.approx(expected.p_value, abs=1e-5)
    whole = requests.post(
        f"{url}/v1/completions", json={"prompt": "The ship", "max_tokens": 8}, timeout=90
    ).json()
    assert whole["usage"]["completion_tokens"] == 8
    assert whole["copylens"]["verdict"]["model"]["version"] == registry.champion


def test_the_registry_says_what_the_model_knows(url, finished):
    body = requests.get(f"{url}/v1/registry", timeout=30).json()
    assert sorted(row["sub_dataset"] for row in body["sub_datasets"]) == ["code", "law", "sea"]
    assert {row["holder"] for row in body["sub_datasets"]} == {
        "Code Press",
        "Law Press",
        "Sea Press",
    }
    assert body["lineage"]["probe_weights"]


def test_the_alias_moves_under_load_and_no_request_fails(url, registry):
    before = registry.champion
    with Load(url, TEXTS) as load:
        until(lambda: len(load.answers) >= 10)
        after = registry.promote_copy()
        until(lambda: version(url) == after)
        seen = len(load.answers)
        until(lambda: len(load.answers) >= seen + 10)
    assert {status for status, _ in load.answers} == {200}, load.answers
    assert {said for _, said in load.answers} == {before, after}
    assert load.answers[-1][1] == after


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(url, registry):
    before = registry.champion
    registry.promote_copy(damaged=True)
    state = until(
        lambda: (
            found
            if (found := requests.get(f"{url}/readyz", timeout=30).json()["reload"])["outcome"]
            == "failed"
            else None
        )
    )
    assert "not what was registered" in state["reason"]
    assert version(url) == before
    registry.move(before)
    until(lambda: requests.get(f"{url}/readyz", timeout=30).json()["reload"]["reason"] is None)
    assert version(url) == before


def test_a_killed_scorer_costs_no_request(url):
    (victim,) = replica_pids("Scorer")
    with Load(url, TEXTS) as load:
        until(lambda: len(load.answers) >= 10)
        os.kill(victim, signal.SIGKILL)
        seen = len(load.answers)
        until(lambda: len(load.answers) >= seen + 10, 90)
    assert {status for status, _ in load.answers} == {200}, load.answers
    assert until(lambda: replica_pids("Scorer")) != [victim]


def test_an_ingress_that_dies_comes_back(url):
    (victim,) = replica_pids("Ingress")
    os.kill(victim, signal.SIGKILL)

    def answers():
        try:
            answer = requests.post(f"{url}/v1/attribute", json={"text": TEXTS[0]}, timeout=30)
        except requests.RequestException:
            return False
        return answer.status_code == 200 and replica_pids("Ingress") != [victim]

    until(answers)
