"""Who may use the API: clients by token, screens by a session that a one-time code opened."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Literal

Operator = Literal["till", "cli"]
"""Who an order is booked on: the attendants' screen, or a program that knows the API token."""

CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without I, O, 0 and 1, which are read aloud and typed wrongly."""

CODE_LETTERS = 8
CODE_VALID_S = 15 * 60.0
MAX_OPEN_CODES = 4


class Admission:
    """Checks tokens and sessions, and turns one-time codes into sessions.

    A session is a random name sealed under a key that only the token gives, so that screens stay
    enrolled when the agent restarts and all of them are out when the token is changed. Without a
    token everybody who reaches the socket is let in: for a Unix socket, whose file has its own
    permissions, and for tests.
    """

    def __init__(
        self, token: str | None, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._token = token
        self._key = b"" if token is None else _seal(token.encode(), b"screen session")
        self._monotonic_s = monotonic_s
        self._codes: dict[str, float] = {}

    @property
    def open_to_all(self) -> bool:
        """Whether there is no token, so that nobody is asked for anything."""
        return self._token is None

    @property
    def cookie_name(self) -> str:
        """Name of the session cookie. Cookies know no ports, so each token has its own name."""
        return f"edge_agent_{hashlib.sha256(self._key).hexdigest()[:8]}"

    def knows_token(self, authorization: str) -> bool:
        """Tell whether an `Authorization` header carries the token."""
        scheme, _, word = authorization.partition(" ")
        if self._token is None or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(word.strip().encode(), self._token.encode())

    def knows_session(self, cookie: str) -> bool:
        """Tell whether a cookie is a session that was opened under the present token."""
        name, _, seal = cookie.partition(".")
        if self._token is None:
            return False
        return hmac.compare_digest(seal.encode(), _seal(self._key, name.encode()).hex().encode())

    def enrolment_code(self) -> str:
        """Return a new code that opens one session, within a quarter of an hour."""
        self._forget_old_codes()
        while len(self._codes) >= MAX_OPEN_CODES:
            del self._codes[next(iter(self._codes))]
        letters = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LETTERS))
        self._codes[letters] = self._monotonic_s() + CODE_VALID_S
        return f"{letters[:4]}-{letters[4:]}"

    def enrol(self, code: str) -> str | None:
        """Use a code up and return the cookie of the session it opens; None for a wrong code.

        Wrong codes harm nobody else's: the gate bounds how often one address may try.
        """
        self._forget_old_codes()
        letters = code.upper().replace("-", "").replace(" ", "")
        found = [known for known in self._codes if _equal(known, letters)]
        if not found:
            return None
        del self._codes[found[0]]
        name = secrets.token_hex(16)
        return f"{name}.{_seal(self._key, name.encode()).hex()}"

    def _forget_old_codes(self) -> None:
        now = self._monotonic_s()
        self._codes = {code: until for code, until in self._codes.items() if until > now}


def _seal(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogatepass"))
