"""`edge-agent bus`: frames by name, live or from a file. It listens only and never writes."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from edge_agent.cli.invocation import group, paths_of
from edge_agent.cli.speech import Exit, answer_line, complain, say, talk
from edge_agent.config.paths import StationPaths
from edge_agent.model.canonical import Json
from edge_agent.model.errors import BooksRefused, ConfigRefused, MessageRefused, Problem

if TYPE_CHECKING:
    from edge_agent.bootstrap.buses import Heard
    from edge_agent.ports import Transport

CAPTURE_UNREADABLE = Problem(
    "capture_unreadable",
    "录制文件无法读取",
    "the file of the recording cannot be read",
)
CAPTURE_EXISTS = Problem(
    "output_exists",
    "输出文件已存在，不覆盖；请换一个文件名",
    "the output file exists and is not overwritten: choose another name",
)
MAX_CAPTURE_BYTES: Final = 64 * 1024 * 1024
"""A recording stops here; that is days of a polled bus at 9600 baud."""

app = group(say("Lines to the dispensers: decode, watch, record.", "总线：解码、监听、录制。"))

ProtocolOption = Annotated[
    str | None,
    typer.Option("--protocol", "-p", help=say("dart, modbus-rtu, modbus-tcp …", "协议。")),
]
BaudOption = Annotated[
    int | None, typer.Option("--baud", min=300, max=921600, help=say("Speed.", "波特率。"))
]
SecondsOption = Annotated[
    float | None, typer.Option("--seconds", min=0.1, help=say("Then stop.", "持续秒数。"))
]
TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="BUS",
        help=say(
            "A bus of the configuration, a device, or HOST:PORT.", "总线名、设备或 HOST:PORT。"
        ),
    ),
]


@app.command(help=say("A JSON line for each frame.", "每帧输出一行 JSON。"))
def decode(
    protocol: Annotated[str, typer.Argument(help=say("dart, modbus-rtu …", "协议。"))],
    frames: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HEX]...", help=say("Else lines of stdin.", "省略则读标准输入。")),
    ] = None,
) -> None:
    """Decode frames; exit code 1 if any of them is none."""
    given = frames or []
    if given and all(len(word) <= 2 for word in given):
        given = ["".join(given)]  # one frame, byte by byte
    whole = True
    for word in given or _lines_of_stdin():
        for frame in _decoded(protocol, word):
            answer_line(frame)
            whole = whole and frame["ok"] is True
    if not whole:
        raise typer.Exit(Exit.FAILED)


@app.command(help=say("Show frames as they pass.", "实时显示帧。"))
def watch(
    context: typer.Context,
    target: TargetArgument,
    protocol: ProtocolOption = None,
    baud: BaudOption = None,
    seconds: SecondsOption = None,
) -> None:
    """Listen on a line and print a JSON line for each frame; Ctrl-C ends it.

    A device that the running agent holds is locked: listen with a second adapter.
    """
    import asyncio  # noqa: PLC0415 - the command line starts without it

    from edge_agent.bootstrap.buses import decode_frames, listen  # noqa: PLC0415

    transport, word = _opened(paths_of(context), target, protocol, baud)

    async def show() -> None:
        async with aclosing(listen(transport, seconds)) as heard:
            async for piece in heard:
                for frame in decode_frames(word, piece.data):
                    answer_line({"t_ms": piece.at_ms, **frame})

    asyncio.run(show())


@app.command(help=say("Record a line into a file.", "录制到文件。"))
def capture(
    context: typer.Context,
    target: TargetArgument,
    output: Path,
    protocol: ProtocolOption = None,
    baud: BaudOption = None,
    seconds: SecondsOption = None,
) -> None:
    """Record what passes on a line, a JSON line a piece: `t_ms`, `dir`, `hex`."""
    import asyncio  # noqa: PLC0415

    from edge_agent.bootstrap.buses import listen  # noqa: PLC0415

    transport, _ = _opened(paths_of(context), target, protocol, baud)
    try:
        file = output.open("x", encoding="ascii")
    except FileExistsError:
        raise BooksRefused(CAPTURE_EXISTS, str(output)) from None
    with file:
        count = asyncio.run(_record(listen(transport, seconds), file))
    talk(say(f"{count} bytes recorded.", f"已录制 {count} 字节。"))


@app.command(help=say("Show the frames of a recording.", "显示录制文件中的帧。"))
def replay(
    recording: Path,
    protocol: Annotated[
        str, typer.Option("--protocol", "-p", help=say("dart, modbus-rtu …", "协议。"))
    ],
) -> None:
    """Print a JSON line for each frame of a recording, with its time."""
    from edge_agent.bootstrap.buses import decode_frames, joined, read_capture  # noqa: PLC0415

    try:
        with recording.open(encoding="ascii", errors="replace") as lines:
            heard = read_capture(lines)
    except OSError as error:
        raise MessageRefused(CAPTURE_UNREADABLE, f"{recording}: {error.strerror}") from error
    for piece in joined(heard):
        for frame in decode_frames(protocol, piece.data):
            answer_line({"t_ms": piece.at_ms, **frame})


async def _record(heard: AsyncGenerator[Heard, None], file: TextIO) -> int:
    """Write what is heard until it ends or the file is full; return the bytes heard."""
    from edge_agent.bootstrap.buses import capture_line  # noqa: PLC0415

    count = 0
    async with aclosing(heard) as pieces:
        async for piece in pieces:
            file.write(capture_line(piece) + "\n")
            file.flush()
            count += len(piece.data)
            if file.tell() > MAX_CAPTURE_BYTES:
                break
    return count


def _decoded(protocol: str, word: str) -> list[dict[str, Json]]:
    from edge_agent.bootstrap.buses import decode_frames  # noqa: PLC0415

    try:
        data = bytes.fromhex(word.replace(":", "").replace("0x", ""))
    except ValueError:
        return [{"ok": False, "error": "no hexadecimal digits"}]
    try:
        return decode_frames(protocol, data)
    except ConfigRefused as refused:
        complain(refused)
        raise typer.Exit(Exit.USAGE) from refused


def _lines_of_stdin() -> Iterator[str]:
    return (line.strip() for line in sys.stdin if line.strip())


def _opened(
    paths: StationPaths, target: str, protocol: str | None, baud: int | None
) -> tuple[Transport, str]:
    """Return the transport and protocol of a bus of the configuration, or of a bare device."""
    from edge_agent.bootstrap.buses import open_bus, open_device  # noqa: PLC0415
    from edge_agent.config.loading import load_config  # noqa: PLC0415

    if "/" in target or ":" in target:
        if protocol is None:
            raise typer.BadParameter(say("a device needs --protocol", "监听设备需给出 --protocol"))
        return open_device(target, protocol, baud), protocol
    config = load_config(paths.config).config
    for bus in config.plan(paths).buses:
        if bus.bus == target:
            return open_bus(config.transport(bus.bus), bus, paths), protocol or bus.driver
    known = ", ".join(bus.id for bus in config.buses)
    told = say(
        f"no bus '{target}' is configured, only: {known}", f"没有总线 {target}，只有：{known}"
    )
    raise typer.BadParameter(told)
