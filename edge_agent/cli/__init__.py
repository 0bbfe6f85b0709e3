"""The `edge-agent` command: a thin client of the local API, plus offline tools."""

from __future__ import annotations


def main() -> None:
    """Run the command line: the entry point of the package."""
    from edge_agent.cli.app import run_app  # noqa: PLC0415 - importing the package stays free

    run_app()
