"""Dynamic member codes, checked without a network: headquarters' signature and the time."""

from __future__ import annotations

from typing import Final

from edge_agent.model.errors import MessageRefused, Problem, SaleRefused
from edge_agent.model.member_code import CLOCK_ALLOWANCE_MS, MemberCode, decode, signing_bytes
from edge_agent.ports import SignatureVerifier

FORGED: Final = Problem(
    "member_code_forged",
    "会员码签名无效，请勿受理",
    "the member code is not signed by headquarters: do not accept it",
)
NOT_YET: Final = Problem(
    "member_code_not_yet_valid",
    "会员码尚未生效，请检查本机时间",
    "the member code is from the future: check this computer's clock",
)
EXPIRED: Final = Problem(
    "member_code_expired",
    "该会员码已过期，请刷新",
    "this code has expired: let the phone show a new one",
)


class SignedMemberCodes:
    """`ports.MemberCodes`: codes under the keys that this station trusts."""

    def __init__(self, verifier: SignatureVerifier) -> None:
        self._verifier = verifier

    def read(self, text: str, now_ms: int) -> MemberCode:
        """Return what a code says. Whether it was used before is for the books to say.

        Raises:
            SaleRefused: `member_code_malformed`, `member_code_forged`,
                `member_code_not_yet_valid` or `member_code_expired`. The text is in no message.
        """
        found = decode(text)
        try:
            self._verifier.verify(found.key_id, signing_bytes(found.code), found.signature)
        except MessageRefused as error:
            raise SaleRefused(FORGED, error.problem.code) from None
        if found.code.issued_ms > now_ms + CLOCK_ALLOWANCE_MS:
            raise SaleRefused(NOT_YET)
        if found.code.believed_until_ms <= now_ms:
            raise SaleRefused(EXPIRED)
        return found.code
