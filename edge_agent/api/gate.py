"""The gate before every route: name asked for, origin, rate, admission, safe headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_agent.api.access import OPERATOR_KEY
from edge_agent.api.admission import Admission, Operator
from edge_agent.api.connections import ADMITTED
from edge_agent.api.problems import (
    BODY_TOO_LARGE,
    HEADER_MISSING,
    HOST_REFUSED,
    NOT_ENROLLED,
    ORIGIN_REFUSED,
    RATE_LIMITED,
    Refusal,
    refusal_response,
)
from edge_agent.api.rate import RateLimit

MAX_BODY_BYTES = 64 * 1024
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

CLIENT_HEADER = "x-edge-agent"
"""Names the client, `screen` or `cli`. No form and no cross-origin script can send it unasked."""

SAFE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_OPEN = {
    ("GET", "/v1/health"),
    ("GET", "/v1/session"),
    ("POST", "/v1/session"),
}
"""Routes under /v1 that ask for no admission: they say nothing, or are how one gets in."""

_STOPS = re.compile(r"/v1/stop-all|/v1/fuelling-points/[0-9]+/stop")
"""Orders that are never limited: somebody who sees fuel run over touches until it ends."""

_ENROLS = {("POST", "/v1/session"), ("GET", "/enrol")}


@dataclass(frozen=True, slots=True)
class House:
    """The rules of the gate: who is known, how much each may ask, the names answered to."""

    admission: Admission
    rate_limit: RateLimit
    names: frozenset[str] = frozenset(LOOPBACK_NAMES)


class Gate:
    """Lets a request through to the app, or answers it with a refusal.

    The rules are those of the app that is called: `state.house`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        guarded = _with_safe_headers(scope["path"], send)
        house: House = scope["app"].state.house
        request = _Asked(scope, house.admission)
        if request.known:
            scope.setdefault("state", {})[ADMITTED] = True
        if _name_of(request.headers.get("host", "")) not in house.names:
            await refusal_response(HOST_REFUSED)(scope, receive, guarded)
            return
        if request.body_bytes > MAX_BODY_BYTES:
            await refusal_response(BODY_TOO_LARGE)(scope, receive, guarded)
            return
        if request.under_api and (wait_s := _wait_s(house.rate_limit, request)):
            limited = refusal_response(RATE_LIMITED, {"Retry-After": str(wait_s)})
            await limited(scope, receive, guarded)
            return
        if request.under_api and (refusal := request.refusal()) is not None:
            await refusal_response(refusal)(scope, receive, guarded)
            return
        scope[OPERATOR_KEY] = request.operator
        await self._app(scope, _bounded(receive), guarded)


class _Asked:
    """What the gate has to know of one request."""

    def __init__(self, scope: Scope, admission: Admission) -> None:
        self.headers = Headers(scope=scope)
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.under_api = self.path.startswith("/v1/") or self.path == "/enrol"
        peer = scope.get("client")
        self.client = str(peer[0]) if peer else "local"
        length = self.headers.get("content-length", "0")
        self.body_bytes = int(length) if length.isdecimal() else 0
        self._own_origin = f"{scope['scheme']}://{self.headers.get('host', '')}"
        self._open_to_all = admission.open_to_all
        self.has_token = admission.knows_token(self.headers.get("authorization", ""))
        cookies = cookie_parser(self.headers.get("cookie", ""))
        self.has_session = admission.knows_session(cookies.get(admission.cookie_name, ""))

    @property
    def known(self) -> bool:
        """Whether the sender is one whom the agent lets in."""
        return self._open_to_all or self.has_token or self.has_session

    @property
    def kind(self) -> str:
        """As what the sender's requests are counted."""
        if (self.method, self.path) in _ENROLS:
            return "enrolment"
        if self.has_session:
            return "screen"
        return "client" if self.known else "stranger"

    @property
    def operator(self) -> Operator:
        """On whom an order of this request is booked."""
        if self._open_to_all:
            return "till" if self.headers.get(CLIENT_HEADER) == "screen" else "cli"
        return "cli" if self.has_token else "till"

    def refusal(self) -> Refusal | None:
        """Return why the request is not let through, or None."""
        if self._foreign():
            return ORIGIN_REFUSED
        if self.path == "/enrol":
            return None
        if not (self.known or self._asks_openly()):
            return NOT_ENROLLED
        if self.method not in {"GET", "HEAD"} and not self._named_itself():
            return HEADER_MISSING
        return None

    def _asks_openly(self) -> bool:
        return (self.method, self.path) in _OPEN

    def _named_itself(self) -> bool:
        return self.has_token or bool(self.headers.get(CLIENT_HEADER))

    def _foreign(self) -> bool:
        origin = self.headers.get("origin")
        if origin is not None and origin != self._own_origin:
            return True
        # A link followed to /enrol comes from nowhere ("none") or from a page of ours.
        allowed = {"same-origin", "none"}
        return self.headers.get("sec-fetch-site", "none") not in allowed


def _wait_s(rate_limit: RateLimit, request: _Asked) -> int:
    if request.method == "POST" and _STOPS.fullmatch(request.path):
        return 0
    return rate_limit.wait_s(request.kind, request.client)


def _name_of(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _bounded(receive: Receive) -> Receive:
    """Stop reading a body that grows beyond the limit without having said its length."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MAX_BODY_BYTES:
            raise HTTPException(BODY_TOO_LARGE.status)
        return message

    return bounded


def _with_safe_headers(path: str, send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if message["status"] == HTTPStatus.NO_CONTENT:
                del headers["Content-Type"]
            for name, value in SAFE_HEADERS.items():
                headers[name] = value
            # Files are asked for again each time, so that an update reaches a screen at once.
            headers["Cache-Control"] = "no-store" if path.startswith("/v1/") else "no-cache"
        await send(message)

    return guarded
