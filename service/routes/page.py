"""`GET /`: the web page, whose files lie in `service/page`."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(str(files("service") / "page"))

_HEADERS = {"Cache-Control": "no-cache"}  # asked for anew by ETag, so that page and service are of one version

router = APIRouter()


@router.get("/", include_in_schema=False)
async def get_page() -> FileResponse:
    """Ask in a browser."""
    return FileResponse(FOLDER / "index.html", headers=_HEADERS)


class PageFiles(StaticFiles):
    """The scripts, styles and pictures of the page."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at a path below `/page`."""
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response
