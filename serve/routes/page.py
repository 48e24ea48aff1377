"""`GET /` and `/page/FILE`: the static page of the package, where there is one."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

from serve.errors import RequestError

FOLDER = Path(__file__).parents[1] / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}


def page_router(folder: Path = FOLDER) -> APIRouter | None:
    """Serves `folder`/index.html and the files beside it; None where there is no page.

    The files are listed here, once: a request chooses among them and opens no path of its own.
    """
    if not (folder / "index.html").is_file():
        return None
    files = {path.name: path for path in folder.iterdir() if path.suffix in _TYPES}
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def index() -> FileResponse:
        return FileResponse(files["index.html"], media_type=_TYPES[".html"])

    @router.get("/page/{file}")
    async def part(file: str) -> FileResponse:
        if file not in files:
            raise RequestError(404, "not_found", "the page has no such file")
        return FileResponse(files[file], media_type=_TYPES[files[file].suffix])

    return router
