"""Register maps: the shipped one is right, and what is wrong in one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.modbus.pdu import Function, ReadRequest, WriteRequest, WriteSingle
from drivers.modbus.profile import parse_profile
from drivers.modbus.register_map import Carried, RegisterMap
from edge_agent.model.errors import ConfigRefused
from edge_agent.model.ids import LogicalNozzle

FILE = Path(__file__).resolve().parents[3] / "config" / "registers" / "reference.toml"
TEXT = FILE.read_text(encoding="utf-8")
ONE, TWO = LogicalNozzle(1), LogicalNozzle(2)


def reference(*nozzles: int) -> RegisterMap:
    return RegisterMap(parse_profile(TEXT, FILE.name), [LogicalNozzle(n) for n in nozzles or (1,)])


def test_one_poll_reads_everything_in_one_request() -> None:
    assert reference().poll == ReadRequest(Function.READ_INPUT, 0, 19)


def test_totals_are_where_the_base_map_and_its_extension_say() -> None:
    registers = reference(1, 2)
    assert registers.totals[ONE] == ReadRequest(Function.READ_INPUT, 12, 4)
    assert registers.totals[TWO] == ReadRequest(Function.READ_INPUT, 20, 4)


def test_preset_is_written_first_and_the_command_last_and_alone() -> None:
    registers = reference(1, 2)
    carried = Carried(when="preset_amount", preset=20_000, nozzle_mask=0b10)
    assert registers.requests("authorise", carried) == [
        WriteSingle(6, 0b10),
        WriteRequest(1, (2, 0, 20_000)),
        WriteSingle(0, 1),
    ]
    carried = Carried(when="preset_volume", preset=30_000_000, nozzle_mask=1)
    assert registers.requests("authorise", carried)[1] == WriteRequest(
        1, (1, 3_000_000 >> 16, 3_000_000 & 0xFFFF)
    )
    assert registers.requests("authorise", Carried(nozzle_mask=1))[1] == WriteRequest(1, (0,))


def test_prices_go_to_the_register_of_their_nozzle() -> None:
    registers = reference(1, 2)
    carried = Carried(nozzle=TWO, unit_price=7_850)
    assert registers.requests("set_price", carried) == [WriteSingle(10, 785)]


@pytest.mark.parametrize("value", [7_855, -10, 655_360])
def test_a_price_that_does_not_fit_exactly_is_never_rounded(value: int) -> None:
    with pytest.raises(ValueError, match="exactly"):
        reference().requests("set_price", Carried(unit_price=value))


def test_more_nozzles_than_registers_is_refused() -> None:
    with pytest.raises(ValueError, match="no register for nozzle 5"):
        reference(1, 5)


UNKNOWN_KEYS = [
    ("live_volume]", "live_volme]", "table [status], key 'live_volme'", "live_volume"),
    ("idle = 1", "idl = 1", "table [states], key 'idl'", "idle"),
    ("scale", "scael", "", "scale"),
    ("stop = [{", "sotp = [{", "table [commands], key 'sotp'", "stop"),
    ("{ to =", "{ too =", "table [commands.authorise.0], key 'too'", "to"),
    ("holding =", "holdin =", "table [numbering], key 'holdin'", "holding"),
    ("[numbering]", "[numbring]", "key 'numbring'", "numbering"),
    ("function = 6", "fuction = 6", "table [write.command], key 'fuction'", "function"),
]


@pytest.mark.parametrize(("old", "new", "place", "near"), UNKNOWN_KEYS)
def test_unknown_key_is_named_with_the_nearest_known(
    old: str, new: str, place: str, near: str
) -> None:
    text = TEXT.split("name = ", 1)[1]
    assert old in text
    with pytest.raises(ConfigRefused) as refused:
        parse_profile("name = " + text.replace(old, new, 1), "site.toml")
    assert refused.value.detail.startswith("site.toml")
    assert place in refused.value.detail
    assert refused.value.detail.endswith(f": unknown key; did you mean '{near}'?")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('to = "price"', 'to = "prise"', "[write.prise] is missing; did you mean 'price'?"),
        ('value = "beat"', 'value = "beet"', "nothing to write; did you mean 'beat'?"),
        ("calling = 2", "calling = 1", "1 means both idle and calling"),
        ("register = 30009", "register = 30209", "a poll spans 210 registers, 125 at most"),
        ("register = 30009", "register = 29999", "register 29999 is no address"),
        ("register = 30009", "register = [30009, 30011]", "one register number"),
        ('"preset", when = "preset_volume"', '"preset"', "a preset is written when"),
        ("value = 5 }", "value = 65536 }", "65536 does not fit [write.command]"),
        ("4\nregister = 30009", "3\nregister = 40009", "the same function"),
        ("4\nregister = [30015", "3\nregister = [40015", "the same function"),
        ("function = 16\nregister = 40003", "function = 6\nregister = 40003", "use function 16"),
        ('type = "u16"', 'type = "u8"', "Input should be"),
        ("scale = 10", "scale = 1.5", "valid integer"),
        ("[states]", "[states", "no valid TOML"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigRefused) as refused:
        parse_profile(TEXT.replace(old, new, 1), "site.toml")
    assert refused.value.detail.startswith("site.toml")
    assert said in refused.value.detail
