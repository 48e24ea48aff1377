"""The client against a server that follows a script: answers, refusals, silence."""

import json
import socket
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from copylens.client.client import Client, ServiceError
from copylens.client.records import Done, ServedVerdict, Shares, Token
from copylens.client.retries import Retries
from copylens.generation.flags import Block, Flag
from copylens.records import Rights
from tests.generation.live_samples import verdict

VERDICT = verdict("sea").to_dict()
REFUSED = {"error": {"code": "rate", "message": "too often", "limit": 6, "hint": "wait"}}
SILENCE = object()
BROKEN = object()


class Script(ThreadingHTTPServer):
    """Answers in turn: (status, body, headers), SILENCE, or BROKEN; the last one for ever."""

    daemon_threads = True

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.seen: list[dict] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def _answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        key = self.headers.get("Authorization")
        self.server.seen.append({"path": self.path, "body": body, "key": key})
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is SILENCE:
            # Until the client closes the connection.
            self.connection.recv(1)
        if answer in (SILENCE, BROKEN):
            self.close_connection = True
            return
        status, content, headers = (*answer, {}, {})[:3]
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer  # noqa: N815 - named by the base class

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    servers = []

    def start(*answers) -> Script:
        server = Script(*answers)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def waits():
    return []


def client_of(server, waits, **options) -> Client:
    return Client(server.url, sleep=waits.append, **{"timeout": 10, **options})


def test_a_text_gives_its_verdict(service, waits):
    policy = {"action": "flag", "rule": "default"}
    server = service((200, {**VERDICT, "policy": policy, "of_a_newer_service": 1}))
    with client_of(server, waits, api_key="k1") as client:
        got = client.attribute("A text", alpha=0.1)
    assert isinstance(got, ServedVerdict)
    assert got.to_dict() == {**VERDICT, "policy": policy}
    assert got.policy == policy
    assert server.seen == [
        {
            "path": "/v1/attribute",
            "body": {"text": "A text", "timeline": True, "alpha": 0.1},
            "key": "Bearer k1",
        }
    ]
    assert waits == []


def test_many_texts_go_in_batches_and_a_bad_one_costs_only_itself(service, waits):
    rows = [{"verdicts": [VERDICT, REFUSED]}, {"verdicts": [VERDICT]}]
    server = service(*((200, row) for row in rows))
    got = client_of(server, waits).attribute_many(["a", "", "c"], batch=2)
    assert [row["body"]["texts"] for row in server.seen] == [["a", ""], ["c"]]
    assert [type(row) for row in got] == [ServedVerdict, ServiceError, ServedVerdict]
    assert str(got[1]) == "too often; wait"


def test_the_registry(service, waits):
    rights = {"sub_dataset": "sea", "holder": "Sea Press", "license": "all rights reserved"}
    levels = {"alpha": 0.05, "interval": 0.9, "generation": True}
    row = {"model": VERDICT["model"], **levels, "sub_datasets": [rights], "lineage": {"a": 1}}
    server = service((200, {**row, "policy": {}}))
    found = client_of(server, waits).registry()
    assert found.sub_datasets == (Rights(**rights),)
    assert (found.model.version, found.alpha, found.lineage) == ("1", 0.05, {"a": 1})
    assert (found.interval, found.generation) == (0.9, True)
    assert found.smallest_p is None, "an older service does not tell"
    newer = service((200, {**row, "smallest_p": 0.004}))
    assert client_of(newer, waits).registry().smallest_p == 0.004


def test_a_verdict_of_an_older_service_is_read(service, waits):
    old = {key: value for key, value in VERDICT.items() if key != "abstain_reason"}
    old["shares"] = [{k: v for k, v in item.items() if k != "quoted"} for item in old["shares"]]
    old["timeline"] = [{"start": 0, "end": 6, "shares": {"sea": 0.5, "law": 0.5}}]
    found = client_of(service((200, old)), waits).attribute("A text")
    assert found.abstain_reason is None and {item.quoted for item in found.shares} == {0.0}
    assert found.timeline[0].unregistered == 0.0


@pytest.mark.parametrize("status", [429, 503])
def test_it_comes_back_when_the_service_says_so(service, waits, status):
    server = service((status, REFUSED, {"Retry-After": "7"}), (200, VERDICT))
    client_of(server, waits).attribute("a")
    assert len(server.seen) == 2
    assert 7 <= waits[0] < 8


def test_retry_after_may_be_a_date(service, waits):
    date = formatdate(time.time() + 1800, usegmt=True)
    server = service((503, REFUSED, {"Retry-After": date}), (200, VERDICT))
    client_of(server, waits, retries=Retries(longest=3600)).attribute("a")
    assert 1500 < waits[0] < 1801


def test_without_a_word_waits_grow(service, waits):
    server = service((503, REFUSED))
    with pytest.raises(ServiceError, match="too often; wait") as caught:
        client_of(server, waits).attribute("a")
    assert (caught.value.status, caught.value.code) == (503, "rate")
    assert len(server.seen) == 4
    assert len(waits) == 3
    retries = Retries(base=0.5, longest=10)
    assert [retries.wait(n, None, lambda: 1.0) for n in (1, 2, 3, 9)] == [1, 2, 4, 10]
    assert retries.wait(1, None, lambda: 0.0) == 0
    assert retries.wait(1, 3.0, lambda: 0.5) == 3.25


def test_a_service_that_asks_for_too_long_is_not_asked_again(service, waits):
    server = service((429, REFUSED, {"Retry-After": "3600"}))
    with pytest.raises(ServiceError, match="too often"):
        client_of(server, waits).attribute("a")
    assert (len(server.seen), waits) == (1, [])


@pytest.mark.parametrize("failure", [SILENCE, BROKEN])
def test_a_connection_that_fails_is_tried_again(service, waits, failure):
    server = service(failure, (200, VERDICT))
    client = client_of(server, waits, timeout=2)
    assert client.attribute("a").decision == "registered"
    assert (len(server.seen), len(waits)) == (2, 1)


def test_a_service_that_stays_silent(service, waits):
    server = service(SILENCE)
    client = client_of(server, waits, timeout=0.3, retries=Retries(tries=2))
    with pytest.raises(ServiceError, match=r"http://127.*did not answer in time") as caught:
        client.registry()
    assert caught.value.status is None
    assert len(waits) == 1


def test_nobody_is_there(waits):
    with socket.socket() as bound:  # and not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        client = Client(url, sleep=waits.append, retries=Retries(tries=3))
        with pytest.raises(ServiceError, match=f"{url} is out of reach: ") as caught:
            client.attribute("a")
    assert "\n" not in str(caught.value)
    assert len(waits) == 2


@pytest.mark.parametrize("status", [400, 401, 413, 422, 500, 504])
def test_other_refusals_are_final(service, waits, status):
    server = service((status, REFUSED))
    with pytest.raises(ServiceError, match="too often; wait") as caught:
        client_of(server, waits).attribute("a")
    assert caught.value.status == status
    assert (len(server.seen), waits) == (1, [])


def test_a_proxys_page_is_one_line(service, waits):
    server = service((502, b"<html>\n<b>Bad\ngateway</b>"))
    with pytest.raises(ServiceError, match=r"^HTTP 502 from .*: <html> <b>Bad gateway</b>$"):
        client_of(server, waits).attribute("a")
    server = service((200, b"<html>"))
    with pytest.raises(ServiceError, match="something else than JSON"):
        client_of(server, waits).attribute("a")


def test_a_response_of_another_version_is_one_line(service, waits):
    row = {key: value for key, value in VERDICT.items() if key != "p_value"}
    with pytest.raises(ServiceError, match=r"cannot be read: p_value: Field required; .*versions$"):
        client_of(service((200, row)), waits).attribute("a")


def stream_of(*events) -> tuple[int, bytes, dict[str, str]]:
    lines = "".join(f"event: {n}\ndata: {json.dumps(d)}\n\n" for n, d in events)
    return 200, lines.encode(), {"Content-Type": "text/event-stream"}


SHARES = {
    "tokens": 2,
    "decision": "abstain",
    "p_value": 0.5,
    "ood_score": 1.0,
    "unregistered": 0.2,
    "shares": {"sea": 0.8},
}
FLAG = {"decision": "registered", "sub_dataset": "sea", "holder": "S", "share": 0.8, "p_value": 0.6}
DONE = {"finish": "blocked", "seed": 3, "usage": {"total_tokens": 2}}


def test_a_generation_comes_as_records(service, waits):
    status, body, headers = stream_of(
        ("token", {"text": "a\n", "tokens": 1}),
        ("shares", SHARES),
        ("flag", {**FLAG, "tokens": 2}),
        ("of_a_newer_service", {}),
        ("blocked", {"reason": "r", "sub_dataset": "sea", "holder": "S"}),
        ("verdict", VERDICT),
        ("done", DONE),
    )
    server = service((status, b": keeps the line open\n\n" + body, headers))
    events = list(client_of(server, waits).generate("The sea", seed=3, block={}))
    assert events == [
        Token("a\n", 1),
        Shares(**SHARES),
        Flag(**FLAG, tokens=2),
        Block("r", "sea", "S"),
        events[4],
        Done(**DONE),
    ]
    assert events[4].shares[0].sub_dataset == "sea"
    assert server.seen[0]["body"] == {"prompt": "The sea", "seed": 3, "block": {}}


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ((503, REFUSED), "too often; wait"),
        (stream_of(("error", {"message": "gone", "hint": None, "status": 500})), "gone"),
        (stream_of(("token", {"text": "a", "tokens": 1})), "broke off while the LM wrote"),
        (stream_of(("token", {"text": "a"})), "cannot be read: tokens: Field required"),
        ((200, b"<html>"), "something else than events"),
        (BROKEN, "out of reach"),
    ],
)
def test_a_generation_is_asked_for_once(service, waits, answer, line):
    server = service(answer)
    with pytest.raises(ServiceError, match=line):
        list(client_of(server, waits).generate("a"))
    assert (len(server.seen), waits) == (1, [])


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://a"])
def test_an_address_that_is_none(url):
    with pytest.raises(ServiceError, match="is no address of a service"):
        Client(url)
