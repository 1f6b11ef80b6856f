"""Which names the service answers to, so that no page can point a name of its own at it (DNS rebinding)."""

import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import WRONG_HOST, problem, problem_response
from service.settings import ANY, ServeSettings

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^:\[\]]*)(?::\d*)?")
_SHOWN_CHARACTERS = 80


class Hosts:
    """The hosts that a request may be addressed to.

    Addresses in figures and `localhost` are always among them: nobody can make those their own, and probes use them.

    Args:
        names: The others, in lower case; None for any.
    """

    def __init__(self, names: Iterable[str] | None) -> None:
        self._names = None if names is None else frozenset(names)

    def include(self, host: str) -> bool:
        """Whether a host, with its port or without, is one of them."""
        name = _name(host)
        return self._names is None or name in self._names or _is_local(name) or _address(name) is not None

    def include_page(self, host: str) -> bool:
        """Whether a page from that host, with its port or without, is one of ours: others have addresses too."""
        name = _name(host)
        return self._names is None or name in self._names or _is_local(name)


def hosts_of(settings: ServeSettings) -> Hosts:
    """Those that are named; where none are, any, or on an address of the machine itself only its own names."""
    if ANY in settings.allowed_hosts or not (settings.allowed_hosts or _is_local(settings.host)):
        return Hosts(None)
    return Hosts(settings.allowed_hosts)


class HostGuard:
    """Refuses requests that are addressed to another host. One without a `Host`, which no browser sends, is taken.

    Args:
        app: What is inside.
        hosts: Who is meant.
    """

    def __init__(self, app: ASGIApp, *, hosts: Hosts) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's interface of an app."""
        given = Headers(scope=scope).get("host") if scope["type"] == "http" else None
        if given is None or self.hosts.include(given):
            await self.app(scope, receive, send)
            return
        name = _name(given)[:_SHOWN_CHARACTERS]
        detail = f"this service does not answer to the name {name!r}; whoever runs it can allow it with --allowed-hosts"
        await problem_response(problem(WRONG_HOST, detail, scope["state"]["request_id"]))(scope, receive, send)


def _name(host: str) -> str:
    """The host without its port, in lower case; as it is where it is none."""
    found = _HOST.fullmatch(host)
    return (found[1] if found else host).lower().removesuffix(".")


def _is_local(name: str) -> bool:
    address = _address(name)
    return name == "localhost" or name.endswith(".localhost") if address is None else address.is_loopback


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
