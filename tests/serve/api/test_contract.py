"""The service keeps to its own schema, whatever is sent: `benchmarks.fuzz` says how it is asked."""

import json

import pytest
from jsonschema import Draft202012Validator
from starlette.responses import JSONResponse

from benchmarks.fuzz import Found, by_hand, by_schema
from benchmarks.support.fuzz_bodies import raw_bodies
from serve.http.auth import new_key
from serve.http.errors import RequestError
from tests.serve.fakes import make_app, make_client
from tests.serve.generation_samples import BLOCKED, FakeGenerationBackend


def service(**args):
    return make_app(generation=FakeGenerationBackend(BLOCKED), **args)


@pytest.mark.slow
def test_schemathesis_finds_nothing():
    pytest.importorskip("schemathesis")
    found = Found()
    by_schema(found, service(), examples=5, seed=0)
    assert found.server_errors + found.contract_violations == []
    # Bounds of every field of every endpoint, and the random ones.
    assert found.cases > 900


def test_bodies_that_no_schema_thinks_of_are_refused_as_announced():
    found = Found()
    by_hand(found, make_client(generation=FakeGenerationBackend(BLOCKED)), raw_bodies(0, 60))
    assert found.server_errors + found.contract_violations == []
    assert found.cases == 4 * 60


def test_what_breaks_the_contract_is_found():
    """The fuzzing itself is tested by an endpoint that fails, and one that answers otherwise."""
    app = service().app

    @app.post("/v1/broken", responses={200: {}})
    async def broken() -> JSONResponse:
        return JSONResponse({"detail": "what"}, 418)

    @app.post("/v1/failing")
    async def failing() -> None:
        raise KeyError("x")

    found = Found()
    from starlette.testclient import TestClient

    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    by_hand(found, client, raw_bodies(0, 12)[:1])
    assert len(found.server_errors) == 1 and "/v1/failing" in found.server_errors[0]
    assert {line.split()[1] for line in found.contract_violations} == {"/v1/broken", "/v1/failing"}


def test_every_refusal_of_every_endpoint_is_announced_with_an_example():
    schema = make_client(generation=FakeGenerationBackend(BLOCKED)).get("/openapi.json").json()
    refusal = {"$ref": "#/components/schemas/ErrorOut", "components": schema["components"]}
    form = Draft202012Validator(refusal)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            statuses = {int(status) for status in answers}
            if path.startswith("/v1/"):
                assert statuses >= {200, 401, 403, 421, 429, 500, 503, 504}, path
            if method == "post":
                assert statuses >= {400, 408, 413, 415, 422}, path
            for status in statuses - {200}:
                content = answers[str(status)]["content"]["application/json"]
                if path != "/readyz":
                    assert content["schema"] == {"$ref": "#/components/schemas/ErrorOut"}
                    form.validate(content["example"])
                assert ("headers" in answers[str(status)]) == (status in (429, 503))
    assert "$defs" not in json.dumps(schema)


def test_the_schema_says_whether_a_key_is_needed(tmp_path):
    path = tmp_path / "keys.txt"
    path.write_text(new_key("alice")[1])
    for client, needed in ((make_client(), False), (make_client(keys=str(path)), True)):
        schema = client.get("/openapi.json").json()
        operation = schema["paths"]["/v1/attribute"]["post"]
        assert ("security" in operation) == ("securitySchemes" in schema["components"]) == needed
        assert "security" not in schema["paths"]["/healthz"]["get"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_generation_that_is_refused_says_when_to_come_back(status):
    class Full(FakeGenerationBackend):
        async def card(self):
            raise RequestError(status, "not_ready", "none is loaded yet", retry_after_s=10)

    client = make_client(generation=Full(BLOCKED))
    answer = client.get("/v1/models")
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "10")
