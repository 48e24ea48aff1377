"""Who may ask, how often and by which name; and what the log keeps. A fake scorer, no cluster."""

import json
import logging

from serve.http.auth import new_key
from tests.serve.fakes import FakeBackend, error_of, make_client, make_verdict

ASK = "/v1/attribute"


def keyed(tmp_path, *lines):
    path = tmp_path / "keys.txt"
    path.write_text("\n".join(lines))
    return str(path)


def test_keys_open_and_nothing_else_does(tmp_path):
    key, line = new_key("alice")
    client = make_client(keys=keyed(tmp_path, line))
    body = {"text": "a"}
    none = client.post(ASK, json=body)
    assert (none.status_code, none.headers["www-authenticate"][:6]) == (401, "Bearer")
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
        assert client.post(ASK, json=body, headers=headers).status_code == 200
    for wrong in (key + "x", "x" * 10_000, line.split()[1].removeprefix("sha256:")):
        answer = client.post(ASK, json=body, headers={"X-API-Key": wrong})
        assert (answer.status_code, error_of(answer)["code"]) == (403, "wrong_key")
    basic = client.post(ASK, json=body, headers={"Authorization": f"Basic {key}"})
    assert basic.status_code == 401
    assert client.get("/v1/registry").status_code == 401
    assert client.get("/v1/nothing").status_code == 401
    assert client.get("/healthz").status_code == 200
    assert client.get("/openapi.json").status_code == 200


def test_a_key_is_asked_for_before_the_body_is_read(tmp_path):
    def endless():
        yield b"x"
        raise AssertionError("the body was read")

    client = make_client(keys=keyed(tmp_path, new_key("alice")[1]))
    assert client.post(ASK, content=endless()).status_code == 401


def test_a_key_that_asks_too_often_is_told_when_to_come_back(tmp_path):
    (key, line), (other, line2) = new_key("alice", per_minute=6), new_key("bob")
    client = make_client(keys=keyed(tmp_path, line, line2))
    ask = [client.post(ASK, json={"text": "a"}, headers={"X-API-Key": key}) for _ in range(2)]
    assert [answer.status_code for answer in ask] == [200, 429]
    assert (error_of(ask[1])["limit"], ask[1].headers["retry-after"]) == (6, "10")
    assert client.get("/v1/registry", headers={"X-API-Key": other}).status_code == 200


def test_why_a_model_failed_is_for_those_with_a_key(tmp_path):
    key, line = new_key("alice")
    backend = FakeBackend(outcome="failed", reason="MLflow at http://inside:5000")
    client = make_client(backend, keys=keyed(tmp_path, line))
    assert "inside" not in client.get("/readyz").text
    assert "inside" in client.get("/readyz", headers={"X-API-Key": key}).text


def test_an_open_service_answers_only_to_names_of_its_own():
    """A page that points its own name at 127.0.0.1 must not be able to ask."""
    client = make_client(hosts=["scorer.example"])
    for host, status in (
        ("localhost:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("scorer.example", 200),
        ("evil.example:8000", 421),
        ("", 421),
    ):
        answer = client.get("/v1/registry", headers={"Host": host})
        assert answer.status_code == status, host
    assert client.get("/healthz", headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_texts_are_logged_only_where_asked_for(caplog, tmp_path):
    key, line = new_key("alice")
    for log_texts in (False, True):
        caplog.clear()
        client = make_client(keys=keyed(tmp_path, line), log_texts=log_texts)
        with caplog.at_level(logging.INFO, logger="ray.serve.copylens"):
            client.post(ASK, json={"text": "a private text"}, headers={"X-API-Key": key})
        (record,) = [json.loads(r.message) for r in caplog.records if "verdict" in r.message]
        assert record["text_sha256"] == make_verdict("a private text").text_sha256
        assert (record["key"], record["version"], record["policy"]["action"]) == (
            "alice",
            "7",
            "flag",
        )
        assert ("a private text" in caplog.text) == log_texts
        assert key not in caplog.text
