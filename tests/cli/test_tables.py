"""Tables in 80 columns, whatever stands in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.cli.tables import WIDTH, cut, litres, pad, table, unit_price, width, yuan

cells = st.text(st.sampled_from("ab油机枪号7.é"), max_size=60)


@given(st.lists(st.tuples(cells, cells, cells, cells), max_size=6))
def test_a_table_never_breaks_a_line_of_80_columns(
    rows: list[tuple[str, str, str, str]],
) -> None:
    shown = table(("a", "油机", "c", "d"), rows, right=(1,))
    assert all(width(line) <= WIDTH for line in shown.splitlines())
    assert len(shown.split("\n")) == len(rows) + 1


@given(cells, st.integers(1, 80))
def test_cut_fits_and_keeps_what_fits(text: str, columns: int) -> None:
    assert width(cut(text, columns)) <= columns
    if width(text) <= columns:
        assert cut(text, columns) == text
    else:
        assert cut(text, columns).endswith("…")


def test_a_chinese_character_takes_two_columns() -> None:
    assert width("油机1") == 5
    assert pad("油", 4) == "油  "
    assert pad("7", 3, right=True) == "  7"


def test_figures_are_exact() -> None:
    assert yuan(9_687) == "96.87"
    assert yuan(-5) == "-0.05"
    assert yuan(None) == "-"
    assert litres(12_340) == "12.34"
    assert litres(12_345) == "12.345"
    assert unit_price(7_850) == "7.85"
    assert unit_price(1_459) == "1.459"
