"""Generation over HTTP: events, refusals, and clients that go away."""

import asyncio
import json
import subprocess
import threading
from dataclasses import fields
from http.client import HTTPConnection

import httpx2
import pytest

from copylens.client.records import EVENT_TYPES
from copylens.errors import TextError
from serve.api.policy import ContentPolicy
from serve.replica.generation import GenerateRequest, error_event
from serve.replica.generation_backend import LocalGenerationBackend
from serve.replica.generation_events import prompt_of
from tests.generation.live_samples import verdict
from tests.serve.fakes import error_of, make_client
from tests.serve.generation_samples import (
    EVENTS,
    PROMPT,
    RULING,
    FakeGenerationBackend,
    client_of,
    endless,
    events_of,
    sent,
    served,
)


def test_events_go_out_as_they_are():
    backend = FakeGenerationBackend(EVENTS)
    answer = client_of(backend).post("/v1/generate", json={"prompt": PROMPT, "max_tokens": 7})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events_of(answer.text) == sent(EVENTS)
    assert (backend.asked[0].prompt, backend.asked[0].max_tokens) == (PROMPT, 7)


def test_a_real_lm_tells_text_shares_flags_and_verdict(scorer):
    body = {"prompt": PROMPT, "max_tokens": 20, "every": 4, "seed": 1}
    client = client_of(LocalGenerationBackend(lambda: scorer))
    first, again = (events_of(client.post("/v1/generate", json=body).text) for _ in range(2))
    assert first == again
    names = [name for name, _ in first if name != "token"]
    assert names == ["shares", "shares", "flag", "verdict", "done"]
    text = "".join(data["text"] for name, data in first if name == "token")
    assert scorer.asked[0] == text
    events = dict(first)
    assert events["shares"]["shares"] == pytest.approx({"sea": 0.5, "law": 0.4})
    assert events["shares"]["quoted"] == {"sea": 0.25, "law": 0.25}
    assert events["shares"]["abstain_reason"] is None
    assert events["verdict"] == {
        **json.loads(json.dumps(verdict("sea").to_dict())),
        "policy": RULING,
    }
    read = len(scorer.probe.lm.tokenizer(PROMPT)["input_ids"])
    assert events["done"] == {
        "finish": "length",
        "seed": 1,
        "usage": {"prompt_tokens": read, "completion_tokens": 20, "total_tokens": read + 20},
    }


def test_generations_at_the_same_time_do_not_mix(scorer):
    async def run(seed):
        request = GenerateRequest(prompt=PROMPT, max_tokens=25, every=8, seed=seed)
        return [event async for event in backend.stream(request, ContentPolicy())]

    async def both():
        return await asyncio.gather(run(1), run(2), run(1), run(2))

    backend = LocalGenerationBackend(lambda: scorer, concurrency=4)
    alone = [asyncio.run(run(seed)) for seed in (1, 2)]
    assert asyncio.run(both()) == alone * 2


@pytest.mark.parametrize("rules", ["", "rules: [{name: ours, holder: Sea Press, action: block}]"])
def test_a_block_ends_the_text(scorer, rules, tmp_path):
    """The service's own policy does, and so does the request's rule."""
    path = tmp_path / "policy.yaml"
    path.write_text(rules or "default: {action: allow}")
    client = make_client(generation=LocalGenerationBackend(lambda: scorer), policy=str(path))
    body = {
        "prompt": PROMPT,
        "seed": 1,
        "every": 4,
        "block": {"sub_datasets": ["law"] if rules else []},
    }
    events = events_of(client.post("/v1/generate", json=body).text)
    names = [name for name, _ in events if name != "token"]
    assert names == ["shares", "shares", "flag", "blocked", "verdict", "done"]
    data = dict(events)
    assert (data["blocked"]["sub_dataset"], data["blocked"]["holder"]) == ("sea", "Sea Press")
    assert ("the rule 'ours' blocks it" in data["blocked"]["reason"]) == bool(rules)
    assert data["verdict"]["policy"]["action"] == ("block" if rules else "allow")
    assert data["done"]["finish"] == "blocked"
    assert data["done"]["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({"prompt": ""}, "prompt: String should have at least 1 character"),
        ({"prompt": "a", "top": 1}, "top: Extra inputs are not permitted"),
        ({}, "give either prompt or messages"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens: "),
        ({"prompt": "a", "block": {"share": 2}}, "block.share: "),
        ([], "valid dictionary"),
        ("{", "no JSON"),
    ],
)
def test_a_wrong_body_is_one_line(body, line):
    content = body if isinstance(body, str) else json.dumps(body)
    headers = {"Content-Type": "application/json"}
    answer = client_of(FakeGenerationBackend(EVENTS)).post(
        "/v1/generate", content=content, headers=headers
    )
    assert answer.status_code == (400 if body == "{" else 422)
    assert line in error_of(answer)["message"]


def test_what_the_lm_refuses_has_a_status(scorer):
    client = client_of(LocalGenerationBackend(lambda: scorer))
    for path, status in (("/v1/generate", 422), ("/v1/completions", 400)):
        answer = client.post(path, json={"prompt": " \n"})
        assert (answer.status_code, error_of(answer)["code"]) == (status, "invalid")
        assert error_of(answer)["message"].endswith("give at least one word")
        assert error_of(answer)["type"] == "invalid_request_error"
    body = {"prompt": "a", "block": {"sub_datasets": ["see"]}}
    answer = client.post("/v1/generate", json=body)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "no_such_sub_dataset")
    assert error_of(answer)["message"] == "no sub-dataset 'see' is registered; there are sea, law"
    broken = client_of(LocalGenerationBackend(lambda: None))
    answer = broken.post("/v1/generate", json={"prompt": "a"})
    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal")


def test_too_many_generations_are_refused_at_once_and_room_is_made(scorer):
    request = GenerateRequest(prompt=PROMPT, max_tokens=8, every=8, seed=1)
    backend = LocalGenerationBackend(lambda: scorer, concurrency=1, waiting=1)

    async def run():
        first, second, third = (backend.stream(request, ContentPolicy()) for _ in range(3))
        await anext(first)
        waiting = asyncio.ensure_future(anext(second))
        await asyncio.sleep(0)
        refused = [event async for event in third]
        events = [event async for event in first]
        return refused, events, [await waiting, *[event async for event in second]]

    refused, first, second = asyncio.run(run())
    assert [(e.name, e.data["status"], e.data["code"]) for e in refused] == [
        ("error", 429, "queue_full")
    ]
    assert first[-1].name == second[-1].name == "done"
    assert backend.open == 0
    answer = client_of(LocalGenerationBackend(lambda: scorer, waiting=-2)).post(
        "/v1/generate", json={"prompt": PROMPT}
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")


def test_a_generation_has_a_time_to_begin_and_a_time_to_end():
    slow = endless()
    client = make_client(generation=slow, limits={"generation_s": 0.1})
    events = events_of(client.post("/v1/generate", json={"prompt": "a"}).text)
    assert [name for name, _ in events][-2:] == ["token", "error"]
    assert (events[-1][1]["status"], events[-1][1]["code"]) == (504, "deadline")
    assert slow.closed.wait(60)
    answer = client.post("/v1/completions", json={"prompt": "a"})
    assert (answer.status_code, error_of(answer)["code"]) == (504, "deadline")

    class Stuck(FakeGenerationBackend):
        async def stream(self, request, policy):
            await asyncio.Event().wait()
            yield EVENTS[0]

    client = make_client(generation=Stuck(EVENTS), limits={"deadline_s": 0.1})
    for path in ("/v1/generate", "/v1/completions"):
        answer = client.post(path, json={"prompt": "a"})
        assert (answer.status_code, error_of(answer)["limit"]) == (504, 0.1)


def test_an_error_midway_ends_the_stream():
    error = error_event(500, "internal", "the LM is gone")
    client = client_of(FakeGenerationBackend([EVENTS[0], error]))
    events = events_of(client.post("/v1/generate", json={"prompt": "a"}).text)
    assert [name for name, _ in events] == ["token", "error"]
    lines = client.post("/v1/completions", json={"prompt": "a", "stream": True}).text
    assert "[DONE]" not in lines
    assert json.loads(lines.strip().split("\n\n")[-1][6:])["error"]["type"] == "server_error"


def test_curl_reads_events():
    with served(FakeGenerationBackend(EVENTS)) as url:
        words = ["curl", "-sN", f"{url}/v1/generate", "-H", "Content-Type: application/json"]
        try:
            done = subprocess.run(
                [*words, "-d", '{"prompt": "a"}'], capture_output=True, timeout=20, check=True
            )
        except FileNotFoundError:
            pytest.skip("no curl here")
    assert events_of(done.stdout.decode()) == sent(EVENTS)


def test_events_have_exactly_the_fields_of_the_clients_records(scorer):
    body = {"prompt": PROMPT, "max_tokens": 24, "every": 4, "seed": 1, "block": {"share": 0.1}}
    client = client_of(LocalGenerationBackend(lambda: scorer))
    events = events_of(client.post("/v1/generate", json=body).text)
    assert {name for name, _ in events} == set(EVENT_TYPES)
    for name, data in events:
        assert set(data) == {field.name for field in fields(EVENT_TYPES[name])}


@pytest.mark.parametrize("path", ["/v1/generate", "/v1/completions"])
def test_a_client_that_disconnects_ends_a_stream(path):
    backend = endless()
    with served(backend) as url:
        body = {"prompt": "a", "stream": True} if path == "/v1/completions" else {"prompt": "a"}
        with httpx2.stream("POST", url + path, json=body) as answer:
            next(answer.iter_lines())
        assert backend.closed.wait(60)


def test_a_client_that_disconnects_ends_a_generation_that_is_not_streamed():
    backend = endless()
    with served(backend) as url:
        connection = HTTPConnection(url.removeprefix("http://"))
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", '{"prompt": "a"}', headers)
        assert backend.started.wait(60)
        connection.close()
        assert backend.closed.wait(60)


def test_a_generation_whose_iterator_is_closed_ends_its_thread(scorer):
    """With one thread: the next generation begins only once the first has left it."""

    passes, closed = [], threading.Event()

    def hold_the_first(*_):
        passes.append(1)
        if len(passes) >= 10:
            assert closed.wait(60)

    async def run():
        first, second = (
            backend.stream(
                GenerateRequest(prompt=PROMPT, max_tokens=tokens, every=50, seed=1), ContentPolicy()
            )
            for tokens in (50, 2)
        )
        await anext(first)
        await first.aclose()
        closed.set()
        return [event.name async for event in second]

    backend = LocalGenerationBackend(lambda: scorer, concurrency=1)
    hook = scorer.probe.lm.model.register_forward_hook(hold_the_first)
    try:
        assert asyncio.run(run())[-1] == "done"
    finally:
        hook.remove()
    assert len(passes) < 25


def test_chats_go_through_the_template_or_a_plain_transcript(scorer):
    words = scorer.probe.lm.tokenizer
    request = GenerateRequest(
        messages=[
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hello"},
        ],
        stop=["end"],
    )
    plain = ("system: Be short.\nuser: Hello\nassistant:", ("end", "\nuser:"))
    assert prompt_of(words, request) == plain
    words.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    try:
        assert prompt_of(words, request) == (
            "<system>Be short.<user>Hello<assistant>",
            ("end",),
        )
        words.chat_template = "{{ raise_exception('roles must take turns') }}"
        with pytest.raises(TextError, match="refuses these messages: roles must take turns"):
            prompt_of(words, request)
    finally:
        words.chat_template = None
