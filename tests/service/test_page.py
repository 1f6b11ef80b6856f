"""The page's files: served from the package, complete, and strict enough that markup in a text could do nothing."""

import re
import tomllib
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from service.app import create_app
from service.routes.page import FOLDER
from service.settings import ServeSettings
from tests.service.running import client_of

ROOT = Path(__file__).parents[2]
TYPES = {
    ".js": {"text/javascript", "application/javascript"},  # which one depends on the machine; browsers run both
    ".css": {"text/css"},
    ".svg": {"image/svg+xml"},
    ".html": {"text/html"},
}


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(ServeSettings(pair=Path("none"), index=Path("none")))
    async with client_of(app) as client:
        yield client


class Markup(HTMLParser):
    """What the page refers to, and what of it a strict policy would forbid."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.inline: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.references += [str(given[name]) for name in ("src", "href") if name in given]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []
        self.ids += [str(given["id"])] if "id" in given else []


def markup() -> Markup:
    parsed = Markup()
    parsed.feed((FOLDER / "index.html").read_text("utf-8"))
    return parsed


async def test_the_page_stands_at_the_root_with_a_strict_policy(client: httpx.AsyncClient) -> None:
    reply = await client.get("/")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in reply.headers["content-security-policy"]
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.text == (FOLDER / "index.html").read_text("utf-8")


async def test_every_file_of_the_page_is_served_with_its_type_and_the_policy(client: httpx.AsyncClient) -> None:
    for file in sorted(FOLDER.iterdir()):
        reply = await client.get(f"/page/{file.name}")
        assert reply.status_code == 200
        assert reply.headers["content-type"].split(";")[0] in TYPES[file.suffix], file.name
        assert "default-src 'self'" in reply.headers["content-security-policy"]
        again = await client.get(f"/page/{file.name}", headers={"If-None-Match": reply.headers["etag"]})
        assert again.status_code == 304


def test_all_modules_are_loaded_at_once_and_not_one_after_another_as_each_names_the_next() -> None:
    modules = {f"page/{path.name}" for path in FOLDER.glob("*.js") if path.name != "theme.js"}
    assert modules <= set(markup().references)


async def test_everything_the_page_refers_to_is_its_own_and_there(client: httpx.AsyncClient) -> None:
    parsed = markup()
    files = {name for name in parsed.references if name.startswith("page/")}
    assert len(files) > 5
    others = set(parsed.references) - files
    assert {name for name in others if not name.startswith("#")} == {"docs"}
    assert {name.removeprefix("#") for name in others if name.startswith("#")} <= set(parsed.ids)
    for name in files:
        assert (await client.get(f"/{name}")).status_code == 200


def test_the_page_has_no_script_style_or_handler_of_its_own_text() -> None:
    assert markup().inline == []


def test_ids_are_unique() -> None:
    ids = markup().ids
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("*.js")))
def test_scripts_import_what_is_there_and_never_write_markup(script: str) -> None:
    code = (FOLDER / script).read_text("utf-8")
    for name in re.findall(r'from "\./([^"]+)"', code):
        assert (FOLDER / name).is_file()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser", code
    )
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", code)


def test_styles_load_nothing() -> None:
    for style in FOLDER.glob("*.css"):
        assert not re.search(r"@import|url\(", style.read_text("utf-8"))


def test_the_package_carries_all_files_of_the_page() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["service"]
    carried = {path for pattern in patterns for path in (ROOT / "service").glob(pattern)}
    assert set(FOLDER.rglob("*")) <= carried


@pytest.mark.bad_input
@pytest.mark.parametrize("path", ["none.js", "..%2Fapp.py", "%2e%2e/app.py", "..%5Capp.py", "%00", ""])
async def test_nothing_outside_the_page_is_given(client: httpx.AsyncClient, path: str) -> None:
    reply = await client.get(f"/page/{path}")
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
