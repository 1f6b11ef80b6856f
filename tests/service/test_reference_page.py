"""The page at `/docs`: what the API says of itself, to read, from the service's own files alone."""

import re
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.keys.key_file import create_key
from service.reference_page import reference_page
from service.settings import ServeSettings
from tests.service.running import client_of
from tests.service.test_page import Markup

HOSTILE = {
    "components": {"schemas": {"<b>": {"description": "<script>alert(1)</script>", "properties": {"<i>": {}}}}},
    "paths": {
        '/"><img src=x onerror=alert(1)>': {
            "get": {"description": "<svg/onload=alert(1)>", "responses": {"200": {"description": "<u>"}}}
        }
    },
}


async def reference_of(settings: ServeSettings) -> tuple[httpx.Response, dict[str, dict[str, object]]]:
    async with client_of(create_app(settings)) as client:
        return await client.get("/docs"), (await client.get("/openapi.json")).json()


@pytest.fixture
def settings(tmp_path: Path) -> ServeSettings:
    return ServeSettings(pair=tmp_path, index=tmp_path)


async def test_it_names_every_route_model_and_field(settings: ServeSettings) -> None:
    reply, document = await reference_of(settings)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    for path, item in document["paths"].items():
        for method in item:  # type: ignore[attr-defined]
            assert re.search(f'<h3 id="[a-z0-9-]+">{method.upper()} {re.escape(path)}</h3>', reply.text)
    schemas: dict[str, dict[str, dict[str, object]]] = document["components"]["schemas"]  # type: ignore[assignment]
    for name, schema in schemas.items():
        assert f'<h3 id="{name.lower()}">{name}</h3>' in reply.text
        for field in schema.get("properties", {}):
            assert f"<td><code>{field}</code></td>" in reply.text


async def test_it_needs_nothing_but_the_services_own_files_and_every_link_leads_somewhere(
    settings: ServeSettings,
) -> None:
    reply, _ = await reference_of(settings)
    page = Markup()
    page.feed(reply.text)
    assert page.inline == []
    assert len(page.ids) == len(set(page.ids))
    anchors = {name.removeprefix("#") for name in page.references if name.startswith("#")}
    assert anchors <= set(page.ids)
    assert {"post-generate", "generaterequest", "problem"} <= anchors
    async with client_of(create_app(settings)) as client:
        for name in {name for name in page.references if not name.startswith("#")}:
            assert (await client.get(f"/{name.partition('#')[0]}".replace("/./", "/"))).status_code == 200, name


async def test_it_tells_of_keys_where_the_service_has_some(settings: ServeSettings, tmp_path: Path) -> None:
    create_key(tmp_path / "keys.json", "reader", ["*"])
    without, _ = await reference_of(settings)
    behind_keys, _ = await reference_of(settings.model_copy(update={"keys": tmp_path / "keys.json"}))
    assert "<td>401</td>" not in without.text
    assert "<td>401</td>" in behind_keys.text


async def test_neither_swagger_nor_redoc_is_there(settings: ServeSettings) -> None:
    async with client_of(create_app(settings)) as client:
        for path in ("/docs/oauth2-redirect", "/redoc"):
            assert (await client.get(path)).status_code == 404


def test_markup_in_a_description_is_text() -> None:
    page = reference_page(HOSTILE)
    assert not re.search("<(script>|b>|i>|u>|img src=x|svg/)", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
