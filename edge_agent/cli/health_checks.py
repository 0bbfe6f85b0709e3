"""The checks of `edge-agent doctor`, each with a cause and a next step."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from edge_agent.cli.answers import as_object, objects, text
from edge_agent.cli.findings import Finding, good
from edge_agent.cli.local_api import LocalApi
from edge_agent.cli.serial_ports import check_port
from edge_agent.config.loading import Loaded, load_config
from edge_agent.config.paths import StationPaths
from edge_agent.config.station import REMOTE, SerialSection, StationConfig
from edge_agent.model.errors import AgentNotRunning, ConfigRefused, EdgeAgentError

CONNECT_S: Final = 3.0
TAIL_RECORDS: Final = 2_000
"""So many of the last records are verified; `ledger verify` takes all."""
CERTIFICATE_DAYS: Final = 30
CLOCK_ERROR_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Patient:
    """The station that is looked at; without a configuration many checks have nothing to do."""

    paths: StationPaths
    loaded: Loaded | None
    refused: ConfigRefused | None

    @property
    def config(self) -> StationConfig | None:
        """The configuration, where it could be read."""
        return None if self.loaded is None else self.loaded.config


Check = Callable[[Patient], Iterator[Finding]]


def examine(paths: StationPaths) -> list[Finding]:
    """Run every check; none changes anything."""
    try:
        patient = Patient(paths, load_config(paths.config), None)
    except ConfigRefused as refused:
        patient = Patient(paths, None, refused)
    return [finding for check in CHECKS for finding in check(patient)]


def _configuration(patient: Patient) -> Iterator[Finding]:
    from edge_agent.bootstrap.buses import refused_buses  # noqa: PLC0415 - drivers load slowly

    loaded, refused = patient.loaded, patient.refused
    if loaded is None:
        assert refused is not None  # noqa: S101 - one of the two is always there
        yield Finding(
            "config", "fail", f"{refused.problem.text_en}:\n      {_indented(refused.detail)}",
            f"{refused.problem.text_zh}：\n      {_indented(refused.detail)}",
            "edge-agent config check", "edge-agent config check",
        )  # fmt: skip
        return
    buses = refused_buses(loaded.config.plan(patient.paths))
    for line in buses:
        yield Finding("config", "fail", line, line, "correct the option", "请改正该选项")
    for doubt in loaded.doubts:
        yield Finding("config", "warn", doubt, doubt, "correct it, or leave it", "请确认是否有意")
    if not buses and not loaded.doubts:
        yield good("config", f"{patient.paths.config} is right", f"{patient.paths.config} 正确")


def _keys(patient: Patient) -> Iterator[Finding]:
    from edge_agent.security.blind_index import KeyedIndex  # noqa: PLC0415
    from edge_agent.security.sealing import Sealer  # noqa: PLC0415
    from edge_agent.security.signatures import TrustedKeys  # noqa: PLC0415
    from edge_agent.security.staff import load_staff  # noqa: PLC0415
    from edge_agent.uplink.settings import TlsSettings  # noqa: PLC0415

    config, paths = patient.config, patient.paths
    if config is None:
        return
    tls = config.uplink.tls
    tries: list[tuple[str, Callable[[], object]]] = [
        (
            config.keys.hq_public_keys,
            lambda: TrustedKeys.load(paths.key(config.keys.hq_public_keys)),
        ),
        (config.keys.blind_index, lambda: KeyedIndex.load(paths.key(config.keys.blind_index))),
    ]
    made_here = paths.key(config.keys.seal)
    if made_here.exists():
        tries.append((config.keys.seal, lambda: Sealer.load(made_here)))
    tries.append((config.keys.staff, lambda: load_staff(paths.key(config.keys.staff))))
    if tls is not None:
        settings = TlsSettings(paths.key(tls.ca), paths.key(tls.certificate), paths.key(tls.key))
        tries.append(("uplink.tls", settings.context))
    for name, attempt in tries:
        try:
            attempt()
            yield good(f"key {name}", "can be used", "可用")
        except ConfigRefused as refused:
            yield Finding(
                f"key {name}", "fail", f"{refused.problem.text_en}: {refused.detail}",
                f"{refused.problem.text_zh}：{refused.detail}",
                *_remedy(paths, name in {config.keys.seal, config.keys.staff}),
            )  # fmt: skip
    if tls is not None:
        yield from _certificate(paths.key(tls.certificate))


def _remedy(paths: StationPaths, made_here: bool) -> tuple[str, str]:
    if made_here:
        return (
            f"bring its backup to {paths.keys}, mode 0600; or move it away and start anew",
            f"将备份放回 {paths.keys}，权限 0600；或移走后重新生成",
        )
    return (
        f"get it from headquarters, put it into {paths.keys}, mode 0600, owner edge-agent",
        f"向总部索取，放入 {paths.keys}，权限 0600",
    )


def _certificate(path: Path) -> Iterator[Finding]:
    from cryptography import x509  # noqa: PLC0415

    with suppress(OSError, ValueError):  # absent or malformed: the check before said so
        until = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        left = until - datetime.now(UTC)
        if left < timedelta(days=CERTIFICATE_DAYS):
            has_ended = left < timedelta(0)
            yield Finding(
                "certificate", "fail" if has_ended else "warn", f"valid until {until:%Y-%m-%d}",
                f"有效期至 {until:%Y-%m-%d}", "ask headquarters for a new one", "请向总部换发证书",
            )  # fmt: skip
        else:
            yield good("certificate", f"valid until {until:%Y-%m-%d}", f"有效期至 {until:%Y-%m-%d}")


def _buses(patient: Patient) -> Iterator[Finding]:
    config = patient.config
    if config is None:
        return
    for bus in config.buses:
        if isinstance(bus.transport, SerialSection):
            yield from check_port(bus.id, patient.paths.beside_config(bus.transport.port))
        elif _is_running(patient.paths):
            # Many gateways take one connection only: asking would throw the agent off the line.
            yield Finding(f"bus {bus.id}", "skip", "the agent holds it", "程序正在使用")
        else:
            yield _reached(f"bus {bus.id}", bus.transport.host, bus.transport.port, "fail")


def _disk(patient: Patient) -> Iterator[Finding]:
    folder, config = patient.paths.var, patient.config
    if not folder.is_dir():
        yield Finding(
            "disk", "warn", f"{folder} is not there yet", f"{folder} 尚不存在",
            "the first start makes it", "首次启动时自动创建",
        )  # fmt: skip
        return
    free_mib = shutil.disk_usage(folder).free // (1024 * 1024)
    least_mib = 512 if config is None else config.storage.warn_free_mib
    if not os.access(folder, os.W_OK) and os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield Finding(
            "disk", "fail", f"{folder} is read-only", f"{folder} 只读",
            "look at `dmesg`; replace the disk if it has failed", "查看 dmesg，必要时更换磁盘",
        )  # fmt: skip
    elif free_mib < least_mib:
        yield Finding(
            "disk", "warn", f"only {free_mib} MiB are free", f"仅剩 {free_mib} MiB",
            f"free {least_mib} MiB: journalctl --vacuum-size=200M; remove old backups",
            f"请清理到 {least_mib} MiB 以上：journalctl --vacuum-size=200M，删除旧备份",
        )  # fmt: skip
    else:
        yield good("disk", f"{free_mib} MiB free", f"剩余 {free_mib} MiB")


def _books(patient: Patient) -> Iterator[Finding]:
    from edge_agent.core.chain import verify  # noqa: PLC0415
    from edge_agent.model.ledger import LedgerHead  # noqa: PLC0415
    from edge_agent.store.export import tail_ledger  # noqa: PLC0415

    path = patient.paths.ledger
    if not path.exists():
        yield Finding(
            "books", "warn", "there are none yet", "账本尚不存在", "the first start opens them",
            "首次启动时自动建立",
        )  # fmt: skip
        return
    try:
        records = tail_ledger(path, TAIL_RECORDS)
        epochs = sorted({record.epoch for record in records}, key=[r.epoch for r in records].index)
        for epoch in epochs:
            part = [record for record in records if record.epoch == epoch]
            verify(part, LedgerHead(epoch, part[0].seq - 1, part[0].prev_hash))
    except EdgeAgentError as error:
        yield Finding(
            "books", "fail", f"{error.problem.text_en}: {error.detail}",
            f"{error.problem.text_zh}：{error.detail}",
            "edge-agent ledger verify, then call support; do not delete anything",
            "运行 edge-agent ledger verify，并联系技术支持；不要删除文件",
        )  # fmt: skip
        return
    count = len(records)
    yield good("books", f"the last {count} records verify", f"最近 {count} 条记录校验通过")


def _clock(_: Patient) -> Iterator[Finding]:
    from edge_agent.observe.time_service import synchronisation  # noqa: PLC0415

    found = synchronisation()
    if found.synchronised and (found.max_error_ms or 0) <= CLOCK_ERROR_MS:
        yield good("clock", f"synchronised, says {found.source}", f"已同步（{found.source}）")
        return
    yield Finding(
        "clock", "warn", "not synchronised: records say so", "未同步，记录中会注明",
        "sudo apt-get install chrony; chronyc tracking", "安装 chrony，并用 chronyc tracking 检查",
    )  # fmt: skip


def _broker(patient: Patient) -> Iterator[Finding]:
    config, paths = patient.config, patient.paths
    if config is None:
        return
    uplink, tls = config.uplink, config.uplink.tls
    finding = _reached("broker", uplink.host, uplink.port, "warn")
    if tls is None or finding.state != "ok":
        yield finding
        return
    from edge_agent.uplink.settings import TlsSettings  # noqa: PLC0415

    settings = TlsSettings(paths.key(tls.ca), paths.key(tls.certificate), paths.key(tls.key))
    try:
        with (
            socket.create_connection((uplink.host, uplink.port), CONNECT_S) as raw,
            settings.context().wrap_socket(raw, server_hostname=uplink.host),
        ):
            yield good("broker", f"{uplink.host} proved its name", f"{uplink.host} 身份已验证")
    except ConfigRefused:
        return  # the keys' check said so
    except (ssl.SSLError, OSError) as error:
        yield Finding(
            "broker", "warn", f"TLS failed: {error}", f"TLS 失败：{error}",
            "compare uplink.host with the broker's certificate, and the CA with headquarters' own",
            "核对 uplink.host 与服务器证书，以及 CA 是否为总部所发",
        )  # fmt: skip


def _agent(patient: Patient) -> Iterator[Finding]:
    try:
        health = as_object(LocalApi(patient.paths, CONNECT_S).get("/v1/station"))
    except AgentNotRunning as error:
        yield Finding("agent", "warn", "not running", "没有运行", error.detail, error.detail)
        return
    except EdgeAgentError as error:
        problem = error.problem
        yield Finding(
            "agent", "fail", f"{problem.text_en}: {error.detail}",
            f"{problem.text_zh}：{error.detail}",
            "journalctl -u edge-agent -n 50", "journalctl -u edge-agent -n 50",
        )  # fmt: skip
        return
    problems = objects(health.get("problems"))
    for problem_view in problems:
        yield Finding(
            "agent", "warn", text(problem_view, "text_en"), text(problem_view, "text_zh"),
            f"see {text(problem_view, 'code')} in docs/errors.md",
            f"见 docs/errors.md 中的 {text(problem_view, 'code')}",
        )  # fmt: skip
    if not problems:
        yield good("agent", "runs, no problems", "运行正常")


def _cameras(patient: Patient) -> Iterator[Finding]:
    config = patient.config
    for camera in () if config is None else config.cameras:
        check = f"camera {camera.id}"
        parts = urlsplit(camera.source)
        if parts.scheme in REMOTE:
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 554)
            yield _reached(check, parts.hostname or "", port, "warn")
        elif patient.paths.beside_config(camera.source).exists():
            yield good(check, "the source is there", "来源存在")
        else:
            yield Finding(
                check, "warn", f"{camera.source} is not there", f"{camera.source} 不存在",
                "correct cameras.source, or plug the camera in",
                "请改正 cameras.source，或接好摄像头",
            )  # fmt: skip
        if camera.credentials is not None and not patient.paths.key(camera.credentials).exists():
            yield Finding(
                check, "warn", f"no key file {camera.credentials}", f"缺少 {camera.credentials}",
                f"write user:password into {patient.paths.key(camera.credentials)}, mode 0600",
                f"将 user:password 写入 {patient.paths.key(camera.credentials)}，权限 0600",
            )  # fmt: skip


def _weights(patient: Patient) -> Iterator[Finding]:
    from edge_agent.vision import weights  # noqa: PLC0415

    config = patient.config
    if config is None or not config.cameras:
        yield Finding("weights", "skip", "no camera is configured", "未配置摄像头")
        return
    try:
        for file in (
            weights.PLATE_DETECTOR, weights.PLATE_READER, weights.PLATE_READER_CHARSET,
            weights.TEXT_READER,
        ):  # fmt: skip
            weights.load(file)
    except EdgeAgentError as error:
        yield Finding(
            "weights", "warn", f"{error.problem.text_en}: {error.detail}",
            f"{error.problem.text_zh}：{error.detail}", "scripts/setup", "scripts/setup",
        )  # fmt: skip
        return
    yield good("weights", "the plate readers' weights are whole", "车牌识别模型完整")


CHECKS: Final[tuple[Check, ...]] = (
    _configuration, _keys, _buses, _disk, _books, _clock, _broker, _agent, _cameras, _weights,
)  # fmt: skip


def _reached(check: str, host: str, port: int, otherwise: str) -> Finding:
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        why = str(error) or type(error).__name__
        return Finding(
            check, "fail" if otherwise == "fail" else "warn",
            f"{host}:{port} does not answer: {why}", f"{host}:{port} 无应答：{why}",
            f"check cable and address: ping {host}", f"检查网线和地址：ping {host}",
        )  # fmt: skip
    return good(check, f"{host}:{port} answers", f"{host}:{port} 可达")


def _is_running(paths: StationPaths) -> bool:
    try:
        LocalApi(paths, CONNECT_S).get("/v1/health")
    except AgentNotRunning:
        return False
    except EdgeAgentError:
        return True
    return True


def _indented(lines: str) -> str:
    return lines.replace("\n", "\n      ")
