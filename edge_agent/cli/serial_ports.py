"""Serial ports: whether they can be opened, and the udev rule that gives one a lasting name."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_agent.cli.findings import Finding, good

BY_PATH: Final = Path("/dev/serial/by-path")
"""udev's links by the socket that an adapter is plugged into; on-board ports have none."""
_KERNEL_NAME: Final = re.compile(r"/dev/tty(USB|ACM|XRUSB|S)[0-9]+")
_PORT_SUFFIX: Final = re.compile(r"-port[0-9]+$")


def check_port(bus: str, port: Path, by_path: Path = BY_PATH) -> Iterator[Finding]:
    """Check the device of a bus: there, a device, open to this user, with a lasting name."""
    check = f"serial {bus}"
    if not port.exists():
        yield Finding(
            check, "fail", f"{port} is not there", f"{port} 不存在",
            "plug the adapter in; then give it its name:\n" + _listed_rules(bus, by_path),
            "请插好串口适配器，并写入 udev 规则：\n" + _listed_rules(bus, by_path),
        )  # fmt: skip
        return
    status = port.stat()
    if not stat.S_ISCHR(status.st_mode):
        yield Finding(
            check,
            "fail",
            f"{port} is no device",
            f"{port} 不是设备",
            "correct the port",
            "请改正 port",
        )
        return
    if not os.access(port, os.R_OK | os.W_OK):
        yield Finding(
            check, "fail", f"{port} belongs to {_owner(status)}: no right to it",
            f"{port} 属于 {_owner(status)}，无权访问",
            f"sudo usermod -aG {grp.getgrgid(status.st_gid).gr_name} {_user()}, then log in again",
            f"sudo usermod -aG {grp.getgrgid(status.st_gid).gr_name} {_user()}，然后重新登录",
        )  # fmt: skip
        return
    rule = udev_rule(bus, port, by_path)
    if _KERNEL_NAME.fullmatch(str(port)) and rule:
        yield Finding(
            check, "warn", f"{port} may be another adapter after the next start",
            f"{port} 重启后可能变成别的适配器",
            f"put into /etc/udev/rules.d/70-forecourt.rules:\n{rule}",
            f"写入 /etc/udev/rules.d/70-forecourt.rules：\n{rule}",
        )  # fmt: skip
        return
    yield good(check, f"{port} can be opened", f"{port} 可用")


def udev_rule(bus: str, port: Path, by_path: Path = BY_PATH) -> str:
    """Return the udev line that names the socket of a port after its bus; empty when unknown.

    By the socket and not by the adapter: cheap ones (CH340, PL2303) carry no serial number, and a
    replaced adapter keeps its name.
    """
    target = port.resolve()
    for link in _links(by_path):
        if link.resolve() == target:
            return _rule(bus, link)
    return ""


def _listed_rules(bus: str, by_path: Path) -> str:
    rules = [_rule(bus, link) for link in _links(by_path)]
    return "\n".join(rules) or "(no USB serial adapter is plugged in)"


def _rule(bus: str, link: Path) -> str:
    id_path = _PORT_SUFFIX.sub("", link.name)
    return (
        f'SUBSYSTEM=="tty", ENV{{ID_PATH}}=="{id_path}", SYMLINK+="forecourt/{bus}", '
        'GROUP="dialout", MODE="0660", TAG+="systemd"'
    )


def _links(by_path: Path) -> list[Path]:
    return sorted(by_path.iterdir()) if by_path.is_dir() else []


def _owner(status: os.stat_result) -> str:
    try:
        return f"{pwd.getpwuid(status.st_uid).pw_name}:{grp.getgrgid(status.st_gid).gr_name}"
    except KeyError:
        return f"{status.st_uid}:{status.st_gid}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
