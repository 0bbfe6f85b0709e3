"""The one tree of errors.

    EdgeAgentError
    ├── RefusedError            a rule forbids it; asking again changes nothing
    │   ├── CommandRefused      a dispenser or fuelling point cannot do this now
    │   ├── SaleRefused         a quote, tender or settlement breaks a rule
    │   ├── BooksRefused        books cannot be opened, restored or read in as asked
    │   ├── PlateRefused        a text is no number plate
    │   ├── PictureRefused      a file is no picture, or one too large to look at
    │   ├── ConfigRefused       a station's configuration is wrong
    │   ├── PolicyRefused       a policy is senseless or malformed
    │   ├── MessageRefused      a message from outside is malformed, forged, stale or not for us
    │   └── NotPermitted        whoever asks may not: no token, no right to a file
    ├── ProtocolError           the other side broke its protocol
    │   └── FrameRejected       bytes that are no valid frame
    ├── UnavailableError        something outside does not answer now; retrying makes sense
    │   ├── AgentNotRunning     no agent listens under this root
    │   ├── LinkLost            a serial line, socket or broker is gone
    │   ├── CameraLost          a camera, its stream or its folder is gone
    │   ├── StorageUnavailable  the disk is full, read-only or broken
    │   └── WeightsMissing      the plate readers' weights are not installed
    └── CorruptionError         stored data contradicts itself; a person has to look
        └── ChainBroken         the ledger's hash chain does not verify

Every error that a person can meet carries a `Problem`: a stable code and text in both languages.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What a person is told: a stable code, what happened, what to do next; both languages."""

    code: str
    text_zh: str
    text_en: str


UPLINK_DOWN = Problem(
    "uplink_down", "与总部的连接中断，离线营业中", "no link to HQ: selling offline"
)


class EdgeAgentError(Exception):
    """Root of all errors of this program."""

    def __init__(self, problem: Problem, detail: str = "") -> None:
        super().__init__(f"{problem.code}: {problem.text_en}{f' ({detail})' if detail else ''}")
        self.problem = problem
        self.detail = detail


class RefusedError(EdgeAgentError):
    """A rule forbids what was asked; asking again unchanged gives the same answer."""


class CommandRefused(RefusedError):
    """A dispenser or fuelling point cannot do this in its present state."""


class SaleRefused(RefusedError):
    """A quote, tender, settlement or refund breaks a rule."""


class BooksRefused(RefusedError):
    """Books cannot be opened, restored, rebuilt or read in as asked; they are left as they were."""


class PlateRefused(RefusedError):
    """A text does not follow the grammar of any number plate. The text is never in the message."""


class PictureRefused(RefusedError):
    """A file is no picture that can be decoded, or one too large to decode."""


class ConfigRefused(RefusedError):
    """A station's configuration is wrong; `detail` names file, table and key."""


class PolicyRefused(RefusedError):
    """A policy is malformed or senseless; `detail` names the rule."""


class MessageRefused(RefusedError):
    """A message from outside was not acted upon; `problem.code` is the reason sent back."""


class NotPermitted(RefusedError):
    """Whoever asks may not: the token is not theirs to read, or the agent does not take it."""


class ProtocolError(EdgeAgentError):
    """The other side of a link broke its protocol."""


class FrameRejected(ProtocolError):
    """Bytes that are no valid frame; `detail` says why."""


class UnavailableError(EdgeAgentError):
    """Something outside does not answer now; retrying makes sense."""


class AgentNotRunning(UnavailableError):
    """No agent listens under this root; `detail` is the line that starts one."""


class LinkLost(UnavailableError):
    """A serial line, a socket or the broker is gone."""


class CameraLost(UnavailableError):
    """A camera, its stream or its folder of pictures is gone or silent."""


class StorageUnavailable(UnavailableError):
    """The disk is full, read-only or broken: no new authorisations until it recovers."""


class WeightsMissing(UnavailableError):
    """The weights of the plate readers are not installed or have another hash."""


class CorruptionError(EdgeAgentError):
    """Stored data contradicts itself; a person has to look."""


class ChainBroken(CorruptionError):
    """The ledger's hash chain does not verify; `detail` names the first bad epoch and seq."""


def invariant(holds: bool, what: str) -> None:
    """Raise when something that must hold on a money or fuel path does not; never compiled away.

    Raises:
        CorruptionError: `holds` is false.
    """
    if not holds:
        raise CorruptionError(
            Problem(
                "invariant_broken",
                "内部数据矛盾，请联系技术支持",
                "internal data contradict each other",
            ),
            what,
        )
