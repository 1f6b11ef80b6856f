"""What browsers are told: security headers on every response, and who of other origins may ask."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from semiparametric.errors import InputError
from service.app import create_app
from service.keys.key_file import create_key
from service.settings import ServeSettings
from tests.service.running import client_of

FRIEND = "https://friend.example"


def client_with(tmp_path: Path, **settings: Any) -> httpx.AsyncClient:
    """A service that is not loaded: it answers what needs no pair."""
    app = create_app(ServeSettings(pair=tmp_path, index=tmp_path, **settings))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://localhost"
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/health"), ("GET", "/docs"), ("GET", "/nowhere"), ("POST", "/generate"), ("GET", "/ready")],
)
async def test_every_response_forbids_what_the_service_does_not_need(tmp_path: Path, method: str, path: str) -> None:
    async with client_with(tmp_path) as client:
        headers = (await client.request(method, path)).headers
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


async def test_an_error_keeps_the_headers(tmp_path: Path) -> None:
    app = create_app(ServeSettings(pair=tmp_path, index=tmp_path))

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError

    async with client_of(app) as client:
        failed = await client.get("/broken")
    assert failed.status_code == 500
    assert failed.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in failed.headers["content-security-policy"]


async def test_other_origins_may_not_ask_unless_they_are_named(tmp_path: Path) -> None:
    asked = {
        "Origin": FRIEND,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    async with client_with(tmp_path) as client:
        for reply in (await client.get("/health", headers=asked), await client.options("/generate", headers=asked)):
            assert "access-control-allow-origin" not in reply.headers
        assert reply.status_code == 405


async def test_an_origin_that_is_named_may_ask_and_others_still_may_not(tmp_path: Path) -> None:
    create_key(tmp_path / "keys.json", "page", ["*"])
    async with client_with(tmp_path, cors_origins=[FRIEND], keys=tmp_path / "keys.json") as client:
        wanted = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        before = await client.options("/generate", headers=wanted | {"Origin": FRIEND})
        assert before.status_code == 200
        assert before.headers["access-control-allow-origin"] == FRIEND
        assert {"Authorization", "Content-Type"} <= set(before.headers["access-control-allow-headers"].split(", "))
        assert "access-control-allow-credentials" not in before.headers
        refused = await client.get("/indexes", headers={"Origin": FRIEND})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == FRIEND
        assert "X-Request-Id" in refused.headers["access-control-expose-headers"]
        for origin in ("https://friend.example.evil.org", "http://friend.example", "https://evil.org", "null"):
            reply = await client.get("/health", headers={"Origin": origin})
            assert "access-control-allow-origin" not in reply.headers
            before = await client.options("/generate", headers=wanted | {"Origin": origin})
            assert before.status_code == 400


@pytest.mark.parametrize(
    "origin",
    ["friend.example", "https://friend.example/", "https://a/b", "ftp://a", "https://a b", "https://*.a", "null", ""],
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(InputError, match=r"an origin is http\(s\)://host or http\(s\)://host:port, without a path"):
        ServeSettings.resolve({"pair": "p", "index": "i", "cors_origins": [origin]})


@pytest.mark.parametrize(
    "origin", ["*", "https://a.example", "http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:80"]
)
def test_origins_are_taken_as_browsers_send_them(origin: str) -> None:
    assert ServeSettings.resolve({"pair": "p", "index": "i", "cors_origins": [origin]}).cors_origins == [origin]
