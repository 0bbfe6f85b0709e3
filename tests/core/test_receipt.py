"""A receipt fits its paper and says what the law and the driver want to know."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.receipt import COLUMNS, ReceiptFacts, render, width_of
from edge_agent.model.books import SettledSale
from edge_agent.model.records import (
    AppliedOffer,
    FuellingCompleted,
    GivenBenefit,
    NextStep,
    QuoteBody,
    SaleRefunded,
    SaleSettled,
    SoldGoods,
    Tender,
)
from edge_agent.model.tenders import TENDER_MEANS
from edge_agent.model.views import ExpiryView

FACTS = ReceiptFacts(
    station_zh="滇池路加油站",
    station_en="Dianchi Road Station",
    utc_offset_minutes=480,
    grade_name="92#",
    member="张**",
    tier="金牌会员",
    plate="云A·**345",
    ledger_hash="a1b2c3d4e5f6" + "0" * 52,
)
COMPLETED = FuellingCompleted(
    fuelling_id="f-1",
    fp=2,
    nozzle=1,
    nozzle_number=3,
    grade="92",
    price_set="p-20261101",
    unit_price_milli=7850,
    volume_ml=40_000,
    amount_fen=31_400,
    totals_before=None,
    totals_after=None,
    origin="observed",
    member_ref="m-1",
    plate_ref="0123456789abcdef",
    prepaid_fen=0,
    started_ms=None,
    ended_ms=1_793_678_400_000,
)
QUOTED = QuoteBody(
    policy_version=1,
    grade="92",
    volume_ml=40_000,
    unit_price_milli=7850,
    at_ms=1_793_678_400_000,
    member_ref="m-1",
    tier="gold",
    fuel_amount_fen=31_400,
    list_amount_fen=31_400,
    payable_fen=28_458,
    applied=[
        AppliedOffer(
            offer="gold",
            amount_fen=942,
            text_zh="金牌会员97折",
            text_en="Gold: 3 % off",
            stage="line",
        ),
        AppliedOffer(
            offer="save",
            amount_fen=2000,
            text_zh="会员满200减20",
            text_en="Members: spend 200, save 20",
            stage="basket",
        ),
    ],
    rejected=[],
    points_earned=284,
)
SETTLED = SaleSettled(
    sale_id="s-1",
    fuelling_id="f-1",
    quote=QUOTED,
    explanation_sha256="0123456789ab" + "c" * 52,
    tenders=[
        Tender(means="stored_value", amount_fen=10_000, account_ref="a-1"),
        Tender(means="cash", amount_fen=18_458, account_ref=None),
    ],
    change_fen=1542,
    member_ref="m-1",
    plate_ref="0123456789abcdef",
    receipt_no="261103-7K3M9QXA",
    idempotency_key="k",
    operator="till",
)
SALE = SettledSale(4711, 1_793_678_461_000, SETTLED, COMPLETED, None)
REFUNDED = replace(
    SALE,
    refunded=SaleRefunded(
        refund_id="r-1",
        sale_id="s-1",
        fuelling_id="f-1",
        tenders=SETTLED.tenders,
        reason="加错油品",
        idempotency_key="k2",
        operator="lead",
    ),
)

RECEIPT = """\
          滇池路加油站
      Dianchi Road Station
        销售小票 RECEIPT
--------------------------------
单号 No.         261103-7K3M9QXA
时间 Time    2026-11-03 12:01:01
枪号 Nozzle                    3
油品 Grade                   92#
升数 Litres               40.000
单价 Yuan/L                 7.85
金额 Amount               314.00
--------------------------------
金牌会员97折
Gold: 3 % off              -9.42
会员满200减20
Members: spend 200, save 20
                          -20.00
应付 To pay               284.58
--------------------------------
储值 Stored value         100.00
现金 Cash                 200.00
找零 Change                15.42
--------------------------------
会员 Member        张** 金牌会员
积分 Points                 +284
车牌 Plate            云A·**345
价格 Price set        p-20261101
计价 Price proof    0123456789ab
收银 Operator               till
账本 Ledger    4711 a1b2c3d4e5f6
"""


def rows(text: str) -> dict[str, str]:
    """The last word of each line by its first."""
    return {line.split()[0]: line.split()[-1] for line in text.splitlines() if line.split()}


def test_the_receipt_of_a_sale() -> None:
    assert render(SALE, FACTS) == RECEIPT


def test_a_copy_says_so() -> None:
    assert "重打 REPRINT" not in render(SALE, FACTS)
    copy = render(SALE, FACTS, reprint=True)
    assert copy.replace("      *** 重打 REPRINT ***\n", "") == RECEIPT


def test_a_refund_slip_gives_each_tender_back_and_says_why() -> None:
    slip = render(REFUNDED, FACTS)
    found = rows(slip)
    assert "退款凭证 REFUND" in slip
    assert (found["储值"], found["现金"], found["退款"]) == ("-100.00", "-184.58", "-284.58")
    assert (found["原因"], found["收银"], found["积分"]) == ("加错油品", "lead", "-284")
    assert "应付" not in slip


def test_a_passing_driver_has_no_member_lines() -> None:
    text = render(SALE, replace(FACTS, member=None, tier=None, plate=None))
    assert "会员 Member" not in text
    assert "积分" not in text
    assert "车牌" not in text


def test_change_of_a_prepayment_is_shown_even_when_nothing_was_paid() -> None:
    free = SETTLED.model_copy(update={"tenders": [], "change_fen": 5000})
    found = rows(render(replace(SALE, settled=free), FACTS))
    assert (found["现金"], found["找零"]) == ("50.00", "50.00")


def test_row_c27_the_next_step_is_told() -> None:
    step = NextStep(
        offer="save", preset_amount_fen=20_000, payable_fen=18_000, text_zh="加到", text_en="up to"
    )
    told = QUOTED.model_copy(update={"next_step": step})
    text = render(replace(SALE, settled=SETTLED.model_copy(update={"quote": told})), FACTS)
    assert "加到\nup to\n" in text


WATER = GivenBenefit(
    offer="water",
    text_zh="送玻璃水",
    text_en="Washer fluid free",
    good="water",
    pieces=1,
    points=0,
    coupon="C-8",
)
TWICE = GivenBenefit(
    offer="twice",
    text_zh="生日周双倍积分",
    text_en="Birthday week: points twice",
    good=None,
    pieces=0,
    points=270,
)
RICH_QUOTE = QUOTED.model_copy(
    update={
        "goods": [SoldGoods(good="urea", pieces=2, amount_fen=5_600)],
        "list_amount_fen": 37_000,
        "payable_fen": 34_500,
        "applied": [
            AppliedOffer(
                offer="voucher",
                amount_fen=2_500,
                text_zh="25元券",
                text_en="25 yuan off",
                stage="basket",
                coupon="C-7",
            )
        ],
        "benefits": [WATER, TWICE],
        "points_redeemed": 500,
        "points_earned": 540,
    }
)
RICH = replace(
    SALE,
    completed=COMPLETED.model_copy(update={"odometer_km": 81_234}),
    settled=SETTLED.model_copy(
        update={
            "quote": RICH_QUOTE,
            "tenders": [
                Tender(means="points", amount_fen=500, account_ref="m-1", points=500),
                Tender(means="wallet", amount_fen=34_000, account_ref=None, reference="W-0042"),
            ],
            "change_fen": 0,
        }
    ),
)
RICH_FACTS = replace(
    FACTS,
    goods={"urea": "车用尿素10L", "water": "玻璃水"},
    progress=("再消费200元升至钻石", "200 yuan more to Diamond"),
    expiring=(
        ExpiryView("points", 80, None, 0, 3, "80积分将于3天后过期", "80 points expire in 3 days"),
    ),
)
PAID = """\
金额 Amount               314.00
车用尿素10L x2             56.00
合计 Total                370.00
--------------------------------
25元券
25 yuan off               -25.00
券号 Coupon                  C-7
送玻璃水
Washer fluid free
赠 Gift                玻璃水 x1
券号 Coupon                  C-8
生日周双倍积分
Birthday week: points twice +270
应付 To pay               345.00
--------------------------------
积分 Points                 5.00
扫码 Wallet               340.00
凭证 Ref.                 W-0042
--------------------------------
会员 Member        张** 金牌会员
积分 Points                 +540
抵现 Redeemed               -500
80积分将于3天后过期
80 points expire in 3 days
再消费200元升至钻石
200 yuan more to Diamond
车牌 Plate            云A·**345
里程 Odometer           81234 km
"""


def test_row_m12_row_c16_row_p14_the_receipt_says_what_was_given_and_what_comes_next() -> None:
    assert PAID in render(RICH, RICH_FACTS)


def test_row_v5_a_refund_slip_names_the_coupons_on_hold_and_the_points() -> None:
    refunded = replace(RICH, refunded=REFUNDED.refunded)
    slip = render(refunded, RICH_FACTS)
    assert "券冻结 On hold               C-7\n券冻结 On hold               C-8\n" in slip
    assert "积分 Points                 -540\n抵现 Redeemed               +500\n" in slip
    assert "钻石" not in slip
    assert "过期" not in slip


def test_row_v17_each_means_of_payment_has_its_name() -> None:
    for means in TENDER_MEANS:
        tender = Tender(means=means, amount_fen=28_458, account_ref=None)
        paid = SETTLED.model_copy(update={"tenders": [tender], "change_fen": 0})
        (line,) = [
            row
            for row in render(replace(SALE, settled=paid), FACTS).splitlines()
            if row.endswith(" 284.58") and "To pay" not in row
        ]
        assert width_of(line) == COLUMNS


@pytest.mark.parametrize(("text", "columns"), [("92#", 3), ("枪号", 4), ("￥1", 3), ("云A·", 5)])
def test_chinese_takes_two_columns(text: str, columns: int) -> None:
    assert width_of(text) == columns


names = st.text(
    st.characters(categories=["Lu", "Ll", "Lo", "Nd", "Po", "Zs"], max_codepoint=0x9FFF),
    min_size=1,
    max_size=60,
)


@given(name=names, text_zh=names, text_en=names, amount=st.integers(1, 10**9))
def test_nothing_is_wider_than_the_paper_or_lost(
    name: str, text_zh: str, text_en: str, amount: int
) -> None:
    line = AppliedOffer(
        offer="x", amount_fen=amount, text_zh=text_zh, text_en=text_en, stage="line", coupon=name
    )
    goods = SoldGoods(good="g", pieces=2, amount_fen=amount)
    told = QUOTED.model_copy(update={"applied": [line], "goods": [goods]})
    sale = replace(SALE, settled=SETTLED.model_copy(update={"quote": told}))
    facts = replace(
        FACTS,
        station_zh=name,
        station_en=name,
        grade_name=name,
        goods={"g": text_en},
        progress=(text_zh, text_en),
        expiring=(ExpiryView("points", 5, None, 0, 3, text_zh, text_en),),
    )
    text = render(sale, facts)
    assert all(width_of(row) <= COLUMNS for row in text.splitlines())
    squeezed = "".join(text.split())
    for part in (name, text_zh, text_en):
        assert "".join(part.split()) in squeezed
