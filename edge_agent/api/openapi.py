"""Writes the API's OpenAPI description: `python -m edge_agent.api.openapi > docs/openapi.json`."""

from __future__ import annotations

import json
import sys

from edge_agent.api.server import bare_app


def openapi_text() -> str:
    """Return the description as it is committed."""
    return json.dumps(bare_app().openapi(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_text())
