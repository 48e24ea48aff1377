"""The whole HTTP side with a fake scorer: answers, refusals, keys, headers. No cluster."""

import json
import logging

import pytest

from serve.http.errors import RequestError
from serve.http.middleware import SECURITY_HEADERS
from tests.serve.fakes import AUDIT, FakeBackend, error_of, make_client, make_verdict

ASK = "/v1/attribute"


def test_one_text_gives_its_verdict_and_the_policys_word():
    client = make_client()
    answer = client.post(ASK, json={"text": "A ship."})
    assert answer.status_code == 200
    body = answer.json()
    expected = make_verdict("A ship.", sea=0.75).to_dict()
    assert {k: v for k, v in body.items() if k != "policy"} == json.loads(json.dumps(expected))
    policy = body["policy"]
    assert policy == {
        "action": "flag",
        "rule": "default",
        "holder": "Sea Press",
        "sub_dataset": "sea",
        "share": 0.75,
        "policy": client.context.policy.current().id,
    }


def test_several_texts_are_answered_in_order_and_a_bad_one_costs_itself():
    backend = FakeBackend()
    texts = ["one", "unscorable", "three", "broken"]
    answer = make_client(backend).post(ASK, json={"texts": texts, "timeline": False, "alpha": 0.2})
    first, refused, third, broken = answer.json()["verdicts"]
    assert [first["text_sha256"], third["text_sha256"]] == [
        make_verdict(text).text_sha256 for text in ("one", "three")
    ]
    assert (first["timeline"], first["evidence"]) == ([], None)
    assert first["evidence_reason"] == "not asked for"
    assert refused["error"]["code"] == "cannot_score"
    assert broken["error"]["code"] == "internal"
    assert backend.asked == [(tuple(texts), 0.2)]


def test_the_callers_names_come_back_with_each_verdict_and_into_the_log(caplog):
    caplog.set_level(logging.INFO)
    client = make_client()
    one = client.post(ASK, json={"text": "A ship.", "id": 7, "document": "essay"}).json()
    assert (one["id"], one["document"]) == ("7", "essay")
    logged = [r.getMessage() for r in caplog.records if "text_sha256" in r.getMessage()]
    assert '"id": "7"' in logged[-1] and '"document": "essay"' in logged[-1]
    rows = [{"text": "a", "id": ""}, "b", {"text": "unscorable", "id": "c", "document": 3}]
    answers = client.post(ASK, json={"texts": rows}).json()["verdicts"]
    names = [(answer["id"], answer["document"]) for answer in answers]
    assert names == [(None, None), (None, None), ("c", "3")]
    assert answers[2]["error"]["code"] == "cannot_score"


def test_a_single_text_that_cannot_be_scored_is_the_clients_matter_a_fault_is_ours():
    client = make_client()
    assert client.post(ASK, json={"text": "unscorable"}).status_code == 422
    answer = client.post(ASK, json={"text": "broken"})
    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "no_json"),
        (b'{"text": "\xff"}', 400, "no_json"),
        (b"[" * 100_000, 400, "no_json"),
        (b'{"text": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, "no_json"),
        (b'{"text": "a", "alpha": ' + b"9" * 10_000 + b"}", 400, "no_json"),
        (b"", 422, "invalid"),
        (b"[]", 422, "invalid"),
        (b"null", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b'{"text": "a", "texts": ["b"]}', 422, "invalid"),
        (b'{"texts": ["b"], "id": "x"}', 422, "invalid"),
        (b'{"text": "a", "id": true}', 422, "invalid"),
        (b'{"text": "a", "document": ["x"]}', 422, "invalid"),
        (b'{"text": "a", "id": "' + b"x" * 501 + b'"}', 422, "invalid"),
        (b'{"text": "a", "id": ' + b"9" * 501 + b"}", 422, "invalid"),
        (b'{"texts": [{"text": "a", "name": "b"}]}', 422, "invalid"),
        (b'{"texts": [{"id": "a"}]}', 422, "invalid"),
        (b'{"texts": []}', 422, "invalid"),
        (b'{"text": 7}', 422, "invalid"),
        (b'{"texts": ["a", null]}', 422, "invalid"),
        (b'{"text": "\\ud800"}', 422, "not_unicode"),
        (b'{"text": "a", "alpha": NaN}', 422, "invalid"),
        (b'{"text": "a", "alpha": 0}', 422, "invalid"),
        (b'{"text": "a", "alpha": "0.1"}', 422, "invalid"),
        (b'{"text": "a", "timeline": "yes"}', 422, "invalid"),
        (b'{"text": "a", "model": "models:/other@x"}', 422, "invalid"),
        (b'{"text": ""}', 422, "blank_text"),
        (b'{"text": " \\n\\t\\u00a0 "}', 422, "blank_text"),
        (b'{"texts": ["a", "b\\u0000c"]}', 422, "control_character"),
        (b'{"text": "\\u001b[31mred"}', 422, "control_character"),
    ],
)
def test_what_cannot_be_a_request_is_a_4xx(body, status, code):
    backend = FakeBackend()
    answer = make_client(backend).post(
        ASK, content=body, headers={"Content-Type": "application/json"}
    )
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (status, code), error
    assert backend.asked == []
    assert len(error["message"]) < 300


def test_the_place_of_a_bad_text_is_named_and_its_content_is_not():
    answer = make_client().post(ASK, json={"texts": ["fine", "secret\x07secret"]})
    assert "texts[1]" in error_of(answer)["message"]
    assert "U+0007 at 6" in error_of(answer)["message"]
    assert "secret" not in answer.text
    answer = make_client().post(ASK, json={"text": ["secret"], "alpha": "secret"})
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("body", "code", "limit"),
    [
        ({"text": "x" * 101}, "text_too_long", 100),
        ({"texts": ["x"] * 5}, "too_many_texts", 4),
        ({"texts": ["x" * 90] * 3}, "request_too_long", 200),
        ({"text": "x" * 5000}, "body_too_large", 2000),
    ],
)
def test_limits_are_named(body, code, limit):
    limits = {"text_chars": 100, "texts": 4, "request_chars": 200, "body_bytes": 2000}
    answer = make_client(limits=limits).post(ASK, json=body)
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["limit"]) == (413, code, limit)
    assert error["hint"]


def test_at_the_limits_all_is_well():
    limits = {"text_chars": 100, "texts": 2, "request_chars": 200}
    answer = make_client(limits=limits).post(ASK, json={"texts": ["x" * 100] * 2})
    assert len(answer.json()["verdicts"]) == 2


def test_a_body_without_a_length_is_counted_too():
    def parts():
        for _ in range(100):
            yield b" " * 100

    client = make_client(limits={"body_bytes": 2000})
    answer = client.post(ASK, content=parts(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, error_of(answer)["code"]) == (413, "body_too_large")


def test_only_json_is_read():
    """A form on another site can send text/plain without asking; it must not get through."""
    client = make_client()
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post(ASK, content=b'{"text": "a"}', headers={"Content-Type": kind})
        assert (answer.status_code, error_of(answer)["code"]) == (415, "not_json")


def test_overload_and_lateness_keep_their_status_and_say_when_to_come_back():
    for status, retry, header in ((429, 0.01, "1"), (503, 9.2, "10"), (504, None, None)):
        backend = FakeBackend(refusal=RequestError(status, "x", "y", retry_after_s=retry))
        answer = make_client(backend).post(ASK, json={"text": "a"})
        assert (answer.status_code, answer.headers.get("retry-after")) == (status, header)


def test_a_fault_of_ours_is_500_and_says_nothing(caplog):
    backend = FakeBackend(refusal=KeyError("/secret/path"))
    with caplog.at_level(logging.ERROR, logger="ray.serve.copylens"):
        answer = make_client(backend).post(ASK, json={"text": "a"})
    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "secret" in caplog.text


def test_unknown_addresses_and_methods_have_the_same_form():
    client = make_client()
    assert error_of(client.get("/nothing"))["code"] == "not_found"
    answer = client.get(ASK)
    assert (answer.status_code, error_of(answer)["code"]) == (405, "wrong_method")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/registry", "/nothing", "/v1/x", "/"])
def test_every_answer_carries_the_security_headers(path):
    for client in (make_client(), make_client(FakeBackend(ready=False))):
        answer = client.get(path)
        assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


def test_readiness_is_having_a_model():
    backend = FakeBackend(ready=False, outcome="failed", reason="no such version")
    client = make_client(backend)
    assert client.get("/healthz").json() == {"status": "ok"}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["reload"]["reason"] == "no such version"
    assert client.get("/v1/registry").status_code == 503
    backend.ready = True
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["model"]["version"]) == (200, "7")
    # The model before answers, and everybody can see that the change failed.
    assert answer.json()["reload"]["outcome"] == "failed"


def test_while_draining_nothing_new_is_begun():
    client = make_client()
    client.context.draining = True
    answer = client.post(ASK, json={"text": "a"})
    assert (answer.status_code, error_of(answer)["code"]) == (503, "draining")
    assert "retry-after" in answer.headers
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_the_registry_lists_rights_lineage_and_rules_that_never_apply(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("rules: [{name: typo, holder: Sea Pres, action: block}]")
    body = make_client(policy=str(path)).get("/v1/registry").json()
    assert [row["sub_dataset"] for row in body["sub_datasets"]] == ["sea", "ships", "law"]
    assert body["lineage"] == {"copylens": "0.1.0", "probe": "tiny", "probe_license": "MIT"}, (
        "no path goes out"
    )
    assert (body["interval"], body["generation"]) == (0.9, False)
    assert body["audit"] == {name: list(said) for name, said in AUDIT.items()}
    assert body["policy"]["idle_rules"] == ["typo"]


def test_a_new_policy_holds_at_once_and_a_broken_one_leaves_the_old(tmp_path, caplog):
    path = tmp_path / "policy.yaml"
    path.write_text("rules: [{name: ours, holder: Sea Press, action: allow}]")
    client = make_client(policy=str(path))
    # A request looks at the file again after a second.
    client.context.policy._every = 0.0

    def now():
        policy = client.post(ASK, json={"text": "a"}).json()["policy"]
        return policy["action"], policy["rule"], client.get("/v1/registry").json()["policy"]

    before = now()
    assert before[:2] == ("allow", "ours") and before[2]["problem"] is None
    path.write_text("rules: [{name: new, holder: Sea Press, action: block, min_share: 0.5}]")
    after = now()
    assert after[:2] == ("block", "new") and after[2]["id"] != before[2]["id"]
    with caplog.at_level(logging.ERROR, logger="ray.serve.copylens"):
        path.write_text("rules: [{name: new, holder: Sea Press, action: blok}]")
        kept = [now() for _ in range(3)]
    assert {(action, rule, info["id"]) for action, rule, info in kept} == {
        ("block", "new", after[2]["id"])
    }
    assert "rules.0.action: Input should be 'allow', 'flag' or 'block'" in kept[0][2]["problem"]
    assert str(tmp_path) not in kept[0][2]["problem"]
    assert [r.levelname for r in caplog.records].count("ERROR") == 1, "told once"
    path.write_text("default: {min_share: 0.9}")
    assert now()[:2] == ("allow", None)


def test_the_page_is_files_of_one_list_and_no_path():
    client = make_client()
    assert "CopyLens" in client.get("/").text
    assert client.get("/page/app.js").headers["content-type"].startswith("text/javascript")
    for name in ("__init__.py", "..%2fapp.py", "%2e%2e/auth.py"):
        answer = client.get(f"/page/{name}")
        assert answer.status_code == 404
        assert error_of(answer)["code"] == "not_found"
