"""OpenAI's own client against the routes."""

import openai
import pytest

from serve.replica.generation_backend import LocalGenerationBackend
from tests.serve.generation_samples import (
    BLOCKED,
    EVENTS,
    FLAG,
    PROMPT,
    FakeGenerationBackend,
    client_of,
    served,
)


@pytest.fixture(scope="module")
def client():
    with served(FakeGenerationBackend(EVENTS)) as url:
        yield openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def blocked():
    with served(FakeGenerationBackend(BLOCKED)) as url:
        yield openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


CHAT = [{"role": "user", "content": [{"type": "text", "text": "Hello"}], "name": "me"}]


def test_openais_client_reads_whole_answers(client):
    answer = client.completions.create(
        model="tiny", prompt=PROMPT, user="me", extra_body={"store": True}
    )
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("One wörd\n", "length")
    assert answer.usage.total_tokens == 5
    assert answer.copylens["verdict"]["decision"] == "registered"
    assert answer.copylens["flags"] == [FLAG]
    chat = client.chat.completions.create(model="tiny", messages=CHAT, temperature=0, stop="x")
    assert chat.choices[0].message.content == "One wörd\n"
    assert chat.choices[0].message.role == "assistant"
    assert chat.copylens["seed"] == 4


def test_openais_client_reads_streams(client):
    stream = client.completions.create(model="tiny", prompt=PROMPT, stream=True)
    parts = list(stream)
    assert "".join(part.choices[0].text for part in parts) == "One wörd\n"
    assert [p.copylens["flag"] for p in parts if "flag" in getattr(p, "copylens", {})] == [FLAG]
    assert parts[-1].choices[0].finish_reason == "length"
    assert parts[-1].copylens["verdict"]["decision"] == "registered"
    stream = client.chat.completions.create(
        model="tiny", messages=CHAT, stream=True, stream_options={"include_usage": True}
    )
    parts = list(stream)
    assert parts[0].choices[0].delta.role == "assistant"
    content = [part.choices[0].delta.content or "" for part in parts[:-1]]
    assert "".join(content) == "One wörd\n"
    assert parts[-1].choices == []
    assert parts[-1].usage.total_tokens == 5
    assert len({part.id for part in parts}) == 1


def test_openais_client_is_told_of_a_block(blocked):
    answer = blocked.completions.create(model="tiny", prompt=PROMPT)
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].text == "", "what was blocked is not given away"
    assert answer.copylens["blocked"]["sub_dataset"] == "sea"
    parts = list(blocked.chat.completions.create(model="tiny", messages=CHAT, stream=True))
    assert parts[-1].choices[0].finish_reason == "content_filter"


def test_openais_client_lists_the_model(client):
    (model,) = client.models.list().data
    assert model.id == "tiny"
    assert model.copylens == {"scorer": "copylens", "version": "3"}


@pytest.mark.parametrize(
    "refused",
    [
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"frequency_penalty": 0.5},
    ],
)
def test_what_is_not_done_is_refused_in_one_line(client, refused):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=CHAT, **refused)
    (name,) = refused
    assert caught.value.param == name
    assert caught.value.body["message"].startswith(f"{name}=")
    assert "\n" not in caught.value.body["message"]


def test_unsupported_fields_without_effect_are_ignored():
    backend = FakeGenerationBackend(EVENTS)
    client = client_of(backend)
    plain = {"messages": CHAT, "seed": 1}
    ignored = {"n": 1, "tools": [], "logprobs": False, "presence_penalty": 0.0, "user": "x"}
    answers = [
        client.post("/v1/chat/completions", json=body) for body in (plain, {**plain, **ignored})
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert backend.asked[0] == backend.asked[1]
    assert answers[0].json()["choices"] == answers[1].json()["choices"]


def test_wrong_bodies_in_openais_form(client):
    with pytest.raises(openai.NotFoundError, match="'gpt' is not served here; there is 'tiny'"):
        client.completions.create(model="gpt", prompt=PROMPT)
    with pytest.raises(openai.BadRequestError, match="one text per request, got 2"):
        client.completions.create(model="tiny", prompt=["a", "b"])
    with pytest.raises(openai.BadRequestError, match="messages: ") as caught:
        client.chat.completions.create(model="tiny", messages=[])
    assert caught.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError, match=r"copylens\.evry: "):
        client.completions.create(model="tiny", prompt="a", extra_body={"copylens": {"evry": 1}})


def test_openais_fields_reach_the_lm():
    backend = FakeGenerationBackend(EVENTS)
    body = {
        "messages": CHAT,
        "max_completion_tokens": 9,
        "temperature": 0,
        "top_p": 0.5,
        "seed": -3,
        "stop": "end",
        "copylens": {"every": 4, "block": {"sub_datasets": ["sea"]}},
    }
    assert client_of(backend).post("/v1/chat/completions", json=body).status_code == 200
    asked = backend.asked[0]
    assert asked.messages[0].content == "Hello"
    assert (asked.max_tokens, asked.temperature, asked.top_p) == (9, 0, 0.5)
    assert (asked.stop, asked.every, asked.block.sub_datasets) == (("end",), 4, ("sea",))
    assert asked.seed >= 0


def test_openais_client_and_a_real_lm(scorer):
    with served(LocalGenerationBackend(lambda: scorer)) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        model = client.models.list().data[0].id
        options = {"model": model, "prompt": PROMPT, "max_tokens": 20, "seed": 5}
        whole = client.completions.create(**options).choices[0].text
        parts = list(client.completions.create(**options, stream=True))
        assert "".join(part.choices[0].text for part in parts) == whole
        assert whole in scorer.asked
        chat = client.chat.completions.create(model=model, messages=CHAT, max_tokens=5)
        assert chat.usage.completion_tokens <= 5
