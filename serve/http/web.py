"""The HTTP application: routers, exception handlers, and the access middleware around them.

To add an endpoint, write a router in serve/api/routes and add it to `_routers`. Its functions take
`Ctx` for the replica's shared state and raise RequestError to refuse a request; keys, rates, body
sizes and headers are handled by `serve.http.middleware`.
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
from serve.http.errors import RequestError, first_validation_error, internal_error
from serve.http.middleware import AccessMiddleware

_BODILESS = {"GET", "HEAD", "OPTIONS"}


def create_app(context: Context) -> AccessMiddleware:
    """The whole application; its `.app` is the FastAPI application with the OpenAPI schema."""
    app = FastAPI(
        title="CopyLens",
        version=__version__,
        description="Whether a text an LLM wrote draws on registered sub-datasets of its training "
        "corpus, on which, how much, and how sure it is.",
        # These pages load scripts from a CDN, which the Content-Security-Policy forbids.
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    body_routes: list[Route] = []
    for router in _routers(context):
        app.include_router(router)
        body_routes += [
            route
            for route in router.routes
            if isinstance(route, Route) and (route.methods or set()) - _BODILESS
        ]
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _failed)
    describe(app, context.keys is not None)
    return AccessMiddleware(app, context, body_routes)


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
    """Names the field and the rule; never the value, which may be a user's text."""
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if errors[0]["type"] == "json_invalid":
        line = f"the body is no JSON (character {errors[0]['loc'][1]})"
        return RequestError(400, "no_json", line).response()
    # The first part of the location is always "body".
    place, reason = first_validation_error([{**errors[0], "loc": errors[0]["loc"][1:]}])
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
    return internal_error().response()
