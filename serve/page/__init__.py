"""The page at `/`: static files, without a build step and without files from other hosts."""

import hashlib
from functools import cache
from importlib import resources

from fastapi import APIRouter, HTTPException, Request, Response

# An allowlist: other names are refused, so no path traversal is possible.
FILES = {
    "index.html": "text/html; charset=utf-8",
    "base.css": "text/css; charset=utf-8",
    "result.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
} | {
    f"{name}.js": "text/javascript; charset=utf-8"
    for name in (
        "app",
        "dom",
        "evidence",
        "lanes",
        "live",
        "offsets",
        "palette",
        "passage",
        "result",
        "samples",
        "service",
        "shares",
        "words",
    )
}

HEADERS = {
    # Revalidated at every visit (304), so that an upgrade never mixes old and new files.
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def page_file(name: str) -> tuple[bytes, str]:
    """A file of the page and its media type.

    Raises:
        FileNotFoundError: the page has no such file.
    """
    if name not in FILES:
        raise FileNotFoundError(f"the page has no file {name!r}")
    return _read(name), FILES[name]


def router() -> APIRouter:
    """`/` and `/page/{name}`; URLs in the page are relative, so it works below any prefix."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/", methods=["GET", "HEAD"])
    def index(request: Request) -> Response:
        return _file_response("index.html", request)

    @routes.api_route("/page/{name}", methods=["GET", "HEAD"])
    def file(name: str, request: Request) -> Response:
        return _file_response(name, request)

    return routes


@cache
def _read(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()


@cache
def _tag(name: str) -> str:
    return f'"{hashlib.sha256(_read(name)).hexdigest()[:32]}"'


def _file_response(name: str, request: Request) -> Response:
    try:
        content, media_type = page_file(name)
    except FileNotFoundError as error:
        raise HTTPException(404, str(error)) from None
    headers = {**HEADERS, "etag": _tag(name)}
    known = request.headers.get("if-none-match", "")
    if _tag(name) in {tag.strip().removeprefix("W/") for tag in known.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
