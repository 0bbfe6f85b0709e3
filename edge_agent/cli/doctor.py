"""`edge-agent doctor`: what is wrong, why, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli.invocation import JsonOption, paths_of
from edge_agent.cli.speech import Exit, answer, say, talk
from edge_agent.cli.tables import size

app = typer.Typer()


@app.command(help=say("Say what is wrong and what to do.", "体检：问题、原因与处理办法。"))
def doctor(
    context: typer.Context,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=say("Pack for support.", "打包诊断信息（已脱敏）。")),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check everything; exit code 1 if something fails, 5 if something should be seen to."""
    from edge_agent.cli.health_checks import examine  # noqa: PLC0415 - loads drivers and keys

    findings = examine(paths_of(context))
    states = {finding.state for finding in findings}
    if as_json:
        checks = [finding.as_json() for finding in findings]
        answer({"ok": not states & {"warn", "fail"}, "checks": checks})
    else:
        for finding in findings:
            print(finding.as_text())
    if bundle is not None:
        from edge_agent.cli.bundle import collect, write  # noqa: PLC0415

        parts = collect(paths_of(context), findings)
        for name, content in parts.items():
            talk(f"{name}  {size(len(content))}")
        write(parts, bundle)
        talk(say(f"Written to {bundle}; look into it first.", f"已写入 {bundle}，发送前请先查看。"))
    if "fail" in states:
        raise typer.Exit(Exit.FAILED)
    if "warn" in states:
        raise typer.Exit(Exit.DEGRADED)
