"""Whether a fuelling point may be released now, and if not, why; and how it is released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edge_agent.core.point import FLOWING, Guards, Moment, Phase, Point, Step
from edge_agent.model.dispenser import Authorise, DispenserStatus, Preset
from edge_agent.model.errors import CommandRefused, Problem
from edge_agent.model.records import FuellingAuthorised
from edge_agent.model.units import Money, Volume

ARMED_MS = 180_000
"""How long an authorisation waits for its nozzle to be lifted."""
AUTHORISE_MS = 15_000
"""Upper bound on a dispenser's answer to Authorise; engines answer earlier by their own bounds."""
START_MS = 300_000
"""How long a released dispenser may stand without flow before it is stopped."""

PROBLEMS = {
    problem.code: problem
    for problem in (
        Problem("fp_offline", "油机离线，请检查线路和电源", "the dispenser does not answer"),
        Problem("fp_reconciling", "正在核对泵码，请稍候", "totalisers are being read, please wait"),
        Problem("fp_busy", "该油枪正在使用中", "a fuelling is in hand on this fuelling point"),
        Problem("fp_closed", "油机已关闭", "the dispenser is switched off"),
        Problem("fp_inoperative", "油机故障或未设单价", "the dispenser is inoperative or unpriced"),
        Problem("no_price", "尚未确认单价，不能授权", "the dispenser has not confirmed its prices"),
        Problem("stopped_meanwhile", "授权前已按停止，请重新授权", "stop was pressed meanwhile"),
        Problem("nozzle_not_hung", "请先挂枪，再开始下一笔", "hang up the nozzle first"),
        Problem("price_change", "正在变价，请稍候", "prices are being changed, please wait"),
        Problem("agent_stopping", "系统正在停机，请稍后再授权", "the agent is stopping"),
        Problem("stop_all", "全站已停止，请先解除", "everything is stopped; release it first"),
        Problem(
            "storage_unavailable",
            "磁盘不可写：暂停新的授权，正在加的油照常完成。请清理磁盘空间",
            "the disk cannot be written: no new authorisations; free some space",
        ),
        Problem("unpaid_limit", "待付款笔数已满，请先结清", "too many unpaid fuellings"),
    )
}  # fmt: skip


_INOPERATIVE = (DispenserStatus.INOPERATIVE, DispenserStatus.NOT_PROGRAMMED, None)
_HINDRANCES: tuple[tuple[str, Callable[[Point, Guards], bool]], ...] = (
    ("stop_all", lambda _, guards: guards.stop_all),
    ("agent_stopping", lambda _, guards: guards.stopping),
    ("storage_unavailable", lambda _, guards: not guards.storage_ok),
    ("fp_offline", lambda point, _: point.phase is Phase.LOST),
    ("fp_reconciling", lambda point, _: point.phase is Phase.RECONCILING),
    ("fp_closed", lambda point, _: point.status is DispenserStatus.CLOSED),
    ("fp_inoperative", lambda point, _: point.status in _INOPERATIVE),
    ("fp_busy", lambda point, _: point.phase is not Phase.READY or point.status in FLOWING),
    ("nozzle_not_hung", lambda point, _: point.must_hang),
    ("price_change", lambda point, _: point.programming),
    ("no_price", lambda point, _: not _is_priced(point)),
    ("unpaid_limit", lambda _, guards: guards.unpaid >= guards.unpaid_limit),
)


def _is_priced(point: Point) -> bool:
    applied = point.applied
    return applied is not None and all(nozzle in applied.prices for nozzle in point.all_nozzles())


def blocked(point: Point, guards: Guards) -> str | None:
    """Return the code of the first reason why the point may not be released, or None."""
    return next((code for code, holds in _HINDRANCES if holds(point, guards)), None)


def require_free(point: Point, guards: Guards) -> None:
    """Check that the point may be released.

    Raises:
        CommandRefused: it may not; the problem says why.
    """
    reason = blocked(point, guards)
    if reason is not None:
        raise CommandRefused(PROBLEMS[reason], f"FP {point.fp}")


def release(point: Point, at: Moment) -> Step:
    """Tell the dispenser, once one of the authorised nozzles is lifted.

    A preset is only sent after the lift: Chinese Wayne dispensers drop one sent before.
    """
    current = point.current
    if current is None or point.lifted is None or int(point.lifted) not in current.body.nozzles:
        return Step(point)
    command = Authorise(point.fp, (point.lifted,), preset_of(current.body))
    told = replace(
        point,
        phase=Phase.AUTHORISING,
        current=replace(current, told=True),
        deadline_ms=at.monotonic_ms + AUTHORISE_MS,
    )
    return Step(told, commands=(command,))


def preset_of(body: FuellingAuthorised) -> Preset | None:
    """Return the preset that an authorisation carries."""
    if body.preset_volume_ml is not None:
        return Preset(volume=Volume(body.preset_volume_ml))
    if body.preset_amount_fen is not None:
        return Preset(amount=Money(body.preset_amount_fen))
    return None
