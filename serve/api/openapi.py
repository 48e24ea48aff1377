"""Responses for /openapi.json: refusals with an example per status, and event streams."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serve.api.schema import ErrorOut
from serve.http.errors import RequestError

_Responses = dict[int | str, dict[str, Any]]

RETRY = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def describe(app: FastAPI, keyed: bool) -> None:
    """Adds to /openapi.json the examples of refusals and, where `keyed`, the API key schemes."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            for path, operations in made["paths"].items():
                for operation in operations.values():
                    _complete(operation, keyed and path.startswith("/v1/"))
            if keyed:
                made["components"]["securitySchemes"] = _KEYS
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]


def _complete(operation: dict[str, Any], keyed: bool) -> None:
    for response in operation["responses"].values():
        if example := _EXAMPLES.get(response["description"]):
            (content,) = response["content"].values()
            # Added here: FastAPI drops nulls from an example, and gives a refusal the media type of
            # the successful response.
            response["content"] = {"application/json": {**content, "example": example}}
    if keyed:
        operation["security"] = [{name: []} for name in _KEYS]


def _responses(*rows: tuple[str, RequestError]) -> _Responses:
    made: _Responses = {}
    for what, error in rows:
        _EXAMPLES[what] = error.body()
        made[error.status] = {"model": ErrorOut, "description": what}
        if error.status in (429, 503):
            made[error.status]["headers"] = RETRY
    return made


# Description of a refusal -> example of its body.
_EXAMPLES: dict[str, dict[str, Any]] = {}

# Refusals of every endpoint under /v1/.
COMMON = _responses(
    ("no API key", RequestError(401, "no_key", "an API key is needed")),
    ("an unknown API key", RequestError(403, "wrong_key", "this API key is not known")),
    (
        "an open service is asked by a name that is not its own",
        RequestError(421, "wrong_host", "the service does not answer to this Host"),
    ),
    (
        "too often, or the queue is full",
        RequestError(429, "queue_full", "256 texts are waiting already", 256, "try again later"),
    ),
    ("a fault of ours", RequestError(500, "internal", "the request failed for a reason of ours")),
    ("no model, or the service stops", RequestError(503, "not_ready", "no model is loaded yet")),
    ("no answer in time", RequestError(504, "deadline", "no verdict within 30 s", 30)),
)

# Refusals of endpoints that read a body.
BODY: _Responses = COMMON | _responses(
    ("no JSON", RequestError(400, "no_json", "the body is no JSON (character 12)")),
    ("the body came too slowly", RequestError(408, "slow_body", "the body did not arrive", 20)),
    ("too much", RequestError(413, "text_too_long", "text has 61000 characters", 50000)),
    ("not sent as JSON", RequestError(415, "not_json", "the body must be JSON")),
    (
        "a field is wrong, or a text cannot be scored",
        RequestError(422, "blank_text", "text is blank", hint="give at least one word"),
    ),
)

# Refusals of endpoints that generate text.
GENERATION: _Responses = BODY | _responses(
    (
        "there is no such model or sub-dataset",
        RequestError(404, "no_such_sub_dataset", "no sub-dataset 'novel' is registered"),
    ),
)

# Refusals of OpenAI-compatible endpoints: an invalid body gets a 400.
OPENAI: _Responses = GENERATION | _responses(
    (
        "no JSON, or a field that is wrong or asks for what is not done here",
        RequestError(400, "unsupported", "n=2 is not supported here; leave it out", param="n"),
    ),
)


def event_stream(*names: str) -> dict[str, Any]:
    """A streamed response. Before OpenAPI 3.2 the schema describes a single event.

    Args:
        names: values of the field `event`; none = no such field, as in OpenAI's streams.
    """
    fields: dict[str, Any] = {"data": {"type": "string", "contentMediaType": "application/json"}}
    if names:
        fields["event"] = {"enum": list(names)}
    schema = {"type": "object", "properties": fields, "required": ["data"]}
    return {"responses": {"200": {"content": {"text/event-stream": {"schema": schema}}}}}
