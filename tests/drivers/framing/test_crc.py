from hypothesis import given
from hypothesis import strategies as st

from drivers.framing.crc import crc16_arc, crc16_modbus


def bitwise(data: bytes, crc: int) -> int:
    """The definition: reflected polynomial 0x8005, one bit at a time."""
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def test_check_values() -> None:
    assert crc16_arc(b"123456789") == 0xBB3D
    assert crc16_modbus(b"123456789") == 0x4B37


@given(st.binary())
def test_table_agrees_with_the_definition(data: bytes) -> None:
    assert crc16_arc(data) == bitwise(data, 0x0000)
    assert crc16_modbus(data) == bitwise(data, 0xFFFF)
