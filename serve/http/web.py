"""The HTTP application: routers, refusals, and the gate before them.

A further endpoint is a router in serve/api/routes, added to `_routers`. Its functions take `Ctx`
for what the replica shares, and raise RequestError; keys, rates, body sizes and headers are
checked by the gate.
"""

from collections.abc import Iterator

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from copylens import __version__
from serve import page
from serve.api.openapi import describe
from serve.api.routes import attribute, generation, openai, status
from serve.http.context import Context
from serve.http.errors import RequestError, first_mistake, internal
from serve.http.middleware import Gate

_BODILESS = {"GET", "HEAD", "OPTIONS"}


def create_app(context: Context) -> Gate:
    """The whole application; `.app` is the FastAPI one inside, with its OpenAPI schema."""
    app = FastAPI(
        title="CopyLens",
        version=__version__,
        description="Whether a text an LLM wrote draws on registered sub-datasets of its training "
        "corpus, on which, how much, and how sure it is.",
        # Their pages load scripts from elsewhere, which the headers forbid.
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    reading: list[Route] = []
    for router in _routers(context):
        app.include_router(router)
        reading += [
            route
            for route in router.routes
            if isinstance(route, Route) and (route.methods or set()) - _BODILESS
        ]
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _failed)
    describe(app, context.keys is not None)
    return Gate(app, context, reading)


def _routers(context: Context) -> Iterator[APIRouter]:
    yield status.router
    yield attribute.router
    if context.generation is not None:
        yield generation.router
        yield openai.router
    if context.args.page:
        yield page.router()


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)
    return error.response()


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Names the field and the rule, never the value: it may be a text."""
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if errors[0]["type"] == "json_invalid":
        line = f"the body is no JSON (character {errors[0]['loc'][1]})"
        return RequestError(400, "no_json", line).response()
    # The first part says "body", which is the only place there is.
    place, reason = first_mistake([{**errors[0], "loc": errors[0]["loc"][1:]}])
    status = 400 if openai.TAG in request.scope["route"].tags else 422
    line = f"{place or 'the body'}: {reason}"
    return RequestError(
        status, "invalid", line, hint="see /openapi.json", param=place or None
    ).response()


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    codes = {400: "no_json", 404: "not_found", 405: "wrong_method"}
    texts = {
        400: "the body is no JSON: not UTF-8, nested too deep, or a number too long",
        404: "there is nothing here",
        405: "this address takes another method",
    }
    refusal = RequestError(
        error.status_code,
        codes.get(error.status_code, "refused"),
        texts.get(error.status_code, str(error.detail)),
        hint="see /openapi.json",
    )
    response = refusal.response()
    response.headers.update(error.headers or {})
    return response


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return internal().response()
