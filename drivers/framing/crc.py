"""CRC-16 with the reflected polynomial 0x8005, in the two flavours that dispensers use.

Check values over b"123456789": ARC 0xBB3D, MODBUS 0x4B37. Both travel low byte first. Wayne's own
papers call the former "CCITT"; captures of real buses say ARC, every frame of them.
"""

from __future__ import annotations

from typing import Final

POLYNOMIAL_REFLECTED: Final = 0xA001


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL_REFLECTED if crc & 1 else 0)
        entries.append(crc)
    return tuple(entries)


_TABLE: Final = _table()


def crc16_arc(data: bytes) -> int:
    """Return the CRC-16/ARC (initial value 0)."""
    return _crc16(data, 0x0000)


def crc16_modbus(data: bytes) -> int:
    """Return the CRC-16/MODBUS (initial value 0xFFFF)."""
    return _crc16(data, 0xFFFF)


def _crc16(data: bytes, crc: int) -> int:
    table = _TABLE
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc
