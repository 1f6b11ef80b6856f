"""The door: who asks, and whether it may ask now. Around everything that is not plainly open to all."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.keys.key import EVERYBODY, NOBODY, Key
from service.keys.limits import KeyLimits, LimitReachedError
from service.keys.ring import KeyRing
from service.problems import NO_KEY, TOO_MANY, Kind, problem, problem_response

OPEN_PATHS = frozenset({"/", "/health", "/ready", "/openapi.json", "/docs"})
"""What needs no key: they tell nothing of any index. What is not named here needs one, also if it is added later."""

OPEN_FOLDER = "/page/"
"""The files of the web page, open too."""


class KeyGuard:
    """Lets requests in that come with a key, and says in `request.state.access` what they may do.

    Every key that is no good is refused with the same answer: missing, misspelt, revoked or never made.

    Args:
        app: What is inside.
        ring: The keys; None lets everybody in.
        limits: How much each may ask for.
    """

    def __init__(self, app: ASGIApp, *, ring: KeyRing | None, limits: KeyLimits) -> None:
        self.app = app
        self.ring = ring
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's interface of an app."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.ring is None or is_open(scope["path"]):
            scope["state"]["access"] = NOBODY if self.ring else EVERYBODY
            await self.app(scope, receive, send)
            return
        key = await self.ring.find(_secret(Headers(scope=scope)))
        if key is None:
            detail = "send a key of this service in the header `Authorization: Bearer KEY`"
            await _refuse(NO_KEY, detail, {"WWW-Authenticate": "Bearer"}, scope, receive, send)
            return
        await self._let_in(key, scope, receive, send)

    async def _let_in(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["access"] = key.access
        try:
            with self.limits.admitted(key):
                await self.app(scope, receive, send)
        except LimitReachedError as error:
            await _refuse(TOO_MANY, str(error), {"Retry-After": str(error.retry_after_s)}, scope, receive, send)


def is_open(path: str) -> bool:
    """Whether a path needs no key. Paths are compared as they are routed: nothing in them is resolved."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER)


def _secret(headers: Headers) -> str:
    """What stands after `Bearer` in the one Authorization header; empty where there is none, or two."""
    given = headers.getlist("authorization")
    scheme, _, secret = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return secret.strip() if scheme.lower() == "bearer" else ""


async def _refuse(
    kind: Kind, detail: str, headers: Mapping[str, str], scope: Scope, receive: Receive, send: Send
) -> None:
    document = problem(kind, detail, scope["state"]["request_id"])
    await problem_response(document, headers)(scope, receive, send)
