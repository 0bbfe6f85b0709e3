"""Whether a time service keeps the machine's clock: asked of the kernel, or of the service itself.

Under the unit's isolation the kernel's answer is forbidden: systemd's filter for setting clocks
(`@clock`) holds back adjtimex(2) even where it only asks. Then chronyd is asked on loopback, and
else the file looked for that systemd-timesyncd leaves once it has synchronised.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TIMESYNCD_FILE: Final = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd(8) touches it with each synchronisation; /run is empty after a start."""
CHRONY_PORT: Final = 323
CHRONY_TIMEOUT_S: Final = 0.05
"""chronyd answers on loopback within a millisecond; where there is none the kernel says so."""

_TIME_ERROR: Final = 5
"""adjtimex(2) returns it while the clock is not synchronised."""
_STA_UNSYNC: Final = 0x0040
_TIMEX_BYTES: Final = 512
"""More than `struct timex` takes on any architecture (208 bytes on 64-bit Linux)."""
_LONG_BYTES: Final = ctypes.sizeof(ctypes.c_long)
_MAX_ERROR_AT: Final = 3 * _LONG_BYTES
"""Offset of `long maxerror`, in microseconds: after `modes` (padded), offset, freq."""
_STATUS_AT: Final = 5 * _LONG_BYTES
"""Offset of `int status`: after maxerror and esterror."""

# chrony's monitoring protocol, version 6 (candm.h): a request is padded to its reply's length.
_CHRONY_REQUEST: Final = struct.pack("!BBBBHHIII", 6, 1, 0, 0, 33, 0, 1, 0, 0).ljust(104, b"\0")
_CHRONY_REPLY: Final = struct.Struct("!BBBBHHHHHHIII")
_TRACKING: Final = 5
_TRACKING_BYTES: Final = 104
_LEAP_AT: Final = 54
_CORRECTION_AT: Final = 68
_DELAY_AT: Final = 92
_DISPERSION_AT: Final = 96
_LEAP_UNSYNCHRONISED: Final = 3


@dataclass(frozen=True, slots=True)
class Synchronisation:
    """What is known of the wall clock."""

    synchronised: bool
    max_error_ms: int | None
    """Bound on its error; None where whoever was asked does not tell."""
    source: str
    """Who was asked: kernel, chronyd, timesyncd."""


def synchronisation() -> Synchronisation:
    """Ask the kernel, else chronyd, else timesyncd; takes 50 ms at most."""
    return ask_kernel() or ask_chronyd() or ask_timesyncd()


def ask_kernel() -> Synchronisation | None:
    """Return what adjtimex(2) says; None where it is forbidden."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: only ask
    state = int(ctypes.CDLL(None, use_errno=True).adjtimex(timex))
    if state < 0:
        return None
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], sys.byteorder)
    error_us = int.from_bytes(timex.raw[_MAX_ERROR_AT : _MAX_ERROR_AT + _LONG_BYTES], sys.byteorder)
    is_kept = state < _TIME_ERROR and not status & _STA_UNSYNC
    return Synchronisation(is_kept, error_us // 1000, "kernel")


def ask_chronyd(port: int = CHRONY_PORT) -> Synchronisation | None:
    """Return what chronyd's tracking report says; None where none answers."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(CHRONY_TIMEOUT_S)
            sock.connect(("127.0.0.1", port))
            sock.send(_CHRONY_REQUEST)
            reply = sock.recv(1024)
    except OSError:
        return None
    return read_tracking(reply)


def read_tracking(reply: bytes) -> Synchronisation | None:
    """Read chronyd's reply; None for anything else."""
    if len(reply) < _TRACKING_BYTES:
        return None
    version, kind, _, _, _, told, status, *_ = _CHRONY_REPLY.unpack_from(reply)
    if (version, kind, told, status) != (6, 2, _TRACKING, 0):
        return None
    (leap,) = struct.unpack_from("!H", reply, _LEAP_AT)
    # RFC 5905: half the root delay, plus the root dispersion, plus what is not corrected yet.
    error_s = (
        abs(_chrony_float(reply, _CORRECTION_AT))
        + abs(_chrony_float(reply, _DELAY_AT)) / 2
        + abs(_chrony_float(reply, _DISPERSION_AT))
    )
    return Synchronisation(leap != _LEAP_UNSYNCHRONISED, round(error_s * 1000), "chronyd")


def ask_timesyncd(file: Path = TIMESYNCD_FILE) -> Synchronisation:
    """Return whether systemd-timesyncd has synchronised the clock since the machine started."""
    return Synchronisation(file.exists(), None, "timesyncd")


def _chrony_float(reply: bytes, at: int) -> float:
    """Read chrony's float: 7 bits of exponent, 25 bits of coefficient, both signed."""
    (bits,) = struct.unpack_from("!I", reply, at)
    exponent, coefficient = bits >> 25, bits & 0x1FFFFFF
    exponent -= 128 if exponent >= 64 else 0
    coefficient -= 1 << 25 if coefficient >= 1 << 24 else 0
    return float(coefficient * 2.0 ** (exponent - 25))
