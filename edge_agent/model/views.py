"""What screens and tools are shown: the whole station at one instant. Nothing personal in clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_agent.model.fuelling import FpState


@dataclass(frozen=True, slots=True)
class NozzleView:
    """One nozzle on the screen. `unit_price_milli` is None until a price set was confirmed."""

    number: int
    logical: int
    grade: str
    grade_name: str
    unit_price_milli: int | None


@dataclass(frozen=True, slots=True)
class FpView:
    """One fuelling point on the screen."""

    fp: int
    bay: str | None
    state: FpState
    since_ms: int
    """Wall time at which the state began."""
    nozzles: tuple[NozzleView, ...]
    lifted: int | None
    """Logical number of the lifted nozzle."""
    fuelling_id: str | None
    volume_ml: int
    """Running or last figures of the display."""
    amount_fen: int
    preset_volume_ml: int | None
    preset_amount_fen: int | None
    member: str | None
    """Masked name of the member that the fuelling is bound to."""
    plate: str | None
    """Masked plate that the fuelling is bound to."""
    unpaid: int
    """Payable transactions of this fuelling point waiting."""
    blocked: str | None
    """Code of the reason why it may not be authorised now, or None."""
    price_set: str | None
    tier_zh: str | None = None
    """The member's tier, as a badge (row M11)."""
    tier_en: str | None = None
    priority: bool = False
    """The member is served first (row M3)."""


@dataclass(frozen=True, slots=True)
class UnpaidView:
    """One payable transaction."""

    fuelling_id: str
    fp: int
    nozzle_number: int
    grade: str
    grade_name: str
    unit_price_milli: int
    volume_ml: int
    amount_fen: int
    prepaid_fen: int
    ended_ms: int
    member: str | None
    plate: str | None
    origin: str


@dataclass(frozen=True, slots=True)
class SyncView:
    """Where the books stand with HQ."""

    connected: bool
    since_ms: int
    """Wall time since when the link has been as it is."""
    waiting: int
    """Records that HQ has not acknowledged."""
    waiting_sales: int
    acked_seq: int
    head_seq: int
    epoch: int
    last_ack_ms: int | None
    fork_alarm: bool


@dataclass(frozen=True, slots=True)
class CameraView:
    """One camera's health: ok, blind, lost, frozen, off."""

    camera: str
    bay: str
    health: str
    since_ms: int
    last_plate: str | None
    """Masked."""


@dataclass(frozen=True, slots=True)
class ProblemView:
    """Something a person should know or do, in both languages."""

    code: str
    text_zh: str
    text_en: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class StationView:
    """Everything the attendants' screen shows."""

    station: str
    name_zh: str
    name_en: str
    at_ms: int
    version: str
    demo: bool
    utc_offset_minutes: int
    """What the station's clocks show, ahead of UTC."""
    clock_trusted: bool
    storage_ok: bool
    stop_all: bool
    price_set: str | None
    policy_version: int | None
    catalogues: dict[str, int]
    fuelling_points: tuple[FpView, ...]
    unpaid: tuple[UnpaidView, ...]
    sync: SyncView
    cameras: tuple[CameraView, ...]
    problems: tuple[ProblemView, ...]


@dataclass(frozen=True, slots=True)
class CouponView:
    """A coupon that may be used here."""

    serial: str
    template: str
    text_zh: str
    text_en: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class ExpiryView:
    """Points, or a coupon, that will be lost soon: what staff are to say."""

    what: Literal["points", "coupon"]
    points: int
    serial: str | None
    expires_ms: int
    days: int
    text_zh: str
    text_en: str


@dataclass(frozen=True, slots=True)
class WalletView:
    """What a member has, as far as this station knows. Nothing personal in clear."""

    member: str
    """Masked name."""
    tier: str
    tier_zh: str
    tier_en: str
    greeting_zh: str | None
    greeting_en: str | None
    account_kind: str | None
    balance_here_fen: int
    """May be spent here now, without asking anybody."""
    balance_known_fen: int | None
    """All that headquarters held when it last said so."""
    low_balance: bool
    points_here: int
    points_known: int
    points_value_fen: int
    """What `points_here` would pay."""
    coupons: tuple[CouponView, ...]
    expiring: tuple[ExpiryView, ...]
    next_tier_zh: str | None
    next_tier_en: str | None
    to_next_tier_fen: int | None
    locked: str | None
    cache_age_s: int
    progress_zh: str | None = None
    """What is missing to keep the tier, else to reach the next one (rows M6, M12)."""
    progress_en: str | None = None
