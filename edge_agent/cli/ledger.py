"""`edge-agent ledger`: the books, read and looked after beside the agent or without one."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli.answers import JsonObject, as_object, number, objects, text
from edge_agent.cli.invocation import (
    JsonOption,
    YesOption,
    api_of,
    books_of,
    confirm,
    group,
    must_read,
    paths_of,
)
from edge_agent.cli.speech import Exit, answer, say, talk
from edge_agent.cli.tables import clock_time, table
from edge_agent.model.errors import AgentNotRunning, BooksRefused, Problem
from edge_agent.model.ledger import LedgerHead

OUTPUT_EXISTS = Problem(
    "output_exists",
    "输出文件已存在，不覆盖；请换一个文件名",
    "the output file exists and is not overwritten: choose another name",
)

app = group(say("The books: show, verify, export, save.", "账本：查看、校验、导出、备份。"))


class Format(StrEnum):
    """What an export is written as."""

    JSONL = "jsonl"
    CSV = "csv"


@app.command(help=say("Show the last records.", "显示最近的记录。"))
def tail(
    context: typer.Context,
    count: Annotated[int, typer.Option("-n", min=1, max=500, help=say("How many.", "条数。"))] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the last records, oldest first, through the agent or from the file."""
    try:
        told = as_object(api_of(context).get(f"/v1/ledger/tail?limit={count}"))
        records = objects(told.get("records"))
    except AgentNotRunning:
        records = _tail_of_file(books_of(context), count)
    if as_json:
        answer({"records": [{**r, "body": json.loads(text(r, "body"))} for r in records]})
        return
    head = (say("Seq", "序号"), say("Time", "时间"), say("Kind", "类型"), say("What", "内容"))
    rows = [
        (
            str(number(record, "seq")),
            clock_time(number(record, "at_ms")),
            text(record, "kind"),
            text(record, "body"),
        )
        for record in records
    ]
    print(table(head, rows, right=(0,)))


@app.command(help=say("Verify the chain and every projection.", "校验账本和各项汇总。"))
def verify(
    context: typer.Context,
    exported: Annotated[
        Path | None,
        typer.Option("--exported", help=say("Verify an export instead.", "改为校验导出文件。")),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify the books, or an export of them; exit code 1 if anything is wrong."""
    if exported is not None:
        _verify_export(exported, as_json)
        return
    from edge_agent.store.verify import verify_books  # noqa: PLC0415

    path = books_of(context)
    report = verify_books(path)
    bad = report.first_bad
    if as_json:
        answer(
            {
                "ok": report.ok,
                "records": report.records,
                "epochs": report.epochs,
                "head": _head(report.head),
                "first_bad": None if bad is None else {"epoch": bad[0], "seq": bad[1]},
                "problem": report.problem,
                "differences": list(report.differences),
            }
        )
    else:
        print(_verdict(report.ok, report.records, report.head))
        if report.problem is not None:
            print(report.problem)
        for difference in report.differences:
            print(difference)
    if not report.ok:
        mends = report.problem is None
        talk(
            say("`edge-agent ledger rebuild` mends this.", "可用 edge-agent ledger rebuild 修复。")
            if mends
            else say("Do not touch the file; call support.", "请勿改动文件，联系技术支持。")
        )
        raise typer.Exit(Exit.FAILED)


@app.command(help=say("Write every record out as text.", "导出全部记录。"))
def export(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=say("File; else stdout.", "输出文件。"))
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help=say("jsonl can be verified.", "jsonl 可校验。"))
    ] = Format.JSONL,
) -> None:
    """Write every record out, oldest first."""
    from edge_agent.store.export import export_ledger_csv, export_ledger_lines  # noqa: PLC0415

    path = books_of(context)
    write = export_ledger_csv if form is Format.CSV else export_ledger_lines
    if output is None:
        count = write(path, sys.stdout)
    else:
        try:
            with output.open("x", encoding="utf-8", newline="") as file:
                count = write(path, file)
        except FileExistsError:
            raise BooksRefused(OUTPUT_EXISTS, str(output)) from None
    talk(say(f"{count} records.", f"共 {count} 条记录。"))


@app.command(help=say("Compute all projections anew (agent stopped).", "重算汇总（先停程序）。"))
def rebuild(context: typer.Context, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Replace balances, open fuellings and totals by what the ledger says."""
    from edge_agent.store.rebuild import rebuild_books  # noqa: PLC0415

    path = books_of(context)
    confirm(
        yes,
        say(
            f"All projections of {path} are computed anew from the ledger.",
            f"将根据账本重算 {path} 的全部汇总。",
        ),
    )
    count = rebuild_books(path)
    _hand_over(path)
    if as_json:
        answer({"records": count})
    else:
        print(say(f"Rebuilt from {count} records.", f"已根据 {count} 条记录重算。"))


@app.command(help=say("Copy the books while the agent runs.", "在线备份账本。"))
def backup(context: typer.Context, target: Path, as_json: JsonOption = False) -> None:
    """Copy the books of this moment into a new file and verify the copy."""
    from edge_agent.store.backup import backup_books  # noqa: PLC0415

    path = books_of(context)
    report = backup_books(path, target, pause_ms=5)
    if as_json:
        answer({"file": str(target), "records": report.records, "head": _head(report.head)})
    else:
        print(_verdict(True, report.records, report.head))


@app.command(help=say("Bring a backup back as the books.", "用备份恢复账本（先停程序）。"))
def restore(
    context: typer.Context, backup_file: Path, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Bring a backup back under a new epoch, where no books are; the agent must be stopped."""
    from edge_agent.observe.clock import SystemClock, SystemEntropy  # noqa: PLC0415
    from edge_agent.store.backup import restore_books  # noqa: PLC0415

    target = paths_of(context).ledger
    must_read(backup_file)
    confirm(
        yes,
        say(
            f"{backup_file} becomes the books at {target}, under a new epoch. What was sold after "
            "the backup is not in it.",
            f"{backup_file} 将成为 {target}，账本进入新纪元；备份之后的销售不在其中。",
        ),
    )
    head = restore_books(backup_file, target, clock=SystemClock(), entropy=SystemEntropy())
    _hand_over(target)
    if as_json:
        answer({"head": _head(head)})
    else:
        print(say(f"Restored; new epoch {head.epoch}.", f"已恢复，新纪元 {head.epoch}。"))


def _hand_over(target: Path) -> None:
    """Give files that root made to whom their folder belongs: the agent has a user of its own."""
    if os.geteuid() == 0:
        owner = target.parent.stat()
        for file in target.parent.glob(f"{target.name}*"):
            os.chown(file, owner.st_uid, owner.st_gid)


def _tail_of_file(path: Path, count: int) -> list[JsonObject]:
    from edge_agent.store.export import tail_ledger  # noqa: PLC0415

    talk(say("The agent is not running: read from the file.", "程序未运行，直接读取文件。"))
    return [
        {
            "epoch": record.epoch,
            "seq": record.seq,
            "kind": record.kind,
            "at_ms": record.at_ms,
            "body": record.body,
            "prev_hash": record.prev_hash,
            "hash": record.hash,
        }
        for record in tail_ledger(path, count)
    ]


def _verify_export(exported: Path, as_json: bool) -> None:
    from edge_agent.store.export import check_export  # noqa: PLC0415

    must_read(exported)
    with exported.open(encoding="utf-8") as lines:
        report = check_export(lines)
    last = report.heads[-1] if report.heads else None
    if as_json:
        answer(
            {
                "ok": True,
                "records": report.records,
                "first": _head(report.first),
                "heads": [_head(head) for head in report.heads],
            }
        )
    else:
        print(_verdict(True, report.records, last))


def _head(head: LedgerHead | None) -> JsonObject | None:
    return None if head is None else {"epoch": head.epoch, "seq": head.seq, "hash": head.hash}


def _verdict(ok: bool, records: int, head: LedgerHead | None) -> str:
    word = say("whole", "完整") if ok else say("NOT WHOLE", "不完整")
    end = "-" if head is None else f"{head.epoch}/{head.seq} {head.hash[:16]}"
    return say(f"{word}: {records} records, head {end}", f"{word}：{records} 条记录，末条 {end}")
