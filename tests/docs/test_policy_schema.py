"""The published schema is that of the code, and takes what the code takes.

`EDGE_AGENT_DOCS=write` writes it anew.
"""

from __future__ import annotations

import json
import os
from typing import Any

from edge_agent.model.policy import OFFER_KINDS, Policy, policy_schema
from tests.docs.tables import ROOT

PUBLISHED = ROOT / "docs" / "policy.schema.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    if os.environ.get("EDGE_AGENT_DOCS") == "write":
        PUBLISHED.write_text(policy_schema() + "\n", encoding="utf-8")
    due = "EDGE_AGENT_DOCS=write scripts/test tests/docs"
    assert PUBLISHED.read_text(encoding="utf-8") == policy_schema() + "\n", due


def test_the_schema_is_strict_everywhere_and_knows_every_key() -> None:
    schema = json.loads(policy_schema())
    tables: list[dict[str, Any]] = [schema, *schema["$defs"].values()]
    assert all(table["additionalProperties"] is False for table in tables)
    assert set(schema["properties"]) == set(Policy.model_fields)
    assert {table["title"] for table in tables} >= {kind.__name__ for kind in OFFER_KINDS.values()}
    assert "number" not in {key.get("type") for table in tables for key in _keys(table)}


def test_the_schema_says_what_keys_mean() -> None:
    offer = json.loads(policy_schema())["$defs"]["PercentOff"]["properties"]
    assert offer["floor_milli"]["description"].startswith("Its margin floor")


def _keys(table: dict[str, Any]) -> list[dict[str, Any]]:
    return list(table["properties"].values())
