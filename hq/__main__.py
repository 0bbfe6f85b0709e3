"""Headquarters from the command line: `python -m hq COMMAND --root DIR`."""

from __future__ import annotations

import argparse
import ipaddress
import json
import logging
import signal
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_agent.model.canonical import Json
from edge_agent.model.errors import EdgeAgentError
from edge_agent.model.wire import EVERY_STATION
from hq.books import HqBooks
from hq.catalogues import NewMember
from hq.headquarters import Headquarters
from hq.keys import HqKeys
from hq.service import DATABASE, KEYS, Service
from hq.summary import summary

AUDIT_ROWS = 1000
FAILED, USAGE = 1, 2


class MemberInFile(BaseModel):
    """A member in an import file; `granted_fen` by station."""

    model_config = ConfigDict(strict=True, extra="forbid")

    ref: str
    name: str
    tier: str
    account: str | None = None
    plate_pay: bool = False
    cards: list[str] = Field(default_factory=list)
    phones: list[str] = Field(default_factory=list)
    plates: list[str] = Field(default_factory=list)
    granted_fen: dict[str, int] = Field(default_factory=dict)


class PriceSetInFile(BaseModel):
    """A price set in an import file: thousandths of a yuan per litre, by grade."""

    model_config = ConfigDict(strict=True, extra="forbid")

    id: str
    valid_from_ms: int
    prices: dict[str, int]
    scope: str = EVERY_STATION


class Import(BaseModel):
    """An import file: whatever of these it holds is published."""

    model_config = ConfigDict(strict=True, extra="forbid")

    members: list[MemberInFile] = Field(default_factory=list)
    price_sets: list[PriceSetInFile] = Field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 ok, 1 failed, 2 usage."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except EdgeAgentError as error:
        sys.stderr.write(f"{error} / {error.problem.text_zh}\n")
    except (OSError, ValidationError) as error:
        sys.stderr.write(f"{error}\n")
    return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hq", description="The reference headquarters")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> _Parser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--root", type=Path, required=True, help="folder of books and keys")
        command.add_argument("--json", action="store_true", help="answer in JSON")
        command.set_defaults(run=run)
        return command

    serve = add("serve", _serve, "take in what stations send, and publish")
    serve.add_argument("--broker", required=True, metavar="HOST:PORT")
    for name, text in (("ca", "CA of the broker"), ("certificate", "our own"), ("key", "its key")):
        serve.add_argument(f"--{name}", type=Path, help=f"{text}; needed off loopback")
    provision = add("provision", _provision, "write the keys that a station needs")
    provision.add_argument("--out", type=Path, required=True)
    add("import", _import, "enrol members and publish price sets from a JSON file").add_argument(
        "file", type=Path
    )
    add("policy", _policy, "publish a policy").add_argument("file", type=Path)
    top_up = add("top-up", _top_up, "set more stored value aside for an account at a station")
    top_up.add_argument("--account", required=True)
    top_up.add_argument("--station", required=True)
    top_up.add_argument("--fen", type=int, required=True)
    add("remove", _remove, "take a member out").add_argument("ref")
    add("summary", _summary, "sums by station, positions and alarms")
    return parser


_Parser = argparse.ArgumentParser


def _serve(options: argparse.Namespace) -> int:
    host, _, port = options.broker.rpartition(":")
    if not host or not port.isdecimal():
        sys.stderr.write("--broker needs HOST:PORT\n")
        return USAGE
    files = (options.ca, options.certificate, options.key)
    if not all(files) and (any(files) or not _is_loopback(host)):
        sys.stderr.write("a broker off loopback needs --ca, --certificate and --key\n")
        return USAGE
    options.root.mkdir(parents=True, exist_ok=True)
    service = Service(options.root, host, int(port), _tls(*files) if all(files) else None)

    def stop(_number: int, _frame: FrameType | None) -> None:
        service.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    service.run()
    return 0


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca)
    context.load_cert_chain(certificate, key)
    return context


def _provision(options: argparse.Namespace) -> int:
    HqKeys.open(options.root / KEYS).provision(options.out)
    return _answer(options, {"written": str(options.out)})


def _import(options: argparse.Namespace) -> int:
    content = Import.model_validate_json(options.file.read_bytes())
    headquarters = _open(options)
    with headquarters.books.transaction():
        for member in content.members:
            headquarters.desk.enrol(NewMember(**member.model_dump()))
        for entry in content.price_sets:
            headquarters.desk.publish_prices(
                entry.id, entry.valid_from_ms, entry.prices, entry.scope
            )
    done = {"members": len(content.members), "price_sets": len(content.price_sets)}
    return _answer(options, dict(done))


def _policy(options: argparse.Namespace) -> int:
    headquarters = _open(options)
    with headquarters.books.transaction():
        policy = headquarters.desk.publish_policy(options.file.read_text(encoding="utf-8"))
    return _answer(options, {"policy": policy.version})


def _top_up(options: argparse.Namespace) -> int:
    headquarters = _open(options)
    with headquarters.books.transaction():
        headquarters.desk.top_up(options.account, options.station, options.fen)
        granted_fen = headquarters.desk.granted(options.account, options.station)
    return _answer(options, {"granted_fen": granted_fen})


def _remove(options: argparse.Namespace) -> int:
    headquarters = _open(options)
    with headquarters.books.transaction():
        headquarters.desk.remove(options.ref)
    return _answer(options, {"removed": options.ref})


def _summary(options: argparse.Namespace) -> int:
    headquarters = _open(options)
    while headquarters.examine(AUDIT_ROWS, time.time_ns() // 1_000_000) == AUDIT_ROWS:
        pass  # the sums are those of everything that was acknowledged
    return _answer(options, summary(headquarters.books))


def _open(options: argparse.Namespace) -> Headquarters:
    options.root.mkdir(parents=True, exist_ok=True)
    return Headquarters(HqBooks(options.root / DATABASE), HqKeys.open(options.root / KEYS))


def _answer(options: argparse.Namespace, answer: dict[str, Json]) -> int:
    indent = None if options.json else 1
    sys.stdout.write(f"{json.dumps(answer, ensure_ascii=False, indent=indent)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
