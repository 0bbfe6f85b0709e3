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

from pydantic import ValidationError

from edge_agent.model.canonical import Json
from edge_agent.model.errors import EdgeAgentError
from hq.books import HqBooks
from hq.headquarters import Headquarters
from hq.import_file import Import
from hq.keys import HqKeys
from hq.member_codes import issue_code
from hq.reports import coupons, funds, holding, open_leases
from hq.service import DATABASE, KEYS, Service
from hq.summary import summary

AUDIT_ROWS = 1000
REFRESH_ROWS = 5000
FAILED, USAGE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 ok, 1 failed, 2 usage."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except EdgeAgentError as error:
        sys.stderr.write(f"{error} / {error.problem.text_zh}\n")
    except ValidationError as error:
        # Where and what kind only: what was given may be a PIN.
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            place = ".".join(str(step) for step in problem["loc"])
            sys.stderr.write(f"{place}: {problem['type']}\n")
    except UnicodeDecodeError:
        sys.stderr.write(f"{options.file} is not UTF-8: save it as UTF-8\n")
    except OSError as error:
        sys.stderr.write(f"{error}\n")
    return FAILED


class _Commands:
    """Adds commands that share their options."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._made = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        self, name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        """Add a command; its own options are added to what is returned."""
        command = self._made.add_parser(name, help=text, description=text)
        command.add_argument("--root", type=Path, required=True, help="folder of books and keys")
        command.add_argument("--json", action="store_true", help="answer in JSON")
        command.set_defaults(run=run)
        return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hq", description="The reference headquarters")
    commands = _Commands(parser)
    serve = commands.add("serve", _serve, "take in what stations send, and publish")
    serve.add_argument("--broker", required=True, metavar="HOST:PORT")
    for name, text in (("ca", "CA of the broker"), ("certificate", "our own"), ("key", "its key")):
        serve.add_argument(f"--{name}", type=Path, help=f"{text}; needed off loopback")
    provision = commands.add("provision", _provision, "write the keys that a station needs")
    provision.add_argument("--out", type=Path, required=True)
    read = commands.add("import", _import, "enrol members, publish price sets from a JSON file")
    read.add_argument("file", type=Path)
    commands.add("policy", _policy, "publish a policy").add_argument("file", type=Path)
    commands.add("summary", _summary, "sums by station, positions and alarms")
    _add_members(commands)
    _add_holdings(commands)
    return parser


def _add_members(commands: _Commands) -> None:
    commands.add("remove", _remove, "take a member out").add_argument("ref")
    lock = commands.add("lock", _lock, "let nothing be charged to a member any more")
    lock.add_argument("ref")
    lock.add_argument("--reason", default="lost")
    commands.add("unlock", _unlock, "let a member be charged again").add_argument("ref")
    code = commands.add("code", _code, "a member's dynamic code, good for two minutes, once")
    code.add_argument("ref")
    commands.add("refresh", _refresh, "tell stations of members' fills, spending and points now")


def _add_holdings(commands: _Commands) -> None:
    top_up = commands.add("top-up", _top_up, "take in money for an account")
    top_up.add_argument("--account", required=True)
    top_up.add_argument("--fen", type=int, required=True)
    issue = commands.add("issue-coupon", _issue, "hand out coupons of a template")
    issue.add_argument("--template", required=True)
    issue.add_argument(
        "--member",
        action="append",
        help="whom to, again for each; without it they are printed for anybody",
    )
    issue.add_argument("--channel", default="HQ", help="two capitals that the serials begin with")
    issue.add_argument("--count", type=int, default=1)
    give = commands.add("give-coupon", _give, "give a printed coupon to a member")
    give.add_argument("serial")
    give.add_argument("--member", required=True)
    commands.add("coupons", _coupons, "a member's coupons").add_argument("ref")
    points = commands.add("points", _points, "a member's points; --lock lets some rest")
    points.add_argument("ref")
    points.add_argument("--lock", type=int, metavar="POINTS")
    points.add_argument("--days", type=int, default=90)
    leases = commands.add("leases", _leases, "what is set aside for stations")
    leases.add_argument("--station")
    leases.add_argument("--recall", metavar="LEASE", help="ask its station to close this one")
    report = commands.add(
        "funds", _funds, "what moved, by asset and reason, and whether it adds up"
    )
    report.add_argument("--from-ms", type=int, default=0)
    report.add_argument("--to-ms", type=int, default=2**53)


# --- the service -----------------------------------------------------------------------------


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


# --- what is published -----------------------------------------------------------------------


def _provision(options: argparse.Namespace) -> int:
    HqKeys.open(options.root / KEYS).provision(options.out)
    return _answer(options, {"written": str(options.out)})


def _import(options: argparse.Namespace) -> int:
    content = Import.model_validate_json(options.file.read_bytes())
    hq = _open(options)
    with hq.books.transaction():
        for member in content.members:
            hq.enrolment.enrol(member.as_new_member(), _now_ms())
        for entry in content.price_sets:
            hq.desk.publish_prices(entry.id, entry.valid_from_ms, entry.prices, entry.scope)
    done = {"members": len(content.members), "price_sets": len(content.price_sets)}
    return _answer(options, dict(done))


def _policy(options: argparse.Namespace) -> int:
    hq = _open(options)
    with hq.books.transaction():
        policy = hq.publish_policy(options.file.read_text(encoding="utf-8-sig"), _now_ms())
    return _answer(options, {"policy": policy.version})


def _summary(options: argparse.Namespace) -> int:
    hq = _open(options)
    while hq.examine(AUDIT_ROWS, _now_ms()) == AUDIT_ROWS:
        pass  # the sums are those of everything that was acknowledged
    return _answer(options, summary(hq.books))


# --- members ---------------------------------------------------------------------------------


def _remove(options: argparse.Namespace) -> int:
    hq = _open(options)
    with hq.books.transaction():
        hq.enrolment.remove(options.ref)
    return _answer(options, {"removed": options.ref})


def _lock(options: argparse.Namespace) -> int:
    hq = _open(options)
    with hq.books.transaction():
        hq.enrolment.lock(options.ref, options.reason, _now_ms())
    return _answer(options, {"locked": options.ref, "reason": options.reason})


def _unlock(options: argparse.Namespace) -> int:
    hq = _open(options)
    with hq.books.transaction():
        hq.enrolment.unlock(options.ref)
    return _answer(options, {"unlocked": options.ref})


def _code(options: argparse.Namespace) -> int:
    hq = _open(options)
    if not hq.members.knows(options.ref):
        sys.stderr.write(f"there is no member {options.ref}\n")
        return FAILED
    return _answer(options, {"code": issue_code(hq.keys, options.ref, _now_ms())})


def _refresh(options: argparse.Namespace) -> int:
    hq = _open(options)
    told = 0
    while True:
        with hq.books.transaction():
            some = hq.members.refresh(REFRESH_ROWS)
        told += some
        if some < REFRESH_ROWS:
            return _answer(options, {"members": told})


# --- holdings --------------------------------------------------------------------------------


def _top_up(options: argparse.Namespace) -> int:
    hq = _open(options)
    with hq.books.transaction():
        caps = hq.desk.policy_in_force().stored_value
        held_fen = hq.enrolment.pay_in(options.account, options.fen, caps, _now_ms())
    return _answer(options, {"held_fen": held_fen})


def _issue(options: argparse.Namespace) -> int:
    hq = _open(options)
    for ref in options.member or ():
        if not hq.members.knows(ref):
            sys.stderr.write(f"there is no member {ref}\n")
            return FAILED
    with hq.books.transaction():
        serials = [
            hq.coupons.issue(
                hq.desk.policy_in_force(),
                options.template,
                _now_ms(),
                member=member,
                channel=options.channel,
            )
            for member in options.member or [None]
            for _ in range(options.count)
        ]
    return _answer(options, {"serials": serials})


def _give(options: argparse.Namespace) -> int:
    hq = _open(options)
    with hq.books.transaction():
        hq.coupons.give(hq.desk.policy_in_force(), options.serial, options.member)
    return _answer(options, {"given": options.serial, "member": options.member})


def _coupons(options: argparse.Namespace) -> int:
    return _answer(options, {"coupons": coupons(_open(options).books, options.ref)})


def _points(options: argparse.Namespace) -> int:
    hq = _open(options)
    answer: dict[str, Json] = {}
    if options.lock is not None:
        with hq.books.transaction():
            answer["reward"] = hq.points.lock(options.ref, options.lock, options.days, _now_ms())
    return _answer(options, {**answer, **holding(hq.vault, "points", options.ref)})


def _leases(options: argparse.Namespace) -> int:
    hq = _open(options)
    if options.recall is not None:
        with hq.books.transaction():
            hq.leases.recall(options.recall, _now_ms())
    return _answer(options, {"leases": open_leases(hq.books, options.station)})


def _funds(options: argparse.Namespace) -> int:
    hq = _open(options)
    answer = funds(hq.vault, options.from_ms, options.to_ms)
    _answer(options, answer)
    return 0 if answer["ok"] else FAILED


def _open(options: argparse.Namespace) -> Headquarters:
    options.root.mkdir(parents=True, exist_ok=True)
    return Headquarters(HqBooks(options.root / DATABASE), HqKeys.open(options.root / KEYS))


def _answer(options: argparse.Namespace, answer: dict[str, Json]) -> int:
    indent = None if options.json else 1
    sys.stdout.write(f"{json.dumps(answer, ensure_ascii=False, indent=indent)}\n")
    return 0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    sys.exit(main())
