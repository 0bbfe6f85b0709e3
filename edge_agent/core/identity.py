"""Identifiers that sort by time and need nobody's leave: UUID version 7 of RFC 9562."""

from __future__ import annotations

from uuid import UUID


def uuid7(at_ms: int, chance: bytes) -> str:
    """Build a UUIDv7 from a wall time and 10 random bytes.

    Raises:
        ValueError: not exactly 10 bytes of chance.
    """
    if len(chance) != 10:
        raise ValueError("a UUIDv7 takes 10 random bytes")
    raw = bytearray((at_ms & (1 << 48) - 1).to_bytes(6) + chance)
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return str(UUID(bytes=bytes(raw)))
