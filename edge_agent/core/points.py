"""Points: when they expire, in which order they are taken, what redeeming them pays.

Buckets are taken first in, first out by expiry (row P8). Redeeming pays whole yuan only (row P6).
Every instant named `expires_ms` is the first at which the points are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Final

from edge_agent.core.station_calendar import date_of, start_of
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.membership import ExpiringPoints
from edge_agent.model.policy import Redemption
from edge_agent.model.records import PointsBucket
from edge_agent.model.units import NO_MONEY, Money
from edge_agent.model.views import ExpiryView

FEN_A_YUAN: Final = 100

NOT_REDEEMABLE: Final = Problem(
    "points_not_redeemable", "当前不支持积分抵现", "points cannot pay here now"
)
NOT_WHOLE_YUAN: Final = Problem(
    "points_not_whole_yuan", "积分只能抵整元", "points pay whole yuan only"
)
TOO_FEW: Final = Problem(
    "points_below_minimum", "未达到最低抵扣积分", "fewer points than may be redeemed at once"
)
ABOVE_SHARE: Final = Problem(
    "points_above_share", "超出积分可抵金额", "points may not pay so much of this sale"
)
INSUFFICIENT: Final = Problem(
    "points_insufficient", "本站可用积分不足", "not so many points may be redeemed at this station"
)


def expires_ms(at_ms: int, valid_months: int, utc_offset_minutes: int) -> int:
    """Return when points that are earned at a wall time expire.

    That is the end of the station's day so many months later (row P8: 24); of a shorter month its
    last day.
    """
    earned = date_of(at_ms, utc_offset_minutes)
    months = earned.year * 12 + earned.month - 1 + valid_months
    first = date(months // 12, months % 12 + 1, 1)
    following = date((months + 1) // 12, (months + 1) % 12 + 1, 1)
    last = min(first + timedelta(days=earned.day - 1), following - timedelta(days=1))
    return start_of(last + timedelta(days=1), utc_offset_minutes)


def take(
    buckets: Sequence[PointsBucket], points: int
) -> tuple[tuple[PointsBucket, ...], tuple[PointsBucket, ...]]:
    """Take points, soonest expiry first; return what was taken and what is left.

    Raises:
        SaleRefused: `points_insufficient`.
    """
    if points > sum(bucket.points for bucket in buckets):
        raise SaleRefused(INSUFFICIENT)
    taken: list[PointsBucket] = []
    left: list[PointsBucket] = []
    for bucket in sorted(buckets, key=lambda each: each.expires_ms):
        part = min(bucket.points, points)
        points -= part
        _put(taken, bucket.expires_ms, part)
        _put(left, bucket.expires_ms, bucket.points - part)
    return tuple(taken), tuple(left)


def put_back(
    buckets: Sequence[PointsBucket], taken: Iterable[PointsBucket]
) -> tuple[PointsBucket, ...]:
    """Return the buckets after what was taken went back, each point to its own expiry."""
    total: dict[int, int] = {}
    for bucket in (*buckets, *taken):
        total[bucket.expires_ms] = total.get(bucket.expires_ms, 0) + bucket.points
    return tuple(
        PointsBucket(expires_ms=expiry, points=points) for expiry, points in sorted(total.items())
    )


def _put(buckets: list[PointsBucket], expiry_ms: int, points: int) -> None:
    if points:
        buckets.append(PointsBucket(expires_ms=expiry_ms, points=points))


def value_of(points: int, redemption: Redemption | None) -> Money:
    """Return what points pay: whole yuan, at 100 points each unless the policy says otherwise."""
    if redemption is None:
        return NO_MONEY
    return Money(points // redemption.points_per_yuan * FEN_A_YUAN)


def points_for(amount: Money, redemption: Redemption) -> int:
    """Return the points that pay an amount; parts of a yuan are not paid by points."""
    return amount.fen // FEN_A_YUAN * redemption.points_per_yuan


def most_redeemable(available: int, payable: Money, redemption: Redemption | None) -> int:
    """Return how many of the available points may be redeemed for a sale; 0 when none may."""
    if redemption is None:
        return 0
    share = Money(payable.fen * redemption.max_share_bp // 10_000)
    most = points_for(min(share, value_of(available, redemption)), redemption)
    return most if most >= redemption.min_points else 0


def require_redeemable(points: int, payable: Money, redemption: Redemption | None) -> None:
    """Check that the policy lets so many points pay a part of a sale.

    Raises:
        SaleRefused: `points_not_redeemable`, `points_not_whole_yuan`, `points_below_minimum` or
            `points_above_share`.
    """
    if not points:
        return
    if redemption is None or points < 0:
        raise SaleRefused(NOT_REDEEMABLE)
    if points % redemption.points_per_yuan:
        raise SaleRefused(NOT_WHOLE_YUAN, f"{redemption.points_per_yuan} points are a yuan")
    if points < redemption.min_points:
        raise SaleRefused(TOO_FEW, f"{points} of {redemption.min_points}")
    most = Money(payable.fen * redemption.max_share_bp // 10_000)
    if value_of(points, redemption) > most:
        raise SaleRefused(ABOVE_SHARE, f"{value_of(points, redemption)} of {most}")


_TOLD: Final = ("{points}积分{when}过期", "{points} points expire {when}")
_SUGGESTED: Final = (
    "{points}积分{when}过期，可用于抵现或兑换商品",
    "{points} points expire {when}: pay or take goods with them",
)
_URGENT: Final = (
    "{points}积分{when}过期，请提醒顾客现在使用",
    "{points} points expire {when}: ask the customer to use them now",
)


def warnings(
    points: Iterable[ExpiringPoints],
    now_ms: int,
    warn_days: Sequence[int],
    utc_offset_minutes: int,
) -> tuple[ExpiryView, ...]:
    """Return what staff are to say of points that expire soon, soonest first (row P14).

    The longest of the warning days tells, the shortest urges, those between suggest a use. Days
    count from midnight to midnight at the station: 0 is the last day on which they are good.
    """
    today = date_of(now_ms, utc_offset_minutes)
    by_day: dict[int, int] = {}
    for each in points:
        if each.points > 0 and each.expires_ms > now_ms:
            last = date_of(each.expires_ms - 1, utc_offset_minutes)
            day_ends_ms = start_of(last + timedelta(days=1), utc_offset_minutes)
            by_day[day_ends_ms] = by_day.get(day_ends_ms, 0) + each.points
    views: list[ExpiryView] = []
    for ends_ms, amount in sorted(by_day.items()):
        days = (date_of(ends_ms - 1, utc_offset_minutes) - today).days
        if warn_days and days <= max(warn_days):
            text_zh, text_en = _words_of(days, warn_days)
            when_zh, when_en = when(days)
            views.append(
                ExpiryView(
                    what="points",
                    points=amount,
                    serial=None,
                    expires_ms=ends_ms,
                    days=days,
                    text_zh=text_zh.format(points=amount, when=when_zh),
                    text_en=text_en.format(points=amount, when=when_en),
                )
            )
    return tuple(views)


def when(days: int) -> tuple[str, str]:
    """Return how staff say that something is lost in so many days, in both languages."""
    if days <= 0:
        return "今天", "today"
    return f"将于{days}天后", f"in {days} day{'' if days == 1 else 's'}"


def _words_of(days: int, warn_days: Sequence[int]) -> tuple[str, str]:
    if days <= min(warn_days):
        return _URGENT
    nearer = [each for each in warn_days if each < max(warn_days)]
    return _SUGGESTED if days <= max(nearer, default=0) else _TOLD
