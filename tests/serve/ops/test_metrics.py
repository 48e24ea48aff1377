"""What is counted: every verdict however it was asked for, every request by its route."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from serve.ops.metrics import Drift, IngressMetrics, by_holder, ks_uniform
from tests.serve.fakes import FakeBackend, make_client, make_verdict
from tests.serve.generation_samples import EVENTS, FakeGenerationBackend


class RecordingMetrics:
    """Records what it is called with."""

    def __init__(self):
        self.verdicts, self.requests = [], []

    def verdict(self, verdict, ruling):
        self.verdicts.append((verdict.decision, ruling.action, ruling.holder))

    def request(self, route, status, seconds):
        assert seconds >= 0
        self.requests.append((route, status))


def test_verdicts_count_alike_from_every_route():
    counted = RecordingMetrics()
    client = make_client(generation=FakeGenerationBackend(EVENTS), metrics=counted)
    client.post("/v1/attribute", json={"texts": ["a", "unscorable", "b"]})
    client.post("/v1/generate", json={"prompt": "a"})
    client.post("/v1/completions", json={"prompt": "a"})
    client.post("/v1/completions", json={"prompt": "a", "stream": True})
    chat = {"messages": [{"role": "user", "content": "a"}]}
    client.post("/v1/chat/completions", json=chat)
    assert counted.verdicts == [("registered", "flag", "Sea Press")] * 6


def test_requests_count_by_route_whatever_address_is_asked_for(tmp_path):
    counted = RecordingMetrics()
    client = make_client(metrics=counted)
    client.post("/v1/attribute", json={"text": "a"})
    client.post("/v1/attribute", content=b"{", headers={"Content-Type": "application/json"})
    client.post("/v1/attribute", content=b"x" * 3_000_000)
    for path in ("/v1/x", "/a/b", "/page/none.js"):
        client.get(path)
    client.get("/healthz", headers={"Host": "elsewhere"})
    client.get("/v1/registry", headers={"Host": "elsewhere"})
    assert counted.requests == [
        ("/v1/attribute", 200),
        ("/v1/attribute", 400),
        ("other", 415),
        ("other", 404),
        ("other", 404),
        ("/page/{name}", 404),
        ("/healthz", 200),
        ("other", 421),
    ]


def test_a_fault_of_ours_is_counted_as_one():
    counted = RecordingMetrics()
    client = make_client(FakeBackend(refusal=KeyError("x")), metrics=counted)
    client.post("/v1/attribute", json={"text": "a"})
    assert counted.requests == [("/v1/attribute", 500)]


def test_holders_have_the_whole_text_between_them():
    shares = by_holder(make_verdict(sea=0.3, ships=0.2, law=0.1))
    assert shares == pytest.approx({"Sea Press": 0.5, "Law Press": 0.1, "(unregistered)": 0.4})


@pytest.mark.parametrize("shares", [{"sea": 1.0}, {"sea": 0.0, "law": 1.0}, {}])
def test_a_share_of_nothing_costs_no_answer(shares):
    """Ray's own counters: they refuse to count 0."""

    class Backend(FakeBackend):
        async def score(self, *arguments, **named):
            outcomes = await super().score(*arguments, **named)
            return [replace(make_verdict(**shares), model=outcomes[0].model)]

    client = make_client(Backend(), metrics=IngressMetrics())
    answer = client.post("/v1/attribute", json={"text": "a"})
    assert answer.status_code == 200, answer.json()


def test_drift_is_the_kolmogorov_smirnov_distance_from_uniform():
    draw = np.random.default_rng(0)
    for values in (draw.uniform(size=200), draw.beta(0.3, 2, size=77), np.array([0.5])):
        assert ks_uniform(values.tolist()) == pytest.approx(kstest(values, "uniform").statistic)


def test_drift_is_that_of_the_last_texts_and_at_most_a_little_late():
    draw = np.random.default_rng(1)
    drift = Drift(size=200)
    for value in draw.uniform(size=400):
        calm = drift.add(float(value))
    assert calm < 0.12
    for value in draw.uniform(0, 0.02, size=204):
        wild = drift.add(float(value))
    assert wild > 0.97


def test_generations_are_logged_like_texts(caplog):
    client = make_client(generation=FakeGenerationBackend(EVENTS))
    with caplog.at_level(logging.INFO, logger="ray.serve.copylens"):
        client.post("/v1/generate", json={"prompt": "a"})
    (line,) = [json.loads(r.message) for r in caplog.records if '"verdict"' in r.message]
    assert line["decision"] == "registered" and line["policy"]["action"] == "flag"
    assert "text" not in line and len(line["text_sha256"]) == 64
