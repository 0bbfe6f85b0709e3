"""`edge-agent plate`: read number plates in pictures, as the cameras do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli.invocation import JsonOption, group
from edge_agent.cli.speech import Exit, say

app = group(say("Number plates.", "车牌识别。"))


@app.callback()
def plates() -> None:
    """Keep `read` a command of its own while it is the only one."""


@app.command(help=say("Read the plates in pictures.", "识别图片中的车牌。"))
def read(
    images: Annotated[list[Path], typer.Argument(help=say("Picture files.", "图片文件。"))],
    as_json: JsonOption = False,
) -> None:
    """Read pictures, a line each; exit code 1 if one of them cannot be read."""
    from edge_agent.vision.reader import read_images  # noqa: PLC0415

    failed = False
    for picture in read_images(images):
        failed = failed or picture.error is not None
        if as_json:
            print(picture.model_dump_json(), flush=True)
            continue
        found = "  ".join(
            f"{plate.text} {plate.colour} {plate.confidence:.2f}"
            + ("" if plate.confirmed else say(" unsure", " 待确认"))
            for plate in picture.plates
        )
        nothing = say("no plate", "无车牌")
        print(f"{picture.file}: {picture.error or found or nothing} ({picture.ms:.0f} ms)")
    if failed:
        raise typer.Exit(Exit.FAILED)
