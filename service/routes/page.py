"""`GET /`: the web page, whose files lie in `service/page`, and `GET /docs`: the reference of the API."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(str(files("service") / "page"))

_HEADERS = {"Cache-Control": "no-cache"}  # asked for anew by ETag, so that page and service are of one version

router = APIRouter()


@router.get("/", include_in_schema=False)
async def get_page() -> FileResponse:
    """Ask in a browser."""
    return FileResponse(FOLDER / "index.html", headers=_HEADERS)


@router.get("/docs", include_in_schema=False)
def get_docs(request: Request) -> HTMLResponse:
    """The reference of the API, to read."""
    return HTMLResponse(request.app.state.reference_page(), headers=_HEADERS)


class PageFiles(StaticFiles):
    """The scripts, styles and pictures of the page."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at a path below `/page`."""
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response
