"""A request's false-alarm level: what it changes, and below which one it is refused."""

from dataclasses import replace

import numpy as np
import pytest

from copylens.verdict.published import Published, decide
from serve.replica.generation_backend import LocalGenerationBackend
from tests.serve.fakes import FakeBackend, error_of, make_client, make_verdict
from tests.serve.generation_samples import PROMPT, client_of

ASK = "/v1/attribute"


def test_no_alpha_of_a_client_changes_what_the_policy_says():
    class AtAlpha(FakeBackend):
        async def score(self, texts, alpha, *_):
            self.asked.append((tuple(texts), alpha))
            return tuple(self._at(float(text), alpha or 0.05) for text in texts)

        def _at(self, unregistered, alpha):
            shares = np.array([0.9, 0.1]) * (1 - unregistered)
            line = np.array([[*shares, unregistered]])
            found = Published(line, shares, shares, shares, 0 * shares, unregistered)
            decision, _ = decide(found, 0.2, alpha, 0.5)
            return replace(make_verdict(sea=shares[0], ships=shares[1]), decision=decision)

    backend = AtAlpha()
    client = make_client(backend)
    texts = ["0.1", "0.8"]
    plain, strict = (
        client.post(ASK, json={"texts": texts} | more).json()["verdicts"]
        for more in ({}, {"alpha": 0.9})
    )
    assert [row["decision"] for row in plain] == ["registered", "abstain"]
    assert [row["decision"] for row in strict] == ["registered", "unregistered"]
    for rows in (plain, strict):
        assert [row["policy"]["action"] for row in rows] == ["flag", "allow"]
    assert len(backend.asked) == 2, "no text is judged twice"


@pytest.mark.parametrize("body", [{"text": "A ship."}, {"texts": ["A ship.", "unscorable"]}])
def test_a_level_that_the_calibration_does_not_allow_is_refused_with_the_smallest(body):
    answer = make_client().post(ASK, json=body | {"alpha": 0.001})
    assert answer.status_code == 422
    error = error_of(answer)
    assert (error["code"], error["limit"], error["param"]) == ("alpha_too_small", 0.004, "alpha")
    assert "alpha must be above 0.004" in error["message"]
    assert make_client().get("/v1/registry").json()["smallest_p"] == 0.004


def test_a_generation_at_such_a_level_is_refused_before_the_first_token(scorer):
    client = client_of(LocalGenerationBackend(lambda: scorer))
    answer = client.post("/v1/generate", json={"prompt": PROMPT, "alpha": 0.001})
    assert answer.status_code == 422
    assert error_of(answer)["code"] == "alpha_too_small"
    assert "above 0.004" in error_of(answer)["message"]
    fits = client.post("/v1/generate", json={"prompt": PROMPT, "alpha": 0.004, "max_tokens": 4})
    assert fits.status_code == 200
