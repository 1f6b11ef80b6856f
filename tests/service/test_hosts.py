"""To which names the service answers: a page that points a name of its own at it is refused."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from semiparametric.errors import InputError
from service.app import create_app
from service.settings import ServeSettings

ON_THE_MACHINE = [
    "127.0.0.1",
    "127.0.0.1:8000",
    "localhost",
    "LOCALHOST:80",
    "[::1]:8000",
    "page.localhost",
    "10.0.0.7",
]
ELSEWHERE = ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "2130706433", ""]
ALMOST = ["ask.example.org.evil.example", "evil.example:ask.example.org", "ask.example.org:80:80", "[ask.example.org]"]


async def asked(named: str, path: str = "/health", **settings: Any) -> httpx.Response:
    app = create_app(ServeSettings(pair=Path("none"), index=Path("none"), **settings))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path, headers={"Host": named})


@pytest.mark.parametrize("host", ON_THE_MACHINE)
@pytest.mark.parametrize("listening", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
async def test_on_the_machine_itself_its_own_names_and_addresses_are_answered(host: str, listening: str) -> None:
    assert (await asked(host, host=listening)).status_code == 200


@pytest.mark.parametrize("host", [*ELSEWHERE, "ask.example.org"])
async def test_on_the_machine_itself_other_names_are_refused(host: str) -> None:
    reply = await asked(host)
    assert reply.status_code == 421
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["type"] == "urn:cosup:problem:wrong-host"
    assert "--allowed-hosts" in reply.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/page/app.js", "/generate", "/v1/models", "/mcp", "/metrics", "/nowhere"]
)
async def test_another_name_is_refused_whatever_is_asked(path: str) -> None:
    assert (await asked("evil.example", path)).status_code == 421


@pytest.mark.parametrize("host", [*ON_THE_MACHINE, *ELSEWHERE])
async def test_a_service_for_others_answers_to_every_name_unless_some_are_allowed(host: str) -> None:
    assert (await asked(host, host="0.0.0.0")).status_code == 200
    assert (await asked(host, allowed_hosts=["*"])).status_code == 200


@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
async def test_names_that_are_allowed_are_answered_and_others_refused(listening: str) -> None:
    names: dict[str, Any] = {"host": listening, "allowed_hosts": ["ask.example.org", "Other.Example"]}
    for host in ("ask.example.org", "ASK.example.org:443", "ask.example.org.", "other.example", *ON_THE_MACHINE):
        assert (await asked(host, **names)).status_code == 200, host
    for host in (*ELSEWHERE, *ALMOST):
        assert (await asked(host, **names)).status_code == 421, host


@pytest.mark.parametrize("name", ["https://a.example", "a.example:80", "a b", "", "*.example", "[::1]", "a/b", "a..b"])
def test_what_is_no_name_of_a_host_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"a host is a name as in ask\.example\.org, without http:// and port"):
        ServeSettings.resolve({"pair": "p", "index": "i", "allowed_hosts": [name]})
