"""The JSON Schema of a policy, for editors and for programs that write policies."""

from __future__ import annotations

import json

from edge_agent.model.policy.policy import Policy


def policy_schema() -> str:
    """Return the JSON Schema as text. It knows the form of a policy, not its sense."""
    schema: dict[str, object] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Policy.model_json_schema(),
        "title": "edge-agent policy, format 1",
    }
    return json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True)
